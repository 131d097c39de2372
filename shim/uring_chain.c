/* uring_chain: chains in a submission queue; see uring_chain.h. */
#include <blkverify/own.h>

#include "uring_chain.h"

struct io_uring_sqe *bv_queue_at(const struct bv_queue *q, unsigned i)
{
	const struct bv_uring *ring = q->ring;
	unsigned at = i < q->handed ? q->head + i
				    : q->own->sqe_head + (i - q->handed);

	at &= ring->queue.mask;
	if (i < q->handed && ring->queue.array)
		at = ring->queue.array[at];
	/* The kernel drops what is out of range. */
	return at > ring->queue.mask ? NULL : &ring->queue.sqes[at << ring->queue.shift];
}

/* What the kernel drops ends it. */
unsigned bv_chain_end(const struct bv_queue *q, unsigned first)
{
	unsigned i = first;

	while (i < q->total) {
		const struct io_uring_sqe *sqe = bv_queue_at(q, i);

		if (!sqe)
			return i > first ? i : i + 1;
		i++;
		if (!(sqe->flags & BV_LINKS))
			break;
	}
	return i;
}

/* Makes descriptors, or ends some, that we will not see. */
static bool is_out_of_sight(const struct bv_sqe_view *view)
{
	return view->kind == BV_SQE_DESCRIPTORS ||
	       (!view->disk && (view->kind == BV_SQE_OPEN ||
				view->kind == BV_SQE_CLOSE ||
				view->kind == BV_SQE_INSTALL));
}

static void note_target(struct bv_chain *c, const struct bv_sqe_view *view)
{
	c->targets++;
	c->opaque |= view->kind == BV_SQE_OPAQUE;
	c->waits |= view->kind == BV_SQE_SPLICE;
	c->selects |= view->selects;
}

static void note_stranger(struct bv_chain *c, const struct bv_sqe_view *view,
			  const struct io_uring_sqe *sqe, bool first)
{
	/* A timeout is for the request before it. */
	if (view->kind == BV_SQE_NEUTRAL &&
	    (sqe->opcode == IORING_OP_NOP || !first))
		return;
	c->waits = true;
	c->rooted |= !view->moves;
}

void bv_chain_survey(const struct bv_queue *q, struct bv_chain *c)
{
	struct bv_coming coming = { 0 };

	for (unsigned i = c->first; i < c->end; i++) {
		struct io_uring_sqe *sqe = bv_queue_at(q, i);
		struct bv_sqe_view view;

		if (!sqe)
			continue;
		if (i == c->first)
			c->sqe = *sqe;
		bv_sqe_look(q->ring, i == c->first ? &c->sqe : sqe, &coming,
			    &view);
		if (i == c->first)
			c->head = view;
		c->drains |= sqe->flags & IOSQE_IO_DRAIN;
		c->opens |= is_out_of_sight(&view);
		if (view.disk)
			note_target(c, &view);
		else
			note_stranger(c, &view, sqe, i == c->first);
		/* One of ours does not exist, as far as the program knows. */
		if (view.kind == BV_SQE_CLOSE && sqe->file_index == 0 &&
		    bv_own_has(sqe->fd))
			sqe->fd = -1;
	}
}

bool bv_chain_stands_in(const struct bv_queue *q, const struct bv_chain *c)
{
	const struct io_uring_sqe *sqe = bv_queue_at(q, c->first);

	if (c->targets != 1 || !(c->selects || c->rooted) ||
	    !c->head.disk || c->head.kind != BV_SQE_READ)
		return false;
	/* It is done now, and the position moves by what is read later. */
	return !c->drains && !q->ring->drained && sqe->off != UINT64_MAX &&
	       /* If it fails, the others go on (bv_dummy_result). */
	       (!(sqe->flags & IOSQE_IO_HARDLINK) || bv_ours_knows(BV_OP_BIND));
}

const char *bv_chain_obstacle(const struct bv_queue *q, const struct bv_chain *c)
{
	struct bv_uring *ring = q->ring;

	if (!bv_ours_possible())
		return BV_URING " without IORING_OP_MSG_RING (Linux 5.18)";
	if (c->opaque || ring->restricted)
		return BV_URING;
	if (!bv_post_reaches(ring))
		return BV_URING " without descriptors";
	if (bv_chain_stands_in(q, c))
		return NULL;
	if (c->selects)
		return BV_URING " buffer of the kernel's choice";
	if (c->rooted)
		return BV_URING " chain with requests of that ring alone";
	/* When the kernel is done with those before, it does not say. */
	if (c->drains && (ring->foreign || c->waits))
		return BV_URING " drain";
	return NULL;
}
