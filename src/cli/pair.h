/* pair: a target and its shadow, opened to be looked at. */
#ifndef BV_PAIR_H
#define BV_PAIR_H

#include "record.h"
#include "source.h"

struct cli_pair {
	struct cli_source target;
	struct cli_image shadow;
	struct cli_record record;
};

/* Opens both, the target below the page cache, and the state file. The
 * arguments are as in cli_source_open. Returns 0, or says what is wrong and
 * returns -1. */
int cli_pair_open(struct cli_pair *pair, const char *target,
		  const struct cli_format *format, const char *shadow);
void cli_pair_close(struct cli_pair *pair);

#endif
