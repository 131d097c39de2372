/* wrap_uring: io_uring through liburing. What is about to be submitted is
 * looked at first; what concerns a target is taken over (uring.h).
 *
 * A call that submits and waits is made in two steps when something was
 * taken over: the kernel must have taken the rest before that begins, and it
 * must have begun before anybody waits for it.
 */
#include <stddef.h>

#include <blkverify/fdmap.h>
#include <blkverify/policy.h>
#include <blkverify/usermem.h>
#include <blkverify/verify.h>

#include "../src/raw.h"
#include "guard.h"
#include "ops.h"
#include "uring.h"

/* Newer than Debian 12's headers. */
#define REGISTER_USE_REGISTERED_RING (1u << 31)

/* ---- rings ---- */

/* Below liburing's own queue: the ring's memory is known to the caller alone. */
static int refuse_raw(const char *call)
{
	return bv_disks == 0 ? 0 :
	       bv_policy_unverified(&bv_disk[0], call, -ENOSYS);
}

int op_uring_queue_init(const char *call, unsigned entries,
			struct io_uring *ring, unsigned flags)
{
	unsigned mine = bv_disks > 0 ? bv_uring_flags(flags) : flags;
	int result;

	(void)call;
	if (mine == ~0u)
		return -EINVAL;
	result = real_io_uring_queue_init(entries, ring, mine);
	if (result == 0 && bv_disks > 0)
		bv_uring_made(ring->ring_fd, ring);
	return result;
}

/* The flags are handed back without those that were taken out. */
static int init_with(struct io_uring *ring, struct io_uring_params *p,
		     int (*init)(void *what), void *what)
{
	unsigned flags = p->flags;
	int result;

	if (bv_disks == 0)
		return init(what);
	if (bv_uring_flags(flags) == ~0u)
		return -EINVAL;
	p->flags = bv_uring_flags(flags);
	result = init(what);
	if (result >= 0)
		bv_uring_made(ring->ring_fd, ring);
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
	int result = refuse_raw(call);

	if (result == 0)
		result = real_io_uring_setup(entries, parameters);
	if (result >= 0)
		bv_uring_gone(result);
	return result;
}

/* ---- submission ---- */

/* Everything that stands in ring's queue. */
static bool take_all(struct bv_submission *s, struct io_uring *ring)
{
	struct bv_uring unknown;

	return bv_disks > 0 &&
	       bv_take(s, bv_uring_of(ring, &unknown), ring, ~0u);
}

int op_uring_submit(const char *call, struct io_uring *ring)
{
	struct bv_submission s;
	int result;

	(void)call;
	if (!take_all(&s, ring))
		return real_io_uring_submit(ring);
	result = real_io_uring_submit(ring);
	bv_launch(&s);
	return result;
}

/* Did the kernel take all of it? It waits only then. */
static bool submit(struct bv_submission *s, struct io_uring *ring, int *result)
{
	*result = real_io_uring_submit(ring);
	bv_launch(s);
	return *result >= 0 && (unsigned)*result >= s->total;
}

int op_uring_submit_and_wait(const char *call, struct io_uring *ring,
			     unsigned count)
{
	struct bv_submission s;
	int result;

	(void)call;
	if (!take_all(&s, ring))
		return real_io_uring_submit_and_wait(ring, count);
	if (submit(&s, ring, &result) && count > 0)
		real_io_uring_submit_and_wait(ring, count);
	return result;
}

int op_uring_submit_and_wait_timeout(const char *call, struct io_uring *ring,
				     void **cqe, unsigned count, void *timeout,
				     void *mask)
{
	struct bv_submission s;
	int result;

	(void)call;
	if (!take_all(&s, ring))
		return real_io_uring_submit_and_wait_timeout(ring, cqe, count,
							     timeout, mask);
	*cqe = NULL;
	if (submit(&s, ring, &result))
		real_io_uring_submit_and_wait_timeout(ring, cqe, count,
						      timeout, mask);
	return result;
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
		return real_io_uring_submit_and_wait_min_timeout(
			ring, cqe, count, timeout, minimum, mask);
	*cqe = NULL;
	if (submit(&s, ring, &result))
		real_io_uring_submit_and_wait_min_timeout(
			ring, cqe, count, timeout, minimum, mask);
	return result;
}

int op_uring_submit_and_wait_reg(const char *call, struct io_uring *ring,
				 void **cqe, unsigned count, int index)
{
	struct bv_submission s;
	int result;

	(void)call;
	if (!take_all(&s, ring))
		return real_io_uring_submit_and_wait_reg(ring, cqe, count,
							 index);
	*cqe = NULL;
	if (submit(&s, ring, &result))
		real_io_uring_submit_and_wait_reg(ring, cqe, count, index);
	return result;
}

int op_uring_submit_and_get_events(const char *call, struct io_uring *ring)
{
	struct bv_submission s;
	int result;

	(void)call;
	if (!take_all(&s, ring))
		return real_io_uring_submit_and_get_events(ring);
	result = real_io_uring_submit_and_get_events(ring);
	bv_launch(&s);
	return result;
}

