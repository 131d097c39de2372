/* uring_take: requests on targets leave the submission queue; see uring.h. */
#include <errno.h>

#include <blkverify/fdmap.h>
#include <blkverify/log.h>
#include <blkverify/policy.h>

#include "guard.h"
#include "uring_chain.h"

static void refuse(const struct bv_queue *q, const struct bv_chain *c,
		   const char *call)
{
	struct bv_coming coming = { 0 };

	q->ring->foreign = true;
	for (unsigned i = c->first; i < c->end; i++) {
		struct io_uring_sqe *sqe = bv_queue_at(q, i);
		struct bv_sqe_view view;

		if (!sqe)
			continue;
		bv_sqe_look(q->ring, sqe, &coming, &view);
		if (!view.disk)
			continue;
		if (bv_policy_unverified(view.disk, call, -EBADF) < 0)
			bv_dummy_refused(sqe);
		else
			bv_sqe_give_up(view.disk, sqe);
	}
}

/* What is wrong with it, the kernel says in a completion. */
static void fail_early(struct bv_taken *t, int result)
{
	t->over = true;
	t->result = result;
	t->count = 0;
}

/* A slot that the chain itself fills is looked up when its turn comes. */
static void borrow(struct bv_taken *t, const struct bv_coming *before)
{
	if (t->disk && t->registered && !before->unclear &&
	    !(before->any && before->slot == (unsigned)t->fd))
		t->held = bv_files_borrow(t->ring, (unsigned)t->fd);
}

static struct bv_taken *take_blank(struct bv_submission *s,
				   const struct bv_queue *q, unsigned i)
{
	struct bv_taken *t = bv_taken_get();

	if (!t)
		return NULL;
	t->ring = q->ring;
	t->place = bv_queue_at(q, i);
	t->original = t->sqe = *t->place;
	t->index = i;
	*s->last = t;
	s->last = &t->next;
	return t;
}

static void assume(struct bv_taken *t, const struct bv_sqe_view *view,
		   const struct bv_coming *before)
{
	t->kind = view->kind;
	t->disk = view->disk;
	t->fd = view->fd;
	t->registered = view->registered;
	borrow(t, before);
}

/* The first, as the survey has seen it. */
static struct bv_taken *take_first(struct bv_submission *s,
				   const struct bv_queue *q,
				   const struct bv_chain *c)
{
	const struct bv_coming nothing = { 0 };
	struct bv_taken *t = take_blank(s, q, c->first);

	if (!t)
		return NULL;
	t->original = t->sqe = c->sqe;
	assume(t, &c->head, &nothing);
	return t;
}

static struct bv_taken *take_one(struct bv_submission *s, const struct bv_queue *q,
				 unsigned i, struct bv_coming *coming)
{
	struct bv_coming before = *coming;
	struct bv_taken *t = take_blank(s, q, i);
	struct bv_sqe_view view;

	if (!t)
		return NULL;
	bv_sqe_look(q->ring, &t->sqe, coming, &view);
	assume(t, &view, &before);
	return t;
}

/* As if it had not been looked at. */
static void give_back(struct bv_submission *s, struct bv_taken **before)
{
	struct bv_taken *t, *next;

	for (t = *before; t; t = next) {
		next = t->next;
		bv_put_back(t);
	}
	s->last = before;
	*before = NULL;
}

/* One that is wrong fails the chain as a whole, before anything of it is
 * done. */
static void fail_all(struct bv_taken *head)
{
	for (struct bv_taken *t = head; t; t = t->next) {
		if (!t->over)
			fail_early(t, -ECANCELED);
		t->failed = true;
	}
}

/* It is ours: the kernel gets nothing to do, and completes nothing. */
static void hollow(struct bv_taken *t)
{
	bv_dummy_silent(t->place);
	t->ring->silenced = true;
}

/* All of it or nothing. */
static bool take_chain(struct bv_submission *s, const struct bv_queue *q,
		       const struct bv_chain *c)
{
	struct bv_coming coming = { 0 };
	struct bv_taken **before = s->last;
	bool wrong = false;

	for (unsigned i = c->first; i < c->end; i++) {
		struct bv_taken *t = c->end - c->first == 1 ?
					     take_first(s, q, c) :
					     take_one(s, q, i, &coming);
		int result;

		if (!t) {
			give_back(s, before);
			return false;
		}
		hollow(t);
		result = bv_copy_in(t);
		if (result < 0)
			fail_early(t, result);
		wrong |= result < 0;
	}
	if (wrong && c->end - c->first > 1)
		fail_all(*before);
	q->ring->foreign |= c->waits;
	return true;
}

/* The first request has failed: nothing of the rest is done. */
static bool take_rest(struct bv_submission *s, const struct bv_queue *q,
		      const struct bv_chain *c)
{
	struct bv_coming coming = { 0 };

	for (unsigned i = c->first + 1; i < c->end; i++) {
		struct bv_taken *t = take_one(s, q, i, &coming);

		if (!t)
			return false;
		hollow(t);
	}
	return true;
}

static bool fail_head(struct bv_submission *s, const struct bv_queue *q,
		      const struct bv_chain *c, struct bv_taken *t, int result)
{
	if (t->sqe.flags & IOSQE_IO_HARDLINK) {
		bv_dummy_result(t->place, result);
		t->left = true;
		return true;
	}
	hollow(t);
	fail_early(t, result);
	if (!take_rest(s, q, c))
		return false;
	fail_all(t);
	return true;
}

