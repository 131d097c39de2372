/* inspect: sectors of an image and its shadow, side by side. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <blkverify/history.h>

#include "cli.h"
#include "hexdump.h"
#include "interrupt.h"
#include "options.h"
#include "pair.h"
#include "runs.h"

enum { SAME, DIFFERENT, TROUBLE };

/* Operations of the history that are shown. */
#define MOST_SHOWN 16

static const char usage[] =
"usage: blkverify inspect --sector N [OPTION...] TARGET SHADOW\n"
"\n"
"Shows sectors of both side by side, what differs marked, and the last\n"
"operations on them that runs under the library remember.\n"
"\n"
"  --sector N         the first sector\n"
"  --count N          how many (default: 1)\n"
CLI_FORMAT_USAGE
"  --sector-size N    unit of sector numbers, 512 to 65536 (default:\n"
"                     BLKVERIFY_SECTOR_SIZE, else 512)\n"
"  --help, --version\n"
"\n"
"exit status: 0 the same, 1 different, 2 trouble\n";

struct inspection {
	struct cli_pair pair;
	const char *target, *shadow; /* as given */
	uint64_t sector, count;
	unsigned sector_size;
	uint64_t start, end;         /* bytes; past no end of the longer one */

	const struct cli_image *image[2];
	unsigned char *bytes[2];     /* CLI_ALIGNMENT of each */
	uint64_t chunk;              /* whose offset is this */
	struct cli_hexdump dump;
	bool differs;
};

/* ---- reading ---- */

/* Bytes of the image in [offset, offset + most). */
static size_t have(const struct cli_image *image, uint64_t offset, size_t most)
{
	if (offset >= image->length)
		return 0;
	return image->length - offset < most ? image->length - offset : most;
}

/* Makes the chunk that offset is in the one at hand. */
static int read_chunk(struct inspection *q, uint64_t offset)
{
	uint64_t chunk = offset - offset % CLI_ALIGNMENT;

	if (chunk == q->chunk)
		return 0;
	for (unsigned i = 0; i < 2; i++) {
		size_t n = have(q->image[i], chunk, CLI_ALIGNMENT);
		int result = cli_image_read(q->image[i], q->bytes[i], n, chunk);

		if (result < 0) {
			fflush(stdout);
			cli_say("%s: read at offset %" PRIu64 ": %s",
				q->image[i]->path, chunk, cli_why(-result));
			return -1;
		}
	}
	q->chunk = chunk;
	return 0;
}

/* ---- showing ---- */

static uint64_t count_differences(const struct cli_side side[2])
{
	size_t least = side[0].n < side[1].n ? side[0].n : side[1].n;
	uint64_t count = side[0].n + side[1].n - 2 * least;

	for (size_t i = 0; i < least; i++)
		count += side[0].bytes[i] != side[1].bytes[i];
	return count;
}

static void show_sector(struct inspection *q, uint64_t offset)
{
	uint64_t into = offset - q->chunk, count;
	struct cli_side side[2];
	struct bv_extent e;

	for (unsigned i = 0; i < 2; i++)
		side[i] = (struct cli_side){
			q->bytes[i] + into,
			have(q->image[i], offset, q->sector_size),
		};
	count = count_differences(side);
	q->differs |= count > 0;
	printf("sector %" PRIu64 ", offset %" PRIu64 ": ",
	       offset / q->sector_size, offset);
	if (count)
		printf("%" PRIu64 " byte%s differ%s\n", count,
		       cli_plural(count), count == 1 ? "s" : "");
	else
		puts("same");
	if (cli_record_unknown(&q->pair.record, offset,
			       offset + q->sector_size, &e))
		printf("not known: bytes %" PRIu64 "-%" PRIu64 "\n",
		       e.start, e.end - 1);
	cli_hexdump_break(&q->dump);
	cli_hexdump_add(&q->dump, side, q->sector_size, offset);
}

