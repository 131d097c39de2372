/* program: can a program be preloaded, before it is begun?
 *
 * ld.so says at most that it ignores a library, and a program without ld.so
 * says nothing: so the file is looked at, with raw system calls.
 */
#ifndef BV_PROGRAM_H
#define BV_PROGRAM_H

#include <stddef.h>

/* The file that execvp would begin: name itself where it has a slash in it,
 * else the first of that name in the directories of PATH. Returns it, in room
 * bytes at found where it had to be put together, or NULL. */
const char *bv_program_find(const char *name, char *found, size_t room);

/* What keeps the file at path (relative to dirfd, or dirfd itself where path is
 * empty) from loading us, or NULL. An interpreter of a script is looked at
 * in its place. A file that cannot be read, or begun, is the kernel's to
 * judge: NULL. */
const char *bv_program_unfit(int dirfd, const char *path, int flags);

#endif
