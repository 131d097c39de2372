/* wrap_sync: barriers. Only the target is flushed. */
#include <blkverify/late.h>
#include <blkverify/memory.h>
#include <blkverify/verify.h>

#include "guard.h"
#include "ops.h"
#include "stacked.h"

/* What was stored through mappings belongs to what is flushed. */
static int begin(struct bv_disk *disk, const char *call, uint64_t start,
		 uint64_t end)
{
	struct bv_guard guard;
	int result;

	if (!bv_memory_any(disk))
		return 0;
	bv_guard_enter(&guard);
	result = bv_memory_flush(disk, call, start, end);
	return (int)bv_guard_leave(&guard, result);
}

static int finish(struct bv_disk *disk, const char *call, int fd, int result)
{
	struct bv_guard guard = { .error = errno };

	result = bv_flush(disk, call, fd, result < 0 ? -guard.error : 0);
	errno = result < 0 ? -result : guard.error;
	return result < 0 ? -1 : 0;
}

int op_sync(struct bv_disk *disk, const char *call, int fd, int (*real)(int))
{
	uint64_t mask;
	int result;

	if (begin(disk, call, 0, UINT64_MAX) < 0)
		return -1;
	mask = bv_stacked_enter();
	result = real(fd);
	bv_stacked_leave(mask);
	return finish(disk, call, fd, result);
}

/* Of all file systems. */
void op_sync_all(const char *call)
{
	struct bv_guard guard;

	bv_guard_enter_quietly(&guard);
	bv_memory_flush_all(call);
	bv_guard_leave(&guard, 0);
	real_sync();
	bv_late_settle();
}

int op_sync_file_range(struct bv_disk *disk, const char *call, int fd,
		       off64_t offset, off64_t n, unsigned flags)
{
	uint64_t mask;
	int result;

	if (begin(disk, call, (uint64_t)offset,
		  n > 0 ? (uint64_t)offset + (uint64_t)n : UINT64_MAX) < 0)
		return -1;
	mask = bv_stacked_enter();
	result = real_sync_file_range(fd, offset, n, flags);
	bv_stacked_leave(mask);
	return finish(disk, call, fd, result);
}
