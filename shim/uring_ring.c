/* uring_ring: the program's rings; see uring.h. */
#include <blkverify/own.h>
#include <blkverify/thread.h>

#include "../src/raw.h"
#include "uring.h"

#define RINGS 1024
#define NUMBERS 65536

/* Newer than Debian 12's headers. */
#define SETUP_NO_SQARRAY (1u << 16)
#define SETUP_HYBRID_IOPOLL (1u << 17)
#define SETUP_KNOWN ((1u << 19) - 1)

static struct bv_uring rings[RINGS];
static _Atomic uint16_t by_number[NUMBERS];  /* index + 1; 0: none */
static atomic_bool used;         /* there was one, ever */

struct bv_uring *bv_uring_at(int fd)
{
	unsigned index = (unsigned)fd < NUMBERS ? by_number[fd] : 0;

	return index ? &rings[index - 1] : NULL;
}

/* NULL: there is no room. */
static struct bv_uring *enter_ring(int fd)
{
	for (unsigned i = 0; i < RINGS; i++) {
		int none = 0;

		if (!atomic_compare_exchange_strong(&rings[i].key, &none,
						    fd + 1))
			continue;
		rings[i].post_fd = -1;
		atomic_store(&used, true);
		by_number[fd] = (uint16_t)(i + 1);
		return &rings[i];
	}
	return NULL;
}

static void drop(struct bv_uring *ring)
{
	int fd = ring->key - 1;

	by_number[fd] = 0;
	atomic_store(&ring->leaving, true);
	bv_uring_settle(ring);
	bv_files_drop(ring);
	bv_own_release(&ring->post_fd);
	bv_uring_unmap(&ring->maps);
	ring->raw = ring->polled = false;
	ring->foreign = ring->drained = ring->silenced = false;
	ring->restricted = ring->async_event = false;
	atomic_store(&ring->leaving, false);
	atomic_store(&ring->key, 0);
}

struct bv_uring_queue bv_uring_queue(const struct io_uring *from)
{
	return (struct bv_uring_queue){
		.khead = from->khead,
		.ktail = from->ktail,
		.mask = *from->kring_mask,
		.array = from->flags & SETUP_NO_SQARRAY ? NULL : from->array,
		.shift = from->flags & IORING_SETUP_SQE128 ? 1 : 0,
		.sqes = from->sqes,
	};
}

void bv_uring_gone(int fd)
{
	struct bv_uring *ring = bv_uring_at(fd);

	if (ring)
		drop(ring);
}

struct bv_uring *bv_uring_made(int fd, const struct bv_uring_queue *queue)
{
	struct bv_uring *ring;

	bv_uring_gone(fd);
	ring = (unsigned)fd < NUMBERS ? enter_ring(fd) : NULL;
	if (ring)
		ring->queue = *queue;
	return ring;
}

/* The same ring may be mapped again, elsewhere. */
struct bv_uring *bv_uring_of(const struct io_uring *from,
			     struct bv_uring *unknown)
{
	struct bv_uring_queue queue = bv_uring_queue(from);
	struct bv_uring *ring = bv_uring_at(from->ring_fd);

	if (!ring)
		ring = bv_uring_made(from->ring_fd, &queue);
	if (!ring) {
		*unknown = (struct bv_uring){ .post_fd = -1,
					      .restricted = true };
		ring = unknown;
	}
	if (ring->queue.khead != queue.khead || ring->queue.sqes != queue.sqes)
		ring->queue = queue;
	return ring;
}

/* SQPOLL: requests are taken out of memory without a call. IOPOLL: a no-op
 * and a message are not for it. DEFER_TASKRUN, and SINGLE_ISSUER that goes
 * with it: completions only when the one thread asks for them. */
unsigned bv_uring_flags(unsigned flags)
{
	const unsigned deferred = IORING_SETUP_COOP_TASKRUN |
				  IORING_SETUP_TASKRUN_FLAG |
				  IORING_SETUP_DEFER_TASKRUN;
	unsigned mine = flags;

	if (flags & ~SETUP_KNOWN)
		return ~0u;
	if (flags & IORING_SETUP_SQPOLL ? flags & deferred
					: flags & IORING_SETUP_SQ_AFF)
		return flags;
	if (flags & IORING_SETUP_DEFER_TASKRUN &&
	    !(flags & IORING_SETUP_SINGLE_ISSUER))
		return flags;
	if (flags & IORING_SETUP_TASKRUN_FLAG && !(flags & deferred &
						   ~IORING_SETUP_TASKRUN_FLAG))
		return flags;
	if (flags & SETUP_HYBRID_IOPOLL && !(flags & IORING_SETUP_IOPOLL))
		return flags;
	mine &= ~(IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF |
		  IORING_SETUP_IOPOLL | SETUP_HYBRID_IOPOLL |
		  IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER);
	if (!(mine & IORING_SETUP_COOP_TASKRUN))
		mine &= ~IORING_SETUP_TASKRUN_FLAG;
	return mine;
}

void bv_uring_settle(struct bv_uring *ring)
{
	uint32_t now;

	while ((now = atomic_load(&ring->inflight)) > 0)
		raw_futex_wait(&ring->inflight, now, NULL);
}

/* A vfork child closes descriptors of its own, with our memory. */
static void drop_range(unsigned first, unsigned last)
{
	if (raw_getpid() != bv_pid)
		return;
	for (unsigned i = 0; i < RINGS; i++) {
		int key = rings[i].key;

		if (key > 0 && (unsigned)key - 1 >= first &&
		    (unsigned)key - 1 <= last)
			drop(&rings[i]);
	}
}

void bv_uring_closing(unsigned first, unsigned last)
{
	if (!atomic_load_explicit(&used, memory_order_relaxed))
		return;
	bv_taken_settle(first, last, NULL);
	bv_files_closing(first, last);
	if (first != last || bv_uring_at((int)first))
		drop_range(first, last);
}

void bv_uring_forked(void)
{
	bv_own_forked();
	bv_files_forked();
	bv_taken_forked();
	bv_ours_forked();
	for (unsigned i = 0; i < RINGS; i++)
		if (rings[i].key > 0) {
			atomic_store(&rings[i].inflight, 0);
			atomic_store(&rings[i].entering, 0);
		}
}
