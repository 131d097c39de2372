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
	uint64_t c = start / BV_CHUNK, stop = (end + BV_CHUNK - 1) / BV_CHUNK;

	while (c < stop) {
		uint64_t last = c | 63, mask = UINT64_MAX << (c % 64);

		if (last >= stop)
			mask &= UINT64_MAX >> (63 - (stop - 1) % 64);
		atomic_fetch_or(&view->filled->bits[c / 64], mask);
		c = last + 1;
	}
}

/* n bytes of the target are in p, which begins and ends with chunks; what of it
 * is past the target's end is zero when that grows. What is there already may
 * have been stored to. */
static int install(struct bv_piece *p, size_t n, uint64_t end)
{
	uint64_t start = p->t.offset, run_end;
	int result = 0;
	raw_sigset mask;
	const struct bv_view *view = bv_view_enter(p->t.disk, &mask);

	if (!view)
		return -ENOMEM;
	for (; result == 0 && start < end; start = run_end) {
		bool filled = bv_view_has(view, start / BV_CHUNK);
		uint64_t done = start - p->t.offset, rest = n > done ? n - done : 0;

		bv_run_next(view, filled, &start, end, &run_end);
		if (rest > run_end - start)
			rest = run_end - start;
		if (filled)
			bv_piece_merge(p, view, rest, start, NULL);
		else if (rest > 0)
			result = put_both(view, p->t.bytes + done, rest, start);
		if (!filled && result == 0)
			mark_filled(view, start, run_end);
	}
	bv_view_leave(p->t.disk, mask);
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
		result = install(&p, (size_t)got, end);
	bv_piece_end(&p);
	return result < 0 ? result : got < 0 ? (int)got : 0;
}

/* What is past the target's end has nothing to be read. False: it is not past
 * the end any more. */
static bool fill_beyond(struct bv_disk *disk, const char *call, uint64_t start,
			uint64_t end, int *result)
{
	raw_sigset mask;
	const struct bv_view *view = NULL;
	struct bv_piece p;
	bool beyond;

	*result = bv_piece_begin(&p, disk, call, -1, BV_OP_READ, start, end);
	beyond = *result < 0 || bv_piece_clip(disk, end) <= start;
	if (*result == 0 && beyond)
		view = bv_view_enter(disk, &mask);
	if (view) {
		mark_filled(view, start, end);
		bv_view_leave(disk, mask);
	}
	bv_piece_end(&p);
	return beyond;
}

int bv_memory_fill(struct bv_disk *disk, const char *call, uint64_t start,
		   uint64_t end)
{
	int result = 0;

	start -= start % BV_CHUNK;
	end += -end % BV_CHUNK;
	while (result == 0 && start < end) {
		uint64_t next = end - start < BV_PIECE ? end : start + BV_PIECE;

		if (bv_piece_clip(disk, end) <= start &&
		    fill_beyond(disk, call, start, end, &result))
			return result;
		result = fill_piece(disk, call, start, next);
		start = next;
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
