/* runs: sectors without a gap that all differ, listed as they are found.
 *
 * Only the run at hand is kept, however many there are.
 */
#ifndef BV_RUNS_H
#define BV_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "progress.h"
#include "record.h"

struct cli_runs {
	unsigned sector_size;        /* bytes */
	bool json;                   /* the elements of an array, else lines */
	const struct cli_record *record;
	struct cli_progress *progress;

	uint64_t runs, sectors, bytes;   /* what differs: how much of it */
	uint64_t unknown;            /* runs in part or whole not known */
	uint64_t first;              /* offset of the first byte that differs */

	/* private: the run at hand; none where bytes is 0 */
	struct {
		uint64_t sector, last_sector, offset, last, bytes;
	} at;
};

/* The n bytes at offset, a multiple of the sector size, of both; ascending. */
void cli_runs_add(struct cli_runs *runs, const unsigned char *target,
		  const unsigned char *shadow, size_t n, uint64_t offset);

/* Nothing follows. */
void cli_runs_end(struct cli_runs *runs);

/* "s" but for one. */
const char *cli_plural(uint64_t n);

#endif
