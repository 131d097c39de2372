/* draft: a shadow in the making.
 *
 * It is made as SHADOW.partial and gets its name when it is whole and on the
 * disk, so that one that was given up never looks like a shadow. A block device
 * has no other name: its first bytes say that it is none until the last moment.
 */
#ifndef BV_DRAFT_H
#define BV_DRAFT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image.h"

#define CLI_DRAFT_FIRST 4096

struct cli_draft {
	const char *path;            /* as given, for messages */
	int fd;
	bool block;
	bool force;                  /* what has the name may be replaced */
	uint64_t length;
	char file[PATH_MAX];         /* links followed */
	char partial[PATH_MAX];      /* not for a device */
	unsigned char first[CLI_DRAFT_FIRST];    /* a device's, written last */
};

/* A draft of the shadow of target, length bytes of zeros. Returns 0, or says
 * what is wrong and returns -1. */
int cli_draft_begin(struct cli_draft *draft, const char *shadow,
		    const struct cli_image *target, bool force);

/* Both return 0 or a negative errno. Bytes neither written nor zeroed are zero
 * in a file, and anything on a device. Threads may write side by side. */
int cli_draft_write(struct cli_draft *draft, const unsigned char *bytes,
		    size_t n, uint64_t offset);
int cli_draft_zero(struct cli_draft *draft, uint64_t start, uint64_t end);

/* It is whole: makes it the shadow, without what a former one's runs left.
 * Returns 0, or says what is wrong and returns -1; it is to be discarded
 * then. */
int cli_draft_commit(struct cli_draft *draft);
void cli_draft_discard(struct cli_draft *draft);

#endif
