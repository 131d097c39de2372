/* verify: the verified read; see include/blkverify/verify.h. */
#include <errno.h>
#include <linux/fs.h>
#include <sched.h>
#include <string.h>

#include <blkverify/compare.h>
#include <blkverify/disk.h>
#include <blkverify/fdmap.h>
#include <blkverify/history.h>
#include <blkverify/memory.h>
#include <blkverify/policy.h>
#include <blkverify/shadow.h>
#include <blkverify/unknown.h>

#include "failure.h"
#include "lock.h"
#include "raw.h"
#include "transfer.h"

/* What comparing one piece came to, where it is not a count or an errno. */
#define AGAIN (-4096)        /* a signal handler came in between */
#define NOT_OURS BV_ASTRAY   /* the descriptor is not the target any more */

static uint64_t should_return(const struct bv_disk *disk, uint64_t offset,
			      uint64_t n)
{
	uint64_t size = atomic_load_explicit(&disk->state->size,
					     memory_order_acquire);

	if (offset >= size)
		return 0;
	return n < size - offset ? n : size - offset;
}

/* Who reads once more has it. */
static _Atomic uint32_t looking;

/* Reads target and shadow once more around the first difference, under the
 * same hold, to tell a cable from a platter. The bytes are static, under a
 * lock of their own. Only [start, end) is ours to judge. */
static enum bv_persistence look_again(struct bv_transfer *t, uint64_t start,
				      uint64_t end, uint64_t difference)
{
	enum { WINDOW = 4096 };
	static _Alignas(4096) unsigned char target[WINDOW], shadow[WINDOW];
	uint64_t window = difference & ~(uint64_t)(WINDOW - 1);
	enum bv_persistence result = BV_UNTOLD;
	raw_sigset mask = lock_take(&looking);
	ssize_t got;

	got = bv_target.pread(t->request->fd, target, WINDOW, (off64_t)window);
	if (start < window)
		start = window;
	if (got > 0 && end > window + (uint64_t)got)
		end = window + (uint64_t)got;
	if (got > 0 && end > start &&
	    bv_shadow_read(t->disk, shadow, end - start, start) == 0)
		result = bv_compare_first(target + (start - window), shadow,
					  end - start) < end - start ?
				 BV_LASTING : BV_TRANSIENT;
	lock_give(&looking, mask);
	return result;
}

void bv_verify_forked(void)
{
	atomic_store(&looking, 0);
}

/* Did a signal handler of the caller's come in between? One that did is over
 * when the pool has the operation, and the answer holds for all of it. */
static bool is_disturbed(struct bv_transfer *t)
{
	return t->late ? bv_inflight_is_disturbed(&t->range)
		       : bv_inflight_disturbed(&t->range);
}

/* The part of the shadow that differs at first begins the buffer: it goes to its
 * place in the piece, for the report, and the rest comes around it. */
static int complete(struct bv_transfer *t, size_t n, uint64_t start, size_t first)
{
	unsigned char *shadow = t->buffer->shadow;
	size_t part = first - first % BV_PART, end = part + BV_PART;
	int result;

	memmove(shadow + part, shadow, end < n ? BV_PART : n - part);
	result = bv_shadow_read(t->disk, shadow, part, start);
	if (result < 0 || end >= n)
		return result;
	return bv_shadow_read(t->disk, shadow + end, n - end, start + end);
}

/* n bytes of the target, at actual, against the shadow at start, part by part.
 * Returns where they differ, and the shadow's bytes are in the buffer; or n, or a
 * negative errno, the shadow's. */
static ssize_t find_difference(struct bv_transfer *t, const unsigned char *actual,
			       size_t n, uint64_t start)
{
	unsigned char *shadow = t->buffer->shadow;
	size_t at = 0, part, same;
	uint64_t took = 0, clock;
	int result;

	do {
		part = n - at < BV_PART ? n - at : BV_PART;
		clock = bv_late_clock();
		result = bv_shadow_read(t->disk, shadow, part, start + at);
		took += bv_late_clock() - clock;
		if (result < 0)
			return result;
		same = bv_compare_first(actual + at, shadow, part);
		at += same;
	} while (same == part && at < n);
	bv_late_took(took, n);
	if (at < n)
		result = complete(t, n, start, at);
	return result < 0 ? result : (ssize_t)at;
}

