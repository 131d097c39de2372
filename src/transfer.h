/* transfer: the program's memory and the target's call, as verify.c and
 * write.c use them. Private to the engine. */
#ifndef BV_TRANSFER_H
#define BV_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <blkverify/buffer.h>
#include <blkverify/inflight.h>
#include <blkverify/late.h>
#include <blkverify/usermem.h>
#include <blkverify/verify.h>

/* Most bytes one call moves: MAX_RW_COUNT of Linux. */
#define BV_TRANSFER_MOST 0x7ffff000u

struct bv_transfer {
	struct bv_disk *disk;
	const struct bv_request *request;
	struct bv_buffer *buffer;
	unsigned char *bytes;        /* the target's, in buffer */
	struct bv_cursor cursor;     /* in the program's memory */
	uint64_t offset;             /* bytes: where it begins */
	size_t total;                /* bytes asked for, clamped */
	bool fails;                  /* a report has the call fail, whatever
	                                was done before */
	bool doubtful;               /* the memory of mappings may not have
	                                what the target has */
	struct bv_hold position;     /* held when the position is used */
	struct bv_hold range;
	bool answered;               /* the target's own call was made already,
	                                and came to answer */
	ssize_t answer;
	struct bv_late *late;        /* where the shadow's part is left to the
	                                pool, or is carried out by it */
};

/* Copies the segments in, finds the total and where it begins, and takes the
 * position when it is to be used. Returns 0 or a negative errno; either way
 * bv_transfer_end follows. */
int bv_transfer_begin(struct bv_transfer *t, struct bv_disk *disk,
		      const struct bv_request *request, bool writes);

/* The range cannot be had (see bv_inflight_take): a signal handler in the
 * one case in which waiting would never end. Says so; -EAGAIN. */
int bv_transfer_stuck(struct bv_disk *disk, const char *call);

/* What a read came to on a descriptor that was wrongly guessed to be the target:
 * neither a count nor an errno. */
#define BV_ASTRAY (-4097)

/* Was it? Asks the kernel, where there was a guess. */
bool bv_transfer_is_astray(const struct bv_transfer *t);

/* The program's call as it made it. Returns the count or a negative errno. */
ssize_t bv_transfer_pass(const struct bv_request *request, bool writes);

/* Moves the position by result when it was used, and gives all back. */
ssize_t bv_transfer_end(struct bv_transfer *t, ssize_t result);

/* One piece, at most BV_PIECE bytes at offset, of a range that is held: read
 * into t->bytes and compared, or learnt. Returns the count for the program, or
 * a negative errno. src/verify.c has it. */
ssize_t bv_transfer_verify(struct bv_transfer *t, size_t n, uint64_t offset);

/* One piece of t->bytes, at most BV_PIECE bytes, to target and shadow, in a
 * range that is held exclusively. Likewise; src/write.c. */
ssize_t bv_transfer_put(struct bv_transfer *t, size_t n, uint64_t offset);

/* ---- transfers of one piece whose target's part is in flight (queue.c) ---- */

/* Takes the range, if that needs no waiting and nothing in it is to be learnt,
 * or lengthened. Returns 0 or -EAGAIN. */
int bv_transfer_try_read(struct bv_transfer *t);
int bv_transfer_try_write(struct bv_transfer *t);

/* All of t->bytes came from the target, or went there. Does the rest, if
 * nothing is wrong and nobody is to be waited for but the shadow. False:
 * nothing was done. */
bool bv_transfer_pass_read(struct bv_transfer *t, ssize_t *result);
bool bv_transfer_pass_write(struct bv_transfer *t);

/* The rest, whatever it is. */
ssize_t bv_transfer_finish_read(struct bv_transfer *t);
ssize_t bv_transfer_finish_write(struct bv_transfer *t);

/* May the shadow's part be left to the pool? Then t->late is there to be
 * filled. t has its range. */
void bv_transfer_begin_late(struct bv_transfer *t, enum bv_op op,
			    bv_late_finish *finish);

/* n more bytes of t->bytes are the target's, or were written to it. */
void bv_transfer_keep(struct bv_transfer *t, size_t n);

/* The target's part is over: what was kept goes to the pool, with the range.
 * False: it goes nowhere, and the range stays t's, as there is nothing, or the
 * descriptor is not the target any more, or the range was lost to a longjmp
 * (bv_inflight_give). */
bool bv_transfer_end_late(struct bv_transfer *t);

/* On the pool's side: t as its caller had it, with another buffer. */
void bv_transfer_resume(struct bv_transfer *t, struct bv_request *request,
			struct bv_late *late, struct bv_buffer *buffer);

/* A read or write of n bytes was done: counted for the process and the run. */
void bv_transfer_done(struct bv_disk *disk, bool writes, size_t n);

/* The target's own call on n bytes of t->bytes at offset. The result, or a
 * negative errno. */
ssize_t bv_transfer_read(struct bv_transfer *t, size_t n, uint64_t offset);
ssize_t bv_transfer_write(struct bv_transfer *t, size_t n, uint64_t offset);

#endif
