/* interrupt: the user wants it to end.
 *
 * What is half done is put away first; then the process dies by the signal
 * after all, so that whoever started it sees why.
 */
#ifndef BV_INTERRUPT_H
#define BV_INTERRUPT_H

#include <stdbool.h>

/* From now on SIGINT, SIGTERM, SIGHUP and SIGPIPE are only noted. A signal that
 * is ignored stays so. */
void cli_interrupt_begin(void);

bool cli_interrupted(void);

/* Dies by the signal that came; returns when none did. */
void cli_interrupt_end(void);

#endif
