/* run: which sectors of a mismatch differ.
 *
 * Terms: the piece is the data at hand, [data_offset, +data_length); an index
 * counts from its first byte, an offset from the first byte of the disk. A run
 * is sectors without a gap that all differ.
 */
#ifndef BV_RUN_H
#define BV_RUN_H

#include <blkverify/report.h>

struct run {
	uint64_t begin, end;         /* indexes, whole sectors but for the
	                              * piece's own ends */
	uint64_t first, last;        /* indexes of differing bytes */
};

/* In bytes. */
unsigned run_sector_size(const struct bv_mismatch *m);

uint64_t run_sector_at(const struct bv_mismatch *m, uint64_t index);

/* data_length when nothing differs from there on. */
uint64_t run_next_difference(const struct bv_mismatch *m, uint64_t index);

/* The first run at or after index; false when there is none. */
bool run_next(const struct bv_mismatch *m, uint64_t index, struct run *run);

#endif
