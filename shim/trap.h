/* trap: system calls that are not made by libc's instructions.
 *
 * liburing, fio, FreePascal's programs and some of Rust's enter the kernel by
 * instructions of their own, past every function. The kernel can hand such a
 * call over (Syscall User Dispatch, Linux 5.11): in a thread that is armed,
 * one made outside of libc's text becomes a SIGSYS, whose handler does what
 * the wrappers do for libc's syscall(), and puts the result where the
 * instruction would have left it. The engine's own go through an instruction
 * of libc's (raw_gate) and are let pass.
 *
 * It is in force from the start when BLKVERIFY_TRAP asks for it, else from
 * the first ring of io_uring that is made by system calls, whose requests may
 * be submitted by such an instruction.
 *
 *   trap.c         putting it in force, for all threads there are and will be
 *   trap_summon.c  those there are
 *   trap_call.c    what a trapped call does
 *   trap_stack.c   on which stack
 *   sigsys.c       SIGSYS and signal masks, as the program believes them
 *   census.c       the process's other threads
 */
#ifndef BV_TRAP_H
#define BV_TRAP_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <ucontext.h>

/* ---- trap.c ---- */

/* It is in force, in some threads at least. */
extern atomic_bool bv_trap_on;

enum bv_trap {
	BV_TRAP_SET,                 /* in force in every thread */
	BV_TRAP_NO_KERNEL,           /* the kernel has it not, or forbids it */
	BV_TRAP_NO_GATE,             /* libc's instruction was not found */
	BV_TRAP_NO_THREADS,          /* a thread cannot be armed */
};

/* Puts it in force. */
enum bv_trap bv_trap_start(void);

/* What is missing, in words. */
const char *bv_trap_missing(enum bv_trap trap);

/* Around the making of a thread. True: it is in force, and the thread is to
 * call bv_trap_thread before it runs any code of the program's. */
bool bv_trap_birth_begin(void);
void bv_trap_birth_end(void);
void bv_trap_thread(void);

/* Arms the calling thread. Returns 0 or a negative errno. */
int bv_trap_arm(void);

/* In the child after fork. */
void bv_trap_forked(void);

/* ---- trap_summon.c ---- */

/* Arms all others. Returns 0, or a negative errno when one could not be
 * reached. One at a time. */
int bv_trap_summon(void);

/* ---- trap_call.c ---- */

/* Carries out the call that stands in the context, which gets the result. */
void bv_trap_call(ucontext_t *context);

/* The handler of SIGSYS. */
void bv_trap_signal(int number, siginfo_t *info, void *context);

/* Where the stack of the interrupted code ends. */
uintptr_t bv_trap_sp(const ucontext_t *context);

/* ---- trap_stack.c ---- */

/* Runs bv_trap_call, where an alternate signal stack would be too small for
 * it on a stack aside (thread.h). May return from the signal by itself. */
void bv_trap_run(ucontext_t *context);

/* rt_sigreturn, with the stack pointer there. */
void bv_trap_return(uintptr_t sp) __attribute__((noreturn));

void bv_trap_stack_forked(void);

#endif
