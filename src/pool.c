/* pool: see include/blkverify/pool.h. */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <blkverify/pool.h>
#include <blkverify/thread.h>

#include "raw.h"

#define MOST 256

struct bv_pool bv_requests;

/* The pool whose thread this is. */
static __thread struct bv_pool *works;

void bv_pool_start(struct bv_pool *pool, unsigned threads)
{
	pool->most = threads > MOST ? MOST : threads;
}

void bv_pool_start_itself(struct bv_pool *pool, unsigned threads,
			  struct bv_thread_stack *stacks)
{
	bv_pool_start(pool, threads);
	pool->stacks = stacks;
}

/* Held for a few instructions, by threads of the pool alone. */
static void lock(struct bv_pool *pool)
{
	while (atomic_exchange_explicit(&pool->taking, 1, memory_order_acquire))
		raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

static void unlock(struct bv_pool *pool)
{
	atomic_store_explicit(&pool->taking, 0, memory_order_release);
}

static struct bv_job *next_job(struct bv_pool *pool)
{
	struct bv_job *job;

	lock(pool);
	if (!pool->waiting) {
		struct bv_job *list = atomic_exchange(&pool->incoming, NULL);

		while (list) {
			struct bv_job *rest = list->next;

			list->next = pool->waiting;
			pool->waiting = list;
			list = rest;
		}
	}
	job = pool->waiting;
	if (job)
		pool->waiting = job->next;
	unlock(pool);
	return job;
}

static void note_finished(struct bv_pool *pool)
{
	atomic_fetch_add(&pool->finished, 1);
	if (atomic_load(&pool->draining) > 0)
		raw_futex_wake(&pool->finished, INT32_MAX);
}

bool bv_pool_over(const struct bv_pool *pool)
{
	return atomic_load_explicit(&pool->over, memory_order_relaxed);
}

static int make_thread(struct bv_pool *pool);

static void *work(void *argument)
{
	static const struct timespec a_while = { 1, 0 };
	struct bv_pool *pool = argument;
	bool grown = !pool->stacks;
	long result;

	works = pool;
	bv_thread_begins();
	for (;;) {
		uint32_t seen = atomic_load(&pool->submitted);
		struct bv_job *job = next_job(pool);

		if (job) {
			job->run(job);
			note_finished(pool);
			if (!grown)
				make_thread(pool);
			grown = true;
			continue;
		}
		atomic_fetch_add(&pool->idle, 1);
		result = raw_futex_wait(&pool->submitted, seen, &a_while);
		atomic_fetch_sub(&pool->idle, 1);
		if (result == -ETIMEDOUT && bv_thread_are_alone())
			break;
	}
	atomic_store(&pool->over, true);
	bv_thread_ends();
	return NULL;
}

/* On a stack that was given, while there is one: who takes the place of another
 * which pauses finds none. */
static int make_thread(struct bv_pool *pool)
{
	struct bv_thread_stack *stack = NULL;
	unsigned used;
	int result;

	if (atomic_fetch_add(&pool->threads, 1) >= pool->most) {
		atomic_fetch_sub(&pool->threads, 1);
		return 0;
	}
	used = pool->stacks ? atomic_fetch_add(&pool->stacks_used, 1) : 0;
	if (pool->stacks && used < pool->most)
		stack = &pool->stacks[used];
	result = bv_thread_make(work, pool, stack);
	if (result < 0)
		atomic_fetch_sub(&pool->threads, 1);
	return result;
}

static bool is_short_of_threads(struct bv_pool *pool)
{
	unsigned threads = atomic_load(&pool->threads);

	return pool->stacks ? threads == 0 :
	       atomic_load(&pool->idle) == 0 && threads < pool->most;
}

static int hand_over(struct bv_pool *pool, struct bv_job *job)
{
	int result = 0;

	if (bv_pool_over(pool))
		return -EAGAIN;
	if (is_short_of_threads(pool))
		result = make_thread(pool);
	if (result < 0 && atomic_load(&pool->threads) == 0)
		return result;
	job->next = atomic_load(&pool->incoming);
	while (!atomic_compare_exchange_weak(&pool->incoming, &job->next, job))
		;
	atomic_fetch_add(&pool->submitted, 1);
	/* One that is about to sleep sees the new count. */
	if (atomic_load(&pool->idle) > 0)
		raw_futex_wake(&pool->submitted, 1);
	return 0;
}

int bv_pool_submit(struct bv_pool *pool, struct bv_job *job)
{
	int result;

	atomic_fetch_add(&pool->begun, 1);
	result = hand_over(pool, job);
	if (result < 0)
		note_finished(pool);
	return result;
}

void bv_pool_enter(struct bv_pool *pool)
{
	atomic_fetch_add(&pool->begun, 1);
}

void bv_pool_leave(struct bv_pool *pool)
{
	note_finished(pool);
}

/* Who drains counts a job that pauses as finished, and as one more when it
 * goes on. */
bool bv_pool_pause(void)
{
	struct bv_pool *pool = works;

	if (!pool)
		return false;
	atomic_fetch_sub(&pool->threads, 1);
	if (atomic_load(&pool->idle) == 0 && make_thread(pool) < 0 &&
	    atomic_load(&pool->threads) == 0) {
		atomic_fetch_add(&pool->threads, 1);
		return false;
	}
	note_finished(pool);
	return true;
}

void bv_pool_resume(void)
{
	atomic_fetch_add(&works->begun, 1);
	atomic_fetch_add(&works->threads, 1);
}

void bv_pool_drain(struct bv_pool *pool)
{
	static const struct timespec tick = { 0, 100 * 1000 * 1000 };
	uint32_t goal = atomic_load(&pool->begun);
	/* A job that found a wrong byte, and sent the signal whose handler now
	 * ends the process, is as good as over. */
	uint32_t mine = works && (works == pool || works->behalf == pool);
	int ticks = 0;

	atomic_fetch_add(&pool->draining, 1);
	for (;;) {
		uint32_t now = atomic_load(&pool->finished) + mine;

		if (now == atomic_load(&pool->begun))
			break;
		/* As many have ended as there were, but later ones may be
		 * among them: the rest gets a while, since threads that go on
		 * submitting must not hold us for ever. */
		if ((int32_t)(goal - now) <= 0 && ticks++ > 20)
			break;
		raw_futex_wait(&pool->finished, now - mine, &tick);
	}
	atomic_fetch_sub(&pool->draining, 1);
}

void bv_pool_forked(struct bv_pool *pool)
{
	atomic_store(&pool->incoming, NULL);
	pool->waiting = NULL;
	atomic_store(&pool->taking, 0);
	atomic_store(&pool->threads, 0);
	atomic_store(&pool->stacks_used, 0);
	atomic_store(&pool->idle, 0);
	atomic_store(&pool->draining, 0);
	atomic_store(&pool->finished, atomic_load(&pool->begun));
}
