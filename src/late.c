/* late: see include/blkverify/late.h. */
#include <errno.h>
#include <sys/mman.h>
#include <time.h>

#include <blkverify/disk.h>
#include <blkverify/late.h>
#include <blkverify/thread.h>

#include "raw.h"

#define PAGE 4096u

/* As many as there may be ranges held (BV_SLOTS), and no more. */
#define MOST 1024

/* A build for tests sets it. */
#ifndef BV_LATE_ALWAYS
#define BV_LATE_ALWAYS false
#endif

bool bv_late_always = BV_LATE_ALWAYS;

/* What handing over costs, by and large: a copy, a wake-up, cold caches. */
#define WORTH 15000

static struct bv_pool workers;
static atomic_bool on;

/* Copies live in whole pages of one mapping; a bit a page. */
static struct {
	unsigned char *base;
	_Atomic uint64_t *used;
	uint64_t pages;
	uint64_t next;               /* where to look first */
} arena;

static struct bv_late late[MOST];
static uint64_t taken[MOST / 64];

static _Atomic uint32_t lock;        /* of arena and taken */
static _Atomic uint32_t returned;    /* futex: something came back */
static _Atomic uint32_t waiting;

_Atomic uint32_t bv_late_pending;
static _Atomic uint64_t submitted;
static _Atomic uint32_t ended;       /* futex of who drains */
static _Atomic uint32_t draining;
static atomic_bool wrong;

/* A moving average. */
static _Atomic uint32_t usual;

/* The thread that ranges belong to while their operation waits for one. */
static _Atomic uint32_t agent;

static raw_sigset take_lock(void)
{
	raw_sigset mask = raw_block_signals();

	while (atomic_exchange_explicit(&lock, 1, memory_order_acquire))
		raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	return mask;
}

static void give_lock(raw_sigset mask)
{
	atomic_store_explicit(&lock, 0, memory_order_release);
	raw_sigmask(mask);
}

