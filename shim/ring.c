/* ring: contexts, orders and events; see ring.h. */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <blkverify/disk.h>
#include <blkverify/own.h>
#include <blkverify/thread.h>
#include <blkverify/usermem.h>

#include "../src/lock.h"
#include "eventfd.h"
#include "ring.h"

#define MAGIC 0xa10a10a1u
#define PAGE 4096u

/* Contexts at a time. */
#define MOST 1024

/* A context that is gone leaves its entry, so that a look-up racing with its
 * end reads memory that is there. */
static struct ring table[MOST];
static _Atomic uint32_t used;        /* entries ever used */

struct ring *ring_enter(void *context)
{
	uint32_t count = atomic_load(&used);

	for (uint32_t i = 0; context && i < count; i++) {
		struct ring *ring = &table[i];

		if (atomic_load(&ring->address) != (uintptr_t)context)
			continue;
		atomic_fetch_add(&ring->users, 1);
		if (atomic_load(&ring->address) == (uintptr_t)context)
			return ring;
		ring_leave(ring);
	}
	return NULL;
}

void ring_leave(struct ring *ring)
{
	atomic_fetch_sub(&ring->users, 1);
}

/* Events that the program has not taken. Head is the program's, and may be
 * anything. */
static uint32_t unread(const struct ring *ring)
{
	uint32_t head = atomic_load(&ring->shown->head) % ring->nr;

	return (ring->tail + ring->nr - head) % ring->nr;
}

struct order *ring_admit(struct ring *ring)
{
	struct order *order = NULL;
	raw_sigset mask = lock_take(&ring->lock);

	/* One entry always stays empty, to tell full from empty. */
	if (ring->pending + unread(ring) < ring->nr - 1) {
		uint32_t index = ring->free ? ring->free - 1 : ring->fresh++;

		order = &ring->order[index];
		if (ring->free)
			ring->free = order->next;
		ring->pending++;
		atomic_fetch_add(&ring->working, 1);
	}
	lock_give(&ring->lock, mask);
	if (order) {
		order->ring = ring;
		order->eventfd = -1;
		order->iov = order->few;
		order->count = 0;
	}
	return order;
}

/* Back on the list; under the lock. */
static void give_back(struct order *order)
{
	struct ring *ring = order->ring;

	atomic_store(&order->phase, ORDER_FREE);
	order->next = ring->free;
	ring->free = (uint32_t)(order - ring->order) + 1;
	ring->pending--;
}

static void drop_segments(struct order *order)
{
	if (order->iov != order->few)
		raw_munmap(order->iov, (size_t)order->count * sizeof(*order->iov));
}

void ring_reject(struct order *order)
{
	struct ring *ring = order->ring;
	raw_sigset mask;

	drop_segments(order);
	if (order->eventfd >= 0)
		bv_eventfd_put(order->eventfd);
	mask = lock_take(&ring->lock);
	give_back(order);
	lock_give(&ring->lock, mask);
	atomic_fetch_sub(&ring->working, 1);
}

static void write_event(struct order *order, int64_t res, int64_t res2)
{
	struct ring *ring = order->ring;

	ring->shown->event[ring->tail] = (struct io_event){
		.data = order->cb.aio_data, .obj = order->theirs,
		.res = res, .res2 = res2,
	};
	ring->tail = (ring->tail + 1) % ring->nr;
	atomic_store(&ring->shown->tail, ring->tail);
}

static void wake(struct ring *ring)
{
	const uint64_t one = 1;

	if (atomic_load(&ring->sleepers) > 0)
		raw_futex_wake(&ring->shown->tail, INT32_MAX);
	if (atomic_load(&ring->wakes) > 0)
		raw_write(ring->wake, &one, sizeof(one));
}

void ring_post(struct order *order, int64_t res, int64_t res2)
{
	struct ring *ring = order->ring;
	int eventfd = order->eventfd;
	raw_sigset mask;

	drop_segments(order);
	mask = lock_take(&ring->lock);
	write_event(order, res, res2);
	give_back(order);
	lock_give(&ring->lock, mask);
	if (eventfd >= 0) {
		bv_eventfd_signal(eventfd);
		bv_eventfd_put(eventfd);
	}
	wake(ring);
	/* The last: then nothing of the ring is touched any more. */
	atomic_fetch_sub(&ring->working, 1);
}

int ring_eventfd(int flags, int *slot)
{
	int fd = (int)raw_call(SYS_eventfd2, 0, EFD_CLOEXEC | flags, 0, 0, 0, 0);
	int result;

	if (fd < 0)
		return fd;
	result = bv_own_dup(fd, slot);
	raw_close(fd);
	return result;
}

void ring_moment(void)
{
	static const struct timespec millisecond = { 0, 1000 * 1000 };

	raw_call(SYS_nanosleep, (long)&millisecond, 0, 0, 0, 0, 0);
}

/* ---- beginning and end ---- */

static struct ring *new_entry(void)
{
	for (uint32_t i = 0; i < MOST; i++) {
		struct ring *ring = &table[i];
		uint32_t none = 0, count = i;

		if (atomic_load(&ring->address) ||
		    !atomic_compare_exchange_strong(&ring->users, &none, 1))
			continue;
		/* Somebody may have made it between the two. */
		if (atomic_load(&ring->address)) {
			ring_leave(ring);
			continue;
		}
		atomic_compare_exchange_strong(&used, &count, i + 1);
		return ring;
	}
	return NULL;
}

static void *map(size_t bytes)
{
	void *at = raw_mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return raw_is_error(at) ? NULL : at;
}

