/* uring_raw: rings by system calls, from libc's syscall() or trapped (trap.h);
 * see uring.h.
 *
 * The memory of a ring that is made so is known to the program alone, so it is
 * mapped once more. Its requests may be submitted by instructions that are
 * nobody's but the program's: without the trap there is no such ring.
 */
#include <string.h>
#include <sys/mman.h>

#include <blkverify/policy.h>
#include <blkverify/usermem.h>
#include <blkverify/verify.h>

#include "../src/lock.h"
#include "../src/raw.h"
#include "guard.h"
#include "help.h"
#include "ops.h"
#include "sigsys.h"
#include "trap.h"
#include "uring.h"

/* Newer than Debian 12's headers. */
#define SETUP_NO_MMAP (1u << 14)
#define SETUP_REGISTERED_FD_ONLY (1u << 15)
#define SETUP_NO_SQARRAY (1u << 16)
#define REGISTER_RESIZE_RINGS 33

/* ---- made ---- */

void bv_uring_unmap(struct bv_uring_maps *maps)
{
	if (maps->ring)
		raw_munmap(maps->ring, maps->ring_bytes);
	if (maps->sqes)
		raw_munmap(maps->sqes, maps->sqes_bytes);
	*maps = (struct bv_uring_maps){ 0 };
}

static void *map(int fd, size_t bytes, uint64_t offset)
{
	void *at = raw_mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_POPULATE, fd, offset);

	return raw_is_error(at) ? NULL : at;
}

/* The end of what is used of the part that the program shares with the
 * kernel: its array, or without one, its words. */
static size_t ring_bytes(const struct io_uring_params *p, unsigned flags)
{
	const unsigned words[] = { p->sq_off.head, p->sq_off.tail,
				   p->sq_off.ring_mask, p->sq_off.flags };
	size_t end = 0;

	if (!(flags & SETUP_NO_SQARRAY))
		end = p->sq_off.array + p->sq_entries * sizeof(unsigned);
	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (end < words[i] + sizeof(unsigned))
			end = words[i] + sizeof(unsigned);
	return end;
}

static bool map_all(int fd, const struct io_uring_params *p, unsigned flags,
		    struct bv_uring_maps *maps)
{
	unsigned shift = flags & IORING_SETUP_SQE128 ? 1 : 0;

	maps->ring_bytes = ring_bytes(p, flags);
	maps->sqes_bytes = p->sq_entries * sizeof(struct io_uring_sqe) << shift;
	maps->ring = map(fd, maps->ring_bytes, IORING_OFF_SQ_RING);
	maps->sqes = map(fd, maps->sqes_bytes, IORING_OFF_SQES);
	return maps->ring && maps->sqes;
}

/* Memory of the program's own (Linux 6.5): its address comes behind the last of
 * the offsets, under a name that depends on the header. */
static void *given(const uint32_t *resv1)
{
	uint64_t address;

	memcpy(&address, resv1 + 1, sizeof(address));
	return (void *)(uintptr_t)address;
}

int bv_uring_made_raw(int fd, const struct io_uring_params *p, unsigned asked)
{
	struct bv_uring_maps maps = { 0 };
	struct bv_uring_queue queue;
	struct bv_uring *ring;
	char *base = given(&p->cq_off.resv1);

	if (!(p->flags & SETUP_NO_MMAP)) {
		if (!map_all(fd, p, p->flags, &maps)) {
			bv_uring_unmap(&maps);
			return -ENOMEM;
		}
		base = maps.ring;
	}
	queue = (struct bv_uring_queue){
		.khead = (unsigned *)(void *)(base + p->sq_off.head),
		.ktail = (unsigned *)(void *)(base + p->sq_off.tail),
		.mask = p->sq_entries - 1,
		.array = (unsigned *)(void *)(base + p->sq_off.array),
		.shift = p->flags & IORING_SETUP_SQE128 ? 1 : 0,
		.sqes = maps.sqes ? maps.sqes : given(&p->sq_off.resv1),
	};
	if (p->flags & SETUP_NO_SQARRAY)
		queue.array = NULL;
	ring = bv_uring_made(fd, &queue);
	if (!ring) {
		bv_uring_unmap(&maps);
		return -ENOMEM;
	}
	ring->maps = maps;
	ring->raw = true;
	ring->polled = asked & IORING_SETUP_SQPOLL;
	/* Whoever believes that the kernel polls looks here before, and enters
	 * each time. */
	if (ring->polled)
		__atomic_fetch_or((unsigned *)(void *)(base + p->sq_off.flags),
				  IORING_SQ_NEED_WAKEUP, __ATOMIC_SEQ_CST);
	return 0;
}