static void print_time(uint64_t nanoseconds)
{
	time_t seconds = (time_t)(nanoseconds / 1000000000u);
	char text[32] = "?";
	struct tm tm;

	/* As reports have it. */
	if (gmtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%F %T", &tm);
	printf("  %s.%03u UTC", text,
	       (unsigned)(nanoseconds / 1000000u % 1000u));
}

static void show_operation(const struct bv_past *past)
{
	int64_t result = past->result;

	print_time(past->time);
	printf("  %-7s", bv_op_name(past->op));
	if (past->op == BV_OP_RESIZE)
		printf("  to %" PRIu64 " bytes", past->offset + past->length);
	else
		printf("  %" PRIu64 " bytes at %" PRIu64, past->length,
		       past->offset);
	printf(", process %d, thread %d", past->pid, past->tid);
	if (result < 0)
		printf(": %s", strerror((int)-result));
	else if ((past->op == BV_OP_READ || past->op == BV_OP_WRITE) &&
		 (uint64_t)result != past->length)
		printf(": %" PRId64 " bytes only", result);
	putchar('\n');
}

static void show_history(const struct inspection *q)
{
	const struct cli_record *record = &q->pair.record;
	struct bv_past past = { .sequence = 0 };
	unsigned shown = 0;

	if (!record->there)
		return;
	while (shown < MOST_SHOWN &&
	       bv_history_touching(&record->disk, past.sequence, q->start,
				   q->end, &past)) {
		if (shown++ == 0)
			puts("last operations on them, newest first:");
		show_operation(&past);
	}
	if (shown == 0)
		puts("no operation on them is remembered");
}

/* ---- the inspection ---- */

static int settle_range(struct inspection *q)
{
	uint64_t length = q->image[0]->length;

	if (q->image[1]->length > length)
		length = q->image[1]->length;
	if (__builtin_mul_overflow(q->sector, q->sector_size, &q->start) ||
	    q->start >= length) {
		cli_say("--sector=%" PRIu64 ": past the end, which is at offset "
			"%" PRIu64, q->sector, length);
		return -1;
	}
	if (__builtin_mul_overflow(q->count, q->sector_size, &q->end) ||
	    __builtin_add_overflow(q->start, q->end, &q->end) ||
	    q->end > length)
		q->end = length;
	return 0;
}

static int inspect(struct inspection *q)
{
	q->image[0] = &q->pair.target.image;
	q->image[1] = &q->pair.shadow;
	q->chunk = UINT64_MAX;
	if (settle_range(q) < 0)
		return TROUBLE;
	for (unsigned i = 0; i < 2; i++) {
		q->bytes[i] = aligned_alloc(CLI_ALIGNMENT, CLI_ALIGNMENT);
		if (!q->bytes[i]) {
			cli_say("no memory");
			return TROUBLE;
		}
	}
	cli_hexdump_begin(&q->dump, q->end - 1);
	printf("target %s | shadow %s\n", q->target, q->shadow);
	if (q->image[0]->length != q->image[1]->length)
		printf("size mismatch %" PRIu64 " != %" PRIu64 "\n",
		       q->image[0]->length, q->image[1]->length);
	for (uint64_t at = q->start; at < q->end && !cli_interrupted();
	     at += q->sector_size) {
		if (read_chunk(q, at) < 0)
			return TROUBLE;
		show_sector(q, at);
	}
	show_history(q);
	if (cli_output_end() < 0)
		return TROUBLE;
	return q->differs ? DIFFERENT : SAME;
}

static int parse(int argc, char **argv, struct inspection *q,
		 struct cli_format *format)
{
	static const struct option options[] = {
		{ "count", required_argument, NULL, 'c' },
		CLI_FORMAT_OPTIONS,
		{ "sector", required_argument, NULL, 'n' },
		{ "sector-size", required_argument, NULL, 's' },
		CLI_COMMON_OPTIONS
	};
	const char *size = NULL;
	bool given = false;
	int option;

	while ((option = cli_option(argc, argv, CLI_LETTERS, options,
				    usage)) != -1) {
		switch (option) {
		case 'c':
			if (cli_number("--count", optarg, &q->count) < 0)
				return TROUBLE;
			break;
		case 'n':
			given = true;
			if (cli_number("--sector", optarg, &q->sector) < 0)
				return TROUBLE;
			break;
		case 's': size = optarg; break;
		case CLI_ANSWERED: exit(0);
		default:
			if (cli_format_option(format, option, argc) < 0)
				return TROUBLE;
		}
	}
	q->sector_size = cli_sector_size(size);
	if (q->sector_size == 0)
		return TROUBLE;
	if (!given || q->count == 0) {
		cli_say(given ? "--count=0: nothing to show" :
				"inspect: --sector is wanted, see blkverify "
				"inspect --help");
		return TROUBLE;
	}
	return cli_two_operands(argc, argv, &q->target, &q->shadow) < 0 ?
		       TROUBLE : SAME;
}

int cli_inspect(int argc, char **argv)
{
	struct inspection q = { .count = 1 };
	struct cli_format format = { .name = NULL };
	int status = parse(argc, argv, &q, &format);

	if (status != SAME)
		return status;
	cli_interrupt_begin();
	status = TROUBLE;
	if (cli_pair_open(&q.pair, q.target, &format, q.shadow) == 0) {
		status = inspect(&q);
		cli_pair_close(&q.pair);
		free(q.bytes[0]);
		free(q.bytes[1]);
	}
	free(format.object);
	cli_interrupt_end();
	return status;
}
