/* queue: see include/blkverify/queue.h. */
#include <errno.h>
#include <linux/fs.h>
#include <stddef.h>
#include <sys/mman.h>
#include <time.h>

#include <blkverify/disk.h>
#include <blkverify/flight.h>
#include <blkverify/memory.h>
#include <blkverify/queue.h>

#include "bits.h"
#include "raw.h"
#include "transfer.h"

#define MOST BV_FLIGHTS

#define PAGE 4096u

/* One word of the bitmap of pages: as much as a piece. */
#define WORD_BYTES (64u * PAGE)
_Static_assert(WORD_BYTES == BV_PIECE, "a piece fits a word of pages");
#define WORDS 64u

#define SLOW 30000
uint32_t bv_queue_slow = SLOW;

static struct entry {
	struct bv_flight flight;
	struct bv_job job;           /* what is left, for finishers */
	struct bv_job *whole;        /* the caller's name for it */
	void (*done)(struct bv_job *whole, ssize_t result);
	struct bv_request request;
	struct bv_transfer t;
	bool writes;
} entries[MOST];

static _Atomic uint64_t used[MOST / 64];

/* Private memory; a bit a page. */
static unsigned char *_Atomic arena;
static _Atomic uint64_t pages[WORDS];

/* For what is not done where it lands. Not bv_requests: all of those
 * may be waiting for ranges that are given back only then. */
static struct bv_pool finishers;

static bool started;
enum { NONE, MAKING, MADE, IMPOSSIBLE };
static atomic_int phase;

/* File systems that let nobody go on without waiting. */
static atomic_bool waits[BV_MAX_PAIRS];

static _Atomic uint32_t usual;       /* nanoseconds: a moving average */
_Atomic uint64_t bv_queue_passed;

static struct entry *of_flight(struct bv_flight *flight)
{
	return (struct entry *)(void *)((char *)flight -
					offsetof(struct entry, flight));
}

static struct entry *of_job(struct bv_job *job)
{
	return (struct entry *)(void *)((char *)job -
					offsetof(struct entry, job));
}

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
	struct entry *e = of_job(job);

	bv_memory_refresh(e->t.disk, e->request.call, e->request.fd,
			  e->t.offset, e->t.offset + e->t.total, false);
	end(e, e->t.answer);
}

/* On a thread of finishers, or here where there is none to be had. */
static void finish(struct bv_job *job)
{
	struct entry *e = of_job(job);
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
		bv_inflight_give(&e->t.range, bv_flight_thread());
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

static void landed(struct bv_flight *flight, ssize_t result)
{
	come_back(of_flight(flight), result);
}

static void refused(struct bv_flight *flight, ssize_t error)
{
	struct entry *e = of_flight(flight);

	if (error == -EOPNOTSUPP)
		atomic_store(&waits[e->t.disk - bv_disk], true);
	leave_to_others(e);
}

void bv_queue_submit(struct bv_batch *batch)
{
	unsigned count = batch->count;

	batch->count = 0;
	bv_flight_submit(batch->flights, count);
}

/* ---- beginning ---- */

static bool make(void)
{
	unsigned char *map = raw_mmap(NULL, WORDS * (size_t)WORD_BYTES,
				      PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
				      -1, 0);

	if (raw_is_error(map))
		return false;
	atomic_store(&arena, map);
	if (bv_flight_make(landed, refused))
		return true;
	atomic_store(&arena, NULL);
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
	if (bv_flight_thread() != 0)
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
	e->flight.cb = (struct iocb){
		.aio_rw_flags = RWF_NOWAIT,
		.aio_lio_opcode = e->writes ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)e->request.fd,
		.aio_buf = (uintptr_t)e->t.bytes, .aio_nbytes = e->t.total,
		.aio_offset = (int64_t)e->t.offset,
	};
	bv_flight_board(&e->flight);
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
	bv_inflight_give(&e->t.range, bv_flight_thread());
	prepare(e);
	bv_pool_enter(&bv_requests);
	batch->flights[batch->count++] = &e->flight;
	if (batch->count == BV_BATCH)
		bv_queue_submit(batch);
	return true;
}

void bv_queue_forked(void)
{
	bv_pool_forked(&finishers);
	bv_flight_forked();
	for (unsigned word = 0; word < MOST / 64; word++)
		atomic_store(&used[word], 0);
	for (unsigned word = 0; word < WORDS; word++)
		atomic_store(&pages[word], 0);
	if (atomic_load(&arena))
		raw_munmap(atomic_load(&arena), WORDS * (size_t)WORD_BYTES);
	atomic_store(&arena, NULL);
	atomic_store(&phase, NONE);
}
