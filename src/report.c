/* report: the text of a mismatch.
 *
 * Terms: the piece is the data at hand, [data_offset, +data_length); an index
 * counts from its first byte, an offset from the first byte of the disk. A run
 * is sectors without a gap that all differ.
 */
#include <blkverify/report.h>

#include <errno.h>
#include <limits.h>
#include <stddef.h>

#include <blkverify/compare.h>
#include <blkverify/log.h>
#include <blkverify/text.h>

#define MOST_RUNS 64
#define ROW 16
#define DUMP_BYTES 64

/* Static: 6 KiB is more than some threads have left. One report at a time. */
static struct bv_text line;

struct run {
	uint64_t begin, end;         /* indexes, whole sectors but for the
	                              * piece's own ends */
	uint64_t first, last;        /* indexes of differing bytes */
};

static void begin_line(const char *string)
{
	text_clear(&line);
	text_add(&line, string);
}

static void add_range(uint64_t first, uint64_t last)
{
	text_u64(&line, first);
	text_char(&line, '-');
	text_u64(&line, last);
}

static unsigned sector_size(const struct bv_mismatch *m)
{
	return m->sector_size ? m->sector_size : 512;
}

static uint64_t sector_at(const struct bv_mismatch *m, uint64_t index)
{
	return (m->data_offset + index) / sector_size(m);
}

/* The index after the sector that index is in, or the piece's end. */
static uint64_t after_sector(const struct bv_mismatch *m, uint64_t index)
{
	unsigned size = sector_size(m);
	uint64_t rest = size - (m->data_offset + index) % size;

	return rest < m->data_length - index ? index + rest : m->data_length;
}

/* data_length when nothing differs from there on. */
static uint64_t next_difference(const struct bv_mismatch *m, uint64_t index)
{
	if (index >= m->data_length)
		return m->data_length;
	return index + bv_compare_first(m->actual + index, m->should + index,
					m->data_length - index);
}

/* The first run at or after index; false when there is none. */
static bool next_run(const struct bv_mismatch *m, uint64_t index,
		     struct run *run)
{
	unsigned size = sector_size(m);
	uint64_t into;

	run->first = next_difference(m, index);
	if (run->first >= m->data_length)
		return false;
	into = (m->data_offset + run->first) % size;
	run->begin = run->first > into ? run->first - into : 0;
	run->end = after_sector(m, run->first);
	while (run->end < m->data_length) {
		uint64_t next = after_sector(m, run->end);

		if (next_difference(m, run->end) >= next)
			break;
		run->end = next;
	}
	run->last = run->end - 1;
	while (run->last > run->first &&
	       m->actual[run->last] == m->should[run->last])
		run->last--;
	return true;
}

/* ---- the first line ---- */

static uint64_t larger_size(const struct bv_mismatch *m)
{
	int64_t size = m->got > m->expected ? m->got : m->expected;

	return size > 0 ? (uint64_t)size : 0;
}

static void add_request(const struct bv_mismatch *m)
{
	bool size = m->difference == BV_DIFFERENCE_SIZE;
	uint64_t offset = size ? 0 : m->offset;
	uint64_t length = size ? larger_size(m) : m->length;
	uint64_t first = offset / sector_size(m), last;

	text_add(&line, bv_op_name(m->op));
	text_add(&line, " sector_num=");
	text_u64(&line, first);
	text_add(&line, " nb_sectors=");
	/* Requests to "the end" may have a length that wraps around. */
	if (__builtin_add_overflow(offset, length - 1, &last))
		last = UINT64_MAX;
	text_u64(&line, length ? last / sector_size(m) - first + 1 : 0);
}

static void add_unequal(const struct bv_mismatch *m)
{
	text_i64(&line, m->got);
	text_add(&line, " != ");
	text_i64(&line, m->expected);
}

static void say_first_line(const struct bv_mismatch *m, uint64_t first)
{
	begin_line("");
	add_request(m);
	switch (m->difference) {
	case BV_DIFFERENCE_CONTENTS:
		text_add(&line, " contents mismatch in sector ");
		text_u64(&line, sector_at(m, first));
		text_add(&line, " at offset ");
		text_u64(&line, m->data_offset + first);
		break;
	case BV_DIFFERENCE_RETURN:
		text_add(&line, " return value mismatch ");
		add_unequal(m);
		break;
	case BV_DIFFERENCE_SIZE:
		text_add(&line, " size mismatch ");
		add_unequal(m);
		break;
	case BV_DIFFERENCE_SHADOW:
		text_add(&line, " shadow failure ");
		if (m->got < 0 && m->got >= INT_MIN + 1)
			text_errno(&line, (int)-m->got);
		else
			add_unequal(m);
		break;
	}
	bv_log_line(&line);
}

/* ---- where and who ---- */

static void say_path(const char *label, const char *path)
{
	begin_line(label);
	text_quoted(&line, path ? path : "(unknown)");
	bv_log_line(&line);
}

static void say_who(const struct bv_mismatch *m)
{
	begin_line("  process ");
	text_i64(&line, m->pid);
	text_add(&line, ", thread ");
	text_i64(&line, m->tid);
	text_add(&line, ", call ");
	text_add(&line, m->call ? m->call : "(unknown)");
	text_add(&line, ", fd ");
	text_i64(&line, m->fd);
	text_add(&line, ", ");
	text_u64(&line, m->length);
	text_add(&line, " bytes at ");
	text_u64(&line, m->offset);
	if (m->time) {
		text_add(&line, ", ");
		text_u64(&line, m->time / 1000000000u);
		text_add(&line, " s since 1970");
	}
	bv_log_line(&line);
}

