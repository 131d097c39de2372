/* source: an image whatever its format, as the raw bytes that a guest sees. */
#ifndef BV_SOURCE_H
#define BV_SOURCE_H

#include "image.h"

struct cli_source {
	struct cli_image image;
	struct cli_export *export;   /* NULL: it is raw */
};

/* format: of qemu-img's names, "auto", or NULL, which means raw. Returns 0, or
 * says what is wrong and returns -1. */
int cli_source_open(struct cli_source *source, const char *path,
		    const char *format, enum cli_freshness freshness);
void cli_source_close(struct cli_source *source);

#endif
