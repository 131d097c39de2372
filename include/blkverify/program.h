/* program: can a program be preloaded, before it is begun?
 *
 * ld.so says at most that it ignores a library, and a program without ld.so
 * says nothing: so the file is looked at, with raw system calls.
 */
#ifndef BLKVERIFY_PROGRAM_H
#define BLKVERIFY_PROGRAM_H

#include <stddef.h>

/* The file that execvp would begin: name itself where it has a slash in it,
 * else the first of that name in the directories of list, as PATH has it; NULL:
 * those of the system. Returns it, in room bytes at found where it had to be put
 * together, or NULL. */
const char *bv_program_find(const char *name, const char *list, char *found,
			    size_t room);

/* Longest interpreter that a script can name, as the kernel reads it. */
#define BV_INTERPRETER_ROOM 257

/* What keeps the file at path (relative to dirfd, or dirfd itself where path is
 * empty) from loading us, in a few words, or NULL. An interpreter of a script
 * is looked at in its place, and is at interpreter then; that is empty where
 * path itself was judged. flags: 0 or AT_SYMLINK_NOFOLLOW. A file that cannot
 * be read, or begun, is the kernel's to judge: NULL. Async-signal-safe. */
const char *bv_program_unfit(int dirfd, const char *path, int flags,
			     char interpreter[BV_INTERPRETER_ROOM]);

#endif
