/* thread: what the engine knows of the calling thread and process.
 *
 * Initial-exec TLS, a few words: a preloaded library with large TLS breaks
 * thread creation elsewhere.
 */
#ifndef BLKVERIFY_THREAD_H
#define BLKVERIFY_THREAD_H

#include <stdbool.h>
#include <stdint.h>

struct bv_thread {
	int tid;                     /* 0: not asked yet */
	unsigned depth;              /* operations in progress: more than one
	                                when a signal handler came in between */
	uint64_t buffers;            /* bit n: buffer n is ours */
	uintptr_t frame;             /* stack address of the outermost one */
	struct bv_late *late;        /* room that the operation in progress has
	                                for going on later */
	int asker;                   /* in whose name a thread of ours works,  */
	uint64_t asked;              /* and since when: nanoseconds since 1970;
	                                0: in its own */
	unsigned bell;               /* rings for what it has in flight
	                                (bell.h); 0: it never had anything */
	bool own;                    /* it is one of ours */
	bool masked;                 /* no signal can come in between now */
	bool inside;                 /* in a call of the engine's own that may
	                                come back through a wrapper */
	uintptr_t aside;             /* lowest address of a stack beside the
	                                thread's own, on which operations may
	                                run, too; 0: there is none */
};

/* Bytes of such a stack. */
#define BV_ASIDE (128u * 1024)

extern __thread struct bv_thread bv_thread
	__attribute__((tls_model("initial-exec")));

/* Kept by bv_thread_forked; the kernel's answer is one system call away when
 * it must be certain. */
extern int bv_pid;

/* The calling thread's id, asked once. */
int bv_thread_tid(void);

/* Around each operation of the engine. Entering finds out if an earlier one
 * was left by a longjmp, and clears up after it. */
void bv_thread_enter(void);
void bv_thread_leave(void);

/* initial-exec TLS of all libraries comes out of it, too. */
struct bv_thread_stack {
	_Alignas(4096) unsigned char bytes[256 * 1024];
};

/* A thread of the shim's own, with all signals blocked, that nobody waits for; on
 * the stack that is given, or on one of libc's. Returns 0 or a negative errno.
 * It is to call bv_thread_begins. */
int bv_thread_make(void *(*run)(void *argument), void *argument,
		   struct bv_thread_stack *stack);

/* The calling thread begins, or ends, to be one of the shim's own: it runs no
 * code of the program's, and of all signals takes that of libc's setuid alone.
 * Where there are more than can be remembered, it is taken for one of the
 * program's. */
void bv_thread_begins(void);
void bv_thread_ends(void);

/* Is that thread one of them? Waits for those that are being made. */
bool bv_thread_is_own(int tid);

/* Has the program no thread left but the shim's own, since its main one is gone,
 * by pthread_exit or the system call? Then these are to end as well, and the
 * last one has the process end with the status that the main thread left with:
 * the kernel would take its own. Takes some system calls. */
bool bv_thread_are_alone(void);

/* In the child after fork: another process, one thread. */
void bv_thread_forked(void);

#endif
