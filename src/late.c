/* late: see include/blkverify/late.h. */
#include <errno.h>
#include <sys/mman.h>
#include <time.h>

#include <blkverify/buffer.h>
#include <blkverify/disk.h>
#include <blkverify/late.h>
#include <blkverify/thread.h>

#include "bits.h"
#include "failure.h"
#include "raw.h"

#define PAGE 4096u

/* As many as there may be ranges held (BV_SLOTS), and no more. */
#define MOST 1024

/* A build for tests sets it. */
#ifndef BV_LATE_ALWAYS
#define BV_LATE_ALWAYS false
#endif

bool bv_late_always = BV_LATE_ALWAYS;

/* What handing over costs, by and large, in nanoseconds: a wake-up and cold
 * caches, and a copy, for so many bytes one. */
#define WORTH 15000
#define BYTES_WORTH 8

static struct bv_pool workers;
static atomic_bool on;

/* Copies live in whole pages of one mapping; a bit a page, and none in two
 * words unless it fills the first. Found and taken without a lock, which a
 * signal handler could find taken. */
static struct {
	unsigned char *base;
	_Atomic uint64_t *used;
	uint64_t pages, words;
} arena;

/* One for each thread of the pool. Like its stack, made at start: no memory
 * of ours appears where the program has found its address space to be free. */
static struct bv_buffer *buffers;
static atomic_uint buffers_used;

static struct bv_late late[MOST];
static _Atomic uint64_t taken[MOST / 64];

static _Atomic uint32_t returned;    /* futex: something came back */
static _Atomic uint32_t waiting;

_Atomic uint32_t bv_late_pending;
static _Atomic uint64_t submitted;
static _Atomic uint32_t ended;       /* futex of who drains */
static _Atomic uint32_t draining;
static atomic_bool wrong;

/* What the shadow takes longer than is worth it: a moving average of
 * nanoseconds. It begins as if it were slow, which is seen soon. */
static _Atomic int32_t usual = WORTH;

/* The thread that ranges belong to while their operation waits for one. */
static _Atomic uint32_t agent;

static unsigned online(void)
{
	uint64_t mask[16] = { 0 };
	unsigned cpus = 0;
	long bytes = raw_call(SYS_sched_getaffinity, 0, sizeof(mask), (long)mask,
			      0, 0, 0);

	for (long i = 0; i < bytes / 8; i++)
		cpus += (unsigned)__builtin_popcountll(mask[i]);
	return cpus;
}

/* NULL: there is no memory. */
static void *reserve(size_t bytes)
{
	void *map = raw_mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return raw_is_error(map) ? NULL : map;
}

static void clear_arena(void)
{
	for (uint64_t word = 0; word < arena.words; word++)
		arena.used[word] = 0;
	/* Pages that are not there. */
	if (arena.pages % 64)
		arena.used[arena.words - 1] = UINT64_MAX << arena.pages % 64;
}

static int start_threads(unsigned threads)
{
	struct bv_thread_stack *stacks;

	/* Unit tests start again and again. */
	if (buffers)
		return 0;
	stacks = reserve(threads * sizeof(*stacks));
	buffers = bv_buffer_map(threads);
	if (!stacks || !buffers)
		return -ENOMEM;
	for (unsigned i = 0; i < threads; i++)
		raw_call(SYS_mprotect, (long)&stacks[i], PAGE, PROT_NONE, 0, 0,
			 0);
	bv_pool_start_itself(&workers, threads, stacks);
	return 0;
}

int bv_late_start(const struct bv_config *config)
{
	unsigned cpus = online();

	if (config->mode != BV_MODE_POOL)
		return 0;
	arena.pages = (config->queue + PAGE - 1) / PAGE;
	arena.words = (arena.pages + 63) / 64;
	arena.base = reserve(arena.pages * PAGE);
	arena.used = reserve(arena.words * sizeof(uint64_t));
	if (!arena.base || !arena.used)
		return -ENOMEM;
	clear_arena();
	on = true;
	return start_threads(config->threads ? config->threads :
			     cpus > 0 && cpus < 4 ? cpus : 4);
}

/* ---- room ---- */

static uint64_t pages_of(uint64_t length)
{
	return (length + PAGE - 1) / PAGE;
}

static void give_words(uint64_t word, uint64_t n)
{
	for (; n > 0; word++, n -= n < 64 ? n : 64)
		atomic_fetch_and(&arena.used[word], ~bits_run(n < 64 ? n : 64));
}

/* n pages from the beginning of a word on. */
static bool take_words(uint64_t word, uint64_t n)
{
	uint64_t had = 0;

	for (; had < n; had += 64) {
		uint64_t part = n - had < 64 ? n - had : 64, now = 0;
		_Atomic uint64_t *at = &arena.used[word + had / 64];

		if (!atomic_compare_exchange_strong(at, &now, bits_run(part))) {
			give_words(word, had);
			return false;
		}
	}
	return true;
}

