/* wrap_uring: io_uring through liburing. What is about to be submitted is
 * looked at first; what concerns a target is taken over (uring.h).
 *
 * A call that submits and waits is made in two steps when something was
 * taken over: the kernel must have taken the rest before that begins, and it
 * must have begun before anybody waits for it.
 */
#include "../src/raw.h"
#include "guard.h"
#include "help.h"
#include "ops.h"
#include "uring.h"

__thread const struct io_uring *bv_uring_library;

/* ---- rings ---- */

static void made(const struct io_uring *ring)
{
	struct bv_uring_queue queue = bv_uring_queue(ring);

	bv_uring_made(ring->ring_fd, &queue);
}

int op_uring_queue_init(const char *call, unsigned entries,
			struct io_uring *ring, unsigned flags)
{
	const struct io_uring *outer = bv_uring_library;
	unsigned mine = bv_disks > 0 ? bv_uring_flags(flags) : flags;
	int result;

	(void)call;
	if (mine == ~0u)
		return -EINVAL;
	bv_uring_library = ring;
	result = real_io_uring_queue_init(entries, ring, mine);
	bv_uring_library = outer;
	if (result == 0 && bv_disks > 0)
		made(ring);
	return result;
}

/* The flags are handed back without those that were taken out. */
static int init_with(struct io_uring *ring, struct io_uring_params *p,
		     int (*init)(void *what), void *what)
{
	const struct io_uring *outer = bv_uring_library;
	unsigned flags = p->flags;
	int result;

	if (bv_disks == 0)
		return init(what);
	if (bv_uring_flags(flags) == ~0u)
		return -EINVAL;
	p->flags = bv_uring_flags(flags);
	bv_uring_library = ring;
	result = init(what);
	bv_uring_library = outer;
	if (result >= 0)
		made(ring);
	else
		p->flags = flags;
	return result;
}

struct init {
	unsigned entries;
	struct io_uring *ring;
	void *params, *memory;
	size_t size;
};

static int init_params(void *what)
{
	const struct init *i = what;

	return real_io_uring_queue_init_params(i->entries, i->ring, i->params);
}

static int init_mem(void *what)
{
	const struct init *i = what;

	return real_io_uring_queue_init_mem(i->entries, i->ring, i->params,
					    i->memory, i->size);
}

int op_uring_queue_init_params(const char *call, unsigned entries,
			       struct io_uring *ring, void *params)
{
	struct init init = { entries, ring, params, NULL, 0 };

	(void)call;
	return init_with(ring, params, init_params, &init);
}

int op_uring_queue_init_mem(const char *call, unsigned entries,
			    struct io_uring *ring, void *params, void *memory,
			    size_t size)
{
	struct init init = { entries, ring, params, memory, size };

	(void)call;
	return init_with(ring, params, init_mem, &init);
}

int op_uring_queue_mmap(const char *call, int fd, void *params,
			struct io_uring *ring)
{
	int result = real_io_uring_queue_mmap(fd, params, ring);
	struct bv_uring unknown;

	(void)call;
	if (result == 0 && bv_disks > 0)
		bv_uring_of(ring, &unknown);
	return result;
}

void op_uring_queue_exit(const char *call, struct io_uring *ring)
{
	(void)call;
	if (bv_uring_at(ring->ring_fd))
		bv_uring_closing((unsigned)ring->ring_fd,
				 (unsigned)ring->ring_fd);
	real_io_uring_queue_exit(ring);
}

int op_uring_setup(const char *call, unsigned entries, void *parameters)
{
	return bv_disks == 0 ? real_io_uring_setup(entries, parameters) :
			       bv_uring_setup(call, entries, parameters);
}

/* ---- submission ---- */

/* liburing is entered; leave says that it was left. */
static void enter_library(struct bv_submission *s, const struct io_uring *ring)
{
	s->library = bv_uring_library;
	bv_uring_library = ring;
}

static int leave(const struct bv_submission *s, int result)
{
	bv_uring_library = s->library;
	return result;
}

/* Everything that stands in ring's queue. */
static bool look_at_all(struct bv_submission *s, const struct io_uring *ring)
{
	struct bv_uring unknown;

	return bv_take(s, bv_uring_of(ring, &unknown), ring, ~0u);
}

static bool take_all(struct bv_submission *s, const struct io_uring *ring)
{
	enter_library(s, ring);
	return bv_disks > 0 && look_at_all(s, ring);
}

int op_uring_submit(const char *call, struct io_uring *ring)
{
	struct bv_submission s;
	int result;

	(void)call;
	if (!take_all(&s, ring))
		return leave(&s, real_io_uring_submit(ring));
	result = real_io_uring_submit(ring);
	bv_launch(&s);
	return leave(&s, result);
}

/* Did the kernel take all of it? It waits only then. */
static bool submit(struct bv_submission *s, struct io_uring *ring, int *result)
{
	*result = real_io_uring_submit(ring);
	bv_launch(s);
	return *result >= 0 && (unsigned)*result >= s->total;
}

/* Takes part in what count completions are waited for, without end. */
static int help(const struct io_uring *ring, unsigned count, const void *mask)
{
	return count == 1 ? bv_help_ring(ring->ring_fd, mask) : 0;
}

