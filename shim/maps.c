/* maps: see maps.h. */
#include <stdatomic.h>

#include <blkverify/thread.h>

#include "../src/lock.h"
#include "maps.h"

#define MOST 1024
/* What one call may add: a mapping, and the other half of one that it cuts. */
#define SPARE 16

static struct bv_mapped mapped[MOST];
static atomic_uint count;            /* in use: mapped[0..] */
static _Atomic uint32_t lock;

bool bv_maps_any(void)
{
	return atomic_load_explicit(&count, memory_order_relaxed) > 0;
}

bool bv_maps_have_room(void)
{
	return atomic_load(&count) < MOST - SPARE;
}

/* Under the lock. Several threads that were told that there is room fit into
 * what is kept spare. */
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

	for (unsigned i = 0; i < atomic_load(&count); i++)
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
 * its own. */
static unsigned cut_off(unsigned index, uintptr_t start, uintptr_t end)
{
	struct bv_mapped whole = mapped[index], before = cut(&whole, 0, start);
	struct bv_mapped after = cut(&whole, end, UINTPTR_MAX);

	mapped[index] = cut(&whole, start, end);
	if (before.start < before.end)
		append(&before);
	if (after.start < after.end)
		append(&after);
	return (before.start < before.end) + (after.start < after.end);
}

unsigned bv_maps_detach(uintptr_t start, uintptr_t end)
{
	raw_sigset mask;
	unsigned more = 0;
	int index;

	if (!bv_maps_any())
		return 0;
	mask = lock_take(&lock);
	while ((index = find(start, end)) >= 0) {
		more += cut_off((unsigned)index, start, end);
		mapped[index].aside = bv_thread_tid();
	}
	lock_give(&lock, mask);
	return more;
}

bool bv_maps_pop(struct bv_mapped *found)
{
	raw_sigset mask;
	bool any = false;

	if (!bv_maps_any())
		return false;
	mask = lock_take(&lock);
	for (unsigned i = 0; i < atomic_load(&count) && !any; i++)
		if (mapped[i].aside == bv_thread_tid()) {
			*found = mapped[i];
			mapped[i] = mapped[atomic_fetch_sub(&count, 1) - 1];
			any = true;
		}
	lock_give(&lock, mask);
	return any;
}

void bv_maps_restore(void)
{
	raw_sigset mask = lock_take(&lock);

	for (unsigned i = 0; i < atomic_load(&count); i++)
		if (mapped[i].aside == bv_thread_tid())
			mapped[i].aside = 0;
	lock_give(&lock, mask);
}

void bv_maps_forked(void)
{
	atomic_store(&lock, 0);
}
