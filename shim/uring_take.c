/* uring_take: requests on targets leave the submission queue; see uring.h. */
#include <limits.h>
#include <string.h>
#include <sys/mman.h>

#include <blkverify/fdmap.h>
#include <blkverify/log.h>
#include <blkverify/own.h>
#include <blkverify/policy.h>
#include <blkverify/usermem.h>

#include "../src/raw.h"
#include "guard.h"
#include "symbols.h"
#include "uring.h"

#define LINKS (IOSQE_IO_LINK | IOSQE_IO_HARDLINK)

/* The requests that one call submits, in order. */
struct queue {
	struct bv_uring *ring;
	unsigned head, handed;       /* handed: the kernel can see so many */
	unsigned total;
	const struct io_uring *own;  /* liburing's, behind them */
};

static struct io_uring_sqe *request_at(const struct queue *q, unsigned i)
{
	const struct bv_uring *ring = q->ring;
	unsigned at = i < q->handed ? q->head + i
				    : q->own->sqe_head + (i - q->handed);

	at &= ring->mask;
	if (i < q->handed && ring->array)
		at = ring->array[at];
	/* The kernel drops what is out of range. */
	return at > ring->mask ? NULL : &ring->sqes[at << ring->shift];
}

/* The end of the chain that begins at i. */
static unsigned chain_end(const struct queue *q, unsigned i)
{
	while (i < q->total) {
		const struct io_uring_sqe *sqe = request_at(q, i++);

		if (!sqe || !(sqe->flags & LINKS))
			break;
	}
	return i;
}

/* A chain, as it concerns us. */
struct chain {
	unsigned first, end;
	struct bv_sqe_view view;     /* of the last request */
	bool targets, strangers, opaque, drains, opens;
};

static void survey(const struct queue *q, struct chain *c)
{
	for (unsigned i = c->first; i < c->end; i++) {
		const struct io_uring_sqe *sqe = request_at(q, i);
		struct bv_sqe_view view;

		if (!sqe)
			continue;
		bv_sqe_look(q->ring, sqe, &view);
		c->view = view;
		c->drains |= sqe->flags & IOSQE_IO_DRAIN;
		c->opens |= view.kind == BV_SQE_DESCRIPTORS ||
			    (view.kind == BV_SQE_OPEN && !view.disk) ||
			    (view.kind == BV_SQE_CLOSE && !view.disk);
		if (view.disk) {
			c->targets = true;
			c->opaque |= view.kind == BV_SQE_OPAQUE;
			/* Done while it is submitted, not after others. */
			c->opaque |= view.kind == BV_SQE_OPEN &&
				     c->end - c->first > 1;
		} else if (view.kind != BV_SQE_NEUTRAL || i == c->first) {
			c->strangers |= sqe->opcode != IORING_OP_NOP ||
					view.kind != BV_SQE_NEUTRAL;
		}
	}
}

/* NULL: it can be taken over. */
static const char *obstacle(const struct queue *q, const struct chain *c)
{
	struct bv_uring *ring = q->ring;

	if (!bv_ours_possible())
		return BV_URING " without IORING_OP_MSG_RING (Linux 5.18)";
	if (c->opaque || ring->restricted)
		return BV_URING;
	if (c->strangers)
		return BV_URING " chain with other files";
	/* When the kernel is done with those before, it does not say. */
	if (c->drains && ring->foreign)
		return BV_URING " drain";
	if (ring->post_fd < 0 &&
	    bv_own_dup(ring->key - 1, &ring->post_fd) < 0)
		return BV_URING " without descriptors";
	return NULL;
}

/* READ of descriptor -1: accepted, and completed with EBADF at its place in
 * the queue, whatever it is linked to. */
static void defuse(struct io_uring_sqe *sqe)
{
	uint64_t user_data = sqe->user_data;
	uint8_t flags = sqe->flags & (LINKS | IOSQE_CQE_SKIP_SUCCESS);

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_READ;
	sqe->fd = -1;
	sqe->flags = flags;
	sqe->user_data = user_data;
}

