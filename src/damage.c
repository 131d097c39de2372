/* damage: see damage.h. */
#include <stddef.h>

#include <blkverify/compare.h>
#include <blkverify/log.h>
#include <blkverify/text.h>

#include "damage.h"

#define ROW 16
#define DUMP_BYTES 64

/* Static, as in report.c. */
static struct bv_text line;

/* ---- what it looks like ---- */

/* Where the data of a run may have come from. */
struct origin {
	uint64_t to, from, length;   /* indexes: actual[to] is should[from] */
	unsigned others;             /* other places that fit as well */
};

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Does the run, moved down or up by so many bytes, hold what belongs there?
 * As much of it is judged as stays within the piece. */
static void try_origin(const struct bv_mismatch *m, const struct run *run,
		       uint64_t distance, bool down, struct origin *best)
{
	uint64_t to = run->begin, from, length;

	if (down && to < distance)
		to = smaller(distance, run->end);
	from = down ? to - smaller(to, distance) : to + distance;
	if (from >= m->data_length)
		return;
	length = smaller(run->end - to, m->data_length - from);
	/* Less than a sector, or zeros, are alike by chance. */
	if (length < run_sector_size(m) || length < best->length ||
	    bv_compare_first(m->actual + to, m->should + from, length) < length
	    || bv_compare_zero(m->actual + to, length))
		return;
	if (length == best->length) {
		best->others++;
		return;
	}
	*best = (struct origin){ to, from, length, 0 };
}

static bool say_misplaced(const struct bv_mismatch *m, const struct run *run)
{
	struct origin best = { 0, 0, 0, 0 };
	uint64_t distance = run_sector_size(m);

	for (; distance < m->data_length; distance += run_sector_size(m)) {
		try_origin(m, run, distance, true, &best);
		try_origin(m, run, distance, false, &best);
	}
	if (!best.length)
		return false;
	text_add(&line, "misplaced data, from offset ");
	text_u64(&line, m->data_offset + best.from);
	if (best.others) {
		text_add(&line, " (others that fit: ");
		text_u64(&line, best.others);
		text_char(&line, ')');
	}
	text_add(&line, ": bytes ");
	text_range(&line, m->data_offset + best.to,
		  m->data_offset + best.to + best.length - 1);
	text_add(&line, " belong there");
	return true;
}

static uint64_t differing_bytes(const struct bv_mismatch *m,
				const struct run *run)
{
	uint64_t n = 0;

	for (uint64_t i = run->first; i <= run->last; i++)
		n += m->actual[i] != m->should[i];
	return n;
}

static bool say_one_bit(const struct bv_mismatch *m, const struct run *run)
{
	unsigned flipped = m->actual[run->first] ^ m->should[run->first];

	if (run->first != run->last || !flipped || (flipped & (flipped - 1)))
		return false;
	text_add(&line, "a flipped bit: one bit differs, expected ");
	text_hex(&line, m->should[run->first], 2);
	text_add(&line, ", actual ");
	text_hex(&line, m->actual[run->first], 2);
	return true;
}

static bool say_zero(const struct bv_mismatch *m, const struct run *run)
{
	uint64_t length = run->end - run->begin;

	if (bv_compare_zero(m->actual + run->begin, length))
		text_add(&line, "lost data: target reads as zero");
	else if (bv_compare_zero(m->should + run->begin, length))
		text_add(&line, "stray data: zero is expected");
	else
		return false;
	return true;
}

void damage_say_kind(const struct bv_mismatch *m, uint64_t runs)
{
	struct run run;

	if (!run_next(m, 0, &run))
		return;
	text_begin(&line, runs > 1 ? "  first run looks like " : "  looks like ");
	if (say_one_bit(m, &run) || say_zero(m, &run) ||
	    say_misplaced(m, &run))
		bv_log_line(&line);
}

void damage_say_count(const struct bv_mismatch *m, uint64_t runs)
{
	struct run run;

	if (!run_next(m, 0, &run))
		return;
	text_begin(&line, runs > 1 ? "  in the first run " : "  ");
	text_u64(&line, differing_bytes(m, &run));
	text_add(&line, " of ");
	text_u64(&line, run.end - run.begin);
	text_add(&line, " bytes differ");
	bv_log_line(&line);
}

/* ---- the dump ---- */

/* The bytes of one row: [from, to) are in the window, the row begins at
 * offset row. Offsets, not indexes: rows are aligned on the disk. */
struct row {
	uint64_t row, from, to;
};

/* Ten digits reach to 1 TiB. */
static unsigned offset_digits(const struct row *r)
{
	return r->row >> 40 ? 16 : 10;
}

static bool in_row(const struct row *r, unsigned i)
{
	return r->row + i >= r->from && r->row + i < r->to;
}

static void add_hex(const struct bv_mismatch *m, const struct row *r,
		    const unsigned char *bytes)
{
	for (unsigned i = 0; i < ROW; i++) {
		text_char(&line, ' ');
		if (in_row(r, i))
			text_hex(&line, bytes[r->row + i - m->data_offset], 2);
		else
			text_add(&line, "  ");
	}
}

static void add_printable(const struct bv_mismatch *m, const struct row *r,
			  const unsigned char *bytes)
{
	text_add(&line, "  |");
	for (unsigned i = 0; i < ROW; i++) {
		unsigned char c = ' ';

		if (in_row(r, i))
			c = bytes[r->row + i - m->data_offset];
		/* Not isprint: a locale would let control bytes out. */
		text_char(&line, c >= 0x20 && c < 0x7f ? (char)c : '.');
	}
	text_char(&line, '|');
}

static void say_bytes(const struct bv_mismatch *m, const struct row *r,
		      const char *label, const unsigned char *bytes)
{
	text_begin(&line, "  ");
	text_hex(&line, r->row, offset_digits(r));
	text_add(&line, label);
	add_hex(m, r, bytes);
	add_printable(m, r, bytes);
	bv_log_line(&line);
}

static void say_marks(const struct bv_mismatch *m, const struct row *r)
{
	/* "  ", the offset, " expected" */
	unsigned gap = 2 + offset_digits(r) + 9;

	text_begin(&line, "");
	for (unsigned i = 0; i < ROW; i++) {
		uint64_t at = r->row + i - m->data_offset;

		gap += 3;
		if (!in_row(r, i) || m->actual[at] == m->should[at])
			continue;
		for (; gap > 2; gap--)
			text_char(&line, ' ');
		text_add(&line, "^^");
		gap = 0;
	}
	bv_log_line(&line);
}

static void say_row(const struct bv_mismatch *m, const struct row *r)
{
	uint64_t at = r->from - m->data_offset;

	if (bv_compare_first(m->actual + at, m->should + at,
			     r->to - r->from) == r->to - r->from) {
		say_bytes(m, r, " both    ", m->should);
		return;
	}
	say_bytes(m, r, " expected", m->should);
	say_bytes(m, r, " actual  ", m->actual);
	say_marks(m, r);
}

void damage_say_dump(const struct bv_mismatch *m, uint64_t first)
{
	uint64_t end = m->data_offset + m->data_length;
	uint64_t row = (m->data_offset + first) / ROW * ROW;
	struct row r;

	if (row >= ROW && row > m->data_offset)
		row -= ROW;
	for (unsigned n = 0; n < DUMP_BYTES && row < end; n += ROW) {
		r.row = row;
		r.from = row > m->data_offset ? row : m->data_offset;
		r.to = smaller(row + ROW, end);
		say_row(m, &r);
		row += ROW;
	}
}
