/* wrap_stat: the length that a target says it has. */
#include <sys/sysmacros.h>

#include <blkverify/disk.h>
#include <blkverify/layout.h>

#include "guard.h"
#include "ops.h"

static int check(struct bv_disk *disk, const char *call, int fd, uint64_t size)
{
	struct bv_guard guard = { .error = errno };
	int result = bv_size_check(disk, call, fd, size);

	errno = result < 0 ? -result : guard.error;
	return result < 0 ? -1 : 0;
}

int op_stated(const char *call, int result, int fd, const struct stat *st)
{
	struct bv_disk *disk = result == 0 && S_ISREG(st->st_mode) ?
			       bv_disk_known(st) : NULL;

	return disk ? check(disk, call, fd, (uint64_t)st->st_size) : result;
}

int op_fstat(struct bv_disk *disk, const char *call,
	     int (*real)(int, struct stat *), int fd, struct stat *st)
{
	(void)disk;
	return op_stated(call, real(fd, st), fd, st);
}

int op_statxed(const char *call, int result, const struct statx *st)
{
	struct stat plain = { 0 };

	if (result < 0 || !(st->stx_mask & STATX_SIZE) ||
	    !(st->stx_mask & STATX_INO) || !(st->stx_mask & STATX_TYPE))
		return result;
	plain.st_mode = st->stx_mode;
	plain.st_ino = st->stx_ino;
	plain.st_dev = makedev(st->stx_dev_major, st->stx_dev_minor);
	plain.st_size = (off_t)st->stx_size;
	return op_stated(call, result, -1, &plain);
}
