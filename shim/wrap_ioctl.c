/* wrap_ioctl: device and file system requests.
 *
 * Those that change or tell of bytes in a way that can be followed are
 * verified; those known to do neither pass; one that is not known here is
 * refused.
 */
#include <linux/blkzoned.h>
#include <linux/cdrom.h>
#include <linux/fd.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/hdreg.h>
#include <linux/loop.h>
#include <linux/nvme_ioctl.h>
#include <scsi/sg.h>
#include <sys/ioctl.h>
#include <sys/mtio.h>

#include <blkverify/fdmap.h>
#include <blkverify/layout.h>
#include <blkverify/memory.h>
#include <blkverify/policy.h>
#include <blkverify/usermem.h>
#include <blkverify/verify.h>

#include "guard.h"
#include "ops.h"

/* QEMU asks XFS for its direct I/O alignment with it, on any file system;
 * xfs/xfs_fs.h is not always installed. */
#define XFS_DIOINFO 0x800c581eul

/* Linux 5.8; the descriptor is the first word of what it is given. */
#ifndef LOOP_CONFIGURE
#define LOOP_CONFIGURE 0x4c0a
#endif

struct request {
	struct bv_change change;
	struct bv_map map;
	unsigned long number;
	void *argument;
	int result;
};

static bool is_harmless(unsigned long number)
{
	switch (number) {
	case BLKROGET: case BLKRRPART: case BLKFLSBUF: case BLKRAGET:
	case BLKRASET: case BLKFRAGET: case BLKFRASET: case BLKSECTGET:
	case BLKSSZGET: case BLKPBSZGET: case BLKBSZGET: case BLKBSZSET:
	case BLKIOMIN: case BLKIOOPT: case BLKALIGNOFF: case BLKDISCARDZEROES:
	case BLKROTATIONAL: case BLKREPORTZONE: case BLKGETZONESZ:
	case BLKGETNRZONES: case BLKROSET:
	case FIBMAP: case FIGETBSZ: case FS_IOC_GETFLAGS: case FS_IOC_SETFLAGS:
	case FS_IOC_GETVERSION: case FS_IOC_FSGETXATTR: case FS_IOC_FSSETXATTR:
	case FS_IOC_GETFSLABEL: case XFS_DIOINFO:
	case HDIO_GETGEO: case HDIO_GET_IDENTITY: case FDGETFDCSTAT:
	case FDGETPRM: case FDGETDRVTYP: case FDGETDRVSTAT: case MTIOCGET:
	case LOOP_GET_STATUS: case LOOP_GET_STATUS64: case NVME_IOCTL_ID:
	case CDROM_DRIVE_STATUS: case CDROM_DISC_STATUS:
	case CDROM_MEDIA_CHANGED: case CDROM_GET_CAPABILITY:
	case CDROM_LAST_WRITTEN: case CDROM_GET_MCN: case CDROMREADTOCHDR:
	case CDROMREADTOCENTRY: case CDROMMULTISESSION:
	case SG_GET_VERSION_NUM: case SG_GET_SCSI_ID:
	case FIOCLEX: case FIONCLEX: case FIONBIO: case FIOASYNC: case FIONREAD:
	case FIOQSIZE: case TCGETS: case TIOCGWINSZ:
		return true;
	default:
		return false;
	}
}

/* Does the request share extents between files? To a file system that cannot,
 * it is EOPNOTSUPP, and every program copies instead: so with a target on
 * either side. No byte has moved then, and nothing is said. */
static bool shares_extents(int fd, unsigned long number, const void *argument)
{
	struct file_clone_range range;

	switch (number) {
	case FICLONE:
		return bv_fd_disk(fd) || bv_fd_disk((int)(intptr_t)argument);
	case FICLONERANGE:
		return bv_fd_disk(fd) ||
		       (bv_user_copy_in(&range, argument, sizeof(range)) ==
				sizeof(range) &&
			bv_fd_disk((int)range.src_fd));
	case FIDEDUPERANGE:
		/* The others of its list are changed only where they are the
		 * same already. */
		return bv_fd_disk(fd);
	default:
		return false;
	}
}

/* Has the request the kernel itself read and write a target, as a loop
 * device over it? */
static struct bv_disk *hands_over(unsigned long number, const void *argument)
{
	uint32_t fd;

	switch (number) {
	case LOOP_SET_FD:
	case LOOP_CHANGE_FD:
		return bv_fd_disk((int)(intptr_t)argument);
	case LOOP_CONFIGURE:
		return bv_user_copy_in(&fd, argument, sizeof(fd)) == sizeof(fd) ?
			       bv_fd_disk((int)fd) : NULL;
	default:
		return NULL;
	}
}

bool bv_ioctl_concerns(int fd, unsigned long number, const void *argument)
{
	return bv_fd_disk(fd) || shares_extents(fd, number, argument) ||
	       hands_over(number, argument);
}

static int call_real(struct request *r)
{
	r->result = real_ioctl(r->change.fd, r->number, r->argument);
	return r->result < 0 ? -errno : 0;
}

static int apply(const struct bv_change *change)
{
	return call_real((struct request *)change);
}

static int finish(struct bv_guard *guard, struct request *r, int result)
{
	bv_guard_leave(guard, result);
	return result < 0 ? -1 : r->result;
}

