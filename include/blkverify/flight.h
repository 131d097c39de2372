/* flight: transfers that the kernel has in flight, in a context of Linux AIO
 * that is ours (queue.h says why).
 *
 * A thread takes what lands. But a program that waits for what it submitted
 * has a thread with nothing to do, which ours would have to wake in any case:
 * it helps. That spares a change of threads a transfer, which with one in
 * flight at a time is most of what there is to spare. While helpers are quick,
 * our thread keeps out of their way, and only looks now and then if something
 * was left.
 */
#ifndef BLKVERIFY_FLIGHT_H
#define BLKVERIFY_FLIGHT_H

#include <linux/aio_abi.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <blkverify/thread.h>

/* Most at a time: /proc/sys/fs/aio-max-nr is for all processes. */
#define BV_FLIGHTS 256u

/* One of them; memory of the caller's until it has landed or was refused. */
struct bv_flight {
	struct iocb cb;              /* what to transfer; the caller fills in
	                                opcode, file, buffer, length, offset
	                                and aio_rw_flags, and zeroes the rest */
	struct bv_flight *next;      /* the rest is flight.c's */
	unsigned bell;
	atomic_bool sent;
};

/* Who hears of each: result is the kernel's, and error why it would not take
 * it. Called on any thread that lands it, all signals blocked there; landed may
 * have begun before bv_flight_submit returns. */
typedef void bv_flight_result(struct bv_flight *flight, ssize_t result);

/* Makes the context and the thread; not again in this process. False: there are
 * none to be had. */
bool bv_flight_make(bv_flight_result *landed, bv_flight_result *refused);

/* The thread; 0: it is not there (yet), and nothing may be submitted. */
int bv_flight_thread(void);

/* It will be submitted by the calling thread. */
void bv_flight_board(struct bv_flight *flight);
void bv_flight_submit(struct bv_flight **flights, unsigned count);

/* In the child after fork: what is in flight is the parent's. */
void bv_flight_forked(void);

/* ---- helping ---- */

/* Has the calling thread ever had something in flight? */
static inline bool bv_flight_concerns(void)
{
	return bv_thread.bell != 0;
}

/* Has it now, and not too much to wait for it itself? */
bool bv_flight_is_awaited(void);

/* A descriptor that can be read when something that the calling thread has in
 * flight has landed, to be waited for beside other things; -1: nothing of its
 * is. One of own.h: it may move. */
int bv_flight_bell(void);

/* Has anything landed that the calling thread had better take? */
bool bv_flight_has_landed(void);

/* Takes what has landed, whoever submitted it, and does not wait. rung: the
 * descriptor could be read. Signals are blocked, and bv_thread.masked. */
void bv_flight_help(bool rung);

/* For tests: how many helpers took. */
extern _Atomic uint64_t bv_flight_helped;

#endif