/* The kernel gets the chain, with a first request that reads elsewhere. */
static bool take_head(struct bv_submission *s, const struct bv_queue *q,
		      const struct bv_chain *c)
{
	struct bv_coming coming = { 0 };
	struct bv_taken **before = s->last;
	struct bv_taken *t = take_one(s, q, c->first, &coming);
	struct bv_guard guard;
	int result = 0;
	bool done;

	if (!t)
		return false;
	q->ring->foreign = true;
	bv_guard_enter_quietly(&guard);
	done = bv_select_stand_in(t, &result);
	bv_guard_leave(&guard, 0);
	if (done && result < 0)
		done = fail_head(s, q, c, t, result);
	else
		t->left = done;
	if (!done)
		give_back(s, before);
	return done;
}

int bv_submission_flags(struct bv_submission *s, int fd)
{
	if (s->asked != fd) {
		s->asked = fd;
		s->flags = raw_fcntl(fd, F_GETFL, 0);
		if (s->flags < 0)
			s->flags = 0;
	}
	return s->flags;
}

/* Does the program wait for each before it submits the next? Then nothing is
 * ever in flight, and another thread would only be in the way. Nor is it when
 * all are done at once, so now and then some are not. */
static bool is_alone(struct bv_uring *ring)
{
	enum { SURE = 8, AGAIN = 128 };

	if (atomic_load(&ring->inflight) > 0)
		ring->alone = 0;
	else if (++ring->alone == AGAIN)
		ring->alone = SURE - 2;
	return ring->alone >= SURE;
}

/* A read that need not wait is done as it is submitted, as the kernel does it,
 * and the kernel is left with the result to complete. Not before those that
 * were submitted before it, nor when another thread can do it meanwhile. */
static bool take_at_once(struct bv_submission *s, const struct bv_queue *q,
			 const struct bv_chain *c)
{
	const struct io_uring_sqe *sqe = &c->sqe;
	struct bv_taken **before = s->last;
	struct bv_taken *t;
	struct bv_guard guard;
	int64_t result;

	if (s->behind || c->drains || q->ring->drained || c->end - c->first > 1 || c->head.kind != BV_SQE_READ || c->selects ||
	    sqe->rw_flags || sqe->off == UINT64_MAX ||
	    sqe->flags & (BV_LINKS | IOSQE_IO_DRAIN | IOSQE_ASYNC) ||
	    !bv_ours_knows(BV_OP_BIND) || !is_alone(q->ring))
		return false;
	t = take_first(s, q, c);
	if (!t)
		return false;
	/* Only through the page cache it is known not to wait. */
	if (bv_submission_flags(s, bv_taken_fd(t)) & O_DIRECT) {
		give_back(s, before);
		return false;
	}
	bv_guard_enter_quietly(&guard);
	result = bv_request_at_once(t);
	bv_guard_leave(&guard, 0);
	if (result == -EAGAIN) {
		give_back(s, before);
		return false;
	}
	bv_dummy_result(t->place, (int)result);
	t->left = true;
	return true;
}

/* It is for one of ours that waits: that it is too late to be sure of it, is
 * true at any time. Where it is for many, the kernel looks for others. */
static bool take_cancel(struct bv_submission *s, const struct bv_queue *q,
			const struct bv_chain *c)
{
	const struct io_uring_sqe *sqe = bv_queue_at(q, c->first);
	struct bv_coming coming = { 0 };
	struct bv_taken *t;

	if (c->end - c->first > 1 || !bv_taken_call_off(q->ring, sqe) ||
	    bv_cancels_many(sqe))
		return false;
	t = take_one(s, q, c->first, &coming);
	if (!t)
		return false;
	hollow(t);
	fail_early(t, -EALREADY);
	return true;
}

/* A silent request was in the ring, and the kernel orders no drained one with
 * such (EOPNOTSUPP). The program should learn why. */
static void explain(const struct bv_uring *ring)
{
	static atomic_flag said = ATOMIC_FLAG_INIT;

	if (ring->silenced && !atomic_flag_test_and_set(&said))
		bv_log_say(BV_URING ": drained requests fail with EOPNOTSUPP "
			   "in a ring that had requests on a target");
}

static void decide(struct bv_submission *s, const struct bv_queue *q,
		   struct bv_chain *c)
{
	const char *call;

	bv_chain_survey(q, c);
	if (c->opens)
		bv_fd_distrust();
	if (c->targets == 0) {
		if (c->head.kind == BV_SQE_CANCEL && take_cancel(s, q, c))
			return;
		if (c->drains)
			explain(q->ring);
		q->ring->drained |= c->drains;
		q->ring->foreign = true;
		s->behind = true;
		return;
	}
	call = bv_chain_obstacle(q, c);
	if (!call && take_at_once(s, q, c))
		return;
	s->behind = true;
	if (!call && !(bv_chain_stands_in(q, c) ? take_head(s, q, c)
					  : take_chain(s, q, c)))
		call = BV_URING " without memory";
	if (call)
		refuse(q, c, call);
}

bool bv_take(struct bv_submission *s, struct bv_uring *ring,
	     const struct io_uring *own, unsigned most)
{
	struct bv_queue q = { .ring = ring, .own = own };
	int error = errno;

	q.head = __atomic_load_n(ring->queue.khead, __ATOMIC_ACQUIRE);
	q.handed = *ring->queue.ktail - q.head;
	q.total = q.handed + (own ? own->sqe_tail - own->sqe_head : 0);
	if (q.total > most)
		q.total = most;
	s->ring = ring;
	s->head = q.head;
	s->total = q.total;
	s->asked = -1;
	s->behind = false;
	s->first = NULL;
	s->last = &s->first;
	for (unsigned i = 0; i < q.total;) {
		struct bv_chain c = { .first = i, .end = bv_chain_end(&q, i) };

		decide(s, &q, &c);
		i = c.end;
	}
	errno = error;
	return s->first;
}
