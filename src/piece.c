/* piece: see piece.h. */
#include "piece.h"

_Static_assert(BV_PIECE % BV_CHUNK == 0, "pieces are whole chunks");

bool bv_run_next(const struct bv_view *view, bool filled, uint64_t *start,
		 uint64_t end, uint64_t *run_end)
{
	uint64_t at = *start, most;

	while (at < end && bv_view_has(view, at / BV_CHUNK) != filled)
		at = (at / BV_CHUNK + 1) * BV_CHUNK;
	if (at >= end)
		return false;
	*start = at;
	most = (at / BV_CHUNK) * BV_CHUNK + BV_PIECE;
	while (at < end && at < most && bv_view_has(view, at / BV_CHUNK) == filled)
		at = (at / BV_CHUNK + 1) * BV_CHUNK;
	*run_end = at < end ? at : end;
	return true;
}

bool bv_run_look(struct bv_disk *disk, bool filled, uint64_t *start,
		 uint64_t end, uint64_t *run_end)
{
	raw_sigset mask;
	const struct bv_view *view = bv_view_enter(disk, &mask);
	bool found;

	if (!view)
		return false;
	found = bv_run_next(view, filled, start, end, run_end);
	bv_view_leave(disk, mask);
	return found;
}

uint64_t bv_piece_clip(const struct bv_disk *disk, uint64_t end)
{
	uint64_t size = atomic_load(&disk->state->size);

	return end < size ? end : size;
}

uint64_t bv_piece_clip_view(const struct bv_disk *disk,
			    const struct bv_view *view, uint64_t end)
{
	uint64_t length = atomic_load(&view->filled->length);

	end = bv_piece_clip(disk, end);
	return end < length ? end : length;
}

int bv_piece_begin(struct bv_piece *p, struct bv_disk *disk, const char *call,
		   int fd, enum bv_op op, uint64_t start, uint64_t end)
{
	struct bv_claim claim = {
		.space = BV_SPACE_BYTES, .exclusive = true, .op = op,
		.start = start, .end = end,
		.offset = start, .length = end - start,
	};
	int result;

	p->request = (struct bv_request){
		.call = call, .fd = fd, .offset = (int64_t)start,
	};
	p->mask = raw_block_signals();
	result = bv_transfer_begin(&p->t, disk, &p->request, op == BV_OP_WRITE);
	p->t.offset = start;
	p->t.total = end - start;
	if (result == 0 && bv_inflight_take(disk, &claim, &p->t.range) < 0)
		result = bv_transfer_stuck(disk, call);
	return result;
}

void bv_piece_end(struct bv_piece *p)
{
	bv_transfer_end(&p->t, 0);
	raw_sigmask(p->mask);
}
