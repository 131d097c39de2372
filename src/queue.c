/* queue: see include/blkverify/queue.h. */
#include <errno.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stddef.h>
#include <sys/mman.h>
#include <time.h>

#include <blkverify/disk.h>
#include <blkverify/memory.h>
#include <blkverify/queue.h>

#include "bell.h"
#include "bits.h"
#include "raw.h"
#include "transfer.h"

/* In flight at a time: /proc/sys/fs/aio-max-nr is for all processes. */
#define MOST 256u

#define PAGE 4096u

/* One word of the bitmap of pages: as much as a piece. */
#define WORD_BYTES (64u * PAGE)
_Static_assert(WORD_BYTES == BV_PIECE, "a piece fits a word of pages");
#define WORDS 64u

#define SLOW 30000
uint32_t bv_queue_slow = SLOW;

static struct entry {
	struct bv_job job;           /* what is left, for finishers */
	struct entry *next;          /* of those for the thread to submit */
	struct bv_job *whole;        /* the caller's name for it */
	void (*done)(struct bv_job *whole, ssize_t result);
	struct iocb cb;
	struct bv_request request;
	struct bv_transfer t;
	bool writes;
	unsigned bell;
	atomic_bool sent;            /* the kernel hands it on with all of it */
} entries[MOST];

static _Atomic uint64_t used[MOST / 64];

/* Private memory; a bit a page. */
static unsigned char *_Atomic arena;
static _Atomic uint64_t pages[WORDS];

/* For what the thread here does not do itself. Not bv_requests: all of those
 * may be waiting for ranges that are given back only then. */
static struct bv_pool finishers;

static bool started;
static aio_context_t context;
enum { NONE, MAKING, MADE, IMPOSSIBLE };
static atomic_int phase;
static _Atomic int agent;            /* the thread; 0: not there yet */

/* As long as the thread is awake, others leave it to submit: it does so for
 * many at a time, which the device likes, and on a processor of its own. */
static atomic_bool awake;
static struct entry *_Atomic pending;  /* last first */

/* File systems that let nobody go on without waiting. */
static atomic_bool waits[BV_MAX_PAIRS];

static _Atomic uint32_t usual;       /* nanoseconds: a moving average */
_Atomic uint64_t bv_queue_passed;

/* ---- room ---- */

static struct entry *take_entry(void)
{
	for (unsigned word = 0; word < MOST / 64; word++) {
		int bit = bits_take(&used[word], 1);

		if (bit >= 0)
			return &entries[word * 64 + (unsigned)bit];
	}
	return NULL;
}

static void give_entry(const struct entry *e)
{
	unsigned index = (unsigned)(e - entries);

	atomic_fetch_and(&used[index / 64], ~((uint64_t)1 << index % 64));
}

/* Lowest first, so that what is in the cache is used again. */
static unsigned char *take_bytes(size_t n)
{
	size_t count = (n + PAGE - 1) / PAGE;

	for (unsigned word = 0; word < WORDS && count <= 64; word++) {
		int at = bits_take(&pages[word], count);

		if (at >= 0)
			return arena + word * (size_t)WORD_BYTES +
			       (size_t)at * PAGE;
	}
	return NULL;
}

static void give_bytes(const unsigned char *bytes, size_t n)
{
	size_t first = (size_t)(bytes - arena) / PAGE;
	size_t end = ((size_t)(bytes - arena) + n + PAGE - 1) / PAGE;

	atomic_fetch_and(&pages[first / 64],
			 ~(bits_run(end - first) << first % 64));
}

static void give_back(struct entry *e)
{
	bell_landed(e->bell);
	bv_inflight_drop(&e->t.range);
	give_bytes(e->t.bytes, e->t.total);
	give_entry(e);
}

/* ---- what comes back ---- */

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void note_time(uint64_t since)
{
	uint64_t took = now() - since;
	uint32_t was = atomic_load_explicit(&usual, memory_order_relaxed);

	/* Once does not count for much: the thread may have been put aside. */
	if (took > 4 * SLOW)
		took = 4 * SLOW;
	atomic_store_explicit(&usual, was - was / 8 + (uint32_t)took / 8,
			      memory_order_relaxed);
}

/* Tells who asked. */
static void end(struct entry *e, ssize_t result)
{
	struct bv_job *whole = e->whole;
	void (*done)(struct bv_job *, ssize_t) = e->done;

	give_back(e);
	done(whole, result);
}