/* The lowest first, so that what is in the cache is used again. */
static unsigned char *take_pages(uint64_t n)
{
	for (uint64_t word = 0; word + (n + 63) / 64 <= arena.words; word++) {
		int first = n <= 64 ? bits_take(&arena.used[word], n) :
			    take_words(word, n) ? 0 : -1;

		if (first >= 0)
			return arena.base +
			       (word * 64 + (uint64_t)first) * PAGE;
	}
	return NULL;
}

static void give_pages(const struct bv_late *l)
{
	uint64_t page = (uint64_t)(l->bytes - arena.base) / PAGE;
	uint64_t n = pages_of(l->length);

	if (n <= 64)
		atomic_fetch_and(&arena.used[page / 64], ~(bits_run(n) << page % 64));
	else
		give_words(page / 64, n);
}

static void give_index(unsigned index)
{
	atomic_fetch_and(&taken[index / 64], ~((uint64_t)1 << index % 64));
}

static struct bv_late *take_index(void)
{
	for (unsigned word = 0; word < MOST / 64; word++) {
		int bit = bits_take(&taken[word], 1);

		if (bit >= 0) {
			struct bv_late *l = &late[word * 64 + (unsigned)bit];

			l->index = (unsigned)(l - late);
			return l;
		}
	}
	return NULL;
}

static struct bv_late *take(uint64_t length)
{
	struct bv_late *l = take_index();

	if (!l)
		return NULL;
	l->bytes = take_pages(pages_of(length));
	if (!l->bytes) {
		give_index(l->index);
		return NULL;
	}
	l->length = length;
	l->done = 0;
	atomic_store(&l->told, false);
	return l;
}

static void give(struct bv_late *l)
{
	give_pages(l);
	give_index(l->index);
}

static void tell_waiters(void)
{
	if (atomic_load(&waiting) > 0) {
		atomic_fetch_add(&returned, 1);
		raw_futex_wake(&returned, INT32_MAX);
	}
}

/* Back-pressure. Those who are under way need nothing of ours to go on. Others
 * who have room may: a signal handler, that interrupted them, waits for us. */
static struct bv_late *wait_for_room(uint64_t length)
{
	struct bv_late *l = take(length);

	while (!l && atomic_load(&bv_late_pending) > 0) {
		uint32_t seen = atomic_load(&returned);

		atomic_fetch_add(&waiting, 1);
		l = take(length);
		if (!l && atomic_load(&bv_late_pending) > 0)
			raw_futex_wait(&returned, seen, NULL);
		atomic_fetch_sub(&waiting, 1);
	}
	return l;
}

/* ---- handing over ---- */

/* The one that this thread is doing. */
static __thread struct bv_late *mine;

static struct bv_buffer *buffer_of_thread(void)
{
	static __thread struct bv_buffer *own;
	unsigned index;

	if (own)
		return own;
	index = atomic_fetch_add(&buffers_used, 1);
	own = index < workers.most ? &buffers[index] : bv_buffer_own();
	return own;
}

static void finish(struct bv_late *l)
{
	struct bv_buffer *buffer = buffer_of_thread();

	if (buffer)
		l->finish(l, buffer);
	else if (bv_fail_shadow(l->range.disk, l->op, l->call, l->fd, l->offset,
				l->done, -ENOMEM) < 0)
		bv_late_wrong();
}

