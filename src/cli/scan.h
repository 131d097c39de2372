/* scan: going through one or two images, piece by piece, with several threads.
 *
 * Each thread takes the next piece that has data in any of the images, reads
 * it, and works on it beside the others; what is then done with it is done in
 * the order of the pieces, one at a time. What is a hole in all images is
 * passed over.
 */
#ifndef BV_SCAN_H
#define BV_SCAN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "image.h"
#include "progress.h"

#define CLI_PIECE (1u << 20)
#define CLI_SCAN_THREADS 4

struct cli_piece {
	uint64_t start, end;         /* bytes; both but the last end are
	                                multiples of CLI_ALIGNMENT */
	bool data[2];                /* else that image has a hole there */
	unsigned char *bytes[2];     /* zeros for a hole */
	bool found;                  /* for work to tell done */
	uint64_t number;

	/* What went wrong: a positive errno, or 0. It is said, and ends the
	 * scan, when all pieces before this one are done. */
	int error;
	const char *path, *doing;    /* "read", "write" */
};

struct cli_scan {
	const struct cli_image *image[2];
	unsigned images;
	uint64_t length;             /* of what is looked at, from the start */
	struct cli_progress *progress;
	void *context;

	/* Beside others, on a piece that has been read. */
	void (*work)(struct cli_scan *scan, struct cli_piece *piece);
	/* In order, one at a time; may fail as well. May be NULL. */
	void (*done)(struct cli_scan *scan, struct cli_piece *piece);

	uint64_t read;               /* bytes of the length not passed over */

	/* private */
	pthread_mutex_t lock;
	pthread_cond_t turned;
	uint64_t at, taken, turn;
	uint64_t data[2], data_end[2];
	bool stopped, failed;
};

/* Goes through it all. Returns 0, or -1 when something failed (which has been
 * said) or the user interrupted. */
int cli_scan(struct cli_scan *scan);

#endif