static void refuse(const struct queue *q, const struct chain *c,
		   const char *call)
{
	q->ring->foreign = true;
	for (unsigned i = c->first; i < c->end; i++) {
		struct io_uring_sqe *sqe = request_at(q, i);
		struct bv_sqe_view view;

		if (!sqe)
			continue;
		bv_sqe_look(q->ring, sqe, &view);
		if (!view.disk)
			continue;
		if (bv_policy_unverified(view.disk, call, -EBADF) < 0)
			defuse(sqe);
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

/* The list of segments may change once the call has returned. */
static void copy_segments(struct bv_taken *t)
{
	const void *theirs = (const void *)(uintptr_t)t->sqe.addr;
	size_t bytes = t->sqe.len * sizeof(struct iovec);

	t->iov = t->few;
	t->count = t->sqe.len;
	if (t->count > IOV_MAX) {
		fail_early(t, -EINVAL);
		return;
	}
	if (t->count > BV_FEW_SEGMENTS) {
		void *map = raw_mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (raw_is_error(map)) {
			fail_early(t, -ENOMEM);
			return;
		}
		t->iov = map;
		t->mapped = bytes;
	}
	if (bv_user_copy_in(t->iov, theirs, bytes) < bytes)
		fail_early(t, -EFAULT);
}

static void copy_buffers(struct bv_taken *t)
{
	switch (t->sqe.opcode) {
	case IORING_OP_READV: case IORING_OP_WRITEV:
	case BV_OP_READV_FIXED: case BV_OP_WRITEV_FIXED:
		copy_segments(t);
		break;
	case IORING_OP_READ: case IORING_OP_READ_FIXED:
	case IORING_OP_WRITE: case IORING_OP_WRITE_FIXED:
		t->iov = t->few;
		t->count = 1;
		t->few[0].iov_base = (void *)(uintptr_t)t->sqe.addr;
		t->few[0].iov_len = t->sqe.len;
		break;
	default:
		break;
	}
}

/* Nothing and no completion. */
static void hollow(struct io_uring_sqe *sqe)
{
	uint64_t user_data = sqe->user_data;

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_NOP;
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = user_data;
}

static bool take_one(struct bv_submission *s, const struct queue *q,
		     const struct chain *c, unsigned i)
{
	struct bv_taken *t = bv_taken_get();
	struct bv_sqe_view view = c->view;

	if (!t)
		return false;
	t->ring = q->ring;
	t->place = request_at(q, i);
	t->sqe = *t->place;
	t->index = i;
	if (c->end - c->first > 1)
		bv_sqe_look(q->ring, &t->sqe, &view);
	t->disk = view.disk;
	t->fd = view.fd;
	if (view.held)
		t->held = bv_files_borrow(q->ring, (unsigned)t->sqe.fd);
	if (t->disk)
		copy_buffers(t);
	hollow(t->place);
	q->ring->silenced = true;
	*s->last = t;
	s->last = &t->next;
	return true;
}

static void put_back(struct bv_taken *t)
{
	*t->place = t->sqe;
	bv_taken_put(t);
}

/* All of it or nothing. */
static bool take_chain(struct bv_submission *s, const struct queue *q,
		       const struct chain *c)
{
	struct bv_taken **before = s->last, *t, *next;

	for (unsigned i = c->first; i < c->end; i++)
		if (!take_one(s, q, c, i)) {
			for (t = *before; t; t = next) {
				next = t->next;
				put_back(t);
			}
			s->last = before;
			*before = NULL;
			return false;
		}
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

static void decide(struct bv_submission *s, const struct queue *q,
		   struct chain *c)
{
	const char *call;

	survey(q, c);
	/* It will make or close descriptors when nobody looks. */
	if (c->opens)
		bv_fd_distrust();
	if (!c->targets) {
		if (c->drains)
			explain(q->ring);
		q->ring->foreign = true;
		return;
	}
	call = obstacle(q, c);
	if (!call && !take_chain(s, q, c))
		call = BV_URING " without memory";
	if (call)
		refuse(q, c, call);
}

bool bv_take(struct bv_submission *s, struct bv_uring *ring,
	     const struct io_uring *own, unsigned most)
{
	struct queue q = { .ring = ring, .own = own };
	int error = errno;

	q.head = __atomic_load_n(ring->khead, __ATOMIC_ACQUIRE);
	q.handed = *ring->ktail - q.head;
	q.total = q.handed + (own ? own->sqe_tail - own->sqe_head : 0);
	if (q.total > most)
		q.total = most;
	*s = (struct bv_submission){
		.ring = ring, .head = q.head, .total = q.total,
	};
	s->last = &s->first;
	for (unsigned i = 0; i < q.total;) {
		struct chain c = { .first = i, .end = chain_end(&q, i) };

		decide(s, &q, &c);
		i = c.end;
	}
	errno = error;
	return s->first;
}

/* Done by the thread that submits it, as the kernel would at best. */
static void open_now(struct bv_taken *t)
{
	const struct io_uring_sqe *sqe = &t->sqe;
	const char *path = (const char *)(uintptr_t)sqe->addr;
	int fd;

	if (sqe->opcode == IORING_OP_OPENAT)
		fd = shim_openat64(sqe->fd, path, (int)sqe->open_flags,
				   (mode_t)sqe->len);
	else
		fd = shim_openat2(sqe->fd, path,
				  (const void *)(uintptr_t)sqe->off, sqe->len);
	fail_early(t, fd < 0 ? -errno : fd);
	t->disk = NULL;
}

static void start(struct bv_uring *ring, struct bv_taken *head, bool drains)
{
	uint32_t count = 0;

	for (struct bv_taken *t = head; t; t = t->next)
		count++;
	if (drains)
		bv_uring_settle(ring);
	atomic_fetch_add(&ring->inflight, count);
	for (struct bv_taken *t = head; t; t = t->next)
		bv_taken_began(t);
	bv_chain_start(head);
	if (drains)
		bv_uring_settle(ring);
}

/* Cuts the first chain off the list of what the kernel took. */
static struct bv_taken *cut_chain(struct bv_taken *head, bool *drains)
{
	struct bv_taken *t = head, *rest;

	*drains = t->sqe.flags & IOSQE_IO_DRAIN;
	while (t->sqe.flags & LINKS && t->next && t->next->index == t->index + 1) {
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
		put_back(t);
	}
}

void bv_launch(struct bv_submission *s)
{
	unsigned now = __atomic_load_n(s->ring->khead, __ATOMIC_ACQUIRE);
	int error = errno;

	leave_rest(s, now - s->head);
	while (s->first) {
		struct bv_taken *head = s->first;
		bool drains;

		s->first = cut_chain(head, &drains);
		if (head->disk && (head->sqe.opcode == IORING_OP_OPENAT ||
				   head->sqe.opcode == IORING_OP_OPENAT2))
			open_now(head);
		start(s->ring, head, drains);
	}
	errno = error;
}