int bv_late_start(const struct bv_config *config)
{
	long cpus = 0;
	uint64_t mask[16] = { 0 };
	long bytes;
	void *base, *used;

	if (config->mode != BV_MODE_POOL)
		return 0;
	bytes = raw_call(SYS_sched_getaffinity, 0, sizeof(mask), (long)mask, 0, 0,
			 0);
	for (long i = 0; i < bytes / 8; i++)
		cpus += __builtin_popcountll(mask[i]);
	bv_pool_start(&workers, config->threads ? config->threads :
				cpus > 0 && cpus < 4 ? (unsigned)cpus : 4);
	arena.pages = (config->queue + PAGE - 1) / PAGE;
	base = raw_mmap(NULL, arena.pages * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (raw_is_error(base))
		return (int)(long)base;
	used = raw_mmap(NULL, arena.pages / 8 + 8, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (raw_is_error(used))
		return (int)(long)used;
	arena.base = base;
	arena.used = used;
	on = true;
	return 0;
}

/* ---- room ---- */

static bool is_used(uint64_t page)
{
	return arena.used[page / 64] >> (page % 64) & 1;
}

/* Under the lock: n free pages in a row from first on, before end. UINT64_MAX:
 * there are none. */
static uint64_t find_pages(uint64_t first, uint64_t end, uint64_t n)
{
	uint64_t run = 0;

	for (uint64_t page = first; page < end; page++) {
		if (page % 64 == 0 && ~arena.used[page / 64] == 0) {
			page += 63;
			run = 0;
			continue;
		}
		run = is_used(page) ? 0 : run + 1;
		if (run == n)
			return page + 1 - n;
	}
	return UINT64_MAX;
}

static void mark(uint64_t first, uint64_t n, bool use)
{
	for (uint64_t page = first; page < first + n; page++)
		arena.used[page / 64] ^= (uint64_t)1 << (page % 64);
	if (use)
		arena.next = first + n;
	else if (first < arena.next)
		arena.next = first;
}

/* Under the lock. The lowest first, so that what is in the cache is used
 * again. */
static unsigned char *take_pages(uint64_t n)
{
	uint64_t first = find_pages(arena.next, arena.pages, n);

	if (first == UINT64_MAX)
		first = find_pages(0, arena.pages, n);
	if (first == UINT64_MAX)
		return NULL;
	mark(first, n, true);
	return arena.base + first * PAGE;
}

static uint64_t pages_of(uint64_t length)
{
	return (length + PAGE - 1) / PAGE;
}

static struct bv_late *take(uint64_t length)
{
	raw_sigset mask = take_lock();
	struct bv_late *found = NULL;

	for (unsigned word = 0; word < MOST / 64 && !found; word++)
		if (~taken[word])
			found = &late[word * 64 +
				      (unsigned)__builtin_ctzll(~taken[word])];
	if (found) {
		found->bytes = take_pages(pages_of(length));
		found->index = (unsigned)(found - late);
		if (found->bytes)
			taken[found->index / 64] |= (uint64_t)1 <<
						    (found->index % 64);
		else
			found = NULL;
	}
	give_lock(mask);
	return found;
}

static void give(struct bv_late *l)
{
	raw_sigset mask = take_lock();

	mark((uint64_t)(l->bytes - arena.base) / PAGE, pages_of(l->length), false);
	taken[l->index / 64] &= ~((uint64_t)1 << (l->index % 64));
	give_lock(mask);
	if (atomic_load(&waiting) > 0) {
		atomic_fetch_add(&returned, 1);
		raw_futex_wake(&returned, INT32_MAX);
	}
}

/* Back-pressure. Those who have room need nothing of ours to go on. */
static struct bv_late *wait_for_room(uint64_t length)
{
	struct bv_late *l = take(length);

	while (!l) {
		uint32_t seen = atomic_load(&returned);

		atomic_fetch_add(&waiting, 1);
		l = take(length);
		if (!l)
			raw_futex_wait(&returned, seen, NULL);
		atomic_fetch_sub(&waiting, 1);
	}
	return l;
}

/* ---- handing over ---- */

/* The one that this thread is doing. */
static __thread uint64_t mine;

/* Each worker needs nothing but itself. */
static void run(struct bv_job *job)
{
	struct bv_late *l = (struct bv_late *)job;

	if (atomic_load(&agent) == 0)
		atomic_store(&agent, (uint32_t)bv_thread_tid());
	bv_inflight_own(&l->range);
	mine = atomic_load(&l->sequence);
	l->finish(l);
	mine = 0;
	bv_inflight_drop(&l->range);
	atomic_store(&l->sequence, 0);
	give(l);
	atomic_fetch_sub(&bv_late_pending, 1);
	if (atomic_load(&draining) > 0) {
		atomic_fetch_add(&ended, 1);
		raw_futex_wake(&ended, INT32_MAX);
	}
}

static void become_agent(struct bv_job *job)
{
	(void)job;
	atomic_store(&agent, (uint32_t)bv_thread_tid());
	raw_futex_wake(&agent, INT32_MAX);
}

static atomic_flag begun = ATOMIC_FLAG_INIT;

bool bv_late_ready(void)
{
	static struct bv_job first;

	if (atomic_load(&agent) != 0)
		return true;
	if (!atomic_flag_test_and_set(&begun)) {
		first.run = become_agent;
		if (bv_pool_submit(&workers, &first) < 0)
			atomic_flag_clear(&begun);
	}
	return false;
}

static bool is_worth_it(void)
{
	return bv_late_always || atomic_load(&bv_late_pending) > 0 ||
	       atomic_load_explicit(&usual, memory_order_relaxed) > WORTH;
}

struct bv_late *bv_late_begin(const struct bv_hold *range, uint64_t length)
{
	/* A signal handler inside an operation has ranges that are not its
	 * own to give away. */
	if (!on || range->nested || bv_thread.depth > 1 || length == 0 ||
	    pages_of(length) > arena.pages / 4 || !is_worth_it())
		return NULL;
	while (bv_late_always && !bv_late_ready())
		raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	return bv_late_ready() ? wait_for_room(length) : NULL;
}

void bv_late_cancel(struct bv_late *l)
{
	give(l);
}

void bv_late_submit(struct bv_late *l, struct bv_hold *range)
{
	/* A handler that came in here would wait for a range that nobody is
	 * about to give back. */
	raw_sigset mask = raw_block_signals();

	l->range = *range;
	range->slot = -1;
	bv_inflight_give(&l->range, (int)atomic_load(&agent));
	l->job.run = run;
	atomic_fetch_add(&bv_late_pending, 1);
	atomic_store(&l->sequence, atomic_fetch_add(&submitted, 1) + 1);
	/* There is a thread: the agent. */
	bv_pool_submit(&workers, &l->job);
	raw_sigmask(mask);
}

/* ---- barriers ---- */

/* Is one of the first so many still under way? Not the one that found a wrong
 * byte, and sent the signal whose handler now ends the process. */
static bool any_of(uint64_t goal)
{
	for (unsigned i = 0; i < MOST; i++) {
		uint64_t sequence = atomic_load(&late[i].sequence);

		if (sequence != 0 && sequence <= goal && sequence != mine)
			return true;
	}
	return false;
}

void bv_late_settle(void)
{
	uint64_t goal = atomic_load(&submitted);

	if (atomic_load(&bv_late_pending) == 0)
		return;
	atomic_fetch_add(&draining, 1);
	for (;;) {
		uint32_t seen = atomic_load(&ended);

		if (!any_of(goal))
			break;
		raw_futex_wait(&ended, seen, NULL);
	}
	atomic_fetch_sub(&draining, 1);
}

void bv_late_end(void)
{
	atomic_store(&on, false);
	bv_late_settle();
}

int bv_late_drain(void)
{
	bv_late_settle();
	return atomic_load_explicit(&wrong, memory_order_relaxed) &&
	       atomic_exchange(&wrong, false) ? -EIO : 0;
}

void bv_late_wrong(void)
{
	atomic_store(&wrong, true);
}

uint64_t bv_late_clock(void)
{
	struct timespec now;

	if (!on)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void bv_late_took(uint64_t since)
{
	uint32_t was = atomic_load_explicit(&usual, memory_order_relaxed);
	uint64_t took = since ? bv_late_clock() - since : 0;

	if (since == 0)
		return;
	if (took > 1000000000)
		took = 1000000000;
	atomic_store_explicit(&usual, was - was / 8 + (uint32_t)took / 8,
			      memory_order_relaxed);
}

void bv_late_forked(void)
{
	if (!arena.base)
		return;
	bv_pool_forked(&workers);
	for (uint64_t word = 0; word <= arena.pages / 64; word++)
		arena.used[word] = 0;
	for (unsigned word = 0; word < MOST / 64; word++)
		taken[word] = 0;
	arena.next = 0;
	atomic_store(&lock, 0);
	atomic_store(&waiting, 0);
	atomic_store(&draining, 0);
	atomic_store(&bv_late_pending, 0);
	for (unsigned i = 0; i < MOST; i++)
		atomic_store(&late[i].sequence, 0);
	atomic_flag_clear(&begun);
	atomic_store(&agent, 0);
	atomic_store(&wrong, false);
}
