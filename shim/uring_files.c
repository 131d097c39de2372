/* uring_files: targets registered with rings; see uring.h.
 *
 * For each ring, slot by slot, which target stands there. Our copy of its
 * descriptor outlives the slot for as long as it is in use, and the program
 * has its own open: closing any descriptor of a file drops the process's POSIX
 * locks on it, so it is done when the program does that itself. */
#include <string.h>
#include <sys/mman.h>

#include <blkverify/fdmap.h>
#include <blkverify/own.h>
#include <blkverify/policy.h>
#include <blkverify/thread.h>
#include <blkverify/usermem.h>
#include <blkverify/verify.h>

#include "../src/lock.h"
#include "../src/raw.h"
#include "guard.h"
#include "uring.h"

#define HELD 256

static struct bv_held held[HELD];
static atomic_uint held_count;       /* ever used: held[0..] */
static _Atomic uint32_t changing;

raw_sigset bv_files_begin(void)
{
	return lock_take(&changing);
}

void bv_files_end(raw_sigset mask)
{
	lock_give(&changing, mask);
}

/* ---- targets held; by who has begun a change ---- */

static void release(struct bv_held *h)
{
	bv_own_release(&h->fd);
	h->disk = NULL;
}

static struct bv_held *find(int fd, struct bv_disk *disk)
{
	for (unsigned i = 0; i < held_count; i++)
		if (held[i].disk == disk && held[i].origin == fd)
			return &held[i];
	return NULL;
}

static struct bv_held *find_free(void)
{
	unsigned count = held_count;

	for (unsigned i = 0; i < count; i++)
		if (!held[i].disk)
			return &held[i];
	if (count == HELD)
		return NULL;
	held_count = count + 1;
	return &held[count];
}

/* A new one, not in use yet. NULL: no room, or no descriptor. */
static struct bv_held *keep(int fd, int origin, struct bv_disk *disk)
{
	struct bv_held *h = find_free();

	if (!h || bv_own_dup(fd, &h->fd) < 0)
		return NULL;
	h->origin = origin;
	h->disk = disk;
	return h;
}

struct bv_held *bv_files_hold(int fd, struct bv_disk *disk)
{
	struct bv_held *h = find(fd, disk);

	if (!h)
		h = keep(fd, fd, disk);
	if (h)
		atomic_fetch_add(&h->users, 1);
	return h;
}

struct bv_held *bv_files_adopt(int fd, struct bv_disk *disk)
{
	struct bv_held *h = keep(fd, -1, disk);

	if (h)
		atomic_fetch_add(&h->users, 1);
	return h;
}

static void let_go(struct bv_held *h)
{
	if (h && atomic_fetch_sub(&h->users, 1) == 1 && h->origin < 0)
		release(h);
}

/* ---- from outside ---- */

/* What stands in a slot has a user, so one that has none is on its way out. */
struct bv_held *bv_files_borrow(const struct bv_uring *ring, unsigned slot)
{
	struct bv_held *h = bv_files_at(ring, slot);
	unsigned users = h ? atomic_load(&h->users) : 0;

	while (users > 0)
		if (atomic_compare_exchange_weak(&h->users, &users, users + 1))
			return h;
	return NULL;
}

void bv_files_return(struct bv_held *h)
{
	unsigned users = atomic_load(&h->users);
	raw_sigset mask;

	while (users > 1)
		if (atomic_compare_exchange_weak(&h->users, &users, users - 1))
			return;
	mask = bv_files_begin();
	let_go(h);
	bv_files_end(mask);
}

void bv_files_closing(unsigned first, unsigned last)
{
	raw_sigset mask;

	if (atomic_load_explicit(&held_count, memory_order_relaxed) == 0 ||
	    raw_getpid() != bv_pid)
		return;
	mask = bv_files_begin();
	for (unsigned i = 0; i < held_count; i++) {
		struct bv_held *h = &held[i];

		if (!h->disk || h->origin < 0 || (unsigned)h->origin < first ||
		    (unsigned)h->origin > last)
			continue;
		h->origin = -1;
		if (atomic_load(&h->users) == 0)
			release(h);
	}
	bv_files_end(mask);
}

static struct bv_disk *disk_in(const int *fds, unsigned i, int *fd)
{
	if (!fds || bv_user_copy_in(fd, &fds[i], sizeof(*fd)) < sizeof(*fd) ||
	    *fd < 0)
		return NULL;
	return bv_fd_disk(*fd);
}

/* A copy is made of each now, so that a lack of them is seen before the
 * kernel has the file; the slots that need it find it there. */
static bool can_hold(int fd, struct bv_disk *disk)
{
	raw_sigset mask = bv_files_begin();
	struct bv_held *h = bv_files_hold(fd, disk);

	if (h)
		atomic_fetch_sub(&h->users, 1);
	bv_files_end(mask);
	return h;
}

int bv_files_check(const char *call, const struct bv_uring *ring,
		   const int *fds, unsigned count)
{
	int fd = -1, error = errno, refused = 0;

	for (unsigned i = 0; i < count && refused == 0; i++) {
		struct bv_disk *disk = disk_in(fds, i, &fd);

		if (!disk || (ring && bv_ours_possible() && can_hold(fd, disk)))
			continue;
		refused = bv_policy_unverified(disk, call, -EOPNOTSUPP);
		if (refused == 0)
			bv_change_lasting(disk, 0, INT64_MAX);
	}
	errno = error;
	return refused;
}

/* ---- tables of rings; by who has begun a change ---- */

void bv_files_place(struct bv_uring *ring, unsigned slot, struct bv_held *h)
{
	struct bv_held *former;

	if (slot >= ring->file_count) {
		let_go(h);
		return;
	}
	former = ring->files[slot];
	ring->files[slot] = h;
	let_go(former);
}

void bv_files_update(struct bv_uring *ring, unsigned offset, const int *fds,
		     unsigned count)
{
	for (unsigned i = 0; i < count && offset + i < ring->file_count; i++) {
		int fd = -1;
		struct bv_disk *disk = disk_in(fds, i, &fd);

		if (fd != IORING_REGISTER_FILES_SKIP)
			bv_files_place(ring, offset + i,
				       disk ? bv_files_hold(fd, disk) : NULL);
	}
}

static void drop(struct bv_uring *ring)
{
	if (!ring->files)
		return;
	for (unsigned i = 0; i < ring->file_count; i++)
		let_go(ring->files[i]);
	raw_munmap(ring->files, ring->file_count * sizeof(*ring->files));
	ring->files = NULL;
	ring->file_count = 0;
}

void bv_files_drop(struct bv_uring *ring)
{
	raw_sigset mask = bv_files_begin();

	drop(ring);
	bv_files_end(mask);
}

void bv_files_new(struct bv_uring *ring, const int *fds, unsigned count)
{
	void *map = raw_mmap(NULL, count * sizeof(*ring->files),
			     PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	raw_sigset mask = bv_files_begin();

	drop(ring);
	if (!raw_is_error(map)) {
		ring->files = map;
		ring->file_count = count;
		if (fds)
			bv_files_update(ring, 0, fds, count);
	}
	bv_files_end(mask);
}

struct bv_held *bv_files_at(const struct bv_uring *ring, unsigned slot)
{
	return ring && ring->files && slot < ring->file_count ?
		       ring->files[slot] : NULL;
}

void bv_files_forked(void)
{
	atomic_store(&changing, 0);
}
