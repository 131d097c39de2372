/* hexdump: see hexdump.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hexdump.h"

#define TARGET_COLOUR "\033[1;31m"
#define SHADOW_COLOUR "\033[1;32m"
#define NO_COLOUR "\033[0m"

/* Of a row: the bytes that are on either side, and which of them differ. */
struct row {
	size_t n;
	const unsigned char *bytes[2];
	size_t have[2];
	bool differs[CLI_ROW];
};

void cli_hexdump_begin(struct cli_hexdump *d, uint64_t last)
{
	const char *wish = getenv("NO_COLOR");

	*d = (struct cli_hexdump){
		.colour = isatty(STDOUT_FILENO) && !(wish && *wish),
		.digits = 8,
	};
	while (d->digits < 16 && last >> (4 * d->digits))
		d->digits++;
}

void cli_hexdump_break(struct cli_hexdump *d)
{
	d->any = d->repeated = false;
}

static void print_hex(const struct row *row, unsigned side, const char *colour)
{
	for (size_t i = 0; i < CLI_ROW; i++) {
		bool marked = colour && i < row->n && row->differs[i];

		fputs(marked ? colour : "", stdout);
		if (i >= row->n)
			fputs("  ", stdout);
		else if (i >= row->have[side])
			fputs("--", stdout);
		else
			printf("%02x", row->bytes[side][i]);
		fputs(marked ? NO_COLOUR " " : " ", stdout);
	}
}

static void print_ascii(const struct row *row, unsigned side,
			const char *colour)
{
	for (size_t i = 0; i < row->n; i++) {
		bool marked = colour && row->differs[i];
		int c = i < row->have[side] ? row->bytes[side][i] : ' ';

		printf("%s%c%s", marked ? colour : "",
		       c >= 0x20 && c < 0x7f ? c : '.',
		       marked ? NO_COLOUR : "");
	}
	/* Only before the other side: no blanks at the end of a line. */
	if (side == 0)
		printf("%*s | ", (int)(CLI_ROW - row->n), "");
}

static void print_marks(const struct cli_hexdump *d, const struct row *row)
{
	char line[160];
	size_t at = d->digits + 2;

	memset(line, ' ', sizeof(line));
	for (unsigned side = 0; side < 2; side++) {
		for (size_t i = 0; i < row->have[0] && i < row->have[1]; i++)
			if (row->differs[i]) {
				memcpy(line + at + 3 * i, "^^", 2);
				line[at + 3 * CLI_ROW + 1 + i] = '^';
			}
		at += 4 * CLI_ROW + 1 + strlen(" | ");
	}
	for (at = sizeof(line); line[at - 1] == ' '; at--)
		;
	printf("%.*s\n", (int)at, line);
}

/* What is not there needs no mark. */
static bool has_marks(const struct row *row)
{
	for (size_t i = 0; i < row->have[0] && i < row->have[1]; i++)
		if (row->differs[i])
			return true;
	return false;
}

static void print_row(const struct cli_hexdump *d, const struct row *row,
		      uint64_t offset)
{
	printf("%0*" PRIx64 "  ", (int)d->digits, offset);
	print_hex(row, 0, d->colour ? TARGET_COLOUR : NULL);
	putchar(' ');
	print_ascii(row, 0, d->colour ? TARGET_COLOUR : NULL);
	print_hex(row, 1, d->colour ? SHADOW_COLOUR : NULL);
	putchar(' ');
	print_ascii(row, 1, d->colour ? SHADOW_COLOUR : NULL);
	putchar('\n');
	if (!d->colour && has_marks(row))
		print_marks(d, row);
}

static bool repeats(const struct cli_hexdump *d, const struct row *row)
{
	for (unsigned i = 0; i < 2; i++)
		if (d->have[i] != row->have[i] ||
		    memcmp(d->row[i], row->bytes[i], row->have[i]) != 0)
			return false;
	return d->any && row->n == CLI_ROW;
}

static void add_row(struct cli_hexdump *d, const struct row *row,
		    uint64_t offset)
{
	if (repeats(d, row)) {
		if (!d->repeated)
			puts("*");
		d->repeated = true;
		return;
	}
	d->repeated = false;
	d->any = true;
	print_row(d, row, offset);
	for (unsigned i = 0; i < 2; i++) {
		d->have[i] = row->have[i];
		memcpy(d->row[i], row->bytes[i], row->have[i]);
	}
}

static size_t part(size_t have, size_t at, size_t most)
{
	return have <= at ? 0 : have - at < most ? have - at : most;
}

void cli_hexdump_add(struct cli_hexdump *d, const struct cli_side side[2],
		     size_t n, uint64_t offset)
{
	size_t longer = side[0].n > side[1].n ? side[0].n : side[1].n;
	struct row row;

	for (size_t at = 0; at < n && at < longer; at += CLI_ROW) {
		row.n = part(longer, at, CLI_ROW);
		for (unsigned i = 0; i < 2; i++) {
			row.bytes[i] = side[i].bytes + at;
			row.have[i] = part(side[i].n, at, CLI_ROW);
		}
		for (size_t i = 0; i < row.n; i++)
			row.differs[i] = i >= row.have[0] ||
					 i >= row.have[1] ||
					 row.bytes[0][i] != row.bytes[1][i];
		add_row(d, &row, offset + at);
	}
}
