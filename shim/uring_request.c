/* uring_request: one request on a target is carried out; see uring.h. */
#include <errno.h>
#include <linux/fs.h>

#include <blkverify/buffer.h>
#include <blkverify/fdmap.h>
#include <blkverify/policy.h>
#include <blkverify/verify.h>

#include "guard.h"
#include "ops.h"
#include "uring.h"

static struct bv_request request_of(const struct bv_taken *t)
{
	const struct io_uring_sqe *sqe = &t->sqe;

	return (struct bv_request){
		.call = BV_URING, .fd = bv_taken_fd(t),
		.iov = t->iov, .count = (int)t->count,
		.position = sqe->off == UINT64_MAX,
		.offset = (int64_t)sqe->off, .flags = sqe->rw_flags,
	};
}

static int64_t transfer(struct bv_taken *t, bool reads)
{
	struct bv_request request = request_of(t);

	return reads ? bv_read(t->disk, &request) : bv_write(t->disk, &request);
}

int64_t bv_request_at_once(struct bv_taken *t)
{
	int result = bv_copy_in(t);
	struct bv_request request = request_of(t);

	request.at_once = true;
	if (result < 0)
		return result;
	return bv_reads_within(t, BV_PIECE) ? bv_read(t->disk, &request) :
					      -EAGAIN;
}

bool bv_reads_within(const struct bv_taken *t, size_t most)
{
	for (unsigned i = 0; i < t->count; i++) {
		if (t->iov[i].iov_len > most)
			return false;
		most -= t->iov[i].iov_len;
	}
	return t->kind == BV_SQE_READ;
}

static void queued_done(struct bv_job *job, ssize_t result)
{
	bv_chain_end_with((struct bv_taken *)(void *)job, result);
}

/* Its descriptor was looked at as it was taken, and closing it waits. */
bool bv_request_queue(struct bv_taken *t, struct bv_batch *batch)
{
	struct bv_request request = request_of(t);

	return bv_queue_add(batch, t->disk, &request, t->kind == BV_SQE_WRITE,
			    &t->job, queued_done);
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

/* BLOCK_URING_CMD_DISCARD, as blkdev_uring_cmd (Linux 6.12) has it. */
static int64_t discard(struct bv_taken *t)
{
	const struct io_uring_sqe *sqe = &t->sqe;
	uint64_t range[2] = { sqe->addr, sqe->addr3 };

	if (sqe->ioprio || sqe->__pad1 || sqe->len || sqe->rw_flags ||
	    sqe->file_index)
		return -EINVAL;
	return kernel_result(op_ioctl(BV_URING, bv_taken_fd(t), BLKDISCARD,
				      range));
}

/* A slot that the chain filled was not known when it was taken over. */
static bool has_file(struct bv_taken *t)
{
	if (t->registered && !t->held)
		t->held = bv_files_borrow(t->ring, (unsigned)t->fd);
	return !t->registered || t->held;
}

/* The number may mean another file by now, if the program closed it where
 * nobody saw it. */
static bool is_gone(struct bv_taken *t)
{
	if (t->held || bv_fd_learn(t->fd) == t->disk)
		return false;
	/* Closed while it waited: the kernel would not find it, either. */
	if (t->loose && raw_fcntl(t->fd, F_GETFD, 0) < 0)
		return true;
	bv_policy_unverified(t->disk, BV_URING " on a descriptor closed early",
			     -EBADF);
	return true;
}

static int64_t change(struct bv_taken *t)
{
	const struct io_uring_sqe *sqe = &t->sqe;

	switch (sqe->opcode) {
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
	default:
		return kernel_result(op_ftruncate(t->disk, BV_URING,
						  bv_taken_fd(t),
						  (off64_t)sqe->off));
	}
}

int64_t bv_request_run(struct bv_taken *t)
{
	/* These look for themselves. */
	switch (t->kind) {
	case BV_SQE_OPEN:
		return bv_table_open(t);
	case BV_SQE_FILES:
		return bv_table_update(t);
	case BV_SQE_CLOSE:
		return bv_table_close(t);
	default:
		break;
	}
	if (!has_file(t) || is_gone(t))
		return -EBADF;
	switch (t->kind) {
	case BV_SQE_READ:
		return transfer(t, true);
	case BV_SQE_WRITE:
		return transfer(t, false);
	case BV_SQE_SPLICE:
		return bv_splice_run(t);
	case BV_SQE_SEND:
		return bv_table_send(t);
	case BV_SQE_INSTALL:
		return bv_table_install(t);
	case BV_SQE_COMMAND:
		return discard(t);
	default:
		return change(t);
	}
}
