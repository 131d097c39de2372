/* maps: see maps.h. */
#include <stdatomic.h>

#include "../src/lock.h"
#include "maps.h"

#define MOST 1024
/* Kept from new mappings, for the halves of those that are cut; and for threads
 * that are told at the same time that there is room. */
#define SPARE 64

static struct bv_mapped mapped[MOST];
static atomic_uint count;            /* in use: mapped[0..] */
static _Atomic uint32_t lock;
static atomic_uint calls;

bool bv_maps_any(void)
{
	return atomic_load_explicit(&count, memory_order_relaxed) > 0;
}

bool bv_maps_have_room(void)
{
	return atomic_load(&count) < MOST - SPARE;
}

/* Under the lock. */
static void append(const struct bv_mapped *m)
{
	unsigned n = atomic_load(&count);

	if (n == MOST)
		return;
	mapped[n] = *m;
	atomic_store(&count, n + 1);
}

void bv_maps_add(const struct bv_mapped *m)
{
	raw_sigset mask = lock_take(&lock);

	append(m);
	lock_give(&lock, mask);
}

void bv_maps_unlock(uintptr_t start, uintptr_t end)
{
	raw_sigset mask = lock_take(&lock);

	for (unsigned i = 0; i < atomic_load(&count); i++)
		if (mapped[i].start < end && mapped[i].end > start)
			mapped[i].stores = mapped[i].writable;
	lock_give(&lock, mask);
}

static struct bv_mapped cut(const struct bv_mapped *m, uintptr_t start,
			    uintptr_t end)
{
	struct bv_mapped piece = *m;

	if (piece.start < start) {
		piece.offset += start - piece.start;
		piece.start = start;
	}
	if (piece.end > end)
		piece.end = end;
	return piece;
}

/* The index of the lowest one there, or -1. Under the lock. */
static int find(uintptr_t start, uintptr_t end)
{
	int found = -1;

	/* Nothing is in an empty range, not even what lies around it. */
	for (unsigned i = 0; start < end && i < atomic_load(&count); i++)
		if (mapped[i].aside == 0 && mapped[i].start < end &&
		    mapped[i].end > start &&
		    (found < 0 || mapped[i].start < mapped[found].start))
			found = (int)i;
	return found;
}

bool bv_maps_next(uintptr_t start, uintptr_t end, struct bv_mapped *found)
{
	raw_sigset mask;
	int index;

	if (!bv_maps_any())
		return false;
	mask = lock_take(&lock);
	index = find(start, end);
	if (index >= 0)
		*found = cut(&mapped[index], start, end);
	lock_give(&lock, mask);
	return index >= 0;
}

/* Under the lock: what of entry index is beyond [start, end) becomes an entry of
 * its own. Returns how many do, or -1. */
static int cut_off(unsigned index, uintptr_t start, uintptr_t end)
{
	struct bv_mapped whole = mapped[index], before = cut(&whole, 0, start);
	struct bv_mapped after = cut(&whole, end, UINTPTR_MAX);
	unsigned more = (before.start < before.end) + (after.start < after.end);

	if (atomic_load(&count) + more > MOST)
		return -1;
	mapped[index] = cut(&whole, start, end);
	if (before.start < before.end)
		append(&before);
	if (after.start < after.end)
		append(&after);
	return (int)more;
}

unsigned bv_maps_begin(void)
{
	unsigned call;

	/* 0: not aside. */
	do {
		call = atomic_fetch_add(&calls, 1) + 1;
	} while (call == 0);
	return call;
}

int bv_maps_detach(unsigned call, uintptr_t start, uintptr_t end)
{
	raw_sigset mask;
	int index, more = 0, one = 0;

	if (!bv_maps_any())
		return 0;
	mask = lock_take(&lock);
	while (one >= 0 && (index = find(start, end)) >= 0) {
		one = cut_off((unsigned)index, start, end);
		if (one >= 0)
			mapped[index].aside = call;
		more = one < 0 ? one : more + one;
	}
	lock_give(&lock, mask);
	return more;
}

bool bv_maps_pop(unsigned call, struct bv_mapped *found)
{
	raw_sigset mask;
	bool any = false;

	if (!bv_maps_any())
		return false;
	mask = lock_take(&lock);
	for (unsigned i = 0; i < atomic_load(&count) && !any; i++)
		if (mapped[i].aside == call) {
			*found = mapped[i];
			found->aside = 0;
			mapped[i] = mapped[atomic_fetch_sub(&count, 1) - 1];
			any = true;
		}
	lock_give(&lock, mask);
	return any;
}

void bv_maps_restore(unsigned call)
{
	raw_sigset mask = lock_take(&lock);

	for (unsigned i = 0; i < atomic_load(&count); i++)
		if (mapped[i].aside == call)
			mapped[i].aside = 0;
	lock_give(&lock, mask);
}

/* What other threads were about to unmap is still there, or does no harm: they
 * are not here to go on with it. */
void bv_maps_forked(void)
{
	atomic_store(&lock, 0);
	for (unsigned i = 0; i < atomic_load(&count); i++)
		mapped[i].aside = 0;
}