/* [start, end) of the target, at actual, against the shadow. Returns 0, a
 * negative errno for the program, AGAIN or NOT_OURS. */
static int compare_known(struct bv_transfer *t, const unsigned char *actual,
			 uint64_t start, uint64_t end)
{
	const struct bv_request *request = t->request;
	size_t n = end - start;
	struct bv_mismatch m;
	ssize_t first;
	bool ours;

	if (n == 0)
		return 0;
	first = find_difference(t, actual, n, start);
	if (first < 0)
		return bv_fail_shadow(t->disk, BV_OP_READ, request->call,
				      request->fd, start, n, (int)first);
	if ((size_t)first == n)
		return 0;
	if (is_disturbed(t))
		return AGAIN;
	/* A signal handler inside a write of its own thread: which of the two
	 * sides that has reached cannot be known. */
	if (t->range.nested)
		return 0;
	ours = bv_fd_learn(request->fd) == t->disk;
	if (!ours && !t->late)
		return NOT_OURS;
	if (!bv_shadow_is_there(t->disk))
		return bv_fail_shadow(t->disk, BV_OP_READ, request->call,
				      request->fd, start, n, -EBADF);
	m = (struct bv_mismatch){
		.difference = BV_DIFFERENCE_CONTENTS, .op = BV_OP_READ,
		.call = request->call, .fd = request->fd,
		.offset = t->offset, .length = t->total,
		.actual = actual, .should = t->buffer->shadow,
		.data_offset = start, .data_length = n,
		.persistence = ours ? look_again(t, start, end,
						  start + (size_t)first) :
				      BV_UNTOLD,
	};
	return bv_policy_mismatch(t->disk, &m);
}

/* The contents of an unknown extent become what the target says they are.
 * Returns as compare_known does. */
static int learn(struct bv_transfer *t, const unsigned char *actual,
		 const struct bv_extent *e)
{
	int result;

	if (e->lasting || !t->disk->shadow_writable)
		return 0;
	/* Not from an innocent file that has the number by now. */
	if (!t->late && bv_fd_learn(t->request->fd) != t->disk)
		return NOT_OURS;
	if (t->late && is_disturbed(t))
		return AGAIN;
	result = bv_shadow_write(t->disk, actual, e->end - e->start, e->start);
	if (result < 0)
		return bv_fail_shadow(t->disk, BV_OP_READ, t->request->call,
				      t->request->fd, e->start,
				      e->end - e->start, result);
	/* A handler may have written both sides since the target was read. */
	if (bv_inflight_disturbed(&t->range)) {
		bv_unknown_add(t->disk, e->start, e->end, false);
		return AGAIN;
	}
	bv_unknown_remove(t->disk, e->start, e->end);
	if (!bv_inflight_disturbed(&t->range))
		return 0;
	/* A handler wrote after we had read: what we learnt is not so. */
	bv_unknown_add(t->disk, e->start, e->end, false);
	return AGAIN;
}

/* n bytes of the target at offset, in t->bytes: what is known is compared,
 * the rest learnt. */
static int compare_piece(struct bv_transfer *t, uint64_t offset, size_t n)
{
	const unsigned char *actual = t->bytes;
	uint64_t at = offset, end = offset + n;
	struct bv_extent e;
	int result = 0;

	while (at < end && result == 0 && bv_unknown_any(t->disk) &&
	       bv_unknown_next(t->disk, at, end, &e)) {
		result = compare_known(t, actual + (at - offset), at, e.start);
		if (result == 0)
			result = learn(t, actual + (e.start - offset), &e);
		at = e.end;
	}
	if (at < end && result == 0)
		result = compare_known(t, actual + (at - offset), at, end);
	return result;
}

/* A read may be short for reasons of its own (a signal, RWF_NOWAIT): asking
 * once more, for all of it and without flags, tells that from an end of file
 * that should not be there. From its beginning, for the sake of O_DIRECT. */
static bool ends_early(struct bv_transfer *t, size_t n, uint64_t offset,
		       ssize_t *got, ssize_t expected)
{
	ssize_t again;

	if (*got < 0 || *got >= expected)
		return false;
	again = bv_target.pread(t->request->fd, t->bytes, n, (off64_t)offset);
	if (again < 0)
		return false;
	*got = again;
	return again < expected;
}

