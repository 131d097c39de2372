/* source: an image whatever its format, as the raw bytes that a guest sees. */
#ifndef BV_SOURCE_H
#define BV_SOURCE_H

#include "image.h"

struct cli_source {
	struct cli_image image;
	struct cli_export *export;   /* NULL: it is raw */
};

/* What the options say of it. */
struct cli_format {
	const char *name;            /* QEMU's, with options of its own where it
	                                needs them, "auto", or NULL: raw */
	const char **object;         /* what those options refer to */
	unsigned objects;
};

/* The options for that: members of a list of them, and what is done for each,
 * -1 for any other. An object is added to a list that has room for argc of
 * them. */
#define CLI_FORMAT_OPTIONS                                                   \
	{ "format", required_argument, NULL, 'f' },                          \
	{ "object", required_argument, NULL, 'o' }
#define CLI_FORMAT_USAGE                                                     \
"  --format FMT       TARGET is an image of that format (qcow2, vmdk, ..., auto),\n" \
"                     and meant are the bytes that a guest sees\n"           \
"  --object OBJECT    an object of QEMU's that FMT refers to; may be repeated\n"
int cli_format_option(struct cli_format *format, int option, int argc);

/* Returns 0, or says what is wrong and returns -1. */
int cli_source_open(struct cli_source *source, const char *path,
		    const struct cli_format *format,
		    enum cli_freshness freshness);
void cli_source_close(struct cli_source *source);

#endif
