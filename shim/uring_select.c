/* uring_select: reads of a target that the kernel completes; see uring.h.
 *
 * Which buffer a read goes to, the kernel alone knows where it chooses
 * (IOSQE_BUFFER_SELECT); and what is linked to one may be for the program's
 * ring alone. So the read is made first, into a file in memory, and the
 * kernel's request reads from that: it takes its buffer, copies, and
 * completes, as it would have. */
#include <limits.h>

#include <blkverify/usermem.h>
#include <blkverify/verify.h>

#include "standin.h"
#include "uring.h"

/* Of one request (MAX_RW_COUNT). */
#define MOST ((size_t)INT_MAX & ~(size_t)4095)

/* Where the kernel chooses, what is asked for may be much more than the buffer
 * that it will choose. */
#define CHOSEN_MOST ((size_t)16 << 20)
#define UNSAID ((size_t)1 << 20)     /* the buffer's own length */

static size_t sum_of_segments(const struct io_uring_sqe *sqe)
{
	const struct iovec *list = (const void *)(uintptr_t)sqe->addr;
	struct iovec segment;
	size_t sum = 0;

	/* A list that is wrong, the kernel refuses. */
	for (unsigned i = 0; i < sqe->len && i < IOV_MAX; i++) {
		if (bv_user_copy_in(&segment, &list[i], sizeof(segment)) <
			    sizeof(segment) ||
		    segment.iov_len > MOST - sum)
			break;
		sum += segment.iov_len;
	}
	return sum;
}

static size_t length_of(const struct bv_taken *t)
{
	const struct io_uring_sqe *sqe = &t->sqe;
	bool vector = sqe->opcode == IORING_OP_READV ||
		      sqe->opcode == BV_OP_READV_FIXED;
	size_t n = vector ? sum_of_segments(sqe) : sqe->len;

	if (n > MOST)
		n = MOST;
	if (!(sqe->flags & IOSQE_BUFFER_SELECT))
		return n;
	if (n == 0)
		return UNSAID;
	/* The buffer may suit O_DIRECT where what is asked for does not. */
	if (raw_fcntl(bv_taken_fd(t), F_GETFL, 0) & O_DIRECT)
		n = (n + 4095) & ~(size_t)4095;
	return n > CHOSEN_MOST ? CHOSEN_MOST : n;
}

/* The file is the kernel's as soon as it has looked at the request, unless a
 * worker of its own is to do that. */
static void redirect(struct bv_taken *t)
{
	struct io_uring_sqe *sqe = t->place;

	sqe->fd = t->standin;
	sqe->off = 0;
	sqe->rw_flags = 0;
	sqe->flags &= (uint8_t)~(IOSQE_FIXED_FILE | IOSQE_ASYNC);
}

bool bv_select_stand_in(struct bv_taken *t, int *result)
{
	struct bv_request request = {
		.call = BV_URING, .fd = bv_taken_fd(t),
		.offset = (int64_t)t->sqe.off, .flags = t->sqe.rw_flags,
	};
	ssize_t got;

	if (!bv_standin_make(&t->standin))
		return false;
	got = bv_standin_fill(t->standin, t->disk, &request, 0,
			      length_of(t));
	*result = got < 0 ? (int)got : 0;
	if (got < 0)
		bv_standin_end(&t->standin);
	else
		redirect(t);
	return true;
}

void bv_select_done(struct bv_taken *t)
{
	bv_standin_end(&t->standin);
}