static void refresh(struct bv_job *job)
{
	struct entry *e = (struct entry *)(void *)job;

	bv_memory_refresh(e->t.disk, e->request.call, e->request.fd,
			  e->t.offset, e->t.offset + e->t.total, false);
	end(e, e->t.answer);
}

/* On a thread of finishers, or here where there is none to be had. */
static void finish(struct bv_job *job)
{
	struct entry *e = (struct entry *)(void *)job;
	uint64_t since = now();
	ssize_t result;

	bv_inflight_own(&e->t.range);
	e->t.buffer = bv_buffer_own();
	if (e->writes)
		result = bv_transfer_finish_write(&e->t);
	else
		result = e->t.buffer ? bv_transfer_finish_read(&e->t) : -ENOMEM;
	note_time(since);
	bv_inflight_drop(&e->t.range);
	e->t.answer = result;
	e->job.run = refresh;
	/* That waits for ranges. */
	if (!e->t.doubtful || bv_pool_submit(&bv_requests, &e->job) < 0)
		end(e, result);
	bv_pool_leave(&bv_requests);
}

static void leave_to_others(struct entry *e)
{
	e->job.run = finish;
	if (bv_pool_submit(&finishers, &e->job) < 0)
		finish(&e->job);
}

/* One that helps has no buffer of its own. */
static void take_over(struct entry *e)
{
	if (bv_thread.own) {
		e->t.buffer = bv_buffer_own();
		return;
	}
	e->t.buffer = bv_buffer_get();
	bv_inflight_own(&e->t.range);
}

static void let_go(struct entry *e, bool passed)
{
	if (bv_thread.own)
		return;
	bv_buffer_put(e->t.buffer);
	/* What it does next waits for the rest. */
	if (!passed)
		bv_inflight_give(&e->t.range, atomic_load(&agent));
}

/* False: there is more to it. */
static bool pass(struct entry *e, ssize_t *result)
{
	uint64_t since;
	bool passed;

	if (*result != (ssize_t)e->t.total ||
	    atomic_load_explicit(&usual, memory_order_relaxed) >= bv_queue_slow)
		return false;
	since = now();
	take_over(e);
	passed = e->t.buffer && (e->writes ? bv_transfer_pass_write(&e->t) :
					     bv_transfer_pass_read(&e->t, result));
	let_go(e, passed);
	note_time(since);
	if (passed)
		atomic_fetch_add(&bv_queue_passed, 1);
	return passed;
}

static void come_back(struct entry *e, ssize_t result)
{
	atomic_exchange(&e->sent, false);
	if (pass(e, &result)) {
		end(e, result);
		bv_pool_leave(&bv_requests);
		return;
	}
	/* What is short, or could not be had without waiting, is asked for once
	 * more, by who waits. Part of a write may be there already, so its range
	 * stays as it is. */
	e->t.answered = result < 0 ? result != -EAGAIN :
				     result == (ssize_t)e->t.total;
	e->t.answer = result;
	leave_to_others(e);
}

/* ---- handing over to the kernel ---- */

static void refused(struct entry *e, long result)
{
	if (result == -EOPNOTSUPP)
		atomic_store(&waits[e->t.disk - bv_disk], true);
	atomic_exchange(&e->sent, false);
	leave_to_others(e);
}

static struct entry *entry_of(struct iocb *cb)
{
	return (struct entry *)(void *)((char *)cb - offsetof(struct entry, cb));
}

/* Who waits for it is to hear of it. Then it is the kernel's, and whose it
 * hands it to. */
static void let_fly(struct entry *e)
{
	int fd = bell_fd(e->bell);

	if (fd >= 0) {
		e->cb.aio_flags = IOCB_FLAG_RESFD;
		e->cb.aio_resfd = (uint32_t)fd;
	}
	atomic_store(&e->sent, true);
}

static void hand_over(struct iocb **cb, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		let_fly(entry_of(cb[i]));
	while (count > 0) {
		long n = raw_call(SYS_io_submit, (long)context, count, (long)cb,
				  0, 0, 0);

		if (n <= 0) {
			refused(entry_of(cb[0]), n);
			n = 1;
		}
		cb += n;
		count -= (unsigned)n;
	}
}

/* In the order in which they came. False: there were none. */
static bool submit_pending(void)
{
	struct entry *e = atomic_exchange(&pending, NULL);
	struct iocb *cb[MOST];
	unsigned first = MOST;

	for (; e; e = e->next)
		cb[--first] = &e->cb;
	hand_over(&cb[first], MOST - first);
	return first < MOST;
}

