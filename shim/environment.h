/* environment: what makes a child load the shim, put back where a program
 * took it away.
 *
 * env -i, an empty environment given to exec, `unset` in a shell: the child
 * would do its I/O without us, and nobody would be told. So what was read at
 * start is kept, and each environment on its way to a child is looked at:
 *
 * - LD_PRELOAD names the library. Where it is missing it is as at start; where
 *   it was changed the library is added to it, behind a sanitizer's runtime,
 *   which insists on being first.
 * - BLKVERIFY_TARGET and BLKVERIFY_SHADOW are those of the start.
 * - The other variables are put back where they are missing. Who gives one
 *   another value means it: nothing but a person knows their names.
 *
 * Paths are made absolute, since a child may start in another directory.
 */
#ifndef BV_ENVIRONMENT_H
#define BV_ENVIRONMENT_H

#include <stddef.h>

struct bv_text;

/* An environment of our own making, on the caller's stack where it fits: exec
 * runs in children of vfork, which share their parent's memory. */
struct bv_healed {
	char *list[384];
	char preload[1024];
	void *map;                   /* of what does not fit, or NULL */
	size_t bytes;
};

/* Keeps what is to be passed on; directory is the current one. Returns 0, or
 * -1 with one line in *why. Start only. Without it nothing is ever healed. */
int bv_environment_start(char *const envp[], const char *directory,
			 struct bv_text *why);

/* What to give to the child in place of envp: envp itself where nothing is
 * amiss. The strings are shared with it. Async-signal-safe, and writes to no
 * memory that others see. Healed environments are given back. */
char *const *bv_environment_heal(struct bv_healed *healed, char *const envp[]);
void bv_environment_done(struct bv_healed *healed);

/* Around functions of libc that begin a child with the process's own
 * environment (system, popen). */
void bv_environment_lend(void);
void bv_environment_return(void);

/* The value of a variable of the process, or NULL, as getenv. */
const char *bv_environment_get(const char *name);

/* In the child after fork. */
void bv_environment_forked(void);

#endif
