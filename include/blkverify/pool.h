/* pool: threads that carry out operations for callers who do not wait.
 *
 * A job is memory of the caller's until its run function is called; nothing is
 * allocated here. Jobs are begun in the order in which they were submitted and
 * run side by side; what may not overlap is kept apart by its ranges
 * (inflight.h). Threads are made when jobs find none idle, with all signals
 * blocked, and stay until there are none but the shim's own: the process ends
 * with its last thread, as it would without them.
 */
#ifndef BLKVERIFY_POOL_H
#define BLKVERIFY_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct bv_job {
	struct bv_job *next;         /* the pool's */
	void (*run)(struct bv_job *job);  /* may free or reuse the job */
};

struct bv_thread_stack;

/* The fields are pool.c's. Statically allocated: zero is an idle one. */
struct bv_pool {
	unsigned most;
	struct bv_pool *behalf;      /* whose work it does, entered there */
	struct bv_thread_stack *stacks;  /* most of them; NULL: libc's */
	atomic_uint stacks_used;

	/* Submitted, last first: pushed without a lock, so that a signal
	 * handler may submit. */
	_Atomic(struct bv_job *) incoming;

	/* Taken from incoming and turned round; only by who holds taking. */
	struct bv_job *waiting;
	_Atomic uint32_t taking;

	_Atomic uint32_t submitted;  /* futex of idle threads */
	_Atomic uint32_t begun;      /* jobs that who drains waits for */
	_Atomic uint32_t finished;   /* futex of those who drain */
	_Atomic uint32_t draining;
	atomic_bool over;            /* its threads are ending */
	atomic_uint threads, idle;   /* threads: those that do not pause */
};

/* Requests that a program gave to Linux AIO, POSIX AIO or io_uring. */
extern struct bv_pool bv_requests;

/* Most threads. Start only. */
void bv_pool_start(struct bv_pool *pool, unsigned threads);

/* A pool whose first thread makes the others, at once, on stacks that are
 * given: whoever submits the first job makes that one, and nothing after it, and
 * no thread appears where the program has found its address space to be free. */
void bv_pool_start_itself(struct bv_pool *pool, unsigned threads,
			  struct bv_thread_stack *stacks);

/* Are its threads ending, since the program has none left? What runs now, on
 * the last of them, are handlers of exit. */
bool bv_pool_over(const struct bv_pool *pool);

/* Hands a job over. Returns 0, or a negative errno when there is no thread
 * and none can be made: then the job is still the caller's. Lock-free but
 * for the making of threads. */
int bv_pool_submit(struct bv_pool *pool, struct bv_job *job);

/* Work that threads of the pool do not carry out, but who drains waits for,
 * begins, and ends. */
void bv_pool_enter(struct bv_pool *pool);
void bv_pool_leave(struct bv_pool *pool);

/* The job that calls this is about to wait for something that may never come,
 * or that other jobs bring about. Until it calls bv_pool_resume its thread is
 * not counted, so that another may be made, and bv_pool_drain does not wait
 * for it. False: no thread would be left for the other jobs, or this is none
 * of the pool's: the job must not wait. */
bool bv_pool_pause(void);
void bv_pool_resume(void);

/* Waits until no job is left; where others keep submitting, at least for as
 * many as there were, and two seconds more. Not from a job. */
void bv_pool_drain(struct bv_pool *pool);

/* In the child after fork: the threads are not there, and what was queued is
 * the parent's to do. */
void bv_pool_forked(struct bv_pool *pool);

#endif
