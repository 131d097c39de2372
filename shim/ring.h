/* ring: contexts of Linux AIO that are ours.
 *
 * A context's id is the address of a ring of completions in the program's
 * memory, and QEMU and fio take them from there without any call. So who is
 * to verify a read before the program can see it must own the ring: io_setup
 * gives out one of ours. Requests on targets are carried out here; all others
 * go, as copies, to a context of the kernel's behind it, and a thread posts
 * what comes of them into the same ring.
 *
 * That context is made with the ring. It answers what io_setup is to fail
 * with, how many entries the ring has, and what is to be said to requests
 * that only the kernel can judge.
 *
 * Functions return what the system call does: a negative errno on failure.
 * -ENOENT: no context of ours, and the kernel's to answer.
 */
#ifndef BV_RING_H
#define BV_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <linux/aio_abi.h>
#include <sys/uio.h>

#include <blkverify/pool.h>

#include "../src/raw.h"

/* Where the program sees it: the kernel's own layout (fs/aio.c). */
struct ring_shown {
	uint32_t id, nr;
	_Atomic uint32_t head;       /* the program's to move */
	_Atomic uint32_t tail;       /* ours; also the futex of who waits */
	uint32_t magic, compatible, incompatible, header;
	struct io_event event[];
};

enum order_phase {
	ORDER_FREE,
	ORDER_KERNEL,                /* in the context behind */
	ORDER_POOL,
	ORDER_HERE,                  /* by the thread that submitted it */
};

/* A request that was admitted. */
struct order {
	struct bv_job job;
	struct iocb cb;              /* as it was then */
	struct ring *ring;
	uint64_t theirs;             /* the program's pointer: says which it is */
	_Atomic uint32_t phase;      /* enum order_phase */
	uint32_t next;               /* free list: index + 1 */
	int eventfd;                 /* of eventfd.h, or -1 */
	struct iovec *iov;
	int count;
	struct iovec few[8];         /* more have a mapping of their own */
};

struct ring {
	_Atomic uintptr_t address;   /* the context id; 0: none */
	_Atomic uint32_t users;      /* calls that work on it */
	_Atomic uint32_t working;    /* orders not done with yet */
	_Atomic uint32_t sleepers;
	_Atomic uint32_t reading;    /* lock: who moves head */
	_Atomic uint32_t lock;       /* of all below */
	uint32_t pending;            /* admitted, and no event yet */
	uint32_t tail;               /* the one that is trusted */
	uint32_t free, fresh;        /* orders: list, and never used */
	uint32_t nr;
	struct ring_shown *shown;
	struct order *order;         /* nr of them */
	size_t shown_bytes;
	aio_context_t kernel;        /* the context behind */
	_Atomic uint32_t harvesting; /* lock: who takes events from there */
	_Atomic uint32_t forwarder;  /* its thread runs; 2: and shall end */
	int ended;                   /* eventfd that wakes it, or -1 */
	int wake;                    /* eventfd for ring_wait.c, or -1 */
	_Atomic uint32_t wakes;      /* who waits for that one */
};

/* The ring of a context, kept from being unmapped until it is left; NULL:
 * not ours. */
struct ring *ring_enter(void *context);
void ring_leave(struct ring *ring);

/* Admission: an order of which all but ring and phase is the caller's to fill
 * in, or NULL when the ring would not hold its event. */
struct order *ring_admit(struct ring *ring);

/* It was rejected all the same: nobody hears of it. */
void ring_reject(struct order *order);

/* It is done: the event becomes visible, and the order is free. */
void ring_post(struct order *order, int64_t res, int64_t res2);

/* ring_behind.c. The thread that takes events from the context behind is to run; 0 or a
 * negative errno. Requests that go there name ring->ended as their eventfd. */
int ring_forward(struct ring *ring);

/* It is to run no more; nothing is in flight. */
void ring_forward_end(struct ring *ring);

/* Posts what has ended there. */
void ring_harvest(struct ring *ring);

static inline const struct ring_shown *ring_behind(const struct ring *ring)
{
	return (const struct ring_shown *)(uintptr_t)ring->kernel;
}

/* An eventfd of our own. */
int ring_eventfd(int flags, int *slot);

/* Waits a millisecond, for what says nothing when it ends. */
void ring_moment(void);

long bv_ring_setup(unsigned nr, void **context);
long bv_ring_destroy(void *context);

/* ring_submit.c */
long bv_ring_submit(void *context, long count, struct iocb **list);

/* ring_wait.c; mask NULL: the thread's own */
long bv_ring_getevents(void *context, long least, long most,
		       struct io_event *events, const struct timespec *timeout,
		       const raw_sigset *mask);
long bv_ring_cancel(void *context, struct iocb *cb, struct io_event *event);

/* Descriptors first to last are about to be closed: waits for what is in
 * flight on them, as it is the kernel's habit to finish it. */
void bv_ring_closing(unsigned first, unsigned last);

/* In the child after fork, where contexts do not exist. */
void bv_ring_forked(void);

#endif