/* As many entries as the kernel's own has, whose first page says so. */
static int fill_in(struct ring *ring, const struct ring_shown *kernels)
{
	struct ring_shown *shown;

	ring->nr = kernels->nr;
	ring->shown_bytes = (sizeof(*shown) +
			     ring->nr * sizeof(struct io_event) + PAGE - 1) &
			    ~(size_t)(PAGE - 1);
	shown = map(ring->shown_bytes);
	ring->order = map(ring->nr * sizeof(struct order));
	if (!shown || !ring->order) {
		if (shown)
			raw_munmap(shown, ring->shown_bytes);
		return -ENOMEM;
	}
	shown->id = kernels->id;
	shown->nr = ring->nr;
	shown->magic = MAGIC;
	shown->compatible = kernels->compatible;
	shown->incompatible = kernels->incompatible;
	shown->header = sizeof(*shown);
	ring->shown = shown;
	ring->pending = ring->tail = ring->free = ring->fresh = 0;
	ring->wake = ring->ended = -1;
	return 0;
}

static long kernel_setup(unsigned nr, aio_context_t *context)
{
	*context = 0;
	return raw_call(SYS_io_setup, nr, (long)context, 0, 0, 0, 0);
}

/* What the program asked wrongly is for the kernel to say. */
static bool is_odd(void *const *context)
{
	void *now;

	return bv_user_copy_in(&now, context, sizeof(now)) < sizeof(now) || now;
}

long bv_ring_setup(unsigned nr, void **context)
{
	const struct ring_shown *kernels;
	struct ring *ring;
	long result;

	if (bv_disks == 0 || is_odd(context))
		return -ENOENT;
	ring = new_entry();
	if (!ring)
		return -EAGAIN;
	result = kernel_setup(nr, &ring->kernel);
	if (result < 0) {
		ring_leave(ring);
		return result;
	}
	kernels = ring_behind(ring);
	result = kernels->magic == MAGIC ? fill_in(ring, kernels) : -ENOSYS;
	if (result == 0 && bv_user_copy_out(context, &ring->shown,
					    sizeof(*context)) < sizeof(*context))
		result = -EFAULT;
	if (result < 0)
		raw_call(SYS_io_destroy, (long)ring->kernel, 0, 0, 0, 0, 0);
	else
		atomic_store(&ring->address, (uintptr_t)ring->shown);
	ring_leave(ring);
	return result;
}

/* Requests of the kernel's that may never end by themselves. */
static void cancel_polls(struct ring *ring)
{
	struct io_event unused;

	for (uint32_t i = 0; i < ring->fresh; i++) {
		struct order *order = &ring->order[i];

		if (atomic_load(&order->phase) == ORDER_KERNEL &&
		    order->cb.aio_lio_opcode == IOCB_CMD_POLL)
			raw_call(SYS_io_cancel, (long)ring->kernel,
				 (long)&order->cb, (long)&unused, 0, 0, 0);
	}
}

long bv_ring_destroy(void *context)
{
	struct ring *ring = ring_enter(context);
	uintptr_t address = (uintptr_t)context;

	if (!ring)
		return -ENOENT;
	if (!atomic_compare_exchange_strong(&ring->address, &address, 0)) {
		ring_leave(ring);
		return -EINVAL;
	}
	/* Those who wait find it gone; what is in flight is carried out. */
	while (atomic_load(&ring->working) > 0 || atomic_load(&ring->users) > 1) {
		wake(ring);
		cancel_polls(ring);
		ring_moment();
	}
	/* First who looks into it. */
	ring_forward_end(ring);
	raw_call(SYS_io_destroy, (long)ring->kernel, 0, 0, 0, 0, 0);
	if (ring->wake >= 0)
		bv_own_release(&ring->wake);
	raw_munmap(ring->shown, ring->shown_bytes);
	raw_munmap(ring->order, ring->nr * sizeof(struct order));
	ring_leave(ring);
	return 0;
}

static bool uses(const struct order *order, unsigned first, unsigned last)
{
	return atomic_load(&order->phase) == ORDER_POOL &&
	       order->cb.aio_fildes >= first && order->cb.aio_fildes <= last;
}

static bool any_uses(struct ring *ring, unsigned first, unsigned last)
{
	for (uint32_t i = 0; i < ring->fresh; i++)
		if (uses(&ring->order[i], first, last))
			return true;
	return false;
}

void bv_ring_closing(unsigned first, unsigned last)
{
	uint32_t count = atomic_load(&used);

	/* A handler inside an operation, which what is in flight may be
	 * waiting for. And a vfork child closes what is its own. */
	if (count == 0 || bv_thread.depth > 0 || raw_getpid() != bv_pid)
		return;
	for (uint32_t i = 0; i < count; i++) {
		struct ring *ring = &table[i];
		void *context = (void *)atomic_load(&ring->address);

		if (ring_enter(context) != ring)
			continue;
		while (any_uses(ring, first, last))
			ring_moment();
		ring_leave(ring);
	}
	bv_eventfd_closing(first, last);
}

void bv_ring_forked(void)
{
	uint32_t count = atomic_load(&used);

	for (uint32_t i = 0; i < count; i++) {
		struct ring *ring = &table[i];

		if (atomic_load(&ring->address)) {
			bv_own_release(&ring->wake);
			bv_own_release(&ring->ended);
		}
		*ring = (struct ring){ .wake = -1, .ended = -1 };
	}
	bv_eventfd_forked();
}
