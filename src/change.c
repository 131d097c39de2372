/* change: what alters a target without a write; see
 * include/blkverify/verify.h. */
#include <errno.h>

#include <blkverify/disk.h>
#include <blkverify/history.h>
#include <blkverify/inflight.h>
#include <blkverify/late.h>
#include <blkverify/memory.h>
#include <blkverify/policy.h>
#include <blkverify/shadow.h>
#include <blkverify/thread.h>
#include <blkverify/unknown.h>
#include <blkverify/verify.h>

#include "failure.h"
#include "raw.h"
#include "transfer.h"

static uint64_t end_of(const struct bv_change *c)
{
	uint64_t end = c->offset + c->length;

	return end < c->offset ? BV_TO_END : end;
}

static struct bv_claim claim_for(const struct bv_change *c, uint64_t size)
{
	struct bv_claim claim = {
		.space = BV_SPACE_BYTES, .op = c->op, .exclusive = true,
		.start = c->offset, .end = end_of(c),
		.offset = c->offset, .length = c->length,
	};

	if (c->op == BV_OP_RESIZE && !c->grows) {
		claim.start = c->length < size ? c->length : size;
		claim.end = BV_TO_END;
		claim.offset = claim.start;
		claim.length = size - claim.start;
	} else if (c->grows && end_of(c) > size) {
		claim.start = c->offset < size ? c->offset : size;
		claim.end = BV_TO_END;
	}
	return claim;
}

/* How long the file is holds only once the range is ours. */
static int take_range(struct bv_disk *disk, const struct bv_change *c,
		      struct bv_hold *hold)
{
	for (;;) {
		uint64_t size = atomic_load(&disk->state->size);
		struct bv_claim claim = claim_for(c, size);
		int result = bv_inflight_take(disk, &claim, hold);

		if (result < 0)
			return result;
		if (atomic_load(&disk->state->size) == size)
			return 0;
		bv_inflight_drop(hold);
	}
}

static int resize_shadow(struct bv_disk *disk, uint64_t length)
{
	int result = bv_shadow_resize(disk, length);

	bv_disk_resized(disk, length);
	/* What is cut off is gone; what is grown later is zero. */
	bv_unknown_remove(disk, length, BV_TO_END);
	return result;
}

static int zero_shadow(struct bv_disk *disk, const struct bv_change *c)
{
	uint64_t size = atomic_load(&disk->state->size), end = end_of(c);
	int result;

	if (end > size && !c->grows)
		end = size;
	if (end <= c->offset)
		return 0;
	result = bv_shadow_zero(disk, c->offset, end - c->offset);
	if (end > size)
		bv_disk_resized(disk, end);
	if (result == 0)
		bv_unknown_remove(disk, c->offset, end);
	bv_memory_wrote(disk, NULL, end - c->offset, c->offset);
	return result;
}

/* The target has done it: the shadow follows. */
static int follow(struct bv_disk *disk, const struct bv_change *c)
{
	uint64_t size = atomic_load(&disk->state->size);

	switch (c->op) {
	case BV_OP_ZERO:
		return zero_shadow(disk, c);
	case BV_OP_DISCARD:
		bv_unknown_add(disk, c->offset, end_of(c), false);
		return 0;
	default:
		if (!c->grows)
			return resize_shadow(disk, c->length);
		return end_of(c) > size ? resize_shadow(disk, end_of(c)) : 0;
	}
}

static int change_range(struct bv_disk *disk, const struct bv_change *c,
			struct bv_hold *hold)
{
	uint64_t offset = c->offset, length = c->length;
	int result = c->apply(c);

	if (result < 0 && c->op == BV_OP_RESIZE) {
		/* No byte below the shorter length is in question, and none
		 * at all when it only allocates. */
		uint64_t size = atomic_load(&disk->state->size);

		offset = c->grows || length > size ? size : length;
		length = c->grows ? 0 : INT64_MAX - offset;
	}
	if (result < 0 && bv_fail_change(disk, c->op, offset, length, result))
		return (int)bv_fail_return(disk, c->op, c->call, c->fd,
					   c->offset, c->length, result, 0);
	if (result < 0)
		return result;
	result = follow(disk, c);
	if (result < 0)
		result = bv_fail_shadow(disk, c->op, c->call, c->fd, c->offset,
					c->length, result);
	if (bv_inflight_disturbed(hold))
		bv_unknown_add(disk, c->offset, end_of(c), false);
	return result;
}

