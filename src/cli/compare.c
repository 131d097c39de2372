/* compare: an image with its shadow, whole. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <blkverify/text.h>

#include "cli.h"
#include "interrupt.h"
#include "options.h"
#include "pair.h"
#include "runs.h"
#include "scan.h"

enum { SAME, DIFFERENT, TROUBLE };

static const char usage[] =
"usage: blkverify compare [OPTION...] TARGET SHADOW\n"
"\n"
"Compares the two whole and lists every run of differing sectors. TARGET is read\n"
"past the page cache; what is a hole in both is passed over.\n"
"\n"
CLI_FORMAT_USAGE
"  --json             the result as JSON\n"
"  --sector-size N    unit of sector numbers, 512 to 65536 (default:\n"
"                     BLKVERIFY_SECTOR_SIZE, else 512)\n"
"  --help, --version\n"
"\n"
"exit status: 0 same, 1 different, 2 trouble\n";

struct comparison {
	struct cli_pair pair;
	const char *target, *shadow; /* as given */
	bool json;
	struct cli_runs runs;
	uint64_t length;             /* what both have */
	uint64_t holes;              /* bytes of it that were passed over */
};

/* ---- as JSON: a run may be anywhere among millions, so it goes out as it
 * comes, and only what stands around is built ---- */

/* A path need not be text, and JSON is. */
static json_t *json_path(const char *path)
{
	json_t *string = json_string(path);
	struct bv_text text;

	if (string)
		return string;
	text_clear(&text);
	for (; *path; path++) {
		if ((unsigned char)*path < 0x80) {
			text_char(&text, *path);
			continue;
		}
		text_add(&text, "\\x");
		text_hex(&text, (unsigned char)*path, 2);
	}
	return json_string(text.bytes);
}

static json_t *json_unknown(const struct comparison *c)
{
	json_t *list = json_array();
	struct bv_extent e = { .end = 0 };

	while (cli_record_unknown(&c->pair.record, e.end, c->length, &e))
		json_array_append_new(list, json_pack("{sI sI}",
			"offset", (json_int_t)e.start,
			"length", (json_int_t)(e.end - e.start)));
	return list;
}

/* The members of an object, without its braces. */
static void print_members(json_t *object)
{
	json_dumpf(object, stdout, JSON_EMBED);
	json_decref(object);
}

static void begin_json(const struct comparison *c)
{
	putchar('{');
	print_members(json_pack("{s{so sI} s{so sI} sI so}",
		"target", "path", json_path(c->target),
		"length", (json_int_t)c->pair.target.image.length,
		"shadow", "path", json_path(c->shadow),
		"length", (json_int_t)c->pair.shadow.length,
		"sector_size", (json_int_t)c->runs.sector_size,
		"unknown", json_unknown(c)));
	fputs(", \"runs\": [", stdout);
}

static void end_json(const struct comparison *c, int status)
{
	fputs(c->runs.runs ? "\n], " : "], ", stdout);
	print_members(json_pack("{ss sI sI sI sI}",
		"result", status == SAME ? "same" :
			  status == DIFFERENT ? "different" : "trouble",
		"differing_runs", (json_int_t)c->runs.runs,
		"differing_sectors", (json_int_t)c->runs.sectors,
		"differing_bytes", (json_int_t)c->runs.bytes,
		"holes", (json_int_t)c->holes));
	puts("}");
}

/* ---- as lines ---- */

#define MOST_TOLD 16

static void print_unknown(const struct comparison *c)
{
	uint64_t ranges = 0, bytes = 0, size = c->runs.sector_size;
	struct bv_extent e = { .end = 0 };

	for (; cli_record_unknown(&c->pair.record, e.end, c->length, &e);
	     ranges++, bytes += e.end - e.start)
		if (ranges < MOST_TOLD)
			printf("not known: sectors %" PRIu64 "-%" PRIu64
			       ", bytes %" PRIu64 "-%" PRIu64 "\n",
			       e.start / size, (e.end - 1) / size, e.start,
			       e.end - 1);
	if (ranges)
		printf("contents not known in %" PRIu64 " range%s, %" PRIu64
		       " bytes: a difference there proves nothing\n",
		       ranges, cli_plural(ranges), bytes);
}