/* The target's answer where it is not what the shadow would give. */
static ssize_t odd_return(struct bv_transfer *t, uint64_t offset, size_t n,
			  ssize_t got, ssize_t expected)
{
	const struct bv_request *request = t->request;
	ssize_t total = got, result;

	if (got < 0) {
		if (!bv_policy_is_io_failure((int)-got))
			return got;
		/* Past the end of a device or a served image. */
		if (expected == 0 && t->disk->fixed)
			return got;
		bv_policy_count_error(t->disk);
		if (bv_policy_unserved(t->disk))
			return got;
		if (!bv_policy_reports_errors(t->disk)) {
			bv_unknown_add(t->disk, offset, offset + n, false);
			return got;
		}
	}
	/* In terms of the request, not of the piece that it was cut into. */
	if (got >= 0)
		total = (ssize_t)(offset - t->offset) + got;
	result = bv_fail_return(t->disk, BV_OP_READ, request->call, request->fd,
				t->offset, t->total, total,
				(ssize_t)should_return(t->disk, t->offset,
						       t->total));
	t->fails = got >= 0 && result < 0;
	return result < 0 ? result : got;
}

/* The whole piece, if the target has it at hand. */
static ssize_t read_at_once(struct bv_transfer *t, size_t n, uint64_t offset)
{
	struct iovec iov = { t->bytes, n };
	ssize_t got = bv_target.preadv2(t->request->fd, &iov, 1,
					(off64_t)offset, RWF_NOWAIT);

	return got == (ssize_t)n ? got : -EAGAIN;
}

ssize_t bv_transfer_verify(struct bv_transfer *t, size_t n, uint64_t offset)
{
	bool at_once = t->request->at_once;
	ssize_t got, expected, known;
	bool ended;
	int result;

	do {
		bv_inflight_disturbed(&t->range);
		expected = (ssize_t)should_return(t->disk, offset, n);
		got = at_once ? read_at_once(t, n, offset) :
				bv_transfer_read(t, n, offset);
		if (at_once && got < 0)
			return got;
		if (got != expected && bv_transfer_is_astray(t))
			return BV_ASTRAY;
		ended = ends_early(t, n, offset, &got, expected);
		if (got < 0 || got > expected || ended) {
			result = AGAIN;
			if (bv_inflight_disturbed(&t->range))
				continue;
			got = odd_return(t, offset, n, got, expected);
			if (got < 0)
				return got;
		}
		known = got < expected ? got : expected;
		result = 0;
		if (!t->late)
			result = compare_piece(t, offset, (size_t)known);
		else if (bv_inflight_disturbed(&t->range))
			result = AGAIN;
		else
			bv_transfer_keep(t, (size_t)known);
	} while (result == AGAIN);
	if (result == NOT_OURS && !t->request->guessed)
		return got;
	t->fails = result < 0;
	return result < 0 ? result : got;
}

/* Shared, unless something in the range has to be learnt. */
static int take_range(struct bv_transfer *t)
{
	struct bv_claim claim = {
		.space = BV_SPACE_BYTES, .op = BV_OP_READ,
		.start = t->offset, .end = t->offset + t->total,
		.offset = t->offset, .length = t->total,
	};
	bool at_once = t->request->at_once;
	struct bv_extent e;
	int result = at_once ? bv_inflight_try(t->disk, &claim, &t->range) :
			       bv_inflight_take(t->disk, &claim, &t->range);

	if (result < 0 || !bv_unknown_any(t->disk) ||
	    !bv_unknown_next(t->disk, claim.start, claim.end, &e))
		return result;
	if (at_once)
		return -EAGAIN;
	bv_inflight_drop(&t->range);
	claim.exclusive = true;
	return bv_inflight_take(t->disk, &claim, &t->range);
}

static ssize_t read_pieces(struct bv_transfer *t)
{
	size_t done = 0;

	do {
		size_t n = t->total - done < BV_PIECE ? t->total - done
						      : BV_PIECE;
		uint64_t offset = t->offset + done;
		ssize_t got = bv_transfer_verify(t, n, offset);
		size_t given;

		if (got == -EAGAIN && t->request->at_once)
			return got;
		if (bv_memory_any(t->disk) && bv_transfer_is_astray(t))
			got = BV_ASTRAY;
		if (got < 0)
			return done && got != BV_ASTRAY && !t->fails ?
				       (ssize_t)done : got;
		if (bv_memory_any(t->disk))
			bv_memory_overlay(t->disk, t->bytes, (size_t)got, offset);
		given = bv_user_scatter(&t->cursor, t->bytes, (size_t)got);
		done += given;
		if (given < (size_t)got)
			return done ? (ssize_t)done : -EFAULT;
		if ((size_t)got < n)
			break;
	} while (done < t->total);
	return (ssize_t)done;
}