/* On kernels without IORING_FEAT_EXT_ARG these submit as well, and those are
 * without messages: there is nothing to take, and something to refuse. */
int op_uring_wait_cqes(const char *call, struct io_uring *ring, void **cqe,
		       unsigned count, void *timeout, void *mask)
{
	struct bv_submission s;

	(void)call;
	if (bv_disks > 0 && !bv_post_possible())
		take_all(&s, ring);
	return real_io_uring_wait_cqes(ring, cqe, count, timeout, mask);
}

int op_uring_wait_cqe_timeout(const char *call, struct io_uring *ring,
			      void **cqe, void *timeout)
{
	struct bv_submission s;

	(void)call;
	if (bv_disks > 0 && !bv_post_possible())
		take_all(&s, ring);
	return real_io_uring_wait_cqe_timeout(ring, cqe, timeout);
}

static int enter(unsigned fd, unsigned count, unsigned wait, unsigned flags,
		 void *argument, size_t size)
{
	return (int)raw_call(SYS_io_uring_enter, fd, count, wait, flags,
			     (long)argument, (long)size);
}

/* Inlined by liburing.h where a program waits; submits when told to. */
int op_uring_get_cqe(const char *call, struct io_uring *ring, void **cqe,
		     unsigned count, unsigned wait, void *mask)
{
	struct bv_uring unknown;
	struct bv_submission s;
	int result;

	(void)call;
	if (bv_disks == 0 || count == 0 ||
	    !bv_take(&s, bv_uring_of(ring, &unknown), NULL, count))
		return real___io_uring_get_cqe(ring, cqe, count, wait, mask);
	result = enter((unsigned)ring->ring_fd, count, 0, 0, NULL, 0);
	bv_launch(&s);
	if (result >= 0 && (unsigned)result == s.total)
		return real___io_uring_get_cqe(ring, cqe, 0, wait, mask);
	*cqe = NULL;
	return result < 0 ? result : -EAGAIN;
}

/* io_uring_enter(2), as it comes from a program: a negative errno, or what
 * the kernel returned. */
