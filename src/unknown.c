/* unknown: see include/blkverify/unknown.h. */
#include <stdatomic.h>
#include <stddef.h>

#include <blkverify/disk.h>
#include <blkverify/inflight.h>
#include <blkverify/unknown.h>

#include "raw.h"

/* Looking is done without a lock: the valid table is overwritten only by the
 * change after next, which the generation shows. Release and acquire on every
 * field: whoever sees a new one sees the new generation as well. */
#define PUT(field, value) \
	atomic_store_explicit(&(field), (value), memory_order_release)
#define GET(field) atomic_load_explicit(&(field), memory_order_acquire)

static struct bv_extent get(const struct bv_unknown_table *t, uint64_t i)
{
	const struct bv_shared_extent *e = &t->extent[i];

	return (struct bv_extent){ GET(e->start), GET(e->end), GET(e->lasting) };
}

static void put(struct bv_unknown_table *t, uint64_t i, struct bv_extent e)
{
	PUT(t->extent[i].start, e.start);
	PUT(t->extent[i].end, e.end);
	PUT(t->extent[i].lasting, e.lasting);
}

static uint32_t begin_look(const struct bv_disk *disk,
			   const struct bv_unknown_table **table)
{
	uint32_t generation = GET(disk->state->unknown_generation);

	*table = &disk->state->unknown[generation & 1];
	return generation;
}

static bool end_look(const struct bv_disk *disk, uint32_t generation)
{
	return GET(disk->state->unknown_generation) == generation;
}

bool bv_unknown_any(const struct bv_disk *disk)
{
	const struct bv_unknown_table *table;
	uint32_t generation;
	bool any;

	do {
		generation = begin_look(disk, &table);
		any = GET(table->count) != 0;
	} while (!end_look(disk, generation));
	return any;
}

/* The first of count extents that ends after start; count: there is none.
 * What another process is just writing may be out of order: any answer will
 * do then, since the generation discards it. */
