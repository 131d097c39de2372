/* write: the mirrored write; see include/blkverify/verify.h. */
#include <errno.h>
#include <linux/fs.h>

#include <blkverify/disk.h>
#include <blkverify/fdmap.h>
#include <blkverify/history.h>
#include <blkverify/memory.h>
#include <blkverify/policy.h>
#include <blkverify/shadow.h>
#include <blkverify/thread.h>
#include <blkverify/unknown.h>

#include "failure.h"
#include "raw.h"
#include "transfer.h"

/* Linux 6.9; headers of Debian 12 are older. */
#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

/* With O_APPEND the offset given counts for nothing, to pwrite neither (see
 * BUGS in pwrite(2)). The flag belongs to the open description, which another
 * process of the run may share and change; it says so before it does. */
static bool appends(const struct bv_disk *disk, const struct bv_request *request)
{
	int flags;

	/* Block devices look at neither flag. */
	if (disk->block)
		return false;
	if (request->flags & RWF_APPEND)
		return true;
	if (request->flags & RWF_NOAPPEND)
		return false;
	if (bv_fd_never_appends(request->fd, disk))
		return false;
	flags = raw_fcntl(request->fd, F_GETFL, 0);
	return flags >= 0 && flags & O_APPEND;
}

/* Exclusive, and to the end of the file where the write extends it: how long
 * the file is holds only once the range is ours. */
static int take_range(struct bv_transfer *t, bool append)
{
	for (;;) {
		uint64_t size = atomic_load(&t->disk->state->size), now;
		uint64_t start = append ? size : t->offset;
		bool extends = start + t->total > size;
		struct bv_claim claim = {
			.space = BV_SPACE_BYTES, .op = BV_OP_WRITE,
			.exclusive = true,
			.start = start < size ? start : size,
			.end = extends ? BV_TO_END : start + t->total,
			.offset = start, .length = t->total,
		};
		int result = bv_inflight_take(t->disk, &claim, &t->range);

		if (result < 0)
			return result;
		now = atomic_load(&t->disk->state->size);
		if (append ? now == size :
		    extends ? now >= claim.start : claim.end <= now) {
			t->offset = start;
			return 0;
		}
		bv_inflight_drop(&t->range);
	}
}

/* put bytes went where the shadow does not follow: it may not be written, or
 * the number was closed and given to another file while we waited, and nobody
 * knows which of the two has the bytes. */
static int leave_unknown(struct bv_disk *disk, uint64_t offset, uint64_t end)
{
	uint64_t size = atomic_load(&disk->state->size);

	if (end > size && disk->shadow_writable) {
		bv_disk_adopt_length(disk);
	} else if (end > size) {
		/* What the shadow does not have cannot be compared either. */
		offset = offset < size ? offset : size;
		bv_disk_resized(disk, end);
	}
	bv_unknown_add(disk, offset, end, false);
	return 0;
}

/* A handler wrote in between: which of the two came last is not the same on
 * both sides. What the target has now is what there is; where it cannot be
 * read (O_WRONLY), the next read learns it. */
static void resolve_order(struct bv_transfer *t, uint64_t offset, size_t put)
{
	struct bv_disk *disk = t->disk;

	bv_unknown_add(disk, offset, offset + put, false);
	bv_disk_adopt_length(disk);
	do {
		t->doubtful = true;
		if (bv_fd_learn(t->request->fd) != disk ||
		    bv_target.pread(t->request->fd, t->bytes, put,
				    (off64_t)offset) != (ssize_t)put ||
		    bv_shadow_write(disk, t->bytes, put, offset) < 0)
			return;
	} while (bv_inflight_disturbed(&t->range));
	bv_unknown_remove(disk, offset, offset + put);
}

/* put bytes of t->bytes are on the target at offset. Returns 0, or what the
 * call is to fail with. */
static int mirror(struct bv_transfer *t, uint64_t offset, size_t put)
{
	struct bv_disk *disk = t->disk;
	const struct bv_request *request = t->request;
	uint64_t end = offset + put, clock;
	int result;

	if (!disk->shadow_writable ||
	    (!t->late && bv_fd_learn(request->fd) != disk))
		return leave_unknown(disk, offset, end);
	clock = bv_late_clock();
	result = bv_shadow_write(disk, t->bytes, put, offset);
	bv_late_took(bv_late_clock() - clock, put);
	if (end > atomic_load(&disk->state->size))
		bv_disk_resized(disk, end);
	if (result < 0)
		return bv_fail_shadow(disk, BV_OP_WRITE, request->call,
				      request->fd, offset, put, result);
	bv_unknown_remove(disk, offset, end);
	if (bv_inflight_disturbed(&t->range))
		resolve_order(t, offset, put);
	return 0;
}

ssize_t bv_transfer_put(struct bv_transfer *t, size_t n, uint64_t offset)
{
	const struct bv_request *request = t->request;
	ssize_t put = bv_transfer_write(t, n, offset);
	int result;

	t->fails = false;
	if (put < 0 && bv_fail_change(t->disk, BV_OP_WRITE, offset, n, (int)put))
		put = bv_fail_return(t->disk, BV_OP_WRITE, request->call,
				     request->fd, t->offset, t->total, put,
				     (ssize_t)t->total);
	if (put <= 0)
		return put;
	if (t->late) {
		bv_transfer_keep(t, (size_t)put);
		return put;
	}
	result = mirror(t, offset, (size_t)put);
	t->fails = result < 0;
	return t->fails ? result : put;
}