static void say_result(const char *who, int64_t value)
{
	if (value >= 0 || value < INT_MIN + 1)
		return;
	begin_line(who);
	text_errno(&line, (int)-value);
	bv_log_line(&line);
}

static void say_longer(const struct bv_mismatch *m)
{
	bool longer = m->got > m->expected;

	if (m->got < 0 || m->expected < 0 || m->got == m->expected)
		return;
	begin_line("  target is ");
	text_i64(&line, longer ? m->got - m->expected : m->expected - m->got);
	text_add(&line, longer ? " bytes longer than shadow" :
				 " bytes shorter than shadow");
	bv_log_line(&line);
}

static void say_persistence(const struct bv_mismatch *m)
{
	if (m->persistence == BV_UNTOLD)
		return;
	begin_line(m->persistence == BV_LASTING ?
		   "  still there when read again: lasting" :
		   "  gone when read again: transient");
	bv_log_line(&line);
}

/* ---- which sectors ---- */

static void say_run(const struct bv_mismatch *m, const struct run *run)
{
	uint64_t first = sector_at(m, run->first);
	uint64_t last = sector_at(m, run->last);

	begin_line("  sectors ");
	add_range(first, last);
	text_add(&line, " (");
	text_u64(&line, last - first + 1);
	text_add(&line, "), bytes ");
	add_range(m->data_offset + run->first, m->data_offset + run->last);
	bv_log_line(&line);
}

static void say_more_runs(uint64_t runs, uint64_t sectors)
{
	begin_line("  and ");
	text_u64(&line, runs);
	text_add(&line, runs == 1 ? " more run of " : " more runs of ");
	text_u64(&line, sectors);
	text_add(&line, sectors == 1 ? " sector" : " sectors");
	bv_log_line(&line);
}

/* A request goes in pieces and stops at the first that differs. */
static void say_piece(const struct bv_mismatch *m)
{
	if (m->data_offset <= m->offset &&
	    m->data_length >= m->length + (m->offset - m->data_offset))
		return;
	begin_line("  only bytes ");
	add_range(m->data_offset, m->data_offset + m->data_length - 1);
	text_add(&line, " of the request are looked at here");
	bv_log_line(&line);
}

/* Returns how many runs there are. */
static uint64_t say_runs(const struct bv_mismatch *m)
{
	uint64_t runs = 0, sectors = 0, index = 0;
	struct run run;

	for (; next_run(m, index, &run); index = run.end, runs++) {
		if (runs < MOST_RUNS)
			say_run(m, &run);
		else
			sectors += sector_at(m, run.last) -
				   sector_at(m, run.first) + 1;
	}
	if (runs > MOST_RUNS)
		say_more_runs(runs - MOST_RUNS, sectors);
	return runs;
}

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
	if (length < sector_size(m) || length < best->length ||
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
	uint64_t distance = sector_size(m);

	for (; distance < m->data_length; distance += sector_size(m)) {
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
	add_range(m->data_offset + best.to,
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

/* A guess, and called one: the bytes alone cannot tell. */
static void say_kind(const struct bv_mismatch *m, uint64_t runs)
{
	struct run run;

	if (!next_run(m, 0, &run))
		return;
	begin_line(runs > 1 ? "  first run looks like " : "  looks like ");
	if (say_one_bit(m, &run) || say_zero(m, &run) ||
	    say_misplaced(m, &run))
		bv_log_line(&line);
}

static void say_count(const struct bv_mismatch *m, uint64_t runs)
{
	struct run run;

	if (!next_run(m, 0, &run))
		return;
	begin_line(runs > 1 ? "  in the first run " : "  ");
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
	begin_line("  ");
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

	begin_line("");
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

/* One row before the first difference, for what leads up to it. */
static void say_dump(const struct bv_mismatch *m, uint64_t first)
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

static void say_contents(const struct bv_mismatch *m, uint64_t first)
{
	uint64_t runs;

	/* Between the comparison and this, a stranger may have written to
	 * what is mapped: then nothing is left to show. */
	if (first >= m->data_length) {
		begin_line("  the bytes at hand are equal by now");
		bv_log_line(&line);
		return;
	}
	runs = say_runs(m);
	say_piece(m);
	say_kind(m, runs);
	say_count(m, runs);
	say_dump(m, first);
}

void bv_report_mismatch(const struct bv_mismatch *m)
{
	int saved = errno;
	bool contents = m->difference == BV_DIFFERENCE_CONTENTS;
	uint64_t first = contents ? next_difference(m, 0) : 0;

	say_first_line(m, first < m->data_length ? first : 0);
	say_path("  target ", m->target);
	say_path("  shadow ", m->shadow);
	say_who(m);
	if (m->difference == BV_DIFFERENCE_RETURN) {
		say_result("  target: ", m->got);
		say_result("  shadow: ", m->expected);
	} else if (m->difference == BV_DIFFERENCE_SIZE) {
		say_longer(m);
	}
	say_persistence(m);
	if (contents)
		say_contents(m, first);
	if (m->history)
		m->history(m);
	errno = saved;
}
