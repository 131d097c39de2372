/* wrap_sync: barriers. Only the target is flushed. */
#include <blkverify/verify.h>

#include "guard.h"
#include "ops.h"
#include "stacked.h"

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
	uint64_t mask = bv_stacked_enter();
	int result = real(fd);

	bv_stacked_leave(mask);
	return finish(disk, call, fd, result);
}

int op_sync_file_range(struct bv_disk *disk, const char *call, int fd,
		       off64_t offset, off64_t n, unsigned flags)
{
	uint64_t mask = bv_stacked_enter();
	int result = real_sync_file_range(fd, offset, n, flags);

	bv_stacked_leave(mask);
	return finish(disk, call, fd, result);
}
