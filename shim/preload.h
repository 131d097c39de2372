/* preload: the list of libraries in LD_PRELOAD, and our place in it. */
#ifndef BV_PRELOAD_H
#define BV_PRELOAD_H

#include <stdbool.h>
#include <stddef.h>

struct bv_text;

/* Finds the file that we were loaded from, given the current directory and the
 * list at start; puts strings at *storage, which moves behind them. Returns 0,
 * or -1 with one line in *why: children could not load it. Start only. */
int preload_start(const char *directory, const char *list, char **storage,
		  struct bv_text *why);

/* Was it found? */
bool preload_is_known(void);

/* Does the list name us by a path that means the same everywhere? */
bool preload_is_sound(const char *list);

/* Writes "LD_PRELOAD=" and the list, in which we are named by our absolute
 * path: where we are missing, first but for a sanitizer's runtime. preload_room
 * tells how many bytes it may take. Returns the end, behind the NUL. */
char *preload_merge(char *to, const char *list);
size_t preload_room(const char *list);

#endif
