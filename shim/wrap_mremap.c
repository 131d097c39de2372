/* wrap_mremap: mappings of a target moved, made longer and cut off. */
#include <sys/mman.h>

#include <blkverify/memory.h>

#include "guard.h"
#include "ops.h"
#include "passage.h"
#include "pieces.h"

struct move {
	const char *name;
	unsigned call;               /* of bv_maps_begin */
	uintptr_t old, place;        /* where it was, and comes to be */
	size_t n, wanted;            /* bytes, as given */
	int flags;
	void *address;               /* as given, for MREMAP_FIXED */
};

/* Does the old one stay? */
static bool copies(const struct move *r)
{
	return r->n == 0 || r->flags & MREMAP_DONTUNMAP;
}

/* The bytes that a longer mapping shows in addition. */
static int fill_more(const struct move *r, const struct bv_mapped *m)
{
	if (r->wanted <= r->n)
		return 0;
	return bv_memory_fill(m->disk, r->name, m->offset + r->n,
			      m->offset + r->wanted);
}

/* What is cut off at the end, what is moved, and what is in the way. */
static int detach_moved(const struct move *r)
{
	uintptr_t cut = bv_page_end(r->old, r->wanted);
	uintptr_t end = bv_page_end(r->old, r->n);
	int result = 0;

	if (r->wanted == 0)
		return 0;
	if (cut < end)
		result = bv_pieces_detach(r->call, (void *)cut, end - cut);
	if (result == 0 && !copies(r))
		result = bv_pieces_detach(r->call, (void *)r->old, r->n);
	if (result == 0 && r->flags & MREMAP_FIXED)
		result = bv_pieces_detach(r->call, r->address, r->wanted);
	return result;
}

/* Pieces of the old place have come to the new one, the last of them longer
 * than it was; all others are gone. */
static void settle(const struct move *r)
{
	uintptr_t end = bv_page_end(r->old, r->n);
	size_t kept = r->wanted < r->n ? r->wanted : r->n;
	struct bv_mapped m;

	while (bv_maps_pop(r->call, &m)) {
		if (m.start < r->old || m.start >= bv_page_end(r->old, kept)) {
			bv_pieces_leave(r->name, &m);
			continue;
		}
		if (m.end == end && r->wanted > r->n)
			m.end = bv_page_end(r->old, r->wanted);
		m.end += r->place - r->old;
		m.start += r->place - r->old;
		bv_maps_add(&m);
	}
}

/* m is what is mapped at the old place, if it is a target's. */
static void *remap(struct move *r, struct bv_mapped *m)
{
	int error = m && !bv_maps_have_room() ? -ENOMEM : 0;
	void *result = MAP_FAILED;
	struct passage passage;

	if (error == 0 && m)
		error = fill_more(r, m);
	if (error == 0)
		error = detach_moved(r);
	errno = -error;
	if (error == 0) {
		passage = passage_begin();
		result = real_mremap((void *)r->old, r->n, r->wanted, r->flags,
				     r->address);
		passage_end(passage);
	}
	if (result == MAP_FAILED) {
		bv_maps_restore(r->call);
		return result;
	}
	r->place = (uintptr_t)result;
	if (m && copies(r)) {
		bv_memory_share(m->disk);
		m->start = r->place;
		m->end = bv_page_end(r->place, r->wanted);
		bv_maps_add(m);
	}
	settle(r);
	return result;
}

void *op_mremap(const char *name, void *old, size_t n, size_t wanted, int flags,
		void *address)
{
	struct move r = {
		.name = name, .old = (uintptr_t)old, .n = n, .wanted = wanted,
		.flags = flags, .address = address,
	};
	struct bv_guard guard;
	struct bv_mapped m;
	void *result;

	if (!bv_maps_any())
		return real_mremap(old, n, wanted, flags, address);
	bv_guard_enter_quietly(&guard);
	r.call = bv_maps_begin();
	result = remap(&r, bv_maps_next(r.old, r.old + 1, &m) ? &m : NULL);
	bv_guard_leave(&guard, result == MAP_FAILED ? -errno : 0);
	return result;
}
