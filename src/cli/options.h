/* options: reading the options of a call, with our own messages. */
#ifndef BV_OPTIONS_H
#define BV_OPTIONS_H

#include <getopt.h>
#include <stdint.h>

/* End of every call's list of options. */
#define CLI_COMMON_OPTIONS                                                   \
	{ "help", no_argument, NULL, 'h' },                                  \
	{ "version", no_argument, NULL, 'V' },                               \
	{ NULL, 0, NULL, 0 }

/* --help or --version: it is printed, and the status is 0. */
#define CLI_ANSWERED 0

/* Options of a call that has no others of one letter, in any order. */
#define CLI_LETTERS ":h"

/* The next option's value in list, or of letters, which are as getopt(3) has
 * them; -1 when none is left (optind is then the first operand), CLI_ANSWERED,
 * or '?' when it was a bad one and that has been said. usage NULL: the caller
 * answers 'h'. */
int cli_option(int argc, char **argv, const char *letters,
	       const struct option *list, const char *usage);

/* argv[optind] and the one after it; says so and returns -1 when there are not
 * just those two. */
int cli_two_operands(int argc, char **argv, const char **first,
		     const char **second);

/* Digits alone. Says what is wrong with the value of option, returns -1. */
int cli_number(const char *option, const char *value, uint64_t *number);

/* From value, else from BLKVERIFY_SECTOR_SIZE, else 512: bytes. Says what is
 * wrong with it and returns 0. */
unsigned cli_sector_size(const char *value);

#endif
