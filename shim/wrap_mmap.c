/* wrap_mmap: mappings. Stores through one bypass every function there is, so
 * a mapping of a target is refused. */
#include <sys/mman.h>

#include <blkverify/policy.h>
#include <blkverify/verify.h>

#include "guard.h"
#include "ops.h"

void *op_mmap(struct bv_disk *disk, const char *call, void *address, size_t n,
	      int protection, int flags, int fd, off64_t offset)
{
	int refused;

	/* The descriptor given with an anonymous mapping is not looked at. */
	if (flags & MAP_ANONYMOUS)
		return real_mmap64(address, n, protection, flags, fd, offset);
	refused = bv_policy_unverified(disk, call, -ENODEV);
	if (refused < 0) {
		errno = -refused;
		return MAP_FAILED;
	}
	/* Even one that is read-only now can be made writable later. */
	if ((flags & MAP_TYPE) != MAP_PRIVATE)
		bv_change_lasting(disk, (uint64_t)offset, n);
	return real_mmap64(address, n, protection, flags, fd, offset);
}
