/* ring_wait: what io_getevents, io_pgetevents and io_cancel do; see ring.h. */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <blkverify/usermem.h>

#include "../src/lock.h"
#include "deadline.h"
#include "help.h"
#include "ring.h"

/* What a caller is after. */
struct wish {
	struct ring *ring;
	void *context;
	long least, most, got;
	struct io_event *events;
	bool interrupted;
	struct deadline deadline;
	const raw_sigset *mask;      /* in force while it waits */
};

static bool is_gone(const struct wish *w)
{
	return atomic_load(&w->ring->address) != (uintptr_t)w->context;
}

/* What is left until the deadline; false: nothing. */
static bool time_left(const struct wish *w, struct timespec *left)
{
	/* Never for ever: a wait without an end would be begun again after a
	 * signal handler with SA_RESTART, where the kernel's gives up. */
	*left = (struct timespec){ 24 * 3600, 0 };
	return w->deadline.never || deadline_left(&w->deadline, left);
}

/* ---- taking ---- */

/* Events from head on that stand side by side, at most n. */
static long copy_run(struct wish *w, uint32_t head, uint32_t tail, long n)
{
	const struct ring_shown *shown = w->ring->shown;
	long run = (long)((tail >= head ? tail : w->ring->nr) - head);
	size_t bytes;

	if (run > n)
		run = n;
	bytes = (size_t)run * sizeof(*w->events);
	if (bv_user_copy_out(w->events + w->got, shown->event + head, bytes) <
	    bytes)
		return -EFAULT;
	return run;
}

/* Signals that were held up by the lock: their handlers run when it is given
 * back, and who waits to be interrupted by one would wait for ever. */
static bool is_pending(raw_sigset mask)
{
	raw_sigset pending = 0;

	raw_call(SYS_rt_sigpending, (long)&pending, sizeof(pending), 0, 0, 0, 0);
	return pending & ~mask;
}

/* Takes what is there. One caller at a time; a program that takes events
 * from the ring itself sees to that itself. */
static int take(struct wish *w)
{
	struct ring_shown *shown = w->ring->shown;
	raw_sigset mask = lock_take(&w->ring->reading);
	uint32_t tail = atomic_load(&shown->tail) % w->ring->nr;
	long run = 1;

	while (w->got < w->most && run > 0) {
		uint32_t head = atomic_load(&shown->head) % w->ring->nr;

		run = head == tail ? 0 :
		      copy_run(w, head, tail, w->most - w->got);
		if (run <= 0)
			break;
		w->got += run;
		atomic_store(&shown->head,
			     (head + (uint32_t)run) % w->ring->nr);
	}
	w->interrupted = w->got < w->least && is_pending(mask);
	lock_give(&w->ring->reading, mask);
	return run < 0 ? (int)run : 0;
}

/* ---- waiting ---- */

/* The ring's own eventfd, for waits that change the signal mask: a futex
 * cannot do that in one step. */
static int wake_fd(struct ring *ring)
{
	raw_sigset mask = lock_take(&ring->lock);
	int fd;

	if (ring->wake < 0)
		ring_eventfd(EFD_NONBLOCK, &ring->wake);
	fd = ring->wake;
	lock_give(&ring->lock, mask);
	return fd;
}

static int poll_masked(int fd, const struct timespec *left,
		       const raw_sigset *mask, bool *rung)
{
	struct pollfd poll[2] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = rung ? bv_flight_bell() : -1, .events = POLLIN },
	};
	int result = (int)raw_call(SYS_ppoll, (long)poll, 2, (long)left,
				   (long)mask, sizeof(*mask), 0);

	if (rung)
		*rung = result > 0 && poll[1].revents != 0;
	return result;
}

/* Until the ring or the bell says something. */
static int wait_polling(struct wish *w, uint32_t seen, struct timespec *left)
{
	static const struct timespec often = { 0, 10 * 1000 * 1000 };
	struct ring *ring = w->ring;
	int fd = wake_fd(ring), result = 0;
	bool rung = false;
	uint64_t count;

	/* What wakes one must not be read off by another: those who come
	 * second look again by themselves. */
	if (atomic_fetch_add(&ring->wakes, 1) > 0 || fd < 0) {
		fd = -1;
		*left = often;
	} else {
		raw_read(fd, &count, sizeof(count));
	}
	if (atomic_load(&ring->shown->tail) == seen && !is_gone(w))
		result = poll_masked(fd, left, w->mask, &rung);
	atomic_fetch_sub(&ring->wakes, 1);
	if (rung)
		bv_help(true);
	return result < 0 ? result : 0;
}

