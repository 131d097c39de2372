/* verdict: what a run has come to, as the state files of its pairs tell. */
#ifndef BV_VERDICT_H
#define BV_VERDICT_H

#include <stdbool.h>

/* Bad usage or configuration; also where blkverify itself has failed. */
#define CLI_UNUSABLE 125

/* The run begins on all pairs of bv_disk. images: what it serves as their
 * targets, for messages; NULL: nothing. */
void cli_verdict_begin(const char *const *images);

/* It has ended, with that exit status; sound is false when the targets were not
 * served to the end. Says what was verified, in one line. Returns the exit
 * status of "run". */
int cli_verdict(int status, bool sound);

#endif