static const char *obstacle(void)
{
	switch (bv_trap_start()) {
	case BV_TRAP_SET:
		return NULL;
	case BV_TRAP_NO_KERNEL:
		return "io_uring_setup without Syscall User Dispatch "
		       "(Linux 5.11)";
	case BV_TRAP_NO_GATE:
		return "io_uring_setup without a system call instruction in "
		       "libc";
	default:
		return "io_uring_setup with a thread that cannot be reached";
	}
}

/* Without the trap nothing is known of its requests. */
static int make_unseen(unsigned entries, void *params, const char *call)
{
	int result = bv_policy_unverified(&bv_disk[0], call, -ENOSYS);

	if (result < 0)
		return result;
	for (unsigned i = 0; i < bv_disks; i++)
		bv_change_lasting(&bv_disk[i], 0, INT64_MAX);
	result = (int)raw_call(SYS_io_uring_setup, entries, (long)params, 0, 0,
			       0, 0);
	if (result >= 0)
		bv_uring_gone(result);
	return result;
}

int bv_uring_setup(const char *call, unsigned entries, void *params)
{
	struct io_uring_params p;
	unsigned asked, mine;
	int fd, result;

	(void)call;
	/* liburing's, or one that the kernel will not make. */
	if (bv_uring_library ||
	    bv_user_copy_in(&p, params, sizeof(p)) < sizeof(p))
		return (int)raw_call(SYS_io_uring_setup, entries, (long)params,
				     0, 0, 0, 0);
	asked = p.flags;
	mine = bv_uring_flags(asked);
	/* An index in place of a descriptor is one thread's. */
	if (mine == ~0u || mine & SETUP_REGISTERED_FD_ONLY)
		return -EINVAL;
	call = obstacle();
	if (call)
		return make_unseen(entries, params, call);
	p.flags = mine;
	fd = (int)raw_call(SYS_io_uring_setup, entries, (long)&p, 0, 0, 0, 0);
	if (fd < 0)
		return fd;
	result = bv_user_copy_out(params, &p, sizeof(p)) < sizeof(p) ?
			 -EFAULT : bv_uring_made_raw(fd, &p, asked);
	if (result < 0)
		raw_close(fd);
	return result < 0 ? result : fd;
}

/* ---- registered ---- */

bool bv_uring_bars(const struct bv_uring *ring, unsigned code)
{
	return ring && ring->raw && (code == IORING_REGISTER_RING_FDS ||
				     code == REGISTER_RESIZE_RINGS);
}

/* ---- entered ---- */

static int enter(unsigned fd, unsigned count, unsigned wait, unsigned flags,
		 void *argument, size_t size)
{
	return (int)raw_call(SYS_io_uring_enter, fd, count, wait, flags,
			     (long)argument, (long)size);
}

/* The mask with which handlers run while it waits. */
struct fitted {
	raw_sigset mask;
	struct io_uring_getevents_arg argument;
};