int op_uring_submit_and_wait(const char *call, struct io_uring *ring,
			     unsigned count)
{
	struct bv_submission s;
	int result, waited;

	(void)call;
	if (!take_all(&s, ring) && bv_flight_bell() < 0)
		return leave(&s, real_io_uring_submit_and_wait(ring, count));
	if (submit(&s, ring, &result) && count > 0) {
		waited = help(ring, count, NULL);
		if (waited == 0)
			waited = real_io_uring_submit_and_wait(ring, count);
		if (result == 0)
			result = waited;
	}
	return leave(&s, result);
}

int op_uring_submit_and_wait_timeout(const char *call, struct io_uring *ring,
				     void **cqe, unsigned count, void *timeout,
				     void *mask)
{
	struct bv_submission s;
	int result;

	(void)call;
	if (!take_all(&s, ring))
		return leave(&s, real_io_uring_submit_and_wait_timeout(
					 ring, cqe, count, timeout, mask));
	*cqe = NULL;
	if (submit(&s, ring, &result))
		real_io_uring_submit_and_wait_timeout(ring, cqe, count,
						      timeout, mask);
	return leave(&s, result);
}

int op_uring_submit_and_wait_min_timeout(const char *call,
					 struct io_uring *ring, void **cqe,
					 unsigned count, void *timeout,
					 unsigned minimum, void *mask)
{
	struct bv_submission s;
	int result;

	(void)call;
	if (!take_all(&s, ring))
		return leave(&s, real_io_uring_submit_and_wait_min_timeout(
					 ring, cqe, count, timeout, minimum,
					 mask));
	*cqe = NULL;
	if (submit(&s, ring, &result))
		real_io_uring_submit_and_wait_min_timeout(
			ring, cqe, count, timeout, minimum, mask);
	return leave(&s, result);
}

int op_uring_submit_and_wait_reg(const char *call, struct io_uring *ring,
				 void **cqe, unsigned count, int index)
{
	struct bv_submission s;
	int result;

	(void)call;
	if (!take_all(&s, ring))
		return leave(&s, real_io_uring_submit_and_wait_reg(
					 ring, cqe, count, index));
	*cqe = NULL;
	if (submit(&s, ring, &result))
		real_io_uring_submit_and_wait_reg(ring, cqe, count, index);
	return leave(&s, result);
}

int op_uring_submit_and_get_events(const char *call, struct io_uring *ring)
{
	struct bv_submission s;
	int result;

	(void)call;
	if (!take_all(&s, ring))
		return leave(&s, real_io_uring_submit_and_get_events(ring));
	result = real_io_uring_submit_and_get_events(ring);
	bv_launch(&s);
	return leave(&s, result);
}

/* On kernels without IORING_FEAT_EXT_ARG these submit as well, and those are
 * without messages: there is nothing to take, and something to refuse. */
int op_uring_wait_cqes(const char *call, struct io_uring *ring, void **cqe,
		       unsigned count, void *timeout, void *mask)
{
	struct bv_submission s;

	(void)call;
	enter_library(&s, ring);
	if (bv_disks > 0 && !bv_ours_possible())
		look_at_all(&s, ring);
	return leave(&s, real_io_uring_wait_cqes(ring, cqe, count, timeout,
						 mask));
}

int op_uring_wait_cqe_timeout(const char *call, struct io_uring *ring,
			      void **cqe, void *timeout)
{
	struct bv_submission s;

	(void)call;
	enter_library(&s, ring);
	if (bv_disks > 0 && !bv_ours_possible())
		look_at_all(&s, ring);
	return leave(&s, real_io_uring_wait_cqe_timeout(ring, cqe, timeout));
}

/* Inlined by liburing.h where a program waits; submits when told to. */
int op_uring_get_cqe(const char *call, struct io_uring *ring, void **cqe,
		     unsigned count, unsigned wait, void *mask)
{
	struct bv_uring unknown;
	struct bv_submission s;
	int result;

	(void)call;
	enter_library(&s, ring);
	*cqe = NULL;
	if (bv_disks == 0 || count == 0 ||
	    !bv_take(&s, bv_uring_of(ring, &unknown), NULL, count)) {
		result = count == 0 ? help(ring, wait, mask) : 0;
		return leave(&s, result < 0 ? result :
				 real___io_uring_get_cqe(ring, cqe, count, wait,
							 mask));
	}
	result = (int)raw_call(SYS_io_uring_enter, ring->ring_fd, count, 0, 0, 0,
			       0);
	bv_launch(&s);
	if (result >= 0 && (unsigned)result < s.total)
		result = -EAGAIN;
	else if (result >= 0)
		result = help(ring, wait, mask);
	return leave(&s, result < 0 ? result :
			 real___io_uring_get_cqe(ring, cqe, 0, wait, mask));
}

int op_uring_enter(const char *call, unsigned fd, unsigned count, unsigned wait,
		   unsigned flags, void *mask)
{
	return bv_uring_enter(call, fd, count, wait, flags, mask,
			      sizeof(raw_sigset));
}

int op_uring_enter2(const char *call, unsigned fd, unsigned count,
		    unsigned wait, unsigned flags, void *argument, size_t size)
{
	return bv_uring_enter(call, fd, count, wait, flags, argument, size);
}
