/* fdmap: see include/blkverify/fdmap.h. */
#include <stddef.h>
#include <sys/sysmacros.h>

#include <blkverify/alias.h>
#include <blkverify/disk.h>
#include <blkverify/fdmap.h>
#include <blkverify/thread.h>

#include "raw.h"

#define KIND 255u
#define NOT_A_TARGET 1u
#define TARGET 2u            /* + 2 * index of the pair */
#define NEVER_APPENDS 1u

_Static_assert(TARGET + 2 * BV_MAX_PAIRS <= KIND, "each pair has its kinds");

_Atomic uint32_t bv_fdmap[BV_FDMAP_ROOM];

static atomic_bool distrusted;

/* Which file it is, and nothing else. fstat asks for the times as well, and
 * who has seen them makes the next write to the file change them and write the
 * inode (multigrain timestamps, Linux 6.13); and of FUSE it may ask the server
 * whenever something was written. Where statx is not to be had, fstat. */
static int identify(int fd, struct stat *st)
{
	struct statx stx;

	if (raw_call(SYS_statx, fd, (long)"",
		     AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
		     STATX_TYPE | STATX_INO, (long)&stx, 0) < 0)
		return raw_fstat(fd, st);
	*st = (struct stat){
		.st_dev = makedev(stx.stx_dev_major, stx.stx_dev_minor),
		.st_ino = stx.stx_ino,
		.st_mode = stx.stx_mode,
		.st_rdev = makedev(stx.stx_rdev_major, stx.stx_rdev_minor),
	};
	return 0;
}

/* The process id by system call: a vfork child has our memory, but what it
 * learns is about its own descriptors. */
static void remember(int fd, uint32_t before, uint32_t kind)
{
	if (!atomic_load(&distrusted) && raw_getpid() == bv_pid)
		atomic_compare_exchange_strong(&bv_fdmap[fd], &before,
					       (before & ~KIND) | kind);
}

static void remember_target(int fd, uint32_t before, const struct bv_disk *disk)
{
	uint32_t kind = TARGET + 2 * (uint32_t)(disk - bv_disk);
	int flags;

	if ((before & KIND & ~NEVER_APPENDS) == kind)
		return;
	flags = raw_fcntl(fd, F_GETFL, 0);
	if (flags >= 0 && !(flags & O_APPEND))
		kind |= NEVER_APPENDS;
	remember(fd, before, kind);
}

struct bv_disk *bv_fd_learn(int fd)
{
	struct stat st;
	struct bv_disk *disk;
	uint32_t before = 0;
	bool mapped = (uint32_t)fd < BV_FDMAP_ROOM;

	if (bv_disks == 0 || fd < 0 || bv_thread.inside)
		return NULL;
	if (mapped)
		before = atomic_load(&bv_fdmap[fd]);
	if (identify(fd, &st) < 0)
		return NULL;
	disk = bv_disk_of(&st);
	if (!disk && S_ISBLK(st.st_mode))
		bv_alias_meet(fd, &st);
	if (mapped && disk)
		remember_target(fd, before, disk);
	else if (mapped)
		remember(fd, before, NOT_A_TARGET);
	return disk;
}

struct bv_disk *bv_fd_recall(int fd)
{
	uint32_t kind = 0;

	if ((uint32_t)fd < BV_FDMAP_ROOM)
		kind = atomic_load_explicit(&bv_fdmap[fd],
					    memory_order_relaxed) & KIND;
	if (kind < TARGET || bv_thread.inside)
		return bv_fd_learn(fd);
	return &bv_disk[(kind - TARGET) / 2];
}

bool bv_fd_never_appends(int fd, const struct bv_disk *disk)
{
	uint32_t kind = TARGET + 2 * (uint32_t)(disk - bv_disk);

	return (uint32_t)fd < BV_FDMAP_ROOM &&
	       (atomic_load_explicit(&bv_fdmap[fd], memory_order_relaxed) &
		KIND) == (kind | NEVER_APPENDS) &&
	       !atomic_load(&disk->state->appending);
}

void bv_fd_forget(int fd)
{
	uint32_t now;

	if ((uint32_t)fd >= BV_FDMAP_ROOM)
		return;
	now = atomic_load_explicit(&bv_fdmap[fd], memory_order_relaxed);
	while (!atomic_compare_exchange_weak(&bv_fdmap[fd], &now,
					     (now & ~KIND) + (KIND + 1)))
		;
}

void bv_fd_forget_range(unsigned first, unsigned last)
{
	if (last >= BV_FDMAP_ROOM)
		last = BV_FDMAP_ROOM - 1;
	for (unsigned fd = first; fd <= last; fd++)
		bv_fd_forget((int)fd);
}

void bv_fd_distrust(void)
{
	/* Nothing is remembered after the first time. */
	if (atomic_exchange(&distrusted, true))
		return;
	bv_fd_forget_range(0, BV_FDMAP_ROOM - 1);
}