void bv_queue_submit(struct bv_batch *batch)
{
	unsigned count = batch->count;

	batch->count = 0;
	if (!atomic_load(&awake)) {
		hand_over(batch->cb, count);
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		struct entry *e = entry_of(batch->cb[i]);

		e->next = atomic_load(&pending);
		while (!atomic_compare_exchange_weak(&pending, &e->next, e))
			;
	}
	/* It may have fallen asleep before it could see them. */
	if (!atomic_load(&awake))
		submit_pending();
}

/* ---- events ---- */

static long take_events(struct io_event *event, long least,
			const struct timespec *patience)
{
	return raw_call(SYS_io_getevents, (long)context, least, BV_BATCH,
			(long)event, (long)patience, 0);
}

/* Is there something to take? The kernel's ring of completions is in our
 * memory, as any program's (linux/aio_abi.h; fs/aio.c). */
static bool has_come_back(uint32_t *head)
{
	struct ring { uint32_t id, nr, head, tail; } *ring = (struct ring *)context;

	*head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
	return *head != __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
}

static const struct timespec at_once = { 0, 0 };

/* ---- those who help ---- */

/* More at a time than this, and the thread here is to take its share. */
#define SHARE 8

static _Atomic uint32_t heard;       /* bells, by helpers */
static _Atomic uint32_t alarms;      /* futex: the thread is wanted */
_Atomic uint64_t bv_queue_helped;

int bv_queue_bell(void)
{
	return atomic_load(&agent) != 0 ? bell_wait_fd() : -1;
}

static void rouse(void)
{
	atomic_fetch_add(&alarms, 1);
	raw_futex_wake(&alarms, 1);
}

bool bv_queue_has_come_back(void)
{
	uint32_t head;

	return atomic_load(&agent) != 0 && has_come_back(&head);
}

void bv_queue_help(bool rung)
{
	struct io_event event[BV_BATCH];
	long n = 0;

	if (rung) {
		bell_hush();
		atomic_fetch_add(&heard, 1);
	}
	if (bv_queue_has_come_back())
		n = take_events(event, 0, &at_once);
	if (n > SHARE)
		rouse();
	for (long i = 0; i < n; i++)
		come_back((struct entry *)(uintptr_t)event[i].data,
			  (ssize_t)event[i].res);
	if (n > 0)
		atomic_fetch_add(&bv_queue_helped, (uint64_t)n);
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

	for (int left = LOOKS; left > 0; left--) {
		raw_futex_wait(&alarms, alarm, &a_moment);
		is = has_come_back(&head);
		if (atomic_load(&alarms) != alarm || (is && was && head == last)) {
			trust->times = 0;
			return;
		}
		was = is;
		last = head;
		now = atomic_load(&heard);
		if (now != trust->heard)
			left = LOOKS;
		trust->heard = now;
	}
}

/* -ETIMEDOUT: there was nothing to do for a while. */
static long wait_events(struct io_event *event, struct trust *trust)
{
	static const struct timespec a_while = { 1, 0 };
	long n = 0;

	atomic_store(&awake, false);
	if (!submit_pending()) {
		if (is_spared(trust))
			stand_by(trust);
		n = take_events(event, 1, &a_while);
		if (n == 0)
			n = -ETIMEDOUT;
	}
	atomic_store(&awake, true);
	return n;
}

static void *work(void *unused)
{
	struct io_event event[BV_BATCH];
	struct trust trust = { 0, 0 };
	long n;

	(void)unused;
	bv_thread_begins();
	atomic_store(&agent, bv_thread_tid());
	for (;;) {
		submit_pending();
		n = take_events(event, 0, &at_once);
		if (n == 0)
			n = wait_events(event, &trust);
		if (n == -ETIMEDOUT && bv_thread_are_alone())
			break;
		for (long i = 0; i < n; i++)
			come_back((struct entry *)(uintptr_t)event[i].data,
				  (ssize_t)event[i].res);
	}
	atomic_store(&agent, 0);
	bv_thread_ends();
	return NULL;
}

/* ---- beginning ---- */

static bool make(void)
{
	unsigned char *map = raw_mmap(NULL, WORDS * (size_t)WORD_BYTES,
				      PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
				      -1, 0);

	context = 0;
	if (raw_is_error(map))
		return false;
	if (raw_call(SYS_io_setup, MOST, (long)&context, 0, 0, 0, 0) == 0) {
		atomic_store(&arena, map);
		bell_begin();
		if (bv_thread_make(work, NULL, NULL) == 0)
			return true;
		raw_call(SYS_io_destroy, (long)context, 0, 0, 0, 0, 0);
	}
	raw_munmap(map, WORDS * (size_t)WORD_BYTES);
	return false;
}

