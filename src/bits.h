/* bits: runs of free bits in a word that is shared; a bit that is set is taken.
 * Without a lock, which a signal handler could find taken. */
#ifndef BV_BITS_H
#define BV_BITS_H

#include <stdatomic.h>
#include <stdint.h>

/* The lowest n bits, 64 at most. */
static inline uint64_t bits_run(uint64_t n)
{
	return n < 64 ? ((uint64_t)1 << n) - 1 : UINT64_MAX;
}

/* Of the bits set, those where n in a row begin. */
static inline uint64_t bits_begins(uint64_t bits, uint64_t n)
{
	for (uint64_t have = 1; have < n && bits;) {
		uint64_t more = have < n - have ? have : n - have;

		bits &= bits >> more;
		have += more;
	}
	return bits;
}

/* Takes n in a row, 1 to 64, the lowest that there are. Returns the first, or
 * -1. They are given back by clearing them. */
static inline int bits_take(_Atomic uint64_t *word, uint64_t n)
{
	uint64_t now = atomic_load_explicit(word, memory_order_relaxed), at;

	do {
		at = bits_begins(~now, n);
		if (at == 0)
			return -1;
		at = (uint64_t)__builtin_ctzll(at);
	} while (!atomic_compare_exchange_weak(word, &now,
					       now | bits_run(n) << at));
	return (int)at;
}

#endif