static int wait_plain(struct wish *w, uint32_t seen, struct timespec *left)
{
	struct ring *ring = w->ring;
	int result = 0;

	atomic_fetch_add(&ring->sleepers, 1);
	if (!is_gone(w))
		result = raw_futex_wait(&ring->shown->tail, seen, left);
	atomic_fetch_sub(&ring->sleepers, 1);
	return result == -EINTR ? result : 0;
}

static bool is_empty(const struct wish *w)
{
	const struct ring_shown *shown = w->ring->shown;

	return atomic_load(&shown->head) == atomic_load(&shown->tail);
}

/* Until there is enough. Returns 0, or what interrupted it. */
static int gather(struct wish *w)
{
	for (;;) {
		uint32_t seen = atomic_load(&w->ring->shown->tail);
		struct timespec left;
		int result = 0;

		bv_help(false);
		if (!is_empty(w))
			result = take(w);
		if (is_gone(w))
			return -EINVAL;
		if (result < 0 || w->got >= w->least || !time_left(w, &left))
			return result;
		if (w->interrupted && !w->mask)
			return -EINTR;
		result = w->mask || bv_flight_bell() >= 0 ?
				 wait_polling(w, seen, &left) :
				 wait_plain(w, seen, &left);
		if (result < 0)
			return result;
	}
}

static long collect(struct wish *w)
{
	static const struct timespec at_once = { 0, 0 };
	int result = gather(w);

	/* Signals that the given mask lets through get their turn even when
	 * there was nothing to wait for. */
	if (w->mask && result != -EINTR &&
	    poll_masked(-1, &at_once, w->mask, NULL) == -EINTR && result == 0)
		result = -EINTR;
	return w->got ? w->got : result;
}

static int set_deadline(struct wish *w, const struct timespec *timeout)
{
	struct timespec wait;

	if (timeout &&
	    bv_user_copy_in(&wait, timeout, sizeof(wait)) < sizeof(wait))
		return -EFAULT;
	w->deadline = deadline_after(timeout ? &wait : NULL);
	return 0;
}

long bv_ring_getevents(void *context, long least, long most,
		       struct io_event *events, const struct timespec *timeout,
		       const raw_sigset *mask)
{
	struct wish w = {
		.ring = ring_enter(context), .context = context,
		.least = least, .most = most, .events = events, .mask = mask,
	};
	long result;

	if (!w.ring)
		return -ENOENT;
	result = set_deadline(&w, timeout);
	if (result == 0)
		result = least < 0 || least > most ? -EINVAL : collect(&w);
	ring_leave(w.ring);
	return result;
}

/* ---- cancelling ---- */

/* The request of that name which the kernel has. */
static struct order *find(struct ring *ring, const struct iocb *theirs)
{
	for (uint32_t i = 0; i < ring->fresh; i++) {
		struct order *order = &ring->order[i];

		if (atomic_load(&order->phase) == ORDER_KERNEL &&
		    order->theirs == (uintptr_t)theirs)
			return order;
	}
	return NULL;
}

/* As the kernel has it: file I/O cannot be cancelled. */
long bv_ring_cancel(void *context, struct iocb *cb, struct io_event *event)
{
	struct ring *ring = ring_enter(context);
	struct order *order;
	uint32_t key;
	long result = -EINVAL;

	if (!ring)
		return -ENOENT;
	if (bv_user_copy_in(&key, &cb->aio_key, sizeof(key)) < sizeof(key))
		result = -EFAULT;
	else if (key == 0 && (order = find(ring, cb)))
		result = raw_call(SYS_io_cancel, (long)ring->kernel,
				  (long)&order->cb, (long)event, 0, 0, 0);
	ring_leave(ring);
	return result;
}
