/* record: what the runs on a shadow left beside it, in its state file: ranges
 * whose contents are not known, and the history of operations. */
#ifndef BV_RECORD_H
#define BV_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include <blkverify/disk.h>

#include "image.h"

struct cli_record {
	bool there;                  /* there is a state file of this shadow */
	bool live;                   /* a process is using it now */
	struct bv_disk disk;         /* its state, a copy, when there */
};

/* shadow_file is the path that shadow was opened by. A state file that is
 * there but of no use is told in a line, and is as if there was none. */
void cli_record_open(struct cli_record *record, const struct cli_image *shadow,
		     const char *shadow_file);

/* Removes the state file of a shadow that is made anew. With only_look it is
 * left. Returns 0, or says what is in the way (a process is using it) and
 * returns -1. */
int cli_record_forget(const char *shadow_file, int fd, bool only_look);

/* The first part of [start, end) whose contents are not known. */
bool cli_record_unknown(const struct cli_record *record, uint64_t start,
			uint64_t end, struct bv_extent *found);

#endif
