/* start: from a loaded library to a verifying one. */
#ifndef BV_START_H
#define BV_START_H

#include <stdbool.h>

/* Binds symbols, reads the environment, opens shadows, state and log. What
 * is wrong ends the process with status 125 and one line. Idempotent, safe
 * to call from any thread; called by the constructor, or earlier by the first
 * wrapper that runs. */
void bv_start(void);

/* Is it all done? */
bool bv_has_started(void);

#endif
