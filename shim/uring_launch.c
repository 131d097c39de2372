/* uring_launch: what was taken over is begun; see uring.h. */
#include <errno.h>

#include <blkverify/queue.h>
#include <blkverify/thread.h>

#include "../src/lock.h"
#include "uring.h"

void bv_put_back(struct bv_taken *t)
{
	*t->place = t->original;
	bv_select_done(t);
	bv_taken_put(t);
}

/* Reads from the page cache, past some size, are better compared side by side
 * by the pool. */
#define SMALL 8192u

/* Those that nobody has to wait for, and that are handed over together. */
struct burst {
	struct bv_batch batch;
	raw_sigset mask;             /* lock_mask's; LOCK_MASKED: not asked */
};

/* Before anything that may wait. */
static void release(struct burst *b)
{
	bv_queue_submit(&b->batch);
	lock_unmask(b->mask);
	b->mask = LOCK_MASKED;
}

static bool is_quick(struct bv_submission *s, const struct bv_taken *t)
{
	return bv_reads_within(t, SMALL) ||
	       bv_submission_flags(s, bv_taken_fd(t)) & O_DIRECT;
}

static bool queue(struct bv_submission *s, struct burst *b, struct bv_taken *t)
{
	if (t->next || t->over || !t->disk || t->sqe.flags & BV_LINKS ||
	    (t->kind != BV_SQE_READ && t->kind != BV_SQE_WRITE) ||
	    (t->registered && !t->held) || !is_quick(s, t))
		return false;
	if (!bv_thread.masked)
		b->mask = lock_mask();
	return bv_request_queue(t, &b->batch);
}

static void start(struct bv_submission *s, struct burst *b,
		  struct bv_taken *head, bool drains)
{
	struct bv_uring *ring = s->ring;
	uint32_t count = 0;

	for (struct bv_taken *t = head; t; t = t->next)
		count++;
	if (drains) {
		release(b);
		bv_uring_settle(ring);
	}
	atomic_fetch_add(&ring->inflight, count);
	for (struct bv_taken *t = head; t; t = t->next)
		bv_taken_began(t);
	if (!head->disk || head->kind == BV_SQE_SPLICE)
		bv_taken_may_go(head);
	if (!drains && queue(s, b, head))
		return;
	release(b);
	bv_chain_start(head);
	if (drains)
		bv_uring_settle(ring);
}

/* Cuts the first chain off the list of what the kernel took. */
static struct bv_taken *cut_chain(struct bv_taken *head, bool *drains)
{
	struct bv_taken *t = head, *rest;

	*drains = t->sqe.flags & IOSQE_IO_DRAIN;
	while (t->sqe.flags & BV_LINKS && t->next &&
	       t->next->index == t->index + 1) {
		t = t->next;
		*drains |= t->sqe.flags & IOSQE_IO_DRAIN;
	}
	rest = t->next;
	t->next = NULL;
	return rest;
}

/* Ends the list before what the kernel left in the queue. */
static void leave_rest(struct bv_submission *s, unsigned consumed)
{
	struct bv_taken **at = &s->first, *t, *next;

	while (*at && (*at)->index < consumed)
		at = &(*at)->next;
	t = *at;
	*at = NULL;
	for (; t; t = next) {
		next = t->next;
		bv_put_back(t);
	}
}

void bv_launch(struct bv_submission *s)
{
	unsigned now = __atomic_load_n(s->ring->queue.khead, __ATOMIC_ACQUIRE);
	struct burst burst = { .batch = { .count = 0 }, .mask = LOCK_MASKED };
	int error = errno;

	leave_rest(s, now - s->head);
	while (s->first) {
		struct bv_taken *head = s->first;
		bool drains;

		if (head->left) {
			s->first = head->next;
			bv_select_done(head);
			bv_taken_put(head);
			continue;
		}
		s->first = cut_chain(head, &drains);
		start(s, &burst, head, drains);
	}
	release(&burst);
	errno = error;
}
