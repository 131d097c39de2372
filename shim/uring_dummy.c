/* uring_dummy: what the kernel gets in place of requests; see uring.h. */
#include <string.h>

#include "uring.h"

/* Of Linux 6.10. */
#define NOP_INJECT_RESULT 1u

static void clear(struct io_uring_sqe *sqe, uint8_t flags)
{
	uint64_t user_data = sqe->user_data;

	flags &= sqe->flags;
	memset(sqe, 0, sizeof(*sqe));
	sqe->flags = flags;
	sqe->user_data = user_data;
}

void bv_dummy_silent(struct io_uring_sqe *sqe)
{
	clear(sqe, 0);
	sqe->opcode = IORING_OP_NOP;
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
}

/* READ of descriptor -1: accepted, and completed with EBADF. */
void bv_dummy_refused(struct io_uring_sqe *sqe)
{
	clear(sqe, BV_LINKS | IOSQE_CQE_SKIP_SUCCESS);
	sqe->opcode = IORING_OP_READ;
	sqe->fd = -1;
}

void bv_dummy_result(struct io_uring_sqe *sqe, int result)
{
	clear(sqe, BV_LINKS | IOSQE_CQE_SKIP_SUCCESS);
	sqe->opcode = IORING_OP_NOP;
	sqe->rw_flags = NOP_INJECT_RESULT;
	sqe->len = (uint32_t)result;
}
