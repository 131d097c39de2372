/* late: the shadow's part of operations whose callers have gone on
 * (BLKVERIFY_MODE=pool).
 *
 * The caller keeps what concerns the target: its call, its result, and the
 * range, which goes with the operation and is given back when the shadow is
 * done. So overlapping operations wait by themselves, and order needs no
 * queue. What was read, or written, is copied and kept until then; all copies
 * together are bounded (BLKVERIFY_QUEUE), and who finds no room waits.
 *
 * Handing over costs a few microseconds. As long as the shadow answers faster
 * than that and nobody waits for it, the caller does it himself.
 */
#ifndef BLKVERIFY_LATE_H
#define BLKVERIFY_LATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <blkverify/config.h>
#include <blkverify/inflight.h>
#include <blkverify/op.h>
#include <blkverify/pool.h>

struct bv_buffer;
struct bv_late;

/* Does the shadow's part of it, on a thread of the pool. */
typedef void bv_late_finish(struct bv_late *late, struct bv_buffer *buffer);

/* One operation. Filled by its caller up to bv_late_submit; then late.c's. */
struct bv_late {
	struct bv_job job;
	struct bv_hold range;
	enum bv_op op;               /* READ or WRITE */
	const char *call;
	int fd;                      /* was the target when it was used */
	int tid;                     /* who asked */
	uint64_t time;               /* when: nanoseconds since 1970 */
	uint64_t offset;             /* bytes: where the request begins, */
	uint64_t length;             /* and all of it; bv_late_begin's */
	size_t done;                 /* bytes kept so far, from offset on */
	unsigned char *bytes;        /* room for length */
	bv_late_finish *finish;

	_Atomic uint64_t sequence;   /* 1, 2, ...; 0: not handed over */
	atomic_bool told;            /* it was found wrong, and the process ends
	                                by it */
	unsigned index;
};

/* Is anything late at all? One load. */
extern _Atomic uint32_t bv_late_pending;

/* For tests: hand over whatever can be, however fast the shadow is. */
extern bool bv_late_always;

/* Reserves room. Returns 0 or a negative errno; sync mode: 0. Start only. */
int bv_late_start(const struct bv_config *config);

/* Room for an operation of that many bytes, or NULL: it is to be done at once.
 * While the queue is full, waits as long as something is under way. The caller
 * holds the range exclusively where it writes, and gives it away with
 * bv_late_submit. Async-signal-safe but for the first time. */
struct bv_late *bv_late_begin(const struct bv_hold *range, uint64_t length);

/* Nothing came of it: the range stays the caller's. */
void bv_late_cancel(struct bv_late *late);

/* Hands it over, range included. False: the range is not the caller's any more;
 * late is still his. */
bool bv_late_submit(struct bv_late *late, struct bv_hold *range);

/* The calling thread left an operation by a longjmp: gives its room back. */
void bv_late_abandon(void);

/* A barrier: waits until what was handed over before is done, on all pairs.
 * Returns 0, or -EIO when something of it was found wrong since the last one
 * and the program is to be told by errors (BLKVERIFY_ON_MISMATCH=eio). */
int bv_late_drain(void);

/* The same for a caller that cannot pass an error on: it stays for the next. */
void bv_late_settle(void);

/* The process ends: the same, and nothing is late any more. libc flushes its
 * streams after the last destructor, and then nobody waits. */
void bv_late_end(void);

/* One that was handed over was found wrong, and the next barrier is to fail. */
void bv_late_wrong(void);

/* The process is about to end by what the calling thread has found. If that is
 * one of the pool's, another takes its place, as a handler of SIGABRT may call
 * exit, which waits for all others; and the others get a while, so that the
 * shadow has what the target has when somebody comes to look. */
void bv_late_dies(void);

/* The shadow's part, of n bytes, took so many nanoseconds by this clock. It
 * stands still where nothing is ever late. */
uint64_t bv_late_clock(void);
void bv_late_took(uint64_t nanoseconds, size_t n);

/* In the child after fork: what is under way is the parent's. */
void bv_late_forked(void);

#endif