static uint64_t first_after(const struct bv_unknown_table *t, uint64_t count,
			    uint64_t start)
{
	uint64_t low = 0, high = count;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (GET(t->extent[middle].end) > start)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

bool bv_unknown_next(const struct bv_disk *disk, uint64_t start, uint64_t end,
		     struct bv_extent *found)
{
	const struct bv_unknown_table *table;
	uint64_t count, i;
	uint32_t generation;
	bool any;

	do {
		generation = begin_look(disk, &table);
		count = GET(table->count);
		i = first_after(table, count, start);
		any = i < count;
		if (any) {
			*found = get(table, i);
			any = found->start < end;
		}
	} while (!end_look(disk, generation));
	if (!any)
		return false;
	if (found->start < start)
		found->start = start;
	if (found->end > end)
		found->end = end;
	return true;
}

uint64_t bv_unknown_count(const struct bv_disk *disk, uint64_t *bytes)
{
	const struct bv_unknown_table *table;
	uint64_t size = atomic_load(&disk->state->size), count;
	uint32_t generation;

	do {
		generation = begin_look(disk, &table);
		count = GET(table->count);
		*bytes = 0;
		for (uint64_t i = 0; i < count; i++) {
			struct bv_extent e = get(table, i);

			/* It may reach past the end of the file. */
			if (e.end > size)
				e.end = size;
			if (e.end > e.start)
				*bytes += e.end - e.start;
		}
	} while (!end_look(disk, generation));
	return count;
}

/* Makes room for one more: the two neighbours with the smallest gap become
 * one. Lasting wins, since it is the one that is never compared. */
static void merge_closest(struct bv_unknown_table *t)
{
	uint64_t best = 0, gap = UINT64_MAX, count = GET(t->count);
	struct bv_extent left, right;

	for (uint64_t i = 0; i + 1 < count; i++) {
		uint64_t between = get(t, i + 1).start - get(t, i).end;

		if (between < gap) {
			gap = between;
			best = i;
		}
	}
	left = get(t, best);
	right = get(t, best + 1);
	left.end = right.end;
	left.lasting |= right.lasting;
	put(t, best, left);
	for (uint64_t i = best + 1; i + 1 < count; i++)
		put(t, i, get(t, i + 1));
	PUT(t->count, count - 1);
}

/* Extents come in ascending order; touching ones of a kind are joined. */
static void append(struct bv_unknown_table *t, struct bv_extent e)
{
	uint64_t count = GET(t->count);

	if (e.start >= e.end)
		return;
	if (count > 0) {
		struct bv_extent last = get(t, count - 1);

		if (last.end >= e.start && last.lasting == e.lasting) {
			if (e.end > last.end)
				last.end = e.end;
			put(t, count - 1, last);
			return;
		}
	}
	if (count == BV_UNKNOWN_EXTENTS) {
		merge_closest(t);
		count--;
	}
	put(t, count, e);
	PUT(t->count, count + 1);
}

static void append_part(struct bv_unknown_table *t, struct bv_extent e,
			uint64_t start, uint64_t end)
{
	if (e.start < start)
		e.start = start;
	if (e.end > end)
		e.end = end;
	append(t, e);
}

/* from with range in it, in one ascending pass; at is how much of range is
 * in already. A lasting extent keeps its place, and a new one takes it. */
static void add(struct bv_unknown_table *to, const struct bv_unknown_table *from,
		struct bv_extent range)
{
	uint64_t at = range.start;

	for (uint64_t i = 0; i < GET(from->count); i++) {
		struct bv_extent e = get(from, i);

		if (e.end <= range.start) {
			append(to, e);
		} else if (e.lasting && !range.lasting) {
			append_part(to, range, at, e.start);
			append(to, e);
			at = e.end;
		} else {
			append_part(to, e, 0, range.start);
			if (e.end > range.end) {
				append_part(to, range, at, range.end);
				at = range.end;
			}
			append_part(to, e, range.end, BV_TO_END);
		}
	}
	append_part(to, range, at, range.end);
}

/* from without range; lasting extents stay. */
static void drop(struct bv_unknown_table *to, const struct bv_unknown_table *from,
		 struct bv_extent range)
{
	for (uint64_t i = 0; i < GET(from->count); i++) {
		struct bv_extent e = get(from, i);

		if (e.lasting) {
			append(to, e);
		} else {
			append_part(to, e, 0, range.start);
			append_part(to, e, range.end, BV_TO_END);
		}
	}
}

/* Builds the other table from the valid one and makes it the valid one.
 * Signals stay out: a handler that came to change the table as well would
 * find it ours. */
static void change(struct bv_disk *disk, struct bv_extent range,
		   void (*how)(struct bv_unknown_table *,
			       const struct bv_unknown_table *,
			       struct bv_extent))
{
	static const struct bv_claim claim = {
		.space = BV_SPACE_TABLE, .exclusive = true, .start = 0, .end = 1,
	};
	struct bv_state *state = disk->state;
	raw_sigset mask = raw_block_signals();
	struct bv_hold hold;
	uint32_t generation;
	struct bv_unknown_table *to;

	if (bv_inflight_take(disk, &claim, &hold) < 0) {
		/* A handler inside an operation that others wait behind:
		 * they never wait for the table before their bytes, so the
		 * owner of the table goes on and this ends. */
		while (bv_inflight_take(disk, &claim, &hold) < 0)
			raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	}
	generation = atomic_load(&state->unknown_generation);
	to = &state->unknown[(generation + 1) & 1];
	PUT(to->count, 0);
	how(to, &state->unknown[generation & 1], range);
	atomic_store_explicit(&state->unknown_generation, generation + 1,
			      memory_order_release);
	bv_inflight_drop(&hold);
	raw_sigmask(mask);
}

void bv_unknown_add(struct bv_disk *disk, uint64_t start, uint64_t end,
		    bool lasting)
{
	struct bv_extent range = { start, end, lasting };

	if (start < end)
		change(disk, range, add);
}

static void settle(struct bv_unknown_table *to,
		   const struct bv_unknown_table *from, struct bv_extent range)
{
	(void)range;
	for (uint64_t i = 0; i < GET(from->count); i++) {
		struct bv_extent e = get(from, i);

		e.lasting = false;
		append(to, e);
	}
}

void bv_unknown_settle(struct bv_disk *disk)
{
	if (bv_unknown_any(disk))
		change(disk, (struct bv_extent){ 0, 0, 0 }, settle);
}

void bv_unknown_remove(struct bv_disk *disk, uint64_t start, uint64_t end)
{
	struct bv_extent range = { start, end, false }, found;

	if (start < end && bv_unknown_any(disk) &&
	    bv_unknown_next(disk, start, end, &found))
		change(disk, range, drop);
}
