/* uring_splice: bytes of a target go into a pipe or come out of one; see
 * uring.h.
 *
 * A file in memory stands in for the target, and the kernel moves bytes
 * between that and the pipe: it knows how much a pipe holds, and waits for
 * room or for bytes. Our descriptor of it may move meanwhile (own.h). */
#include <errno.h>

#include <blkverify/fdmap.h>
#include <blkverify/verify.h>

#include "../src/raw.h"
#include "guard.h"
#include "standin.h"
#include "symbols.h"
#include "uring.h"

/* Goes on at the file position. */
#define POSITION UINT64_MAX

static int64_t move(struct bv_taken *t, struct io_uring_sqe *sqe)
{
	int64_t result;

	sqe->flags &= (uint8_t)~IOSQE_FIXED_FILE;
	sqe->splice_flags &= ~SPLICE_F_FD_IN_FIXED;
	result = bv_stranger_do(t, sqe).res;
	/* The kernel has it that all of it was to be moved (io_splice). */
	t->failed = result != sqe->len;
	return result;
}

/* Is fd what it was, after waiting? */
static bool is_still_there(const struct bv_taken *t)
{
	return t->held || bv_fd_learn(t->fd) == t->disk;
}

/* The most that a pipe takes; what is none, the kernel refuses. */
static size_t room_of(const struct io_uring_sqe *sqe)
{
	int size = raw_fcntl(sqe->fd, F_GETPIPE_SZ, 0);
	size_t most = size > 0 ? (size_t)size : 1;

	return sqe->len < most ? sqe->len : most;
}

/* A pipe has places for parts of pages: they are cut as the file's are. */
static size_t place_in_page(const struct bv_taken *t)
{
	uint64_t at = t->sqe.splice_off_in;

	if (at == POSITION)
		at = (uint64_t)raw_lseek(bv_taken_fd(t), 0, SEEK_CUR);
	return (size_t)at & 4095;
}

static int64_t out_of_target(struct bv_taken *t, const int *standin)
{
	struct io_uring_sqe sqe = t->sqe;
	bool position = sqe.splice_off_in == POSITION;
	struct bv_request request = {
		.call = BV_URING, .fd = bv_taken_fd(t), .position = position,
		.offset = (int64_t)sqe.splice_off_in,
	};
	size_t lead = place_in_page(t);
	ssize_t got = bv_standin_fill(*standin, t->disk, &request, lead,
				      room_of(&sqe));
	int64_t moved;

	if (got < 0)
		return got;
	sqe.splice_fd_in = *standin;
	sqe.splice_off_in = lead;
	moved = move(t, &sqe);
	/* What the pipe did not take has not been read. */
	if (position && is_still_there(t))
		shim_lseek64(bv_taken_fd(t), (moved > 0 ? moved : 0) - got,
			     SEEK_CUR);
	return moved;
}

/* As the kernel checks it before it takes anything out of the pipe. */
static int check_writable(const struct bv_taken *t)
{
	int flags = raw_fcntl(bv_taken_fd(t), F_GETFL, 0);

	if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (flags & O_APPEND ||
	    (t->sqe.off != POSITION && (int64_t)t->sqe.off < 0))
		return -EINVAL;
	return 0;
}

static int64_t into_target(struct bv_taken *t, const int *standin)
{
	struct io_uring_sqe sqe = t->sqe;
	struct bv_request request = {
		.call = BV_URING, .position = sqe.off == POSITION,
		.offset = (int64_t)sqe.off,
	};
	int64_t result = check_writable(t), moved;

	if (result < 0)
		return result;
	sqe.fd = *standin;
	sqe.off = 0;
	moved = move(t, &sqe);
	if (moved <= 0)
		return moved;
	if (!is_still_there(t))
		return -EBADF;
	request.fd = bv_taken_fd(t);
	result = bv_standin_write(*standin, t->disk, &request,
				  (size_t)moved);
	t->failed |= result != moved;
	return result;
}

int64_t bv_splice_run(struct bv_taken *t)
{
	int64_t result = -ENOMEM;
	int standin;

	/* Nothing to be moved is done, whatever the files. */
	if (t->sqe.len == 0)
		return 0;
	if (bv_standin_make(&standin))
		result = bv_sqe_reads_from(&t->sqe, t->fd, t->registered) ?
				 out_of_target(t, &standin) :
				 into_target(t, &standin);
	bv_standin_end(&standin);
	return result;
}
