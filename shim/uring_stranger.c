/* uring_stranger: requests that concern no target, carried out because they
 * are linked to one that does; see uring.h.
 *
 * A ring of our own does it, so it is the kernel that says what comes of
 * them. They may wait for what never comes: then the thread pauses (pool.h),
 * and looks now and then whether they have been called off. */
#include <errno.h>
#include <string.h>

#include <blkverify/fdmap.h>

#include "uring.h"

/* Most things are over in that time. */
static const struct timespec a_moment = { 0, 5 * 1000 * 1000 };
static const struct timespec a_while = { 0, 20 * 1000 * 1000 };

/* What is submitted together; user_data says which a completion is of. */
enum { REQUEST, TIMEOUT, LINKED, MOST, CANCEL };

struct group {
	struct io_uring_sqe sqes[MOST];
	struct io_uring_cqe ends[MOST];
	unsigned count;              /* of sqes */
	unsigned waits;              /* completions to come */
};

static void add(struct group *g, const struct io_uring_sqe *sqe, unsigned which)
{
	struct io_uring_sqe *mine = &g->sqes[g->count++];

	*mine = *sqe;
	mine->user_data = which;
	mine->flags &= IOSQE_ASYNC | IOSQE_BUFFER_SELECT;
	if (g->count > 1)
		mine[-1].flags |= IOSQE_IO_LINK;
}

static void reap(struct group *g, const struct io_uring_cqe *cqe)
{
	if (cqe->user_data < MOST)
		g->ends[cqe->user_data] = *cqe;
	g->waits--;
}

static void call_off(struct group *g)
{
	static const struct io_uring_sqe cancel = {
		.opcode = IORING_OP_ASYNC_CANCEL, .addr = REQUEST,
		.user_data = CANCEL,
	};

	if (bv_ours_submit(&cancel, 1) == 0)
		g->waits++;
}

/* Until all of it is over. */
static void wait_for(struct bv_taken *t, struct group *g)
{
	bool pauses = false, may_wait = true, called_off = false;
	struct io_uring_cqe cqe;

	while (g->waits > 0) {
		if (bv_ours_reap(&cqe, pauses ? &a_while : &a_moment)) {
			reap(g, &cqe);
			continue;
		}
		if (!pauses && may_wait)
			may_wait = pauses = bv_taken_park(t);
		if (!called_off && (!may_wait || bv_taken_is_called_off(t))) {
			call_off(g);
			called_off = true;
		}
	}
	if (pauses)
		bv_taken_unpark(t);
}

static void carry_out(struct bv_taken *t, struct group *g)
{
	int result;

	bv_taken_may_go(t);
	result = bv_taken_is_called_off(t) ? -ECANCELED :
		 bv_ours_submit(g->sqes, g->count);
	for (unsigned i = 0; i < MOST; i++)
		g->ends[i].res = result;
	if (result < 0)
		return;
	g->waits = g->count;
	wait_for(t, g);
}

/* The timeout of a request goes with it. */
static struct bv_taken *timeout_of(const struct bv_taken *t)
{
	return t->sqe.flags & BV_LINKS && t->next && bv_is_link_timeout(t->next) ?
		       t->next : NULL;
}

static void add_with_timeout(struct group *g, const struct bv_taken *t,
			     const struct io_uring_sqe *sqe)
{
	const struct bv_taken *timeout = timeout_of(t);

	add(g, sqe, REQUEST);
	if (timeout)
		add(g, &timeout->sqe, TIMEOUT);
}

static void carry_out_with_timeout(struct bv_taken *t, struct group *g)
{
	struct bv_taken *timeout = timeout_of(t);

	carry_out(t, g);
	if (!timeout)
		return;
	timeout->over = true;
	timeout->result = g->ends[TIMEOUT].res;
}

struct io_uring_cqe bv_stranger_do(struct bv_taken *t,
				   const struct io_uring_sqe *sqe)
{
	struct group g = { .count = 0 };

	add_with_timeout(&g, t, sqe);
	carry_out_with_timeout(t, &g);
	return g.ends[REQUEST];
}

/* Registered buffers are the program's ring's; their addresses are good
 * anywhere. */
static void unfix(struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_READ_FIXED: sqe->opcode = IORING_OP_READ; break;
	case IORING_OP_WRITE_FIXED: sqe->opcode = IORING_OP_WRITE; break;
	case BV_OP_READV_FIXED: sqe->opcode = IORING_OP_READV; break;
	case BV_OP_WRITEV_FIXED: sqe->opcode = IORING_OP_WRITEV; break;
	default: return;
	}
	sqe->buf_index = 0;
}

/* It made a descriptor, or ended one. */
static void note_descriptors(const struct bv_taken *t, int result)
{
	if (t->kind == BV_SQE_OPEN && result >= 0)
		bv_fd_forget(result);
	if (t->kind == BV_SQE_CLOSE)
		bv_fd_forget(t->sqe.fd);
}

/* Whether the chain breaks at it, depends on the request: a no-op that is
 * linked to it finds out. */
int64_t bv_stranger_run(struct bv_taken *t)
{
	static const struct io_uring_sqe nop = { .opcode = IORING_OP_NOP };
	bool soft = t->sqe.flags & IOSQE_IO_LINK &&
		    !(t->sqe.flags & IOSQE_IO_HARDLINK);
	struct group g = { .count = 0 };
	int result;

	unfix(&t->sqe);
	add_with_timeout(&g, t, &t->sqe);
	if (soft)
		add(&g, &nop, LINKED);
	carry_out_with_timeout(t, &g);
	result = g.ends[REQUEST].res;
	t->flags = g.ends[REQUEST].flags;
	t->failed = soft ? g.ends[LINKED].res < 0 : result < 0;
	note_descriptors(t, result);
	bv_copy_out(t);
	return result;
}
