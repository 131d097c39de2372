/* flight: see include/blkverify/flight.h. */
#include <errno.h>
#include <stddef.h>
#include <time.h>

#include <blkverify/flight.h>

#include "bell.h"
#include "raw.h"

/* Events that are taken together. */
#define BATCH 32

static bv_flight_result *landed, *refused;
static aio_context_t context;
static _Atomic int thread;

/* As long as the thread is awake, others leave it to submit: it does so for
 * many at a time, which the device likes, and on a processor of its own. */
static atomic_bool awake;
static struct bv_flight *_Atomic pending;  /* last first */

static const struct timespec at_once = { 0, 0 };

/* It stands by, for helpers; and is wanted again: futex. */
static atomic_bool spared;
static _Atomic uint32_t alarms;

static void rouse(void)
{
	atomic_fetch_add(&alarms, 1);
	raw_futex_wake(&alarms, 1);
}

/* ---- handing over to the kernel ---- */

static struct bv_flight *flight_of(struct iocb *cb)
{
	return (struct bv_flight *)(void *)((char *)cb -
					    offsetof(struct bv_flight, cb));
}

void bv_flight_board(struct bv_flight *f)
{
	f->bell = bell_flies();
	f->cb.aio_data = (uintptr_t)f;
}

/* Who waits for it is to hear of it. Then it is the kernel's, and whose it
 * hands it to. */
static void let_fly(struct bv_flight *f)
{
	int fd = bell_fd(f->bell);

	if (fd >= 0) {
		f->cb.aio_flags = IOCB_FLAG_RESFD;
		f->cb.aio_resfd = (uint32_t)fd;
	}
	atomic_store(&f->sent, true);
}

static void end(struct bv_flight *f, bv_flight_result *told, long result)
{
	atomic_exchange(&f->sent, false);
	bell_landed(f->bell);
	told(f, (ssize_t)result);
}

static void hand_over(struct iocb **cb, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		let_fly(flight_of(cb[i]));
	while (count > 0) {
		long n = raw_call(SYS_io_submit, (long)context, count, (long)cb,
				  0, 0, 0);

		if (n <= 0) {
			end(flight_of(cb[0]), refused, n);
			n = 1;
		}
		cb += n;
		count -= (unsigned)n;
	}
}

/* In the order in which they came. False: there were none. */
static bool submit_pending(void)
{
	struct bv_flight *f = atomic_exchange(&pending, NULL);
	struct iocb *cb[BV_FLIGHTS];
	unsigned first = BV_FLIGHTS;

	for (; f; f = f->next)
		cb[--first] = &f->cb;
	hand_over(&cb[first], BV_FLIGHTS - first);
	return first < BV_FLIGHTS;
}

static void leave_pending(struct bv_flight *f)
{
	f->next = atomic_load(&pending);
	while (!atomic_compare_exchange_weak(&pending, &f->next, f))
		;
}

void bv_flight_submit(struct bv_flight **flights, unsigned count)
{
	struct iocb *cb[BV_FLIGHTS];

	/* More than helpers are for. */
	if (count > 0 && atomic_load(&spared) && bell_is_busy(flights[0]->bell))
		rouse();

	if (atomic_load(&awake)) {
		for (unsigned i = 0; i < count; i++)
			leave_pending(flights[i]);
		/* It may have fallen asleep before it could see them. */
		if (!atomic_load(&awake))
			submit_pending();
		return;
	}
	for (unsigned i = 0; i < count; i++)
		cb[i] = &flights[i]->cb;
	hand_over(cb, count);
}

/* ---- landing ---- */

/* The kernel's ring of completions, which is in our memory as any program's is
 * (linux/aio_abi.h, fs/aio.c). */
static bool has_landed(uint32_t *head)
{
	struct ring { uint32_t id, nr, head, tail; } *ring = (struct ring *)context;

	*head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
	return *head != __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
}

static long take(struct io_event *event, long least,
		 const struct timespec *patience)
{
	return raw_call(SYS_io_getevents, (long)context, least, BATCH,
			(long)event, (long)patience, 0);
}

static void land(const struct io_event *event, long count)
{
	for (long i = 0; i < count; i++)
		end((struct bv_flight *)(uintptr_t)event[i].data, landed,
		    (long)event[i].res);
}