static ssize_t write_pieces(struct bv_transfer *t)
{
	size_t done = 0;

	do {
		size_t n = t->total - done < BV_PIECE ? t->total - done
						      : BV_PIECE;
		size_t had = bv_user_gather(t->bytes, &t->cursor, n);
		uint64_t offset = t->offset + done;
		ssize_t put;

		if (had == 0 && n > 0)
			return done ? (ssize_t)done : -EFAULT;
		put = bv_transfer_put(t, had, offset);
		if (put < 0)
			return done && !t->fails ? (ssize_t)done : put;
		bv_memory_wrote(t->disk, t->bytes, (size_t)put, offset);
		/* A handler's bytes may have got there before ours. */
		t->doubtful |= bv_inflight_is_disturbed(&t->range);
		done += (size_t)put;
		if ((size_t)put < n)
			break;
	} while (done < t->total);
	return (ssize_t)done;
}

/* On a thread of the pool. A signal handler of the caller's that came in between
 * had all of the target's part before or behind it. */
static void finish_late(struct bv_late *late, struct bv_buffer *buffer)
{
	bool disturbed = bv_inflight_disturbed(&late->range);
	struct bv_request request;
	struct bv_transfer t;
	int result = 0;

	bv_transfer_resume(&t, &request, late, buffer);
	for (size_t done = 0; result == 0 && done < late->done; done += BV_PIECE) {
		size_t n = late->done - done < BV_PIECE ? late->done - done
							: BV_PIECE;

		t.bytes = late->bytes + done;
		result = mirror(&t, late->offset + done, n);
		if (result == 0 && disturbed)
			resolve_order(&t, late->offset + done, n);
	}
	if (result < 0)
		bv_late_wrong();
}

/* What lengthens the file, others wait for in any case. */
static bool may_be_late(const struct bv_transfer *t)
{
	return t->disk->shadow_writable &&
	       t->offset + t->total <= atomic_load(&t->disk->state->size);
}

static void account(struct bv_transfer *t, ssize_t result)
{
	if (result >= 0 && t->disk->shadow_writable)
		bv_transfer_done(t->disk, true, (size_t)result);
	t->doubtful |= result < 0 ? bv_policy_is_io_failure((int)-result) :
				    (size_t)result < t->total;
	bv_history_add(t->disk, BV_OP_WRITE, t->offset, t->total, result);
}

static ssize_t write_range(struct bv_transfer *t)
{
	bool append = appends(t->disk, t->request);
	uint64_t done;
	ssize_t result;

	/* The kernel refuses these before it moves a byte. */
	if ((int64_t)t->offset < 0 ||
	    t->total > (uint64_t)INT64_MAX - t->offset)
		return bv_transfer_write(t, t->total, t->offset);
	if (!t->disk->shadow_writable && t->total > 0) {
		result = bv_policy_unverified(t->disk, t->request->call, -EROFS);
		if (result < 0)
			return result;
	}
	if (take_range(t, append) < 0)
		return bv_transfer_stuck(t->disk, t->request->call);
	if (may_be_late(t))
		bv_transfer_begin_late(t, BV_OP_WRITE, finish_late);
	result = write_pieces(t);
	account(t, result);
	done = t->late ? t->late->done : 0;
	if (t->late && !bv_transfer_end_late(t) && done > 0)
		leave_unknown(t->disk, t->offset, t->offset + done);
	return result;
}

ssize_t bv_write(struct bv_disk *disk, const struct bv_request *request)
{
	struct bv_transfer t;
	ssize_t result = bv_transfer_begin(&t, disk, request, true);

	if (result == 0)
		result = write_range(&t);
	result = bv_transfer_end(&t, result);
	if (t.doubtful)
		bv_memory_refresh(disk, request->call, request->fd, t.offset,
				  t.offset + t.total, false);
	return result;
}

/* ---- where the target's part is in flight ---- */

int bv_transfer_try_write(struct bv_transfer *t)
{
	struct bv_disk *disk = t->disk;
	const struct bv_claim claim = {
		.space = BV_SPACE_BYTES, .exclusive = true, .op = BV_OP_WRITE,
		.start = t->offset, .end = t->offset + t->total,
		.offset = t->offset, .length = t->total,
	};

	if (!disk->shadow_writable || appends(disk, t->request))
		return -EAGAIN;
	if (bv_inflight_try(disk, &claim, &t->range) < 0)
		return -EAGAIN;
	/* How long the file is holds only now. */
	if (claim.end <= atomic_load(&disk->state->size))
		return 0;
	bv_inflight_drop(&t->range);
	return -EAGAIN;
}

bool bv_transfer_pass_write(struct bv_transfer *t)
{
	struct bv_disk *disk = t->disk;

	if (bv_memory_any(disk) || bv_fd_learn(t->request->fd) != disk ||
	    bv_shadow_write(disk, t->bytes, t->total, t->offset) < 0)
		return false;
	bv_unknown_remove(disk, t->offset, t->offset + t->total);
	account(t, (ssize_t)t->total);
	return true;
}

/* Its memory may have mappings that have to follow; see bv_write. */
ssize_t bv_transfer_finish_write(struct bv_transfer *t)
{
	ssize_t put = bv_transfer_put(t, t->total, t->offset);

	if (put > 0)
		bv_memory_wrote(t->disk, t->bytes, (size_t)put, t->offset);
	account(t, put);
	return put;
}