/* On a thread of the pool. What a signal handler of the caller's has changed
 * since it was read, differs, and was verified by the handler itself. */
static void finish_late(struct bv_late *late, struct bv_buffer *buffer)
{
	struct bv_request request;
	struct bv_transfer t;
	int result = 0;

	bv_transfer_resume(&t, &request, late, buffer);
	for (size_t done = 0; done < late->done; done += BV_PIECE) {
		size_t n = late->done - done < BV_PIECE ? late->done - done
							: BV_PIECE;

		t.bytes = late->bytes + done;
		result = compare_piece(&t, late->offset + done, n);
		if (result < 0 && result != AGAIN)
			break;
	}
	if (result < 0 && result != AGAIN)
		bv_late_wrong();
}

static void account(const struct bv_transfer *t, ssize_t result)
{
	if (result >= 0)
		bv_transfer_done(t->disk, false, (size_t)result);
	if (result != BV_ASTRAY && (result != -EAGAIN || !t->request->at_once))
		bv_history_add(t->disk, BV_OP_READ, t->offset, t->total, result);
}

static ssize_t read_range(struct bv_transfer *t)
{
	ssize_t result;

	/* The kernel refuses these before it moves a byte. */
	if ((int64_t)t->offset < 0 ||
	    t->total > (uint64_t)INT64_MAX - t->offset)
		return bv_transfer_read(t, t->total, t->offset);
	result = take_range(t);
	if (result < 0)
		return t->request->at_once ? result :
		       bv_transfer_is_astray(t) ? BV_ASTRAY :
		       bv_transfer_stuck(t->disk, t->request->call);
	if (!bv_policy_fails_calls())
		bv_transfer_begin_late(t, BV_OP_READ, finish_late);
	result = read_pieces(t);
	if (t->late && !bv_transfer_end_late(t)) {
		if (bv_transfer_is_astray(t))
			result = BV_ASTRAY;
		else if (result > 0)
			bv_policy_count_unverified(t->disk);
	}
	account(t, result);
	return result;
}

static ssize_t read_as_target(struct bv_disk *disk,
			      const struct bv_request *request)
{
	struct bv_transfer t;
	ssize_t result = bv_transfer_begin(&t, disk, request, false);

	if (result == 0)
		result = read_range(&t);
	return bv_transfer_end(&t, result);
}

ssize_t bv_read(struct bv_disk *disk, const struct bv_request *request)
{
	while (disk) {
		ssize_t result = read_as_target(disk, request);

		if (result != BV_ASTRAY)
			return result;
		disk = bv_fd_learn(request->fd);
	}
	return bv_transfer_pass(request, false);
}

/* ---- where the target's part is in flight ---- */

int bv_transfer_try_read(struct bv_transfer *t)
{
	const struct bv_claim claim = {
		.space = BV_SPACE_BYTES, .op = BV_OP_READ,
		.start = t->offset, .end = t->offset + t->total,
		.offset = t->offset, .length = t->total,
	};

	return bv_unknown_any(t->disk) ?
		       -EAGAIN : bv_inflight_try(t->disk, &claim, &t->range);
}

bool bv_transfer_pass_read(struct bv_transfer *t, ssize_t *result)
{
	struct bv_disk *disk = t->disk;
	size_t n = t->total, given;

	if (bv_unknown_any(disk) || bv_memory_any(disk) ||
	    should_return(disk, t->offset, n) != n ||
	    find_difference(t, t->bytes, n, t->offset) != (ssize_t)n)
		return false;
	given = bv_user_scatter(&t->cursor, t->bytes, n);
	*result = given ? (ssize_t)given : -EFAULT;
	account(t, *result);
	return true;
}

ssize_t bv_transfer_finish_read(struct bv_transfer *t)
{
	ssize_t result = read_pieces(t);

	account(t, result);
	return result;
}
