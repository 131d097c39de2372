/* trap_stack: the stack on which a trapped call is carried out; see trap.h.
 *
 * The handler of SIGSYS comes to the alternate signal stack where there is
 * one, since the interrupted code's own may be small (Go's). That may be
 * small, too, and a handler of the program's that comes meanwhile must find
 * it as it would in a system call. So the signal's frame is moved to a stack
 * of ours, aside, from which the handler returns as well.
 *
 * A handler of the program's that runs on the alternate stack and makes a call
 * keeps it; where too little of it is left, it is done aside, and what
 * interrupts it meanwhile stays there with it.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <blkverify/thread.h>

#include "../src/raw.h"
#include "trap.h"

#define THREADS 1024
#define PAGE 4096u
#define LEAVES 128               /* what code may have below its stack pointer */
#define ENOUGH (20u * 1024)      /* what an operation of the engine's may need */
#define INNER (48u * 1024)       /* the lower part, for calls of handlers */

/* Stacks aside, whose they are by thread id; that of a thread that is gone is
 * given to the next. */
static struct {
	_Atomic int tid;
	_Atomic uintptr_t base;
} aside[THREADS];

static __thread bool inner_used;

static uintptr_t map_stack(void)
{
	char *map = raw_mmap(NULL, PAGE + BV_ASIDE, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (raw_is_error(map))
		return 0;
	raw_call(SYS_mprotect, (long)(map + PAGE), BV_ASIDE,
		 PROT_READ | PROT_WRITE, 0, 0, 0);
	return (uintptr_t)(map + PAGE);
}

static bool is_gone(int tid)
{
	return raw_tgkill(bv_pid, tid, 0) == -ESRCH;
}

/* 0: there is none. */
static uintptr_t claim_stack(void)
{
	for (size_t i = 0; i < THREADS; i++) {
		int tid = atomic_load(&aside[i].tid);

		if ((tid == 0 || is_gone(tid)) &&
		    atomic_compare_exchange_strong(&aside[i].tid, &tid,
						   raw_gettid())) {
			if (!aside[i].base)
				aside[i].base = map_stack();
			bv_thread.aside = aside[i].base;
			return aside[i].base;
		}
	}
	return 0;
}

void bv_trap_stack_forked(void)
{
	for (size_t i = 0; i < THREADS; i++)
		if (bv_thread.aside && aside[i].base == bv_thread.aside)
			atomic_store(&aside[i].tid, raw_gettid());
}

#if defined(__x86_64__)

__asm__(".text\n"
	".type go_aside, @function\n"
	"go_aside:\n"
	"	.cfi_startproc\n"
	"	.cfi_undefined rip\n"
	"	movq	%rdi, %rsp\n"
	"	xorl	%ebp, %ebp\n"
	"	call	bv_trap_aside\n"
	"	ud2\n"
	"	.cfi_endproc\n"
	".size go_aside, . - go_aside\n"
	".globl bv_trap_return\n"
	".hidden bv_trap_return\n"
	".type bv_trap_return, @function\n"
	"bv_trap_return:\n"
	"	movq	%rdi, %rsp\n"
	"	movl	$15, %eax\n"
	"	jmp	*raw_gate(%rip)\n"
	".size bv_trap_return, . - bv_trap_return\n");

/* The context is at the end of the stack, and its argument. */
void go_aside(void *context) __attribute__((noreturn));

__attribute__((noreturn, used, visibility("hidden")))
void bv_trap_aside(ucontext_t *context);

static void no_alternate_stack(void)
{
	const stack_t none = { .ss_flags = SS_DISABLE };

	raw_call(SYS_sigaltstack, (long)&none, 0, 0, 0, 0, 0);
}

void bv_trap_aside(ucontext_t *context)
{
	bool inner = (uintptr_t)context - bv_thread.aside < INNER;

	/* Until it returns. Nobody may do that who is still on it. */
	if (inner)
		no_alternate_stack();
	bv_trap_call(context);
	if (inner)
		inner_used = false;
	bv_trap_return((uintptr_t)context);
}

/* What the kernel writes and reads; the end of glibc's structure is not among
 * it. */
#define CONTEXT (offsetof(ucontext_t, uc_sigmask) + sizeof(raw_sigset))

/* Bytes of the processor's state: arch/x86/include/uapi/asm/sigcontext.h. */
static size_t state_bytes(const unsigned char *state)
{
	uint32_t magic, bytes;

	memcpy(&magic, state + 464, sizeof(magic));
	memcpy(&bytes, state + 468, sizeof(bytes));
	return magic == 0x46505853 ? bytes : 512;
}

/* Returns the copy, below top; NULL: there is no room above bottom. */
static ucontext_t *move_frame(uintptr_t top, uintptr_t bottom,
			      const ucontext_t *from)
{
	const unsigned char *state = (const void *)from->uc_mcontext.fpregs;
	size_t bytes = state ? state_bytes(state) : 0;
	ucontext_t *to;

	if (top < bottom + bytes + CONTEXT + ENOUGH)
		return NULL;
	top = (top - bytes) & ~(uintptr_t)63;
	to = (ucontext_t *)((top - CONTEXT) & ~(uintptr_t)15);
	memcpy(to, from, CONTEXT);
	if (state) {
		memcpy((void *)top, state, bytes);
		to->uc_mcontext.fpregs = (fpregset_t)top;
	}
	return to;
}

static bool is_in(uintptr_t address, uintptr_t start, size_t bytes)
{
	return address - start < bytes;
}

void bv_trap_run(ucontext_t *context)
{
	uintptr_t start = (uintptr_t)context->uc_stack.ss_sp;
	size_t bytes = context->uc_stack.ss_size;
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	uintptr_t sp = bv_trap_sp(context), base = bv_thread.aside;
	bool inner = is_in(sp, start, bytes);
	ucontext_t *moved = NULL;

	if (!is_in(here, start, bytes) || (inner && here - start > ENOUGH)) {
		bv_trap_call(context);
		return;
	}
	if (!base)
		base = claim_stack();
	if (!base) {
		bv_trap_call(context);
		return;
	}
	if (inner && !inner_used)
		moved = move_frame(base + INNER, base, context);
	else if (!inner && is_in(sp, base, BV_ASIDE))
		moved = move_frame(sp - LEAVES, base + INNER, context);
	else if (!inner)
		moved = move_frame(base + BV_ASIDE, base + INNER, context);
	if (!moved) {
		bv_trap_call(context);
		return;
	}
	/* Elsewhere nothing is left of calls that a jump has ended. */
	inner_used = inner;
	go_aside(moved);
}

#else

/* Frames are not moved here: no kernel of this machine traps yet. */
void bv_trap_run(ucontext_t *context)
{
	bv_trap_call(context);
}

__asm__(".text\n"
	".globl bv_trap_return\n"
	".hidden bv_trap_return\n"
	".type bv_trap_return, %function\n"
	"bv_trap_return:\n"
	"	mov	sp, x0\n"
	"	mov	x8, #139\n"
	"	adrp	x16, raw_gate\n"
	"	ldr	x16, [x16, #:lo12:raw_gate]\n"
	"	ret	x16\n"
	".size bv_trap_return, . - bv_trap_return\n");

#endif