static void print_sizes(const struct comparison *c)
{
	uint64_t target = c->pair.target.image.length;
	uint64_t shadow = c->pair.shadow.length;

	if (target == shadow)
		return;
	printf("size mismatch %" PRIu64 " != %" PRIu64
	       ": target is %" PRIu64 " bytes %s than shadow\n",
	       target, shadow, target > shadow ? target - shadow
					       : shadow - target,
	       target > shadow ? "longer" : "shorter");
}

static void print_result(const struct comparison *c, int status)
{
	const struct cli_runs *r = &c->runs;

	if (r->runs)
		printf("contents mismatch in sector %" PRIu64
		       " at offset %" PRIu64 ": %" PRIu64 " run%s, %" PRIu64
		       " sector%s, %" PRIu64 " byte%s\n",
		       r->first / r->sector_size, r->first, r->runs,
		       cli_plural(r->runs), r->sectors, cli_plural(r->sectors),
		       r->bytes, cli_plural(r->bytes));
	if (r->unknown)
		printf("%" PRIu64 " of them where contents are not known\n",
		       r->unknown);
	if (!r->runs && status != TROUBLE)
		printf("same contents: %" PRIu64 " bytes, %" PRIu64
		       " of them holes in both\n", c->length, c->holes);
}

/* ---- the comparison ---- */

static void look(struct cli_scan *scan, struct cli_piece *piece)
{
	(void)scan;
	piece->found = memcmp(piece->bytes[0], piece->bytes[1],
			      piece->end - piece->start) != 0;
}

static void tell(struct cli_scan *scan, struct cli_piece *piece)
{
	if (piece->found)
		cli_runs_add(scan->context, piece->bytes[0], piece->bytes[1],
			     piece->end - piece->start, piece->start);
}

static int scan_both(struct comparison *c)
{
	struct cli_progress progress;
	struct cli_scan scan = {
		.image = { &c->pair.target.image, &c->pair.shadow },
		.images = 2, .length = c->length, .progress = &progress,
		.context = &c->runs, .work = look, .done = tell,
	};
	int result;

	c->runs.record = &c->pair.record;
	c->runs.progress = &progress;
	cli_progress_begin(&progress, c->length);
	result = cli_scan(&scan);
	cli_runs_end(&c->runs);
	c->holes = c->length - scan.read;
	return result;
}

static int compare(struct comparison *c)
{
	uint64_t target = c->pair.target.image.length;
	uint64_t shadow = c->pair.shadow.length;
	int status;

	c->length = target < shadow ? target : shadow;
	if (c->json) {
		begin_json(c);
	} else {
		print_unknown(c);
		print_sizes(c);
	}
	status = scan_both(c) < 0 ? TROUBLE :
		 c->runs.runs || target != shadow ? DIFFERENT : SAME;
	if (c->json)
		end_json(c, status);
	else
		print_result(c, status);
	return cli_output_end() < 0 ? TROUBLE : status;
}

int cli_compare(int argc, char **argv)
{
	static const struct option options[] = {
		CLI_FORMAT_OPTIONS,
		{ "json", no_argument, NULL, 'j' },
		{ "sector-size", required_argument, NULL, 's' },
		CLI_COMMON_OPTIONS
	};
	struct cli_format format = { .name = NULL };
	const char *size = NULL;
	struct comparison c = { .json = false };
	int option, status;

	while ((option = cli_option(argc, argv, CLI_LETTERS, options,
				    usage)) != -1) {
		switch (option) {
		case 'j': c.json = true; break;
		case 's': size = optarg; break;
		case CLI_ANSWERED: return 0;
		default:
			if (cli_format_option(&format, option, argc) < 0)
				return TROUBLE;
		}
	}
	c.runs.json = c.json;
	c.runs.sector_size = cli_sector_size(size);
	if (c.runs.sector_size == 0 ||
	    cli_two_operands(argc, argv, &c.target, &c.shadow) < 0)
		return TROUBLE;
	cli_interrupt_begin();
	if (cli_pair_open(&c.pair, c.target, &format, c.shadow) < 0) {
		status = TROUBLE;
	} else {
		status = compare(&c);
		cli_pair_close(&c.pair);
	}
	free(format.object);
	cli_interrupt_end();
	return status;
}
