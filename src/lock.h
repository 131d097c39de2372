/* lock: held for a few steps, also by signal handlers and by threads
 * of ours that no program knows.
 *
 * All signals are blocked meanwhile, or a handler could want what the code it
 * interrupted holds. Where they are in any case, nobody is asked. */
#ifndef BV_LOCK_H
#define BV_LOCK_H

#include <stdatomic.h>

#include <blkverify/thread.h>

#include "raw.h"

/* In no mask that the kernel gives out is SIGKILL. */
#define LOCK_MASKED (~(raw_sigset)0)

/* No signal comes in between until lock_unmask gets what this returns. */
static inline raw_sigset lock_mask(void)
{
	raw_sigset mask = bv_thread.masked ? LOCK_MASKED : raw_block_signals();

	bv_thread.masked = true;
	return mask;
}

static inline void lock_unmask(raw_sigset mask)
{
	if (mask == LOCK_MASKED)
		return;
	bv_thread.masked = false;
	raw_sigmask(mask);
}

static inline raw_sigset lock_take(_Atomic uint32_t *lock)
{
	raw_sigset mask = bv_thread.masked ? LOCK_MASKED : raw_block_signals();

	while (atomic_exchange_explicit(lock, 1, memory_order_acquire))
		raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	return mask;
}

static inline void lock_give(_Atomic uint32_t *lock, raw_sigset mask)
{
	atomic_store_explicit(lock, 0, memory_order_release);
	if (mask != LOCK_MASKED)
		raw_sigmask(mask);
}

#endif
