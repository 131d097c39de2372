/* piece: a part of a target's memory that is worked on at a time. Private to
 * the engine: contents.c and stores.c. */
#ifndef BV_PIECE_H
#define BV_PIECE_H

#include <stdbool.h>
#include <stdint.h>

#include "transfer.h"
#include "view.h"

/* A range that is ours, and what is read and written in it. Signals are
 * blocked meanwhile, so that no handler can come in between. */
struct bv_piece {
	struct bv_request request;
	struct bv_transfer t;
	raw_sigset mask;
};

/* Takes [start, end), at most BV_PIECE bytes, exclusively; fd is the target.
 * Returns 0 or a negative errno; bv_piece_end follows either way. */
int bv_piece_begin(struct bv_piece *p, struct bv_disk *disk, const char *call,
		   int fd, enum bv_op op, uint64_t start, uint64_t end);
void bv_piece_end(struct bv_piece *p);

/* In a view: n bytes in p are what the target has at start, and what it agrees
 * on with the memory from now on; what the program has stored stays. was: bytes
 * of the memory that they were made of; one that was stored to since is not
 * theirs, even if it is back to what it was before both. NULL: the agreed ones.
 * start begins a word; what is not a whole one is left out, unless the target
 * ends there. stores.c has it. */
void bv_piece_merge(struct bv_piece *p, const struct bv_view *view, size_t n,
		    uint64_t start, const unsigned char *was);

/* The first run of chunks in [*start, end) that are filled, or are not, cut to
 * the range and to the size of a piece. False: there is none. */
bool bv_run_next(const struct bv_view *view, bool filled, uint64_t *start,
		 uint64_t end, uint64_t *run_end);

/* The same with nothing held and no view entered: a hint of where to look. */
bool bv_run_look(struct bv_disk *disk, bool filled, uint64_t *start, uint64_t end,
		 uint64_t *run_end);

/* end, or where the target ends before it. */
uint64_t bv_piece_clip(const struct bv_disk *disk, uint64_t end);

/* The same, or where the memory ends: a process that could not reach it may
 * have made the target longer. */
uint64_t bv_piece_clip_view(const struct bv_disk *disk,
			    const struct bv_view *view, uint64_t end);

#endif
