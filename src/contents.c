/* contents: filling the memory of mappings, and following what is done to the
 * target; see include/blkverify/memory.h.
 *
 * Every function works under a hold of its own, or of its caller's, and enters
 * the view only once it has it: what is in the view then stays as long as the
 * target is. */
#include <errno.h>
#include <string.h>

#include <blkverify/history.h>

#include "piece.h"

/* ---- filling ---- */

/* By write(2): a store would be SIGBUS where there is no memory. */
static int put_bytes(int fd, const unsigned char *bytes, size_t n, uint64_t offset)
{
	while (n > 0) {
		ssize_t put = raw_pwrite(fd, bytes, n, offset);

		if (put <= 0)
			return put < 0 ? (int)put : -ENOMEM;
		bytes += put;
		offset += (uint64_t)put;
		n -= (size_t)put;
	}
	return 0;
}

static int put_both(const struct bv_view *view, const unsigned char *bytes,
		    size_t n, uint64_t offset)
{
	int result = put_bytes(view->bytes_fd, bytes, n, offset);

	return result < 0 ? result :
	       put_bytes(view->agreed_fd, bytes, n,
			 sizeof(struct bv_filled) + offset);
}

static void mark_filled(const struct bv_view *view, uint64_t start, uint64_t end)
{
	for (uint64_t c = start / BV_CHUNK; c * BV_CHUNK < end; c++) {
		uint64_t bit = (uint64_t)1 << (c % 64);

		if (!(atomic_fetch_or(&view->filled->bits[c / 64], bit) & bit))
			atomic_fetch_add(&view->filled->count, 1);
	}
}

/* n bytes of the target are in p; the rest of the piece is past its end, and
 * zero when it grows. */
static int install(struct bv_piece *p, size_t n, uint64_t start, uint64_t end)
{
	struct bv_disk *disk = p->t.disk;
	raw_sigset mask;
	const struct bv_view *view = bv_view_enter(disk, &mask);
	uint64_t filled_end;
	int result = 0;

	if (!view)
		return -ENOMEM;
	/* Somebody else may have been here first. */
	while (result == 0 && bv_run_next(view, false, &start, end, &filled_end)) {
		uint64_t from = start - p->t.offset;

		if (n > from)
			result = put_both(view, p->t.bytes + from,
					  n < filled_end - p->t.offset ?
						  n - from : filled_end - start,
					  start);
		if (result == 0)
			mark_filled(view, start, filled_end);
		start = filled_end;
	}
	bv_view_leave(disk, mask);
	return result;
}

static int fill_piece(struct bv_disk *disk, const char *call, uint64_t start,
		      uint64_t end)
{
	struct bv_piece p;
	int result = bv_piece_begin(&p, disk, call, bv_memory_target(disk),
				    BV_OP_READ, start, end);
	uint64_t stop = bv_piece_clip(disk, end);
	ssize_t got = 0;

	if (result == 0 && stop > start) {
		p.t.total = stop - start;
		got = bv_transfer_verify(&p.t, stop - start, start);
		if (got >= 0)
			bv_transfer_done(disk, false, (size_t)got);
		bv_history_add(disk, BV_OP_READ, start, stop - start, got);
	}
	if (result == 0 && got >= 0)
		result = install(&p, (size_t)got, start, end);
	bv_piece_end(&p);
	return result < 0 ? result : got < 0 ? (int)got : 0;
}

int bv_memory_fill(struct bv_disk *disk, const char *call, uint64_t start,
		   uint64_t end)
{
	uint64_t run_end;
	int result = 0;

	start -= start % BV_CHUNK;
	end += -end % BV_CHUNK;
	while (result == 0 &&
	       bv_run_look(disk, false, &start, end, &run_end)) {
		result = fill_piece(disk, call, start, run_end);
		start = run_end;
	}
	return result;
}

/* ---- following what is done to the target ---- */

void bv_memory_wrote(struct bv_disk *disk, const void *bytes, uint64_t n,
		     uint64_t offset)
{
	const unsigned char *from = bytes;
	uint64_t at = offset, end, run_end;
	raw_sigset mask;
	const struct bv_view *view;

	if (!bv_memory_any(disk) || !(view = bv_view_enter(disk, &mask)))
		return;
	end = bv_piece_clip_view(disk, view, offset + n);
	for (; bv_run_next(view, true, &at, end, &run_end); at = run_end) {
		if (from) {
			memcpy(view->bytes + at, from + (at - offset), run_end - at);
			memcpy(view->agreed + at, from + (at - offset),
			       run_end - at);
		} else {
			memset(view->bytes + at, 0, run_end - at);
			memset(view->agreed + at, 0, run_end - at);
		}
	}
	bv_view_leave(disk, mask);
}
