/* hexdump: two sides as hex and ASCII, what differs marked: in colour where
 * standard output is a terminal, by a line below it elsewhere. */
#ifndef BV_HEXDUMP_H
#define BV_HEXDUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLI_ROW 8

struct cli_side {
	const unsigned char *bytes;
	size_t n;                    /* the rest is not there */
};

struct cli_hexdump {
	bool colour;
	unsigned digits;             /* of an offset */
	unsigned char row[2][CLI_ROW];   /* the one before, if any */
	size_t have[2];
	bool any, repeated;
};

/* last is the last offset there will be. */
void cli_hexdump_begin(struct cli_hexdump *dump, uint64_t last);

/* n bytes, at most, of both from offset on, a multiple of CLI_ROW. Rows like
 * the one before them become a star. */
void cli_hexdump_add(struct cli_hexdump *dump, const struct cli_side side[2],
		     size_t n, uint64_t offset);

/* A row after this is printed even if it is like the one before. */
void cli_hexdump_break(struct cli_hexdump *dump);

#endif