void bv_queue_start(void)
{
	bv_pool_start(&finishers, 4);
	finishers.behalf = &bv_requests;
	started = true;
}

/* Until the thread is there, the pool has everything. */
static bool is_ready(void)
{
	int none = NONE;

	if (!started)
		return false;
	if (atomic_load(&agent) != 0)
		return true;
	if (atomic_compare_exchange_strong(&phase, &none, MAKING))
		atomic_store(&phase, make() ? MADE : IMPOSSIBLE);
	return false;
}

/* One buffer, misaligned as the segments are together (transfer.c). */
static bool find_room(struct entry *e)
{
	struct bv_transfer *t = &e->t;
	const struct bv_request *request = t->request;
	uintptr_t alignment = 0;

	for (int i = 0; i < request->count; i++) {
		uintptr_t base = (uintptr_t)request->iov[i].iov_base;
		size_t n = request->iov[i].iov_len;

		if (n > BV_PIECE - t->total || base > 0x7ffffffff000u - n)
			return false;
		t->total += n;
		alignment |= request->count > 1 ? base | n : base;
	}
	if (t->total == 0 || t->offset > (uint64_t)INT64_MAX - t->total)
		return false;
	alignment &= PAGE - 1;
	t->bytes = take_bytes(t->total + alignment);
	if (!t->bytes)
		return false;
	t->bytes += alignment;
	return true;
}

static bool fill_in(struct entry *e, struct bv_disk *disk,
		    const struct bv_request *request)
{
	e->request = *request;
	e->t = (struct bv_transfer){
		.disk = disk, .request = &e->request,
		.cursor = { request->iov, request->count, 0 },
		.offset = (uint64_t)request->offset,
		.position = { .slot = -1 }, .range = { .slot = -1 },
	};
	return find_room(e);
}

/* The range, and the bytes that are written. */
static bool take_range(struct entry *e)
{
	struct bv_transfer *t = &e->t;
	struct bv_cursor from = t->cursor;

	if (!e->writes)
		return bv_transfer_try_read(t) == 0;
	return bv_transfer_try_write(t) == 0 &&
	       bv_user_gather(t->bytes, &from, t->total) == t->total;
}

static void prepare(struct entry *e)
{
	e->cb = (struct iocb){
		.aio_data = (uintptr_t)e, .aio_rw_flags = RWF_NOWAIT,
		.aio_lio_opcode = e->writes ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)e->request.fd,
		.aio_buf = (uintptr_t)e->t.bytes, .aio_nbytes = e->t.total,
		.aio_offset = (int64_t)e->t.offset,
	};
}

bool bv_queue_add(struct bv_batch *batch, struct bv_disk *disk,
		  const struct bv_request *request, bool writes,
		  struct bv_job *job, void (*done)(struct bv_job *, ssize_t))
{
	struct entry *e;

	if (request->flags || request->position || request->offset < 0 ||
	    atomic_load(&waits[disk - bv_disk]) || !is_ready())
		return false;
	e = take_entry();
	if (!e)
		return false;
	e->writes = writes;
	e->whole = job;
	e->done = done;
	if (!fill_in(e, disk, request)) {
		give_entry(e);
		return false;
	}
	if (!take_range(e)) {
		bv_inflight_drop(&e->t.range);
		give_bytes(e->t.bytes, e->t.total);
		give_entry(e);
		return false;
	}
	bv_inflight_give(&e->t.range, atomic_load(&agent));
	e->bell = bell_flies();
	prepare(e);
	bv_pool_enter(&bv_requests);
	batch->cb[batch->count++] = &e->cb;
	if (batch->count == BV_BATCH)
		bv_queue_submit(batch);
	return true;
}

void bv_queue_forked(void)
{
	bv_pool_forked(&finishers);
	bell_forked();
	for (unsigned word = 0; word < MOST / 64; word++)
		atomic_store(&used[word], 0);
	for (unsigned word = 0; word < WORDS; word++)
		atomic_store(&pages[word], 0);
	if (atomic_load(&arena))
		raw_munmap(atomic_load(&arena), WORDS * (size_t)WORD_BYTES);
	atomic_store(&arena, NULL);
	atomic_store(&awake, false);
	atomic_store(&pending, NULL);
	atomic_store(&agent, 0);
	atomic_store(&phase, NONE);
}