static void *fit_mask(struct fitted *f, unsigned flags, void *argument,
		      size_t size)
{
	bool extended = flags & IORING_ENTER_EXT_ARG;
	const void *mask = argument;

	if (!atomic_load(&bv_trap_on) || !(flags & IORING_ENTER_GETEVENTS))
		return argument;
	if (extended) {
		if (size != sizeof(f->argument) ||
		    bv_user_copy_in(&f->argument, argument, size) < size)
			return argument;
		mask = (const void *)(uintptr_t)f->argument.sigmask;
	}
	if (!mask || bv_user_copy_in(&f->mask, mask, sizeof(f->mask)) <
			     sizeof(f->mask))
		return argument;
	f->mask = bv_sigsys_fit(f->mask);
	f->argument.sigmask = (uint64_t)(uintptr_t)&f->mask;
	return extended ? (void *)&f->argument : &f->mask;
}

/* By one of liburing's functions, whose wrapper has seen to it. */
static bool is_library(unsigned fd, unsigned flags)
{
	const struct io_uring *ring = bv_uring_library;

	return ring && (int)fd == (flags & IORING_ENTER_REGISTERED_RING ?
					   ring->enter_ring_fd : ring->ring_fd);
}

/* Submits and does not wait. Two threads that do it at once take turns, as in
 * the kernel: each is to find what the other has left. */
static int submit(struct bv_uring *ring, unsigned fd, unsigned count,
		  unsigned flags)
{
	raw_sigset mask = lock_take(&ring->entering);
	struct bv_submission s;
	bool taken = bv_take(&s, ring, NULL, count);
	int result = enter(fd, count, 0, flags & ~IORING_ENTER_GETEVENTS &
						 ~IORING_ENTER_EXT_ARG, NULL, 0);

	if (taken)
		bv_launch(&s);
	lock_give(&ring->entering, mask);
	return result;
}

static unsigned pending(const struct bv_uring *ring)
{
	unsigned count = __atomic_load_n(ring->queue.ktail, __ATOMIC_ACQUIRE) -
			 __atomic_load_n(ring->queue.khead, __ATOMIC_ACQUIRE);

	return count > ring->queue.mask ? ring->queue.mask + 1 : count;
}

/* A kernel that polls takes whatever there is, goes on behind a request that
 * is no good, and says that it has taken as many as it was told. */
static int submit_polled(struct bv_uring *ring, unsigned fd, unsigned count)
{
	unsigned left;
	int result = 0;

	while (result >= 0 && (left = pending(ring)) > 0) {
		result = submit(ring, fd, left, 0);
		if (result == -EAGAIN || result == -EINTR) {
			raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
			result = 0;
		} else if (pending(ring) == left) {
			break;
		}
	}
	return result < 0 ? result : (int)count;
}

/* Without submitting. Who waits without end, for the next completion, takes
 * part in it. */
static int await(unsigned fd, unsigned wait, unsigned flags, void *argument,
		 size_t size)
{
	int result = 0;

	if (wait == 1 && flags == IORING_ENTER_GETEVENTS &&
	    (!argument || size == sizeof(raw_sigset)))
		result = bv_help_ring((int)fd, argument);
	return result < 0 ? result : enter(fd, 0, wait, flags, argument, size);
}

int bv_uring_enter(const char *call, unsigned fd, unsigned count, unsigned wait,
		   unsigned flags, void *argument, size_t size)
{
	struct bv_uring *ring = flags & IORING_ENTER_REGISTERED_RING ? NULL :
				bv_uring_at((int)fd);
	int result = 0, waited;
	struct fitted fitted;

	argument = fit_mask(&fitted, flags, argument, size);
	if (bv_disks == 0 || is_library(fd, flags))
		return enter(fd, count, wait, flags, argument, size);
	if (count == 0 && !(ring && ring->polled))
		return await(fd, wait, flags, argument, size);
	if (!ring) {
		/* Its memory is known to the caller alone. */
		result = bv_policy_unverified(&bv_disk[0], call, -ENOSYS);
		return result < 0 ? result :
		       enter(fd, count, wait, flags, argument, size);
	}
	result = ring->polled ? submit_polled(ring, fd, count) :
				submit(ring, fd, count, flags);
	if (result < 0 || (unsigned)result < count ||
	    !(flags & IORING_ENTER_GETEVENTS))
		return result;
	waited = await(fd, wait, flags, argument, size);
	return count == 0 ? waited : result;
}
