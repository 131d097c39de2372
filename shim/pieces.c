/* pieces: see pieces.h. */
#include <errno.h>
#include <unistd.h>

#include <blkverify/memory.h>
#include <blkverify/policy.h>
#include <blkverify/verify.h>

#include "pieces.h"

/* The machine's: 64 KiB on some. */
static uintptr_t in_page(void)
{
	return (uintptr_t)getpagesize() - 1;
}

uintptr_t bv_page_end(uintptr_t start, size_t n)
{
	uintptr_t end = start + n + in_page();

	return end < start ? UINTPTR_MAX : end & ~in_page();
}

/* The kernel would do so too, if much later. */
static int refuse_cut(struct bv_disk *disk)
{
	int result = bv_policy_unverified(disk, "a mapping cut into a thousand",
					  -ENOMEM);

	if (result == 0)
		bv_change_lasting(disk, 0, INT64_MAX);
	return result;
}

int bv_pieces_detach(unsigned call, const void *address, size_t n)
{
	uintptr_t start = (uintptr_t)address, end = bv_page_end(start, n);
	struct bv_mapped m;

	if (start & in_page() || n == 0)
		return 0;
	while (bv_maps_next(start, end, &m)) {
		/* Another thread may be about to unmap what is cut off. */
		bool pinned = bv_memory_pin(m.disk, false);
		int more = bv_maps_detach(call, m.start, m.end);

		/* What is cut in two is two mappings of the same target. */
		for (int i = 0; i < more; i++)
			bv_memory_share(m.disk);
		if (pinned)
			bv_memory_leave(m.disk);
		if (more < 0)
			return refuse_cut(m.disk);
	}
	return 0;
}

void bv_pieces_leave(const char *name, const struct bv_mapped *m)
{
	if (m->stores)
		bv_memory_flush(m->disk, name, m->offset,
				m->offset + (m->end - m->start));
	bv_memory_leave(m->disk);
}

void bv_pieces_finish(unsigned call, const char *name)
{
	struct bv_mapped m;

	while (bv_maps_pop(call, &m))
		bv_pieces_leave(name, &m);
}
