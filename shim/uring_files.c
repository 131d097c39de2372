/* uring_files: targets registered with rings; see uring.h.
 *
 * For each ring, slot by slot, which target stands there. Our copy of its
 * descriptor outlives the slot for as long as the program has its own open:
 * closing any descriptor of a file drops the process's POSIX locks on it, so
 * it is done when the program does that itself. */
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

/* One more slot has it. NULL: no room, or no descriptor. */
static struct bv_held *hold(int fd, struct bv_disk *disk)
{
	struct bv_held *h = find(fd, disk);

	if (!h) {
		h = find_free();
		if (!h || bv_own_dup(fd, &h->fd) < 0)
			return NULL;
		h->origin = fd;
		h->disk = disk;
		h->users = 0;
	}
	h->users++;
	return h;
}

static void let_go(struct bv_held *h)
{
	if (h && --h->users == 0 && h->origin < 0)
		release(h);
}

void bv_files_closing(unsigned first, unsigned last)
{
	raw_sigset mask;

	if (atomic_load_explicit(&held_count, memory_order_relaxed) == 0 ||
	    raw_getpid() != bv_pid)
		return;
	mask = lock_take(&changing);
	for (unsigned i = 0; i < held_count; i++) {
		struct bv_held *h = &held[i];

		if (!h->disk || h->origin < 0 || (unsigned)h->origin < first ||
		    (unsigned)h->origin > last)
			continue;
		h->origin = -1;
		if (h->users == 0)
			release(h);
	}
	lock_give(&changing, mask);
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
	raw_sigset mask = lock_take(&changing);
	struct bv_held *h = hold(fd, disk);

	if (h)
		h->users--;
	lock_give(&changing, mask);
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

static void put(struct bv_uring *ring, unsigned slot, int fd,
		struct bv_disk *disk)
{
	struct bv_held *former = ring->files[slot];

	ring->files[slot] = disk ? hold(fd, disk) : NULL;
	let_go(former);
}

static void set(struct bv_uring *ring, unsigned offset, const int *fds,
		unsigned count)
{
	for (unsigned i = 0; i < count && offset + i < ring->file_count; i++) {
		int fd = -1;
		struct bv_disk *disk = disk_in(fds, i, &fd);
		raw_sigset mask;

		if (fd == IORING_REGISTER_FILES_SKIP)
			continue;
		mask = lock_take(&changing);
		put(ring, offset + i, fd, disk);
		lock_give(&changing, mask);
	}
}

void bv_files_drop(struct bv_uring *ring)
{
	raw_sigset mask;

	if (!ring->files)
		return;
	bv_uring_settle(ring);
	mask = lock_take(&changing);
	for (unsigned i = 0; i < ring->file_count; i++)
		let_go(ring->files[i]);
	lock_give(&changing, mask);
	raw_munmap(ring->files, ring->file_count * sizeof(*ring->files));
	ring->files = NULL;
	ring->file_count = 0;
}

void bv_files_new(struct bv_uring *ring, const int *fds, unsigned count)
{
	void *map = raw_mmap(NULL, count * sizeof(*ring->files),
			     PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	bv_files_drop(ring);
	if (raw_is_error(map))
		return;
	ring->files = map;
	ring->file_count = count;
	if (fds)
		set(ring, 0, fds, count);
}

void bv_files_update(struct bv_uring *ring, unsigned offset, const int *fds,
		     unsigned count)
{
	if (!ring->files)
		return;
	/* What is in flight may use a copy that goes. */
	bv_uring_settle(ring);
	set(ring, offset, fds, count);
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
