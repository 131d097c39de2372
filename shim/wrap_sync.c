/* wrap_sync: barriers. Only the target is flushed. */
#include <blkverify/verify.h>

#include "guard.h"
#include "ops.h"

static int finish(struct bv_disk *disk, const char *call, int fd, int result)
{
	struct bv_guard guard = { .error = errno };

	if (result == 0)
		return 0;
	result = bv_flush(disk, call, fd, -guard.error);
	errno = -result;
	return -1;
}

int op_sync(struct bv_disk *disk, const char *call, int fd, int (*real)(int))
{
	return finish(disk, call, fd, real(fd));
}

int op_sync_file_range(struct bv_disk *disk, const char *call, int fd,
		       off64_t offset, off64_t n, unsigned flags)
{
	return finish(disk, call, fd,
		      real_sync_file_range(fd, offset, n, flags));
}