int bv_uring_enter(const char *call, unsigned fd, unsigned count, unsigned wait,
		   unsigned flags, void *argument, size_t size)
{
	struct bv_uring *known = flags & IORING_ENTER_REGISTERED_RING ? NULL :
				 bv_uring_at((int)fd);
	struct bv_submission s;
	int result;

	if (bv_disks == 0 || count == 0)
		return enter(fd, count, wait, flags, argument, size);
	if (!known) {
		result = refuse_raw(call);
		return result < 0 ? result :
		       enter(fd, count, wait, flags, argument, size);
	}
	if (!bv_take(&s, known, NULL, count))
		return enter(fd, count, wait, flags, argument, size);
	result = enter(fd, count, 0, flags & ~IORING_ENTER_GETEVENTS &
					     ~IORING_ENTER_EXT_ARG, NULL, 0);
	bv_launch(&s);
	if (result >= 0 && (unsigned)result == count &&
	    flags & IORING_ENTER_GETEVENTS)
		enter(fd, 0, wait, flags, argument, size);
	return result;
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

/* ---- registration ---- */

static struct bv_uring *known_of(const struct io_uring *ring)
{
	struct bv_uring unknown, *known;

	if (bv_disks == 0)
		return NULL;
	known = bv_uring_of(ring, &unknown);
	return known == &unknown ? NULL : known;
}

int op_uring_register_files(const char *call, struct io_uring *ring,
			    const int *fds, unsigned count)
{
	struct bv_uring *known = known_of(ring);
	int result = bv_files_check(call, known, fds, count);

	if (result == 0)
		result = real_io_uring_register_files(ring, fds, count);
	if (result >= 0 && known)
		bv_files_new(known, fds, count);
	return result;
}

int op_uring_register_files_tags(const char *call, struct io_uring *ring,
				 const int *fds, const void *tags,
				 unsigned count)
{
	struct bv_uring *known = known_of(ring);
	int result = bv_files_check(call, known, fds, count);

	if (result == 0)
		result = real_io_uring_register_files_tags(ring, fds, tags,
							   count);
	if (result >= 0 && known)
		bv_files_new(known, fds, count);
	return result;
}

int op_uring_register_files_sparse(const char *call, struct io_uring *ring,
				   unsigned count)
{
	struct bv_uring *known = known_of(ring);
	int result = real_io_uring_register_files_sparse(ring, count);

	(void)call;
	if (result >= 0 && known)
		bv_files_new(known, NULL, count);
	return result;
}

int op_uring_register_files_update(const char *call, struct io_uring *ring,
				   unsigned offset, const int *fds,
				   unsigned count)
{
	struct bv_uring *known = known_of(ring);
	int result = bv_files_check(call, known, fds, count);

	if (result == 0)
		result = real_io_uring_register_files_update(ring, offset, fds,
							     count);
	if (result > 0 && known)
		bv_files_update(known, offset, fds, (unsigned)result);
	return result;
}

int op_uring_register_files_update_tag(const char *call, struct io_uring *ring,
				       unsigned offset, const int *fds,
				       const void *tags, unsigned count)
{
	struct bv_uring *known = known_of(ring);
	int result = bv_files_check(call, known, fds, count);

	if (result == 0)
		result = real_io_uring_register_files_update_tag(
			ring, offset, fds, tags, count);
	if (result > 0 && known)
		bv_files_update(known, offset, fds, (unsigned)result);
	return result;
}

int op_uring_unregister_files(const char *call, struct io_uring *ring)
{
	struct bv_uring *known = known_of(ring);
	int result;

	(void)call;
	if (known)
		bv_uring_settle(known);
	result = real_io_uring_unregister_files(ring);
	if (result >= 0 && known)
		bv_files_drop(known);
	return result;
}

int op_uring_register_eventfd_async(const char *call, struct io_uring *ring,
				    int fd)
{
	struct bv_uring *known = known_of(ring);
	int result = real_io_uring_register_eventfd_async(ring, fd);

	(void)call;
	if (result >= 0 && known)
		known->async_event = true;
	return result;
}

int op_uring_register_eventfd(const char *call, struct io_uring *ring, int fd)
{
	struct bv_uring *known = known_of(ring);
	int result = real_io_uring_register_eventfd(ring, fd);

	(void)call;
	if (result >= 0 && known)
		known->async_event = false;
	return result;
}

int op_uring_register_restrictions(const char *call, struct io_uring *ring,
				   void *restrictions, unsigned count)
{
	struct bv_uring *known = known_of(ring);
	int result = real_io_uring_register_restrictions(ring, restrictions,
							 count);

	(void)call;
	if (result >= 0 && known)
		known->restricted = true;
	return result;
}

/* What io_uring_register(2) does to the table of files. */
struct filing {
	enum { NO_FILES, NEW_FILES, SOME_FILES, LESS_FILES } what;
	const int *fds;
	unsigned offset, count;
};

static void read_filing(struct filing *f, unsigned code, const void *argument,
			unsigned count)
{
	struct io_uring_rsrc_register all = { 0 };
	struct io_uring_rsrc_update2 some = { 0 };

	*f = (struct filing){ .what = NO_FILES };
	switch (code) {
	case IORING_REGISTER_FILES:
		*f = (struct filing){ NEW_FILES, argument, 0, count };
		break;
	case IORING_REGISTER_FILES2:
		bv_user_copy_in(&all, argument, sizeof(all));
		*f = (struct filing){ NEW_FILES,
				      (const int *)(uintptr_t)all.data, 0,
				      all.nr };
		break;
	case IORING_REGISTER_FILES_UPDATE:
		/* The first words of both are the same. */
		bv_user_copy_in(&some, argument,
				sizeof(struct io_uring_files_update));
		*f = (struct filing){ SOME_FILES,
				      (const int *)(uintptr_t)some.data,
				      some.offset, count };
		break;
	case IORING_REGISTER_FILES_UPDATE2:
		bv_user_copy_in(&some, argument, sizeof(some));
		*f = (struct filing){ SOME_FILES,
				      (const int *)(uintptr_t)some.data,
				      some.offset, some.nr };
		break;
	case IORING_UNREGISTER_FILES:
		f->what = LESS_FILES;
		break;
	default:
		break;
	}
}

static void note(struct bv_uring *known, unsigned code, const struct filing *f,
		 int result)
{
	switch (f->what) {
	case NEW_FILES:
		bv_files_new(known, f->fds, f->count);
		break;
	case SOME_FILES:
		bv_files_update(known, f->offset, f->fds, (unsigned)result);
		break;
	case LESS_FILES:
		bv_files_drop(known);
		break;
	default:
		if (code == IORING_REGISTER_EVENTFD_ASYNC)
			known->async_event = true;
		else if (code == IORING_REGISTER_EVENTFD)
			known->async_event = false;
		else if (code == IORING_REGISTER_RESTRICTIONS)
			known->restricted = true;
		break;
	}
}

int bv_uring_register(const char *call, unsigned fd, unsigned code,
		      const void *argument, unsigned count)
{
	struct bv_uring *known = NULL;
	struct filing f = { .what = NO_FILES };
	int result = 0;

	if (bv_disks > 0) {
		read_filing(&f, code & ~REGISTER_USE_REGISTERED_RING, argument,
			    count);
		if (!(code & REGISTER_USE_REGISTERED_RING))
			known = bv_uring_at((int)fd);
		result = bv_files_check(call, known, f.fds, f.count);
	}
	if (result < 0)
		return result;
	if (known && f.what == LESS_FILES)
		bv_uring_settle(known);
	result = (int)raw_call(SYS_io_uring_register, fd, code, (long)argument,
			       count, 0, 0);
	if (result >= 0 && known)
		note(known, code, &f, result);
	return result;
}

int op_uring_register(const char *call, unsigned fd, unsigned code,
		      const void *argument, unsigned count)
{
	return bv_uring_register(call, fd, code, argument, count);
}
