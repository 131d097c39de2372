/* progress: a bar on a terminal, and nothing anywhere else. */
#ifndef BV_PROGRESS_H
#define BV_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct cli_progress {
	bool on;                     /* standard error is a terminal */
	bool shown;                  /* there is a bar in the line now */
	uint64_t total;              /* bytes there are */
	struct timespec begun, last;
};

void cli_progress_begin(struct cli_progress *p, uint64_t total);

/* As far as at, after reading bytes of it (holes are not read). Draws five
 * times a second at most. */
void cli_progress_at(struct cli_progress *p, uint64_t at, uint64_t bytes);

/* Takes the bar away: another line is about to go to the terminal, or it is
 * over. */
void cli_progress_hide(struct cli_progress *p);

#endif
