/* failure: what verify.c and change.c do when target or shadow fail. Private
 * to the engine; src/failure.c has the bodies. */
#ifndef BV_FAILURE_H
#define BV_FAILURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <blkverify/op.h>

struct bv_disk;

/* The shadow failed with error (a negative errno) at [offset, offset +
 * length): reported as ours; the range is unknown from now on. Returns -EIO
 * when the call is to fail, else 0. */
int bv_fail_shadow(struct bv_disk *disk, enum bv_op op, const char *call,
		   int fd, uint64_t offset, uint64_t length, int error);

/* The target returned got where the shadow says expected: reported, unless
 * the fd turns out not to be the target. Returns what the call is to return. */
ssize_t bv_fail_return(struct bv_disk *disk, enum bv_op op, const char *call,
		       int fd, uint64_t offset, uint64_t length, ssize_t got,
		       ssize_t expected);

/* A call may have changed the length without success: the shadow follows, but
 * not below offset, where the range held begins and another operation may be
 * at work. */
void bv_follow_length(struct bv_disk *disk, uint64_t offset);

/* The target failed to change [offset, offset + length): what is there now,
 * and how long the file is, has to be learnt. error is the negative errno.
 * The caller holds the range. Returns true when the failure is to be
 * reported (bv_fail_return), false when it is the call's own affair. */
bool bv_fail_change(struct bv_disk *disk, enum bv_op op, uint64_t offset,
		    uint64_t length, int error);

#endif
