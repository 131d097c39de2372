/* runs: see runs.h. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include <blkverify/compare.h>

#include "runs.h"

const char *cli_plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* How much of the run may differ without anybody having lied. */
static const char *unknown_part(const struct cli_runs *r)
{
	uint64_t at = r->at.offset, end = r->at.last + 1;
	struct bv_extent e;

	if (!cli_record_unknown(r->record, at, end, &e))
		return "none";
	while (e.start == at && at < end) {
		at = e.end;
		if (!cli_record_unknown(r->record, at, end, &e))
			break;
	}
	return at >= end ? "all" : "part";
}

static void print_line(const struct cli_runs *r, const char *unknown)
{
	uint64_t count = r->at.last_sector - r->at.sector + 1;

	printf("sectors %" PRIu64 "-%" PRIu64 " (%" PRIu64 "), bytes %" PRIu64
	       "-%" PRIu64 ", %" PRIu64 " differ%s%s%s\n",
	       r->at.sector, r->at.last_sector, count, r->at.offset,
	       r->at.last, r->at.bytes, *unknown == 'n' ? "" : "; ",
	       *unknown == 'n' ? "" : unknown,
	       *unknown == 'n' ? "" : " of it not known");
}

static void print_element(const struct cli_runs *r, const char *unknown)
{
	json_t *run = json_pack("{sI sI sI sI sI ss}",
		"sector", (json_int_t)r->at.sector,
		"sectors", (json_int_t)(r->at.last_sector - r->at.sector + 1),
		"offset", (json_int_t)r->at.offset,
		"length", (json_int_t)(r->at.last - r->at.offset + 1),
		"bytes", (json_int_t)r->at.bytes,
		"unknown", unknown);

	fputs(r->runs ? ",\n  " : "\n  ", stdout);
	json_dumpf(run, stdout, 0);
	json_decref(run);
}

static void end_run(struct cli_runs *r)
{
	const char *unknown;

	if (r->at.bytes == 0)
		return;
	unknown = unknown_part(r);
	cli_progress_hide(r->progress);
	if (r->json)
		print_element(r, unknown);
	else
		print_line(r, unknown);
	if (r->runs == 0)
		r->first = r->at.offset;
	r->runs++;
	r->sectors += r->at.last_sector - r->at.sector + 1;
	r->bytes += r->at.bytes;
	r->unknown += *unknown != 'n';
	r->at.bytes = 0;
}

void cli_runs_end(struct cli_runs *r)
{
	end_run(r);
}

/* [*first, *last] is what differs within the n bytes of one sector. Returns
 * how many bytes of it do; one at least does. */
static uint64_t measure(const unsigned char *a, const unsigned char *b, size_t n,
			size_t *first, size_t *last)
{
	size_t at = bv_compare_first(a, b, n), run;
	uint64_t bytes = 0;

	*first = at;
	while (at < n) {
		run = bv_compare_run(a + at, b + at, n - at, false);
		bytes += run;
		*last = at + run - 1;
		at += run;
		at += bv_compare_first(a + at, b + at, n - at);
	}
	return bytes;
}

static void add_sector(struct cli_runs *r, const unsigned char *a,
		       const unsigned char *b, size_t n, uint64_t offset)
{
	uint64_t sector = offset / r->sector_size, bytes;
	size_t first, last = 0;

	bytes = measure(a, b, n, &first, &last);
	if (r->at.bytes && r->at.last_sector + 1 != sector)
		end_run(r);
	if (r->at.bytes == 0) {
		r->at.sector = sector;
		r->at.offset = offset + first;
	}
	r->at.last_sector = sector;
	r->at.last = offset + last;
	r->at.bytes += bytes;
}

void cli_runs_add(struct cli_runs *r, const unsigned char *target,
		  const unsigned char *shadow, size_t n, uint64_t offset)
{
	size_t at = 0, size;

	for (;;) {
		at += bv_compare_first(target + at, shadow + at, n - at);
		if (at >= n)
			return;
		at -= at % r->sector_size;
		size = n - at < r->sector_size ? n - at : r->sector_size;
		add_sector(r, target + at, shadow + at, size, offset + at);
		at += size;
	}
}
