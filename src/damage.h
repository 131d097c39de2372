/* damage: what the bytes of a mismatch look like: a guess at what happened to
 * them, how many there are, and a dump. Parts of a report (report.c).
 */
#ifndef BV_DAMAGE_H
#define BV_DAMAGE_H

#include "run.h"

/* A guess, and called one: the bytes alone cannot tell. runs is how many there
 * are, here and below. */
void damage_say_kind(const struct bv_mismatch *m, uint64_t runs);

/* How many bytes differ. */
void damage_say_count(const struct bv_mismatch *m, uint64_t runs);

/* The bytes around first, the index of the first difference. One row before
 * it, for what leads up to it. */
void damage_say_dump(const struct bv_mismatch *m, uint64_t first);

#endif
