/* queue: transfers that the kernel has in flight, and nobody waits for.
 *
 * A program that submits thirty-two O_DIRECT requests at a time wants them on
 * the device together; a few threads that block in one each are in its way.
 * So the target's own part goes to a context of Linux AIO that is ours, into
 * private memory, and a thread compares or mirrors what comes back. Such a
 * context needs no descriptor that the program could close, does not exist in
 * a child after fork, and is there where io_uring is forbidden.
 *
 * Only what begins without waiting goes this way (RWF_NOWAIT): no other
 * operation has the range, nothing in it has to be learnt, the length stays.
 * All else is for those who wait. What comes back with an error, short, or
 * wrong, or whose shadow is slow, is finished by threads of its own, that wait
 * for nothing else: those of bv_requests may be waiting for its range.
 */
#ifndef BLKVERIFY_QUEUE_H
#define BLKVERIFY_QUEUE_H

#include <stdbool.h>
#include <sys/types.h>

#include <blkverify/flight.h>
#include <blkverify/pool.h>
#include <blkverify/verify.h>

/* Transfers that are handed to the kernel together. Zero: none. */
#define BV_BATCH 32
struct bv_batch {
	unsigned count;
	struct bv_flight *flights[BV_BATCH];
};

/* From now on there may be some. Not where bv_target is reached by anything
 * but libc: a library that is to see its calls would not. Start only. */
void bv_queue_start(void);

/* A read or write on a target; without O_DIRECT, a read. True: done is called with
 * its result, as bv_read or bv_write would give it, on a thread of ours or one
 * that helps; iov must stay until then. False: nothing was begun. Signals are
 * blocked from before this until after bv_queue_submit. job is the caller's. */
bool bv_queue_add(struct bv_batch *batch, struct bv_disk *disk,
		  const struct bv_request *request, bool writes,
		  struct bv_job *job,
		  void (*done)(struct bv_job *job, ssize_t result));
void bv_queue_submit(struct bv_batch *batch);

/* For tests: nanoseconds of a comparison from which on it pays to wake another
 * thread for it, and how many were carried out without one. */
extern uint32_t bv_queue_slow;
extern _Atomic uint64_t bv_queue_passed;

/* In the child after fork: what is in flight is the parent's. */
void bv_queue_forked(void);

#endif
