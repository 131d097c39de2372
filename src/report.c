/* report: the text of a mismatch; see include/blkverify/report.h. */
#include <blkverify/report.h>

#include <errno.h>
#include <limits.h>
#include <stddef.h>

#include <blkverify/compare.h>
#include <blkverify/log.h>
#include <blkverify/text.h>

#include "damage.h"

#define MOST_RUNS 64

/* Static: 6 KiB is more than some threads have left. One report at a time. */
static struct bv_text line;

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
	uint64_t first = offset / run_sector_size(m), last;

	text_add(&line, bv_op_name(m->op));
	text_add(&line, " sector_num=");
	text_u64(&line, first);
	text_add(&line, " nb_sectors=");
	/* Requests to "the end" may have a length that wraps around. */
	if (__builtin_add_overflow(offset, length - 1, &last))
		last = UINT64_MAX;
	text_u64(&line, length ? last / run_sector_size(m) - first + 1 : 0);
}

static void add_unequal(const struct bv_mismatch *m)
{
	text_i64(&line, m->got);
	text_add(&line, " != ");
	text_i64(&line, m->expected);
}

static void say_first_line(const struct bv_mismatch *m, uint64_t first)
{
	text_begin(&line, "");
	add_request(m);
	switch (m->difference) {
	case BV_DIFFERENCE_CONTENTS:
		text_add(&line, " contents mismatch in sector ");
		text_u64(&line, run_sector_at(m, first));
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
	text_begin(&line, label);
	text_quoted(&line, path ? path : "(unknown)");
	bv_log_line(&line);
}

static void say_who(const struct bv_mismatch *m)
{
	text_begin(&line, "  process ");
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
		text_time(&line, m->time / 1000000000u);
	}
	bv_log_line(&line);
}

static void say_result(const char *who, int64_t value)
{
	if (value >= 0 || value < INT_MIN + 1)
		return;
	text_begin(&line, who);
	text_errno(&line, (int)-value);
	bv_log_line(&line);
}

static void say_longer(const struct bv_mismatch *m)
{
	bool longer = m->got > m->expected;

	if (m->got < 0 || m->expected < 0 || m->got == m->expected)
		return;
	text_begin(&line, "  target is ");
	text_i64(&line, longer ? m->got - m->expected : m->expected - m->got);
	text_add(&line, longer ? " bytes longer than shadow" :
				 " bytes shorter than shadow");
	bv_log_line(&line);
}

static void say_persistence(const struct bv_mismatch *m)
{
	if (m->persistence == BV_UNTOLD)
		return;
	text_begin(&line, m->persistence == BV_LASTING ?
		   "  still there when read again: lasting" :
		   "  gone when read again: transient");
	bv_log_line(&line);
}

/* ---- which sectors ---- */

static void say_run(const struct bv_mismatch *m, const struct run *run)
{
	uint64_t first = run_sector_at(m, run->first);
	uint64_t last = run_sector_at(m, run->last);

	text_begin(&line, "  sectors ");
	text_range(&line, first, last);
	text_add(&line, " (");
	text_u64(&line, last - first + 1);
	text_add(&line, "), bytes ");
	text_range(&line, m->data_offset + run->first, m->data_offset + run->last);
	bv_log_line(&line);
}

static void say_more_runs(uint64_t runs, uint64_t sectors)
{
	text_begin(&line, "  and ");
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
	text_begin(&line, "  only bytes ");
	text_range(&line, m->data_offset, m->data_offset + m->data_length - 1);
	text_add(&line, " of the request are looked at here");
	bv_log_line(&line);
}

/* Returns how many runs there are. */
static uint64_t say_runs(const struct bv_mismatch *m)
{
	uint64_t runs = 0, sectors = 0, index = 0;
	struct run run;

	for (; run_next(m, index, &run); index = run.end, runs++) {
		if (runs < MOST_RUNS)
			say_run(m, &run);
		else
			sectors += run_sector_at(m, run.last) -
				   run_sector_at(m, run.first) + 1;
	}
	if (runs > MOST_RUNS)
		say_more_runs(runs - MOST_RUNS, sectors);
	return runs;
}

static void say_contents(const struct bv_mismatch *m, uint64_t first)
{
	uint64_t runs;

	/* Between the comparison and this, a stranger may have written to
	 * what is mapped: then nothing is left to show. */
	if (first >= m->data_length) {
		text_begin(&line, "  the bytes at hand are equal by now");
		bv_log_line(&line);
		return;
	}
	runs = say_runs(m);
	say_piece(m);
	damage_say_kind(m, runs);
	damage_say_count(m, runs);
	damage_say_dump(m, first);
}

void bv_report_mismatch(const struct bv_mismatch *m)
{
	int saved = errno;
	bool contents = m->difference == BV_DIFFERENCE_CONTENTS;
	uint64_t first = contents ? run_next_difference(m, 0) : 0;

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
