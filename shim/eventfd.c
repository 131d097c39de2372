/* eventfd: see eventfd.h. */
#include <errno.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <blkverify/fdmap.h>
#include <blkverify/own.h>
#include <blkverify/thread.h>

#include "../src/lock.h"
#include "../src/raw.h"
#include "eventfd.h"

/* Different ones held at a time. */
#define MOST 32

static struct held {
	int ours;                    /* own.h may move it */
	int theirs;
	uint32_t generation;         /* of theirs, when it was taken */
	unsigned references;         /* requests in flight */
	bool there;                  /* 0 of them: held for the next */
} held[MOST];

static _Atomic uint32_t lock;

static uint32_t generation(int fd)
{
	return (uint32_t)fd < BV_FDMAP_ROOM ? atomic_load(&bv_fdmap[fd]) >> 8 : 0;
}

/* Is the number still the file we hold? Where the kernel cannot say, every
 * close that we saw counts against it. */
static bool is_same(const struct held *h, int fd)
{
	long result;

	if (!h->there || fd < 0 || h->theirs != fd)
		return false;
	result = raw_call(SYS_kcmp, bv_pid, bv_pid, KCMP_FILE, fd, h->ours, 0);
	return result < 0 ? h->generation == generation(fd) : result == 0;
}

static void drop(struct held *h)
{
	if (h->there)
		bv_own_release(&h->ours);
	h->there = false;
}

static int take(int index, int fd)
{
	struct held *h = &held[index];
	int result;

	drop(h);
	result = bv_own_dup(fd, &h->ours);
	if (result < 0)
		return result;
	h->there = true;
	h->theirs = fd;
	h->generation = generation(fd);
	h->references = 1;
	return index;
}

int bv_eventfd_get(int fd)
{
	raw_sigset mask = lock_take(&lock);
	int result = -EAGAIN, room = -1;

	for (int i = 0; i < MOST && result < 0; i++) {
		if (is_same(&held[i], fd)) {
			held[i].references++;
			result = i;
		} else if (held[i].references == 0) {
			/* One closed behind our back makes room first. */
			if (room < 0 || held[i].theirs == fd)
				room = i;
		}
	}
	if (result < 0 && room >= 0)
		result = take(room, fd);
	lock_give(&lock, mask);
	return result;
}

int bv_eventfd_again(int fd)
{
	raw_sigset mask = lock_take(&lock);
	int result = -1;

	for (int i = 0; i < MOST && result < 0; i++)
		if (is_same(&held[i], fd)) {
			held[i].references++;
			result = i;
		}
	lock_give(&lock, mask);
	return result;
}

/* A write would wait for room where the kernel leaves a full one as it is. */
static bool has_room(int fd)
{
	struct pollfd poll = { .fd = fd, .events = POLLOUT };
	struct timespec at_once = { 0, 0 };

	return raw_call(SYS_ppoll, (long)&poll, 1, (long)&at_once, 0, 0, 0) == 1;
}

/* Under the lock: the number may not move between being read and used. */
void bv_eventfd_signal(int index)
{
	const uint64_t one = 1;
	raw_sigset mask = lock_take(&lock);

	if (has_room(held[index].ours))
		raw_write(held[index].ours, &one, sizeof(one));
	lock_give(&lock, mask);
}

void bv_eventfd_put(int index)
{
	raw_sigset mask = lock_take(&lock);
	struct held *h = &held[index];

	/* Closed meanwhile. */
	if (--h->references == 0 && h->theirs < 0)
		drop(h);
	lock_give(&lock, mask);
}

void bv_eventfd_closing(unsigned first, unsigned last)
{
	raw_sigset mask = lock_take(&lock);

	for (int i = 0; i < MOST; i++) {
		struct held *h = &held[i];

		if (!h->there || (unsigned)h->theirs < first ||
		    (unsigned)h->theirs > last)
			continue;
		if (h->references == 0)
			drop(h);
		h->theirs = -1;
	}
	lock_give(&lock, mask);
}

void bv_eventfd_forked(void)
{
	for (int i = 0; i < MOST; i++) {
		drop(&held[i]);
		held[i].references = 0;
	}
	atomic_store(&lock, 0);
}
