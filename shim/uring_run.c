/* uring_run: requests taken over are carried out; see uring.h. */
#include <limits.h>

#include <blkverify/fdmap.h>
#include <blkverify/memory.h>
#include <blkverify/policy.h>
#include <blkverify/verify.h>

#include "../src/raw.h"
#include "guard.h"
#include "ops.h"
#include "uring.h"

static int64_t transfer(struct bv_taken *t, bool reads)
{
	const struct io_uring_sqe *sqe = &t->sqe;
	struct bv_request request = {
		.call = BV_URING, .fd = bv_taken_fd(t),
		.iov = t->iov, .count = (int)t->count,
		.position = sqe->off == UINT64_MAX,
		.offset = (int64_t)sqe->off, .flags = sqe->rw_flags,
	};

	return reads ? bv_read(t->disk, &request) : bv_write(t->disk, &request);
}

static int64_t kernel_result(int result)
{
	return result < 0 ? -errno : result;
}

static int64_t flush(struct bv_taken *t)
{
	bool data = t->sqe.fsync_flags & IORING_FSYNC_DATASYNC;

	if (t->sqe.fsync_flags & ~IORING_FSYNC_DATASYNC)
		return -EINVAL;
	return kernel_result(op_sync(t->disk, BV_URING, bv_taken_fd(t),
				     data ? real_fdatasync : real_fsync));
}

static int64_t close_file(struct bv_taken *t)
{
	unsigned fd = (unsigned)t->fd;
	int result;

	/* Those begun before have the file, whatever becomes of its number. */
	bv_taken_settle(fd, fd, t);
	bv_files_closing(fd, fd);
	if (bv_memory_idle())
		bv_memory_closing(t->disk);
	result = raw_close((int)fd);
	bv_fd_forget((int)fd);
	return result;
}

/* The number may mean another file by now, if the program closed it where
 * nobody saw it. */
static bool is_gone(struct bv_taken *t)
{
	if (t->held || bv_fd_learn(t->fd) == t->disk)
		return false;
	bv_policy_unverified(t->disk, BV_URING " on a descriptor closed early",
			     -EBADF);
	return true;
}

static int64_t perform(struct bv_taken *t)
{
	const struct io_uring_sqe *sqe = &t->sqe;

	if (t->over)
		return t->result;
	if (!t->disk)
		return 0;
	if (is_gone(t))
		return -EBADF;
	switch (sqe->opcode) {
	case IORING_OP_READ: case IORING_OP_READV: case IORING_OP_READ_FIXED:
	case BV_OP_READV_FIXED:
		return transfer(t, true);
	case IORING_OP_WRITE: case IORING_OP_WRITEV: case IORING_OP_WRITE_FIXED:
	case BV_OP_WRITEV_FIXED:
		return transfer(t, false);
	case IORING_OP_FSYNC:
		return flush(t);
	case IORING_OP_SYNC_FILE_RANGE:
		return kernel_result(op_sync_file_range(
			t->disk, BV_URING, bv_taken_fd(t), (off64_t)sqe->off,
			sqe->len, sqe->sync_range_flags));
	case IORING_OP_FALLOCATE:
		return kernel_result(op_fallocate(
			t->disk, BV_URING, bv_taken_fd(t), (int)sqe->len,
			(off64_t)sqe->off, (off64_t)sqe->addr));
	case BV_OP_FTRUNCATE:
		return kernel_result(op_ftruncate(t->disk, BV_URING,
						  bv_taken_fd(t),
						  (off64_t)sqe->off));
	default:
		return close_file(t);
	}
}

/* A short transfer counts as failed, as the kernel has it (io_rw_done). */
static bool failed(const struct bv_taken *t, int64_t result)
{
	size_t wanted = 0;

	if (result < 0)
		return true;
	if (t->over || !t->disk || t->count == 0)
		return false;
	for (unsigned i = 0; i < t->count; i++)
		wanted += t->iov[i].iov_len;
	if (wanted > INT_MAX)
		wanted = (size_t)INT_MAX & ~(size_t)4095;
	return (size_t)result != wanted;
}

/* What becomes of the rest of a chain. */
enum fate { GOES_ON, BROKEN, BROKEN_SILENTLY };

/* A timeout for the request before it, which is over by now. It takes no
 * part in what becomes of the chain. */
static bool is_timeout(const struct bv_taken *t)
{
	return !t->disk && !t->over && t->sqe.opcode == IORING_OP_LINK_TIMEOUT;
}

static enum fate end_one(struct bv_taken *t, int64_t result, enum fate fate)
{
	bool says = !(t->sqe.flags & IOSQE_CQE_SKIP_SUCCESS), bad;

	if (fate != GOES_ON) {
		says = fate == BROKEN;
	} else if (!is_timeout(t)) {
		bad = failed(t, result);
		if (bad && !(t->sqe.flags & IOSQE_IO_HARDLINK))
			fate = says ? BROKEN : BROKEN_SILENTLY;
		/* One that failed is never silent. */
		says |= bad;
	}
	bv_taken_finished(t);
	if (says)
		bv_post(t->ring, t->sqe.user_data, (int)result);
	return fate;
}

static void end_ring(struct bv_uring *ring, uint32_t count)
{
	if (atomic_fetch_sub(&ring->inflight, count) == count)
		raw_futex_wake(&ring->inflight, INT32_MAX);
}

static void run(struct bv_job *job)
{
	struct bv_taken *t = (struct bv_taken *)job;
	struct bv_uring *ring = t->ring;
	enum fate fate = GOES_ON;
	uint32_t count = 0;

	while (t) {
		struct bv_taken *next = t->next;

		fate = end_one(t, fate == GOES_ON && !is_timeout(t) ?
					  perform(t) : -ECANCELED, fate);
		bv_taken_put(t);
		t = next;
		count++;
	}
	end_ring(ring, count);
}

void bv_chain_start(struct bv_taken *head)
{
	struct bv_guard guard;

	head->job.run = run;
	if (bv_pool_submit(&head->job) == 0)
		return;
	/* There is no thread to be had: then it is done here. */
	guard.error = errno;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &guard.cancel);
	run(&head->job);
	bv_guard_leave(&guard, 0);
}
