/* uring_chain: chains in a submission queue, and what becomes of them. A request
 * that is linked to none is a chain of its own. */
#ifndef BV_URING_CHAIN_H
#define BV_URING_CHAIN_H

#include "uring.h"

/* The requests that one call submits, in order. */
struct bv_queue {
	struct bv_uring *ring;
	unsigned head, handed;       /* handed: the kernel can see so many */
	unsigned total;
	const struct io_uring *own;  /* liburing's, behind them */
};

/* The request in its place; NULL where the kernel drops it. */
struct io_uring_sqe *bv_queue_at(const struct bv_queue *q, unsigned i);

/* A chain, as it concerns us. */
struct bv_chain {
	unsigned first, end;
	struct io_uring_sqe sqe;     /* its first request, as it was then */
	struct bv_sqe_view head;     /* of that */
	unsigned targets;            /* requests on them */
	bool rooted;                 /* others are for this ring alone */
	bool waits;                  /* it may, for what never comes */
	bool opaque, selects, drains, opens;
};

/* The end of the chain that begins at first. */
unsigned bv_chain_end(const struct bv_queue *q, unsigned first);

/* Looks at all of it: first and end are given. */
void bv_chain_survey(const struct bv_queue *q, struct bv_chain *c);

/* Can the kernel have all of it, if only the first request reads from another
 * file with the same bytes? */
bool bv_chain_stands_in(const struct bv_queue *q, const struct bv_chain *c);

/* Why it cannot be taken over, for a report; NULL: it can. */
const char *bv_chain_obstacle(const struct bv_queue *q,
			      const struct bv_chain *c);

#endif