/* ---- those who help ---- */

/* More at a time than this, and the thread here is to take its share. */
#define SHARE 2

static _Atomic uint32_t heard;       /* bells, by helpers */
_Atomic uint64_t bv_flight_helped;

bool bv_flight_is_awaited(void)
{
	return atomic_load(&thread) != 0 && bell_is_waited_for();
}

int bv_flight_bell(void)
{
	return atomic_load(&thread) != 0 ? bell_wait_fd() : -1;
}

bool bv_flight_has_landed(void)
{
	uint32_t head;

	return bv_flight_is_awaited() && has_landed(&head);
}

void bv_flight_help(bool rung)
{
	struct io_event event[BATCH];
	long n = 0;

	if (rung) {
		bell_hush();
		atomic_fetch_add(&heard, 1);
	}
	if (bv_flight_has_landed())
		n = take(event, 0, &at_once);
	if (n > SHARE)
		rouse();
	land(event, n);
	if (n > 0)
		atomic_fetch_add(&bv_flight_helped, (uint64_t)n);
}

/* ---- the thread ---- */

/* Helpers were there this many times in a row: they are trusted. */
#define TRUST 8

/* Looks for something left every millisecond, so many times after the last
 * bell. */
#define LOOKS 16

/* What it knows of helpers. */
struct trust {
	uint32_t heard;              /* so far */
	unsigned times;
};

static bool is_spared(struct trust *trust)
{
	uint32_t now = atomic_load(&heard);

	trust->times = now != trust->heard ? trust->times + 1 :
					     trust->times / 2;
	trust->heard = now;
	return trust->times >= TRUST;
}

/* Until helpers need help, or have nothing to do. */
static void stand_by(struct trust *trust)
{
	static const struct timespec a_moment = { 0, 1000 * 1000 };
	uint32_t alarm = atomic_load(&alarms), last = 0, head, now;
	bool was = false, is;

	atomic_store(&spared, true);
	for (int left = LOOKS; left > 0; left--) {
		raw_futex_wait(&alarms, alarm, &a_moment);
		is = has_landed(&head);
		if (atomic_load(&alarms) != alarm || (is && was && head == last)) {
			trust->times = 0;
			break;
		}
		was = is;
		last = head;
		now = atomic_load(&heard);
		if (now != trust->heard)
			left = LOOKS;
		trust->heard = now;
	}
	atomic_store(&spared, false);
}

/* -ETIMEDOUT: there was nothing to do for a while. */
static long wait(struct io_event *event, struct trust *trust)
{
	static const struct timespec a_while = { 1, 0 };
	long n = 0;

	atomic_store(&awake, false);
	if (!submit_pending()) {
		if (is_spared(trust))
			stand_by(trust);
		n = take(event, 1, &a_while);
		if (n == 0)
			n = -ETIMEDOUT;
	}
	atomic_store(&awake, true);
	return n;
}

static void *work(void *unused)
{
	struct io_event event[BATCH];
	struct trust trust = { 0, 0 };
	long n;

	(void)unused;
	bv_thread_begins();
	atomic_store(&thread, bv_thread_tid());
	for (;;) {
		submit_pending();
		n = take(event, 0, &at_once);
		if (n == 0)
			n = wait(event, &trust);
		if (n == -ETIMEDOUT && bv_thread_are_alone())
			break;
		land(event, n);
	}
	atomic_store(&thread, 0);
	bv_thread_ends();
	return NULL;
}

/* ---- beginning ---- */

bool bv_flight_make(bv_flight_result *when_landed,
		    bv_flight_result *when_refused)
{
	landed = when_landed;
	refused = when_refused;
	context = 0;
	if (raw_call(SYS_io_setup, BV_FLIGHTS, (long)&context, 0, 0, 0, 0) < 0)
		return false;
	bell_begin();
	if (bv_thread_make(work, NULL, NULL) == 0)
		return true;
	raw_call(SYS_io_destroy, (long)context, 0, 0, 0, 0, 0);
	return false;
}

int bv_flight_thread(void)
{
	return atomic_load(&thread);
}

void bv_flight_forked(void)
{
	bell_forked();
	atomic_store(&awake, false);
	atomic_store(&spared, false);
	atomic_store(&pending, NULL);
	atomic_store(&thread, 0);
}
