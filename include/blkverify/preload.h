/* preload: the list in LD_PRELOAD, with our library in it.
 *
 * Other libraries keep their places, but for the one that has to be before
 * us: a sanitizer's runtime ends the program when anything comes before it.
 * Pure, async-signal-safe.
 */
#ifndef BLKVERIFY_PRELOAD_H
#define BLKVERIFY_PRELOAD_H

#include <stdbool.h>
#include <stddef.h>

/* ld.so splits at spaces and at colons. Finds the element at *at, *length bytes
 * from *start on, and moves *at behind it; false when none is left. */
bool bv_preload_next(const char **at, const char **start, size_t *length);

/* Bytes that bv_preload_merge may write, for list and library. */
size_t bv_preload_room(const char *list, const char *library);

/* Writes list to to, with library in it: in place of each element for which
 * is_us says that it is us, or else behind the sanitizers that it begins with.
 * Returns the end, where the final NUL is. */
char *bv_preload_merge(char *to, const char *list, const char *library,
		       bool (*is_us)(const char *start, size_t length));

#endif
