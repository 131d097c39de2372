/* prepare: makes the shadow of an image. */
#include <errno.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <blkverify/compare.h>

#include "cli.h"
#include "draft.h"
#include "interrupt.h"
#include "options.h"
#include "scan.h"
#include "source.h"

enum { MADE, NOT_MADE, USAGE };

/* Zeros of that many bytes are left out of a file. */
#define BLOCK 4096

static const char usage[] =
"usage: blkverify prepare [OPTION...] TARGET SHADOW\n"
"\n"
"Makes SHADOW, the raw reference for TARGET as it is now: a reflink where the\n"
"file system can, else a sparse copy. SHADOW may be a block device of the same\n"
"length.\n"
"\n"
CLI_FORMAT_USAGE
"  --force            replace a SHADOW that exists, overwrite a block device\n"
"  --help, --version\n"
"\n"
"exit status: 0 made, 1 not made, 2 bad usage\n";

struct copy {
	struct cli_draft *draft;
	uint64_t at;                 /* a device holds the target up to here */
	uint64_t written;            /* bytes that were not zero */
};

/* ---- the copy ---- */

static uint64_t zeros_at(const unsigned char *bytes, size_t n, size_t at)
{
	size_t from = at, block;

	for (; at < n; at += block) {
		block = n - at < BLOCK ? n - at : BLOCK;
		if (!bv_compare_zero(bytes + at, block))
			break;
	}
	return at - from;
}

static size_t data_at(const unsigned char *bytes, size_t n, size_t at)
{
	size_t from = at, block;

	for (; at < n; at += block) {
		block = n - at < BLOCK ? n - at : BLOCK;
		if (bv_compare_zero(bytes + at, block))
			break;
	}
	return at - from;
}

static void write_piece(struct cli_scan *scan, struct cli_piece *piece)
{
	struct copy *copy = scan->context;
	size_t n = piece->end - piece->start, at = 0, data;
	uint64_t written = 0;

	piece->path = copy->draft->path;
	piece->doing = "write";
	while (at < n && !piece->error) {
		/* A device holds anything where nothing is written. */
		if (!copy->draft->block)
			at += zeros_at(piece->bytes[0], n, at);
		data = copy->draft->block ? n - at :
					    data_at(piece->bytes[0], n, at);
		if (data == 0)
			break;
		piece->error = -cli_draft_write(copy->draft,
						piece->bytes[0] + at, data,
						piece->start + at);
		at += data;
		written += data;
	}
	__atomic_add_fetch(&copy->written, written, __ATOMIC_RELAXED);
}

/* What was passed over before the piece is zero. */
static void fill_gap(struct cli_scan *scan, struct cli_piece *piece)
{
	struct copy *copy = scan->context;

	piece->error = -cli_draft_zero(copy->draft, copy->at, piece->start);
	piece->path = copy->draft->path;
	piece->doing = "write zeros";
	copy->at = piece->end;
}

static int copy_all(const struct cli_image *target, struct copy *copy)
{
	struct cli_progress progress;
	struct cli_scan scan = {
		.image = { target }, .images = 1, .length = target->length,
		.progress = &progress, .context = copy, .work = write_piece,
		.done = fill_gap,
	};
	int result;

	cli_progress_begin(&progress, target->length);
	if (cli_scan(&scan) < 0)
		return -1;
	result = cli_draft_zero(copy->draft, copy->at, target->length);
	if (result < 0)
		cli_say("%s: write zeros: %s", copy->draft->path,
			cli_why(-result));
	return result;
}

/* ---- the shadow ---- */

static bool changed_length(const struct cli_image *target)
{
	struct stat st;

	if (fstat(target->fd, &st) == 0 &&
	    cli_image_length(target->fd, &st) == (int64_t)target->length)
		return false;
	cli_say("%s: its length changed meanwhile", target->path);
	return true;
}

static int fill(const struct cli_image *target, struct cli_draft *draft,
		struct copy *copy, bool *cloned)
{
	*cloned = !draft->block && !target->block &&
		  ioctl(draft->fd, FICLONE, target->fd) == 0;
	if (!*cloned && copy_all(target, copy) < 0)
		return -1;
	return changed_length(target) || cli_interrupted() ? -1 : 0;
}

static int make(const struct cli_image *target, const char *shadow, bool force)
{
	struct cli_draft draft;
	struct copy copy = { .draft = &draft };
	bool cloned;

	if (cli_draft_begin(&draft, shadow, target, force) < 0)
		return NOT_MADE;
	if (fill(target, &draft, &copy, &cloned) < 0 ||
	    cli_draft_commit(&draft) < 0) {
		cli_draft_discard(&draft);
		return NOT_MADE;
	}
	if (cloned)
		printf("%s: %" PRIu64 " bytes, shared with %s\n", shadow,
		       target->length, target->path);
	else
		printf("%s: %" PRIu64 " bytes, %" PRIu64 " of them copied, the "
		       "rest zeros\n", shadow, target->length, copy.written);
	return MADE;
}

int cli_prepare(int argc, char **argv)
{
	static const struct option options[] = {
		CLI_FORMAT_OPTIONS,
		{ "force", no_argument, NULL, 'F' },
		CLI_COMMON_OPTIONS
	};
	struct cli_format format = { .name = NULL };
	const char *target, *shadow;
	struct cli_source source;
	bool force = false;
	int option, status = NOT_MADE;

	while ((option = cli_option(argc, argv, CLI_LETTERS, options,
				    usage)) != -1) {
		switch (option) {
		case 'F': force = true; break;
		case CLI_ANSWERED: return 0;
		default:
			if (cli_format_option(&format, option, argc) < 0)
				return USAGE;
		}
	}
	if (cli_two_operands(argc, argv, &target, &shadow) < 0)
		return USAGE;
	cli_interrupt_begin();
	if (cli_source_open(&source, target, &format, CLI_CACHED) == 0) {
		status = make(&source.image, shadow, force);
		cli_source_close(&source);
	}
	free(format.object);
	cli_interrupt_end();
	return status;
}