/* BLKDISCARD, BLKSECDISCARD and BLKZEROOUT take offset and length. */
static int change_range(struct bv_disk *disk, struct request *r, enum bv_op op)
{
	uint64_t range[2];
	struct bv_guard guard;

	if (bv_user_copy_in(range, r->argument, sizeof(range)) < sizeof(range)) {
		errno = EFAULT;
		return -1;
	}
	r->change.op = op;
	r->change.offset = range[0];
	r->change.length = range[1];
	bv_guard_enter(&guard);
	return finish(&guard, r, bv_change(disk, &r->change));
}

/* BLKGETSIZE64 tells bytes, BLKGETSIZE units of 512. */
static int check_size(struct bv_disk *disk, struct request *r)
{
	struct bv_guard guard;
	uint64_t size;
	int result;

	if (call_real(r) < 0)
		return -1;
	size = r->number == BLKGETSIZE64 ? *(const uint64_t *)r->argument :
	       *(const unsigned long *)r->argument * (uint64_t)512;
	bv_guard_enter(&guard);
	result = bv_size_check(disk, r->change.call, r->change.fd, size);
	return finish(&guard, r, result);
}

static int ask(struct bv_map *map)
{
	struct request *r = (struct request *)((char *)map -
				offsetof(struct request, map));

	return call_real(r);
}

/* Between two extents of the answer there is a hole; after the last one of
 * the file, and of an answer with no extents, as well. */
static bool next_hole(struct bv_map *map, uint64_t *start, uint64_t *end)
{
	struct request *r = (struct request *)((char *)map -
				offsetof(struct request, map));
	const struct fiemap *answer = r->argument;
	bool last = answer->fm_mapped_extents == 0;

	if (answer->fm_extent_count == 0)
		return false;
	for (unsigned i = 0; i < answer->fm_mapped_extents; i++) {
		const struct fiemap_extent *e = &answer->fm_extents[i];

		if (e->fe_logical > *start && *start < map->end) {
			*end = e->fe_logical;
			return true;
		}
		if (e->fe_logical + e->fe_length > *start)
			*start = e->fe_logical + e->fe_length;
		last |= e->fe_flags & FIEMAP_EXTENT_LAST;
	}
	*end = map->end;
	return last && *start < map->end;
}

/* Without FIEMAP_FLAG_SYNC, what is in the page cache alone may be missing
 * from the answer and is no lost extent: so it is always asked for. */
static int map_extents(struct bv_disk *disk, struct request *r)
{
	struct fiemap *question = r->argument, copy;
	struct bv_guard guard;
	int result;

	if (bv_user_copy_in(&copy, question, sizeof(copy)) < sizeof(copy)) {
		errno = EFAULT;
		return -1;
	}
	r->map = (struct bv_map){
		.call = r->change.call, .fd = r->change.fd,
		.start = copy.fm_start,
		.end = copy.fm_length > UINT64_MAX - copy.fm_start ?
			       UINT64_MAX : copy.fm_start + copy.fm_length,
		.ask = ask, .hole = next_hole,
	};
	bv_guard_enter(&guard);
	/* What was stored through a mapping is no hole. */
	result = bv_memory_flush(disk, r->change.call, copy.fm_start,
				 UINT64_MAX);
	question->fm_flags |= FIEMAP_FLAG_SYNC;
	if (result == 0)
		result = bv_map_check(disk, &r->map);
	question->fm_flags &= copy.fm_flags | ~FIEMAP_FLAG_SYNC;
	return finish(&guard, r, result);
}

/* The line tells the number: it is what a bug report needs. What a request
 * let through does is over when it returns, but for one that hands the target
 * over. */
static int refuse(struct bv_disk *disk, struct request *r, bool over)
{
	char call[] = "ioctl 0x01234567";
	struct bv_guard guard;
	int result;

	for (size_t i = 0; i < 8; i++)
		call[sizeof(call) - 2 - i] =
			"0123456789abcdef"[r->number >> (4 * i) & 15];
	r->change.call = call;
	bv_guard_enter(&guard);
	result = bv_policy_unverified(disk, r->change.call, -EOPNOTSUPP);
	if (result == 0 && over) {
		bv_change_lasting(disk, 0, INT64_MAX);
		result = call_real(r);
	} else if (result == 0) {
		r->change.length = INT64_MAX;
		result = bv_change_blindly(disk, &r->change);
	}
	return finish(&guard, r, result);
}

int op_ioctl(const char *call, int fd, unsigned long number, void *argument)
{
	struct request r = {
		.change = { .call = call, .fd = fd, .apply = apply },
		.number = number, .argument = argument,
	};
	struct bv_disk *disk;

	if (shares_extents(fd, number, argument)) {
		errno = EOPNOTSUPP;
		return -1;
	}
	disk = hands_over(number, argument);
	if (disk)
		return refuse(disk, &r, true);
	disk = bv_fd_disk(fd);
	if (!disk || is_harmless(number))
		return real_ioctl(fd, number, argument);
	switch (number) {
	case BLKDISCARD:
	case BLKSECDISCARD:
		return change_range(disk, &r, BV_OP_DISCARD);
	case BLKZEROOUT:
		return change_range(disk, &r, BV_OP_ZERO);
	case BLKGETSIZE64:
	case BLKGETSIZE:
		return check_size(disk, &r);
	case FS_IOC_FIEMAP:
		return map_extents(disk, &r);
	default:
		return refuse(disk, &r, false);
	}
}
