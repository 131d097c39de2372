/* run: see run.h. */
#include <blkverify/compare.h>

#include "run.h"

unsigned run_sector_size(const struct bv_mismatch *m)
{
	return m->sector_size ? m->sector_size : 512;
}

uint64_t run_sector_at(const struct bv_mismatch *m, uint64_t index)
{
	return (m->data_offset + index) / run_sector_size(m);
}

/* The index after the sector that index is in, or the piece's end. */
static uint64_t after_sector(const struct bv_mismatch *m, uint64_t index)
{
	unsigned size = run_sector_size(m);
	uint64_t rest = size - (m->data_offset + index) % size;

	return rest < m->data_length - index ? index + rest : m->data_length;
}

uint64_t run_next_difference(const struct bv_mismatch *m, uint64_t index)
{
	if (index >= m->data_length)
		return m->data_length;
	return index + bv_compare_first(m->actual + index, m->should + index,
					m->data_length - index);
}

bool run_next(const struct bv_mismatch *m, uint64_t index, struct run *run)
{
	unsigned size = run_sector_size(m);
	uint64_t into;

	run->first = run_next_difference(m, index);
	if (run->first >= m->data_length)
		return false;
	into = (m->data_offset + run->first) % size;
	run->begin = run->first > into ? run->first - into : 0;
	run->end = after_sector(m, run->first);
	while (run->end < m->data_length) {
		uint64_t next = after_sector(m, run->end);

		if (run_next_difference(m, run->end) >= next)
			break;
		run->end = next;
	}
	run->last = run->end - 1;
	while (run->last > run->first &&
	       m->actual[run->last] == m->should[run->last])
		run->last--;
	return true;
}