int bv_change(struct bv_disk *disk, const struct bv_change *c)
{
	struct bv_hold hold;
	int result = 0;

	/* The kernel refuses these before it does anything. */
	if ((int64_t)c->offset < 0 || (int64_t)c->length < 0 ||
	    (c->length == 0 && c->op != BV_OP_RESIZE) ||
	    c->offset + c->length > (uint64_t)INT64_MAX)
		return c->apply(c);
	if (!disk->shadow_writable) {
		result = bv_policy_unverified(disk, c->call, -EROFS);
		return result < 0 ? result : bv_change_blindly(disk, c);
	}
	bv_thread_enter();
	if (take_range(disk, c, &hold) < 0)
		result = bv_transfer_stuck(disk, c->call);
	else
		result = change_range(disk, c, &hold);
	bv_inflight_drop(&hold);
	bv_thread_leave();
	if (result >= 0)
		bv_policy_count_process(disk);
	bv_history_add(disk, c->op, c->offset, c->length, result);
	if (result < 0 || c->op == BV_OP_DISCARD)
		bv_memory_refresh(disk, c->call, c->fd, c->offset, end_of(c),
				  result == 0);
	return result;
}

/* A shadow that cannot follow stays as it is, and what it lacks is unknown. */
static void take_over_length(struct bv_disk *disk)
{
	uint64_t size = atomic_load(&disk->state->size);
	int64_t length = bv_disk_target_size(disk);

	if (length < 0 || (uint64_t)length == size ||
	    (disk->shadow_writable &&
	     bv_shadow_resize(disk, (uint64_t)length) < 0))
		return;
	bv_disk_resized(disk, (uint64_t)length);
	if (!disk->shadow_writable && (uint64_t)length > size)
		bv_unknown_add(disk, size, (uint64_t)length, false);
}

int bv_change_blindly(struct bv_disk *disk, const struct bv_change *c)
{
	struct bv_claim claim = {
		.space = BV_SPACE_BYTES, .op = BV_OP_DISCARD, .exclusive = true,
		.start = 0, .end = BV_TO_END,
		.offset = c->offset, .length = c->length,
	};
	struct bv_hold hold;
	int result;

	bv_thread_enter();
	if (bv_inflight_take(disk, &claim, &hold) < 0) {
		bv_thread_leave();
		return bv_transfer_stuck(disk, c->call);
	}
	result = c->apply(c);
	take_over_length(disk);
	bv_unknown_add(disk, c->offset, end_of(c), false);
	bv_inflight_drop(&hold);
	bv_thread_leave();
	bv_memory_refresh(disk, c->call, c->fd, c->offset, end_of(c), false);
	return result;
}

void bv_change_lasting(struct bv_disk *disk, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length;

	bv_unknown_add(disk, offset, end < offset ? BV_TO_END : end, true);
}

/* Pages that could not be written may have been dropped: anything written since
 * the last flush may have gone back. What was read before that, and is being
 * compared or learnt, comes first. */
static void forget_all(struct bv_disk *disk)
{
	static const struct bv_claim all = {
		.space = BV_SPACE_BYTES, .op = BV_OP_READ, .exclusive = true,
		.start = 0, .end = BV_TO_END,
	};
	struct bv_hold hold;

	bv_thread_enter();
	bv_inflight_take(disk, &all, &hold);
	bv_unknown_add(disk, 0, atomic_load(&disk->state->size), false);
	bv_inflight_drop(&hold);
	bv_thread_leave();
}

int bv_flush(struct bv_disk *disk, const char *call, int fd, int result)
{
	int late = bv_late_drain();

	if (result == 0 || !bv_policy_is_io_failure(-result))
		return result < 0 ? result : late;
	bv_policy_count_error(disk);
	forget_all(disk);
	if (!bv_policy_reports_errors(disk))
		return result;
	return (int)bv_fail_return(disk, BV_OP_FLUSH, call, fd, 0, 0, result, 0);
}
