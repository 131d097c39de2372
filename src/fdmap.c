/* fdmap: see include/blkverify/fdmap.h. */
#include <stddef.h>

#include <blkverify/alias.h>
#include <blkverify/disk.h>
#include <blkverify/fdmap.h>
#include <blkverify/thread.h>

#include "raw.h"

#define KIND 255u
#define NOT_A_TARGET 1u

_Atomic uint32_t bv_fdmap[BV_FDMAP_ROOM];

static atomic_bool distrusted;

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
	if (raw_fstat(fd, &st) < 0)
		return NULL;
	disk = bv_disk_of(&st);
	if (!disk && S_ISBLK(st.st_mode))
		bv_alias_meet(fd, &st);
	/* The process id by system call: a vfork child has our memory, but
	 * what it learns is about its own descriptors. */
	if (!disk && mapped && !atomic_load(&distrusted) &&
	    raw_getpid() == bv_pid)
		atomic_compare_exchange_strong(&bv_fdmap[fd], &before,
					       (before & ~KIND) | NOT_A_TARGET);
	return disk;
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
