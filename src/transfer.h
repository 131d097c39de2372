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
	struct bv_hold position;     /* held when the position is used */
	struct bv_hold range;
};

/* This process works on the pair: counted once. */
void bv_transfer_count(struct bv_disk *disk);

/* Copies the segments in, finds the total and where it begins, and takes the
 * position when it is to be used. Returns 0 or a negative errno; either way
 * bv_transfer_end follows. */
int bv_transfer_begin(struct bv_transfer *t, struct bv_disk *disk,
		      const struct bv_request *request, bool writes);

/* The range cannot be had (see bv_inflight_take): a signal handler in the
 * one case in which waiting would never end. Says so; -EAGAIN. */
int bv_transfer_stuck(struct bv_disk *disk, const char *call);

/* Moves the position by result when it was used, and gives all back. */
ssize_t bv_transfer_end(struct bv_transfer *t, ssize_t result);

/* The target's own call on n bytes of t->bytes at offset. The result, or a
 * negative errno. */
ssize_t bv_transfer_read(struct bv_transfer *t, size_t n, uint64_t offset);
ssize_t bv_transfer_write(struct bv_transfer *t, size_t n, uint64_t offset);

#endif
