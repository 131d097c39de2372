/* stores: what the program stores through mappings; see
 * include/blkverify/memory.h. Holds and views as in contents.c. */
#include <errno.h>
#include <string.h>

#include <blkverify/history.h>

#include "piece.h"

#define PAGE 4096u

/* What is merged is whole words, and what is written is pages. */
static uint64_t whole_pages(uint64_t end)
{
	return end < UINT64_MAX - PAGE ? end + -end % PAGE : end;
}

void bv_memory_overlay(struct bv_disk *disk, void *bytes, size_t n,
		       uint64_t offset)
{
	unsigned char *to = bytes;
	uint64_t at = offset, end, run_end;
	raw_sigset mask;
	const struct bv_view *view = bv_view_enter(disk, &mask);

	if (!view)
		return;
	end = bv_piece_clip_view(disk, view, offset + n);
	for (; bv_run_next(view, true, &at, end, &run_end); at = run_end) {
		const unsigned char *stored = view->bytes + at;
		const unsigned char *agreed = view->agreed + at;

		if (!memcmp(stored, agreed, run_end - at))
			continue;
		for (uint64_t i = 0; i < run_end - at; i++)
			if (stored[i] != agreed[i])
				to[at - offset + i] = stored[i];
	}
	bv_view_leave(disk, mask);
}

/* One word of the memory becomes that of the target, but for the bytes that are
 * not what they were: the program has stored them, and may be storing now. */
