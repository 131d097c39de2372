/* ring_behind: the kernel's context behind a ring; see ring.h. */
#include <errno.h>
#include <poll.h>

#include <blkverify/own.h>
#include <blkverify/thread.h>

#include "../src/lock.h"
#include "ring.h"

/* What has ended there, without waiting. */
static long take_ended(struct ring *ring, struct io_event *events, long most)
{
	static const struct timespec at_once = { 0, 0 };
	const struct ring_shown *shown = ring_behind(ring);

	if (atomic_load(&shown->head) == atomic_load(&shown->tail))
		return 0;
	return raw_call(SYS_io_getevents, (long)ring->kernel, 0, most,
			(long)events, (long)&at_once, 0);
}

/* Under a lock, so that for whoever comes second all has been posted. */
void ring_harvest(struct ring *ring)
{
	struct io_event event[16];
	raw_sigset mask = lock_take(&ring->harvesting);
	long n;

	while ((n = take_ended(ring, event, 16)) > 0)
		for (long i = 0; i < n; i++) {
			/* obj is the iocb it was given: that of an order. */
			char *cb = (char *)(uintptr_t)event[i].obj;

			ring_post((struct order *)(void *)
					  (cb - offsetof(struct order, cb)),
				  event[i].res, event[i].res2);
		}
	lock_give(&ring->harvesting, mask);
}

/* False: the process is to end. */
static bool wait_for_end(struct ring *ring)
{
	uint64_t number;

	for (;;) {
		struct pollfd ended = { .fd = ring->ended, .events = POLLIN };
		struct timespec a_while = { 1, 0 };

		if (raw_call(SYS_ppoll, (long)&ended, 1, (long)&a_while, 0, 0, 0) > 0)
			break;
		if (bv_thread_are_alone())
			return false;
	}
	raw_read(ring->ended, &number, sizeof(number));
	return true;
}

static void *forward(void *argument)
{
	struct ring *ring = argument;

	bv_thread_begins();
	while (atomic_load(&ring->forwarder) == 1 && wait_for_end(ring)) {
		if (atomic_load(&ring->forwarder) == 1)
			ring_harvest(ring);
	}
	bv_thread_ends();
	atomic_store(&ring->forwarder, 0);
	return NULL;
}

void ring_forward_end(struct ring *ring)
{
	const uint64_t one = 1;

	if (ring->ended < 0)
		return;
	if (atomic_load(&ring->forwarder)) {
		atomic_store(&ring->forwarder, 2);
		raw_write(ring->ended, &one, sizeof(one));
		while (atomic_load(&ring->forwarder))
			ring_moment();
	}
	bv_own_release(&ring->ended);
}

static int start_thread(struct ring *ring)
{
	int result;

	atomic_store(&ring->forwarder, 1);
	result = bv_thread_make(forward, ring, NULL);
	if (result < 0)
		atomic_store(&ring->forwarder, 0);
	return result;
}

int ring_forward(struct ring *ring)
{
	raw_sigset mask;
	int result = 0;

	if (atomic_load(&ring->forwarder))
		return 0;
	mask = lock_take(&ring->harvesting);
	if (ring->ended < 0)
		result = ring_eventfd(0, &ring->ended);
	if (result == 0 && !atomic_load(&ring->forwarder))
		result = start_thread(ring);
	lock_give(&ring->harvesting, mask);
	return result;
}
