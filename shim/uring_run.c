/* uring_run: requests taken over are carried out, chain by chain; see
 * uring.h. */
#include <limits.h>

#include <blkverify/policy.h>

#include "guard.h"
#include "uring.h"

/* A short transfer counts as failed, as the kernel has it (io_rw_done). */
static bool is_short(const struct bv_taken *t, int64_t result)
{
	size_t wanted = 0;

	if (t->kind != BV_SQE_READ && t->kind != BV_SQE_WRITE)
		return false;
	for (unsigned i = 0; i < t->count; i++)
		wanted += t->iov[i].iov_len;
	if (wanted > INT_MAX)
		wanted = (size_t)INT_MAX & ~(size_t)4095;
	return (size_t)result != wanted;
}

/* Its descriptor may mean another file than it did, when its turn comes: a
 * target, perhaps. */
static bool is_stranger(struct bv_taken *t)
{
	struct bv_coming nothing = { 0 };
	struct bv_sqe_view view;

	if (t->disk || t->kind == BV_SQE_NEUTRAL)
		return false;
	bv_sqe_look(t->ring, &t->sqe, &nothing, &view);
	if (!view.disk)
		return true;
	if (view.kind == BV_SQE_OPAQUE) {
		t->result = bv_policy_unverified(view.disk, BV_URING, -EBADF);
		t->over = t->result < 0;
		if (!t->over)
			bv_sqe_give_up(view.disk, &t->sqe);
		return !t->over;
	}
	t->kind = view.kind;
	t->disk = view.disk;
	t->fd = view.fd;
	return false;
}

static int64_t carry_out(struct bv_taken *t)
{
	int64_t result = 0;

	if (!t->over && is_stranger(t))
		return bv_stranger_run(t);
	if (t->over) {
		result = t->result;
	} else if (t->disk) {
		result = bv_request_run(t);
		t->failed |= is_short(t, result);
	}
	t->failed |= result < 0;
	return result;
}

/* What becomes of the rest of a chain. */
enum fate { GOES_ON, BROKEN, BROKEN_SILENTLY };

/* Without being carried out: one that was wrong from the start says how, and
 * a timeout what it came to, if a ring of ours had it; else nothing. */
static int end_untouched(const struct bv_taken *t)
{
	return t->over ? t->result : -ECANCELED;
}

static void say(struct bv_taken *t, int64_t result, bool says)
{
	bv_taken_finished(t);
	if (says)
		bv_post(t->ring, t->sqe.user_data, (int)result, t->flags);
}

static enum fate run_one(struct bv_taken *t, enum fate fate)
{
	bool says = !(t->sqe.flags & IOSQE_CQE_SKIP_SUCCESS);
	bool hard = t->sqe.flags & IOSQE_IO_HARDLINK;
	int64_t result;

	if (fate != GOES_ON) {
		say(t, end_untouched(t), fate == BROKEN);
		return fate;
	}
	/* It takes no part in what becomes of the chain. */
	if (bv_is_link_timeout(t) && !t->failed) {
		say(t, end_untouched(t), says);
		return fate;
	}
	/* Of a chain that was wrong from the start, nothing is done. */
	hard &= !t->failed;
	result = carry_out(t);
	if (t->failed && !hard)
		fate = says ? BROKEN : BROKEN_SILENTLY;
	/* One that failed is never silent. */
	say(t, result, says || t->failed);
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

		fate = run_one(t, fate);
		bv_taken_put(t);
		t = next;
		count++;
	}
	end_ring(ring, count);
}

void bv_chain_end_with(struct bv_taken *t, int64_t result)
{
	struct bv_uring *ring = t->ring;

	say(t, result, result < 0 || is_short(t, result) ||
		       !(t->sqe.flags & IOSQE_CQE_SKIP_SUCCESS));
	bv_taken_put(t);
	end_ring(ring, 1);
}

void bv_chain_start(struct bv_taken *head)
{
	struct bv_guard guard;

	head->job.run = run;
	if (bv_pool_submit(&bv_requests, &head->job) == 0)
		return;
	/* There is no thread to be had: then it is done here. */
	guard.error = errno;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &guard.cancel);
	run(&head->job);
	bv_guard_leave(&guard, 0);
}