static void merge_word(uint64_t *stored, uint64_t was, uint64_t now)
{
	uint64_t seen = __atomic_load_n(stored, __ATOMIC_RELAXED), wanted;

	do {
		const uint64_t low = 0x7f7f7f7f7f7f7f7fu;
		uint64_t differs = seen ^ was;

		/* Every byte that differs becomes 255: its highest bit first. */
		differs = (((differs & low) + low) | differs) & ~low;
		differs = (differs >> 7) * 255;
		wanted = (seen & differs) | (now & ~differs);
	} while (wanted != seen &&
		 !__atomic_compare_exchange_n(stored, &seen, wanted, false,
					      __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
}

void bv_piece_merge(struct bv_piece *p, const struct bv_view *view, size_t n,
		    uint64_t start, const unsigned char *was)
{
	unsigned char *bytes = p->t.bytes + (start - p->t.offset);
	uint64_t last = bv_piece_clip_view(p->t.disk, view, UINT64_MAX);
	uint64_t end = start + n < last ? start + n : last;

	n = end > start ? end - start : 0;
	if (!was)
		was = view->agreed + start;
	/* The rest of a word is the next one's to merge, and past the end of
	 * the file zero on both sides. */
	if (end < last)
		n -= n % 8;
	for (size_t i = n; i % 8; i++)
		bytes[i] = 0;
	for (size_t i = 0; i < n; i += 8) {
		uint64_t now, before;

		memcpy(&now, bytes + i, 8);
		memcpy(&before, was + i, 8);
		merge_word((uint64_t *)(void *)(view->bytes + start + i), before,
			   now);
		memcpy(view->agreed + start + i, &now, 8);
	}
}

static void merge(struct bv_piece *p, size_t n, uint64_t start,
		  const unsigned char *was)
{
	raw_sigset mask;
	const struct bv_view *view = bv_view_enter(p->t.disk, &mask);

	if (!view)
		return;
	bv_piece_merge(p, view, n, start, was);
	bv_view_leave(p->t.disk, mask);
}

/* The part of a piece, of which n bytes are there, that is in [start, end). */
static void replace(struct bv_piece *p, size_t n, uint64_t start, uint64_t end)
{
	uint64_t piece_end = p->t.offset + n;

	if (start < p->t.offset)
		start = p->t.offset;
	if (end > piece_end)
		end = piece_end;
	if (start < end)
		bv_memory_wrote(p->t.disk, p->t.bytes + (start - p->t.offset),
				end - start, start);
}

void bv_memory_refresh(struct bv_disk *disk, const char *call, int fd,
		       uint64_t start, uint64_t end, bool gone)
{
	uint64_t at = start - start % BV_CHUNK, stop, run_end;
	bool pinned;

	if (!bv_memory_any(disk))
		return;
	pinned = bv_memory_pin(disk, false);
	if (pinned)
		fd = bv_memory_target(disk);
	stop = fd < 0 ? 0 : bv_piece_clip(disk, whole_pages(end));
	for (; bv_run_look(disk, true, &at, stop, &run_end); at = run_end) {
		struct bv_piece p;
		ssize_t got = bv_piece_begin(&p, disk, call, fd, BV_OP_READ, at,
					     run_end);
		uint64_t there = bv_piece_clip(disk, run_end);

		if (got == 0 && there > at)
			got = bv_transfer_verify(&p.t, there - at, at);
		if (got > 0 && gone)
			replace(&p, (size_t)got, start, end);
		if (got > 0)
			merge(&p, (size_t)got, at, NULL);
		bv_piece_end(&p);
	}
	if (pinned)
		bv_memory_leave(disk);
}

/* ---- writing back ---- */

/* The pages of [start, end) that have stores, as one run from the first to the
 * last that differs without one between that does not. */
static bool next_stores(const struct bv_view *view, uint64_t *start,
			uint64_t end, uint64_t *run_end)
{
	uint64_t at = *start, next;
	bool found = false;

	for (; at < end; at = next) {
		next = (at / PAGE + 1) * PAGE;
		if (next > end)
			next = end;
		if (memcmp(view->bytes + at, view->agreed + at, next - at)) {
			if (!found)
				*start = at;
			found = true;
			*run_end = next;
		} else if (found) {
			break;
		}
	}
	return found;
}

/* What is stored in [start, end) now, laid over the target's bytes in p. The
 * copy of it is in the other half of the buffer, which is free by now; with the
 * rest of the last word. */
static bool lay_over(struct bv_piece *p, uint64_t start, uint64_t end)
{
	unsigned char *copy = p->t.buffer->shadow;
	raw_sigset mask;
	const struct bv_view *view = bv_view_enter(p->t.disk, &mask);

	if (!view)
		return false;
	memcpy(copy, view->bytes + start, (end - start + 7) & ~(uint64_t)7);
	for (uint64_t i = 0; i < end - start; i++)
		if (copy[i] != view->agreed[start + i])
			p->t.bytes[i] = copy[i];
	bv_view_leave(p->t.disk, mask);
	return true;
}

/* One run of pages: read as they are on the target, since a process that does
 * not share the memory may have written beside what was stored, and written
 * with the stores. */
static int write_back(struct bv_piece *p, uint64_t start, uint64_t end)
{
	struct bv_disk *disk = p->t.disk;
	size_t n = end - start;
	ssize_t got;

	p->t.offset = start;
	p->t.total = n;
	got = bv_transfer_verify(&p->t, n, start);
	if (got < 0 || (size_t)got < n || !lay_over(p, start, end))
		return got < 0 ? (int)got : -EIO;
	got = bv_transfer_put(&p->t, n, start);
	bv_history_add(disk, BV_OP_WRITE, start, n, got);
	if (got < 0)
		return (int)got;
	bv_transfer_done(disk, true, (size_t)got);
	merge(p, (size_t)got, start, p->t.buffer->shadow);
	return (size_t)got < n ? -EIO : 0;
}

/* A page of the target is stored in as a whole, wherever the range begins. */
static bool find_stores(struct bv_disk *disk, uint64_t *start, uint64_t end,
			uint64_t *run_end)
{
	uint64_t at = *start - *start % PAGE, filled_end;
	raw_sigset mask;
	const struct bv_view *view = bv_view_enter(disk, &mask);
	bool found = false;

	if (!view)
		return false;
	end = bv_piece_clip_view(disk, view, end);
	for (; !found && bv_run_next(view, true, &at, end, &filled_end);
	     at = found ? at : filled_end)
		found = next_stores(view, &at, filled_end, run_end);
	bv_view_leave(disk, mask);
	if (found && at > *start)
		*start = at;
	return found;
}

bool bv_memory_stored(struct bv_disk *disk, uint64_t *start, uint64_t *end)
{
	return bv_memory_any(disk) && find_stores(disk, start, *end, end);
}

static int flush_piece(struct bv_disk *disk, const char *call, uint64_t start,
		       uint64_t end)
{
	struct bv_piece p;
	int result = bv_piece_begin(&p, disk, call, bv_memory_target(disk),
				    BV_OP_WRITE, start, end);
	uint64_t run_end;

	end = bv_piece_clip(disk, end);
	while (result == 0 && find_stores(disk, &start, end, &run_end)) {
		result = write_back(&p, start, run_end);
		start = run_end;
	}
	bv_piece_end(&p);
	return result;
}

int bv_memory_flush(struct bv_disk *disk, const char *call, uint64_t start,
		    uint64_t end)
{
	int result, first = 0;
	uint64_t run_end;

	if (!bv_memory_any(disk) || !bv_memory_pin(disk, true))
		return 0;
	start -= start % PAGE;
	for (end = bv_piece_clip(disk, whole_pages(end));
	     bv_run_look(disk, true, &start, end, &run_end); start = run_end) {
		result = flush_piece(disk, call, start, run_end);
		if (first == 0)
			first = result;
	}
	bv_memory_leave(disk);
	return first;
}

void bv_memory_flush_all(const char *call)
{
	for (unsigned i = 0; i < bv_disks; i++)
		if (bv_memory_any(&bv_disk[i]))
			bv_memory_flush(&bv_disk[i], call, 0, UINT64_MAX);
}
