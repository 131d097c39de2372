/* wrap_space: length and allocation. */
#include <linux/falloc.h>

#include <blkverify/policy.h>
#include <blkverify/verify.h>

#include "guard.h"
#include "ops.h"
#include "stacked.h"

/* Linux 6.17. */
#ifndef FALLOC_FL_WRITE_ZEROES
#define FALLOC_FL_WRITE_ZEROES 0x80
#endif

static int run(struct bv_disk *disk, const struct bv_change *change)
{
	struct bv_guard guard;

	bv_guard_enter_quietly(&guard);
	return (int)bv_guard_leave(&guard, bv_change(disk, change));
}

struct shift {
	struct bv_change change;
	off64_t length;
};

static int apply_ftruncate(const struct bv_change *c)
{
	uint64_t mask = bv_stacked_enter();
	int result = real_ftruncate64(c->fd, (off64_t)c->length) < 0 ? -errno : 0;

	bv_stacked_leave(mask);
	return result;
}

static int apply_truncate(const struct bv_change *c)
{
	uint64_t mask = bv_stacked_enter();
	int result = real_truncate64(c->path, (off64_t)c->length) < 0 ? -errno : 0;

	bv_stacked_leave(mask);
	return result;
}

static int apply_fallocate(const struct bv_change *c)
{
	uint64_t mask = bv_stacked_enter();
	int result = real_fallocate64(c->fd, c->mode, (off64_t)c->offset,
				(off64_t)c->length) < 0 ? -errno : 0;

	bv_stacked_leave(mask);
	return result;
}

static int apply_posix_fallocate(const struct bv_change *c)
{
	uint64_t mask = bv_stacked_enter();
	int result = -real_posix_fallocate64(c->fd, (off64_t)c->offset,
				       (off64_t)c->length);

	bv_stacked_leave(mask);
	return result;
}

int op_ftruncate(struct bv_disk *disk, const char *call, int fd, off64_t length)
{
	struct bv_change change = {
		.call = call, .fd = fd, .op = BV_OP_RESIZE,
		.length = (uint64_t)length, .apply = apply_ftruncate,
	};

	return run(disk, &change);
}

int op_truncate(const char *call, const char *path, off64_t length)
{
	bool exists;
	struct bv_disk *disk = bv_disks == 0 ? NULL :
			       bv_disk_at(AT_FDCWD, path, 0, &exists);
	struct bv_change change = {
		.call = call, .fd = -1, .op = BV_OP_RESIZE, .path = path,
		.length = (uint64_t)length, .apply = apply_truncate,
	};

	return disk ? run(disk, &change) : real_truncate64(path, length);
}

/* The range that the kernel sees is the program's; what is unknown
 * afterwards reaches to the end. */
static int apply_shift(const struct bv_change *c)
{
	const struct shift *shift = (const struct shift *)c;

	return real_fallocate64(c->fd, c->mode, (off64_t)c->offset,
				shift->length) < 0 ? -errno : 0;
}

static int run_shift(struct bv_disk *disk, const struct bv_change *change,
		     off64_t length)
{
	struct shift shift = { .change = *change, .length = length };
	struct bv_guard guard;

	shift.change.length = INT64_MAX;
	shift.change.apply = apply_shift;
	bv_guard_enter(&guard);
	return (int)bv_guard_leave(&guard,
				   bv_change_blindly(disk, &shift.change));
}

/* What each mode does to bytes and length. */
static bool classify(struct bv_change *c)
{
	switch (c->mode & ~FALLOC_FL_KEEP_SIZE) {
	case FALLOC_FL_PUNCH_HOLE:
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_WRITE_ZEROES:
		c->op = BV_OP_ZERO;
		break;
	case 0:
	case FALLOC_FL_UNSHARE_RANGE:
		c->op = BV_OP_RESIZE;
		break;
	default:
		return false;
	}
	c->grows = !(c->mode & FALLOC_FL_KEEP_SIZE);
	return true;
}

int op_fallocate(struct bv_disk *disk, const char *call, int fd, int mode,
		 off64_t offset, off64_t length)
{
	struct bv_change change = {
		.call = call, .fd = fd, .mode = mode,
		.offset = (uint64_t)offset, .length = (uint64_t)length,
		.apply = apply_fallocate,
	};
	int refused;

	if (classify(&change)) {
		/* Neither a byte nor the length changes. */
		if (change.op == BV_OP_RESIZE && !change.grows)
			return real_fallocate64(fd, mode, offset, length);
		pthread_testcancel();
		return run(disk, &change);
	}
	/* COLLAPSE_RANGE and INSERT_RANGE move everything behind them. */
	refused = bv_policy_unverified(disk, call, -EOPNOTSUPP);
	if (refused < 0) {
		errno = -refused;
		return -1;
	}
	return run_shift(disk, &change, length);
}

int op_posix_fallocate(struct bv_disk *disk, const char *call, int fd,
		       off64_t offset, off64_t length)
{
	struct bv_change change = {
		.call = call, .fd = fd, .op = BV_OP_RESIZE, .grows = true,
		.offset = (uint64_t)offset, .length = (uint64_t)length,
		.apply = apply_posix_fallocate,
	};
	int error = errno, result = run(disk, &change) < 0 ? errno : 0;

	/* It returns the error, and leaves errno alone. */
	errno = error;
	return result;
}
