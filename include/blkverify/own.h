/* own: the shim's own descriptors, out of the program's way.
 *
 * Programs close every descriptor they do not know (closefrom, close_range,
 * loops to RLIMIT_NOFILE) and then get those numbers back from open. A shim
 * that keeps using its old number writes into an innocent file. So our
 * descriptors live at high numbers, close-on-exec, are hidden from the
 * program's close family, and move out of the way when the program asks for
 * their number (dup2).
 */
#ifndef BLKVERIFY_OWN_H
#define BLKVERIFY_OWN_H

#include <stdbool.h>

/* Most descriptors the shim may own. */
#define BV_MAX_OWN 320

/* Takes over fd: moves it to a high number, closes the old one, and records
 * that *slot holds it. *slot is updated whenever it moves. Returns 0, or a
 * negative errno with fd closed and *slot -1. Not thread-safe: start only. */
int bv_own_adopt(int fd, int *slot);

/* Owns fd where it is, in the program's way: for one that must not be closed.
 * Returns 0, or a negative errno with nothing done. Otherwise as the next. */
int bv_own_keep(int fd, int *slot);

/* Owns a copy of fd, whose number it leaves alone, from now until
 * bv_own_release. As above, but thread-safe, at any time: signals are blocked
 * meanwhile. Closing a copy of a file drops the process's POSIX locks on it. */
int bv_own_dup(int fd, int *slot);
void bv_own_release(int *slot);

/* In the child after fork: nobody else is changing anything. */
void bv_own_forked(void);

/* Is fd one of ours? One comparison in the common case. Signal-safe. */
bool bv_own_has(int fd);

/* The program is about to make fd its own (dup2, dup3): move ours away.
 * Returns 0 or a negative errno. */
int bv_own_yield(int fd);

/* The lowest and highest of our descriptors at or above from, so that a
 * range can be closed around them: the first owned descriptor >= from, or
 * -1. */
int bv_own_next(unsigned from);

#endif
