/* sigsys: SIGSYS, and signal masks, as the program believes them to be.
 *
 * While system calls are trapped (trap.h) SIGSYS is ours and blocked nowhere,
 * since the kernel ends whoever blocks it then. What the program has said of
 * it is kept and told again, and signals that are not ours go to its handler.
 * One thing is not kept: a SIGSYS that somebody sends to a thread that blocks
 * it does not wait.
 */
#ifndef BV_SIGSYS_H
#define BV_SIGSYS_H

#include <signal.h>
#include <stdbool.h>

#include "../src/raw.h"

/* SIGSYS becomes ours, and no handler of the program's blocks it. */
void bv_sigsys_start(void (*handler)(int, siginfo_t *, void *));

/* In the child after fork. */
void bv_sigsys_forked(void (*handler)(int, siginfo_t *, void *));

/* Gives the action what a handler returns by: libc's. */
void bv_sigsys_restorer(struct raw_sigaction *action);

/* ---- for the calling thread ---- */

/* Takes SIGSYS out of a mask that it has, or will have, for good. */
void bv_sigsys_lift(raw_sigset *mask);

/* The same at once. */
void bv_sigsys_unblock(void);

/* The program believes it to be blocked. */
bool bv_sigsys_blocked(void);
void bv_sigsys_believe(bool blocked);

/* A mask without it, as handlers may have while the program waits: set itself,
 * or a copy. NULL for NULL. */
const sigset_t *bv_sigsys_without(const sigset_t *set, sigset_t *copy);

/* The same of a mask that is ours; as it is where nothing is trapped. */
raw_sigset bv_sigsys_fit(raw_sigset mask);

/* ---- what the program asks for: negative errnos ---- */

/* rt_sigaction(2), of SIGSYS itself. */
int bv_sigsys_action(const struct raw_sigaction *action,
		     struct raw_sigaction *former);

/* Of another signal: mask is that of its action, which loses SIGSYS; the
 * former action's gets it back. Either may be NULL. */
void bv_sigsys_masked(int number, raw_sigset *mask, raw_sigset *former);

/* rt_sigaction(2) and rt_sigprocmask(2) on the program's memory. frame: where
 * the thread's mask stands, if it is inside a handler of ours. */
int bv_sigsys_sigaction(int number, const void *action, void *former,
			size_t size);
int bv_sigsys_sigprocmask(int how, const void *set, void *former, size_t size,
			  raw_sigset *frame);

/* A SIGSYS that is not of the trap's making: to the program's handler. */
void bv_sigsys_forward(int number, siginfo_t *info, void *context);

#endif