/* Each worker needs nothing but itself. */
static void run(struct bv_job *job)
{
	struct bv_late *l = (struct bv_late *)job;

	bv_inflight_own(&l->range);
	mine = l;
	bv_thread.asker = l->tid;
	bv_thread.asked = l->time;
	finish(l);
	mine = NULL;
	bv_thread.asker = 0;
	bv_thread.asked = 0;
	bv_inflight_drop(&l->range);
	atomic_store(&l->sequence, 0);
	give(l);
	atomic_fetch_sub(&bv_late_pending, 1);
	tell_waiters();
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

/* Is there a thread to hand over to? It is made when it is first asked for. Not
 * from a signal handler that interrupted malloc. */
static bool have_agent(void)
{
	static const struct timespec a_while = { 0, 1000 * 1000 };
	static struct bv_job first;
	raw_sigset mask;
	int tries = 200;

	if (atomic_load(&agent) != 0)
		return true;
	/* A child that has our memory would take its threads with it. */
	if (raw_getpid() != bv_pid)
		return false;
	/* A handler could leave us half-way by a longjmp. */
	mask = raw_block_signals();
	if (!atomic_flag_test_and_set(&begun)) {
		first.run = become_agent;
		if (bv_pool_submit(&workers, &first) < 0) {
			atomic_flag_clear(&begun);
			tries = 0;
		}
	}
	raw_sigmask(mask);
	while (tries-- > 0 && atomic_load(&agent) == 0)
		raw_futex_wait(&agent, 0, &a_while);
	return atomic_load(&agent) != 0;
}

static bool is_worth_it(void)
{
	return bv_late_always || atomic_load(&bv_late_pending) > 0 ||
	       atomic_load_explicit(&usual, memory_order_relaxed) > 0;
}

struct bv_late *bv_late_begin(const struct bv_hold *range, uint64_t length)
{
	struct bv_late *l;

	/* A signal handler inside an operation has ranges that are not its
	 * own to give away; one on a thread of ours would wait for itself. */
	if (!on || bv_pool_over(&workers) || range->nested || bv_thread.depth > 1 || mine || length == 0 ||
	    pages_of(length) > arena.pages / 4 || !is_worth_it())
		return NULL;
	l = have_agent() ? wait_for_room(length) : NULL;
	bv_thread.late = l;
	return l;
}

void bv_late_cancel(struct bv_late *l)
{
	bv_thread.late = NULL;
	give(l);
	tell_waiters();
}

void bv_late_abandon(void)
{
	if (bv_thread.late)
		bv_late_cancel(bv_thread.late);
}

bool bv_late_submit(struct bv_late *l, struct bv_hold *range)
{
	/* A handler that came in here would wait for a range that nobody is
	 * about to give back. */
	raw_sigset mask = raw_block_signals();
	bool given;

	l->range = *range;
	given = bv_inflight_give(&l->range, (int)atomic_load(&agent));
	if (given) {
		bv_inflight_late(&l->range, true);
		range->slot = -1;
		bv_thread.late = NULL;
		l->job.run = run;
		atomic_fetch_add(&bv_late_pending, 1);
		atomic_store(&l->sequence, atomic_fetch_add(&submitted, 1) + 1);
		/* There is a thread: the agent. */
		bv_pool_submit(&workers, &l->job);
	}
	raw_sigmask(mask);
	return given;
}

/* ---- barriers ---- */

/* Is one of the first so many still under way? Who ends the process by what was
 * found wrong does not wait for others who do. */
static bool any_of(uint64_t goal)
{
	for (unsigned i = 0; i < MOST; i++) {
		uint64_t sequence = atomic_load(&late[i].sequence);

		if (sequence != 0 && sequence <= goal &&
		    !(mine && atomic_load(&late[i].told)))
			return true;
	}
	return false;
}

/* patience: NULL, or how long to wait for one at a time, and ticks: how often. */
static void settle(const struct timespec *patience, int ticks)
{
	uint64_t goal = atomic_load(&submitted);

	if (atomic_load(&bv_late_pending) == 0)
		return;
	atomic_fetch_add(&draining, 1);
	while (ticks > 0) {
		uint32_t seen = atomic_load(&ended);

		if (!any_of(goal))
			break;
		if (raw_futex_wait(&ended, seen, patience) == -ETIMEDOUT)
			ticks--;
	}
	atomic_fetch_sub(&draining, 1);
}

void bv_late_settle(void)
{
	settle(NULL, 1);
}

void bv_late_dies(void)
{
	static const struct timespec tick = { 0, 100 * 1000 * 1000 };

	if (!mine)
		return;
	atomic_store(&mine->told, true);
	bv_inflight_late(&mine->range, false);
	bv_pool_pause();
	settle(&tick, 10);
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

void bv_late_took(uint64_t nanoseconds, size_t n)
{
	int32_t was = atomic_load_explicit(&usual, memory_order_relaxed);
	int64_t over;

	if (!on)
		return;
	over = (int64_t)nanoseconds - WORTH - (int64_t)n / BYTES_WORTH;
	if (over > 1000000000)
		over = 1000000000;
	atomic_store_explicit(&usual, was - was / 8 + (int32_t)over / 8,
			      memory_order_relaxed);
}

/* What the calling thread has begun, it goes on with. */
static void keep_own(struct bv_late *l)
{
	uint64_t page, n;

	if (!l)
		return;
	page = (uint64_t)(l->bytes - arena.base) / PAGE;
	n = pages_of(l->length);
	taken[l->index / 64] |= (uint64_t)1 << l->index % 64;
	if (n <= 64)
		arena.used[page / 64] |= bits_run(n) << page % 64;
	else
		take_words(page / 64, n);
}

void bv_late_forked(void)
{
	if (!arena.base)
		return;
	bv_pool_forked(&workers);
	clear_arena();
	atomic_store(&buffers_used, 0);
	for (unsigned i = 0; i < MOST; i++)
		atomic_store(&late[i].sequence, 0);
	for (unsigned word = 0; word < MOST / 64; word++)
		taken[word] = 0;
	keep_own(bv_thread.late);
	atomic_store(&waiting, 0);
	atomic_store(&draining, 0);
	atomic_store(&bv_late_pending, 0);
	atomic_flag_clear(&begun);
	atomic_store(&agent, 0);
	atomic_store(&wrong, false);
}
