/* wrap_uring_register: what is registered with rings, by liburing's functions
 * and by io_uring_register(2): the files, of which the ring's requests give
 * but an index. */
#include <blkverify/policy.h>
#include <blkverify/usermem.h>

#include "../src/raw.h"
#include "guard.h"
#include "ops.h"
#include "uring.h"

/* Newer than Debian 12's headers. */
#define REGISTER_USE_REGISTERED_RING (1u << 31)

static struct bv_uring *known_of(const struct io_uring *ring)
{
	struct bv_uring unknown, *known;

	if (bv_disks == 0)
		return NULL;
	known = bv_uring_of(ring, &unknown);
	return known == &unknown ? NULL : known;
}

/* Its system call is ours, if it is trapped, and must not come back here: the
 * table of files is locked. */
static const struct io_uring *enter_library(const struct io_uring *ring)
{
	const struct io_uring *outer = bv_uring_library;

	bv_uring_library = ring;
	return outer;
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
	const struct io_uring *outer;
	raw_sigset mask;

	if (result < 0)
		return result;
	mask = bv_files_begin();
	outer = enter_library(ring);
	result = real_io_uring_register_files_update(ring, offset, fds, count);
	bv_uring_library = outer;
	if (result > 0 && known)
		bv_files_update(known, offset, fds, (unsigned)result);
	bv_files_end(mask);
	return result;
}

int op_uring_register_files_update_tag(const char *call, struct io_uring *ring,
				       unsigned offset, const int *fds,
				       const void *tags, unsigned count)
{
	struct bv_uring *known = known_of(ring);
	int result = bv_files_check(call, known, fds, count);
	const struct io_uring *outer;
	raw_sigset mask;

	if (result < 0)
		return result;
	mask = bv_files_begin();
	outer = enter_library(ring);
	result = real_io_uring_register_files_update_tag(ring, offset, fds,
							 tags, count);
	bv_uring_library = outer;
	if (result > 0 && known)
		bv_files_update(known, offset, fds, (unsigned)result);
	bv_files_end(mask);
	return result;
}

int op_uring_unregister_files(const char *call, struct io_uring *ring)
{
	struct bv_uring *known = known_of(ring);
	int result = real_io_uring_unregister_files(ring);

	(void)call;
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
	raw_sigset mask = 0;
	int result = 0;

	/* liburing's own, trapped: a wrapper has seen to it. */
	if (bv_uring_library)
		return (int)raw_call(SYS_io_uring_register, fd, code,
				     (long)argument, count, 0, 0);
	if (bv_disks > 0) {
		read_filing(&f, code & ~REGISTER_USE_REGISTERED_RING, argument,
			    count);
		if (!(code & REGISTER_USE_REGISTERED_RING))
			known = bv_uring_at((int)fd);
		result = bv_files_check(call, known, f.fds, f.count);
	}
	if (bv_uring_bars(known, code))
		return -EINVAL;
	if (result < 0)
		return result;
	/* Single slots change in step with our table. */
	if (f.what == SOME_FILES)
		mask = bv_files_begin();
	result = (int)raw_call(SYS_io_uring_register, fd, code, (long)argument,
			       count, 0, 0);
	if (result >= 0 && known)
		note(known, code, &f, result);
	if (f.what == SOME_FILES)
		bv_files_end(mask);
	return result;
}

int op_uring_register(const char *call, unsigned fd, unsigned code,
		      const void *argument, unsigned count)
{
	return bv_uring_register(call, fd, code, argument, count);
}
