/* trap_call: what a trapped system call does; see trap.h.
 *
 * Most are done as libc's syscall() does them, or are let go on by libc's
 * instruction. Those about signals mean the interrupted code's state, which
 * stands in the context and is loaded when the handler returns. Those that
 * make a second thread of control return twice, and by the handler's stack.
 */
#include <linux/audit.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include <blkverify/disk.h>
#include <blkverify/late.h>
#include <blkverify/policy.h>
#include <blkverify/thread.h>
#include <blkverify/usermem.h>

#include "../src/raw.h"
#include "guard.h"
#include "ops.h"
#include "sigsys.h"
#include "trap.h"

#ifndef SYS_USER_DISPATCH
#define SYS_USER_DISPATCH 2
#endif
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

/* ---- the machine ---- */

#if defined(__x86_64__)

#define MACHINE AUDIT_ARCH_X86_64
#define LEAST_STACK 2048         /* the kernel's MINSIGSTKSZ */

uintptr_t bv_trap_sp(const ucontext_t *context)
{
	return (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
}

static void set_sp(ucontext_t *context, uintptr_t sp)
{
	context->uc_mcontext.gregs[REG_RSP] = (long long)sp;
}

static long read_call(const ucontext_t *context, long w[6])
{
	const greg_t *r = context->uc_mcontext.gregs;

	w[0] = r[REG_RDI];
	w[1] = r[REG_RSI];
	w[2] = r[REG_RDX];
	w[3] = r[REG_R10];
	w[4] = r[REG_R8];
	w[5] = r[REG_R9];
	return r[REG_RAX];
}

static void write_result(ucontext_t *context, long result)
{
	context->uc_mcontext.gregs[REG_RAX] = result;
}

/* Where rt_sigreturn finds the context that it loads. */
static ucontext_t *signal_frame(uintptr_t sp)
{
	return (ucontext_t *)sp;
}

#else

#define MACHINE AUDIT_ARCH_AARCH64
#define LEAST_STACK 5120

uintptr_t bv_trap_sp(const ucontext_t *context)
{
	return context->uc_mcontext.sp;
}

static void set_sp(ucontext_t *context, uintptr_t sp)
{
	context->uc_mcontext.sp = sp;
}

static long read_call(const ucontext_t *context, long w[6])
{
	for (int i = 0; i < 6; i++)
		w[i] = (long)context->uc_mcontext.regs[i];
	return (long)context->uc_mcontext.regs[8];
}

static void write_result(ucontext_t *context, long result)
{
	context->uc_mcontext.regs[0] = (unsigned long long)result;
}

static ucontext_t *signal_frame(uintptr_t sp)
{
	return (ucontext_t *)(sp + sizeof(siginfo_t));
}

#endif

static raw_sigset *mask_of(ucontext_t *context)
{
	return (raw_sigset *)(void *)&context->uc_sigmask;
}

/* ---- signals ---- */

static bool is_on(const stack_t *stack, uintptr_t sp)
{
	return !((unsigned)stack->ss_flags & SS_AUTODISARM) &&
	       sp - (uintptr_t)stack->ss_sp < stack->ss_size;
}

/* As do_sigaltstack in kernel/signal.c. */
static long set_stack(stack_t *place, uintptr_t sp, const stack_t *theirs)
{
	stack_t stack;
	unsigned mode;

	if (bv_user_copy_in(&stack, theirs, sizeof(stack)) < sizeof(stack))
		return -EFAULT;
	if (is_on(place, sp))
		return -EPERM;
	mode = (unsigned)stack.ss_flags & ~SS_AUTODISARM;
	if (mode != 0 && mode != SS_ONSTACK && mode != SS_DISABLE)
		return -EINVAL;
	if (mode == SS_DISABLE) {
		stack.ss_size = 0;
		stack.ss_sp = NULL;
	} else if (stack.ss_size < LEAST_STACK) {
		return -ENOMEM;
	}
	*place = stack;
	return 0;
}

static long alternate_stack(ucontext_t *context, const stack_t *theirs,
			    stack_t *former)
{
	stack_t was = context->uc_stack;
	uintptr_t sp = bv_trap_sp(context);
	unsigned flags = (unsigned)was.ss_flags & SS_AUTODISARM;
	long result = 0;

	flags |= was.ss_size == 0 ? SS_DISABLE : is_on(&was, sp) ? SS_ONSTACK
								 : 0;
	was.ss_flags = (int)flags;
	if (theirs)
		result = set_stack(&context->uc_stack, sp, theirs);
	if (result == 0 && former &&
	    bv_user_copy_out(former, &was, sizeof(was)) < sizeof(was))
		return -EFAULT;
	return result;
}

/* ---- processes ---- */

/* In the child it returns to the interrupted code on the stack that was asked
 * for; the handler's own is a copy. */
static long born(ucontext_t *context, long pid, uintptr_t stack)
{
	if (pid != 0)
		return pid;
	bv_child_begun();
	if (stack)
		set_sp(context, stack);
	return 0;
}

/* Two that share memory would return by one stack. A child of vfork gets a
 * copy of the memory, as of fork; a thread cannot be had. */
static long begin_process(uint64_t *flags)
{
	if (!(*flags & CLONE_VM) ? *flags & CLONE_SETTLS
				 : !(*flags & CLONE_VFORK))
		return bv_policy_impossible(&bv_disk[0],
					    "a thread made by an instruction "
					    "that is not libc's", -ENOSYS);
	*flags &= ~(uint64_t)CLONE_VM;
	bv_late_settle();
	return 0;
}

static long make_process(ucontext_t *context, uint64_t flags, const long w[6])
{
	long result = begin_process(&flags);

	return result < 0 ? result :
	       born(context, raw_call(SYS_clone, (long)flags, 0, w[2], w[3],
				      w[4], 0),
		    (uintptr_t)w[1]);
}

static long make_process3(ucontext_t *context, const void *theirs, size_t size)
{
	struct clone_args args;
	uint64_t flags;
	uintptr_t stack;
	long result;

	/* What is larger is a newer kernel's, and not known here. */
	if (size < CLONE_ARGS_SIZE_VER0 || size > sizeof(args))
		return size < CLONE_ARGS_SIZE_VER0 ? -EINVAL : -E2BIG;
	if (bv_user_copy_in(&args, theirs, size) < size)
		return -EFAULT;
	flags = args.flags;
	result = begin_process(&flags);
	if (result < 0)
		return result;
	args.flags = flags;
	stack = (uintptr_t)(args.stack + args.stack_size);
	args.stack = args.stack_size = 0;
	return born(context, raw_call(SYS_clone3, (long)&args, (long)size, 0, 0,
				      0, 0), stack);
}

/* ---- all of them ---- */

static long carry_out(ucontext_t *context, long number, const long w[6])
{
	long result;

	switch (number) {
	case SYS_rt_sigprocmask:
		return bv_sigsys_sigprocmask((int)w[0], (const void *)w[1],
					     (void *)w[2], (size_t)w[3],
					     mask_of(context));
	case SYS_sigaltstack:
		return alternate_stack(context, (const void *)w[0],
				       (void *)w[1]);
#ifdef SYS_fork
	case SYS_fork:
		return make_process(context, SIGCHLD, (const long[6]){ 0 });
	case SYS_vfork:
		return make_process(context, CLONE_VFORK | SIGCHLD,
				    (const long[6]){ 0 });
#endif
	case SYS_clone:
		return make_process(context, (uint64_t)w[0], w);
	case SYS_clone3:
		return make_process3(context, (const void *)w[0], (size_t)w[1]);
	case SYS_exit:
		return op_exit_thread((int)w[0]);
	default:
		break;
	}
	if (bv_syscall(number, w, &result))
		return result == -1 ? -errno : result;
	return raw_call(number, w[0], w[1], w[2], w[3], w[4], w[5]);
}

/* The end of a handler of the program's with a way back of its own: the state
 * before it is loaded from its frame, and ours is left behind. */
static void __attribute__((noreturn)) end_handler(uintptr_t sp)
{
	bv_sigsys_lift(mask_of(signal_frame(sp)));
	bv_trap_return(sp);
}

/* Signals are blocked until it is known on which stack. */
void bv_trap_call(ucontext_t *context)
{
	struct bv_guard guard;
	long w[6], number = read_call(context, w);
	int ignored;

	if (number == SYS_rt_sigreturn)
		end_handler(bv_trap_sp(context));

	/* An instruction is no place where a thread is cancelled. */
	bv_guard_enter_quietly(&guard);
	raw_sigmask(*mask_of(context));
	if (bv_thread.inside)
		write_result(context, raw_call(number, w[0], w[1], w[2], w[3],
					       w[4], w[5]));
	else
		write_result(context, carry_out(context, number, w));
	pthread_setcancelstate(guard.cancel, &ignored);
	errno = guard.error;
}

/* Another instruction set numbers its calls in another way. */
static void refuse_foreign(ucontext_t *context)
{
	int error = errno;

	write_result(context, bv_policy_impossible(&bv_disk[0],
						   "32-bit system call",
						   -ENOSYS));
	errno = error;
}

void bv_trap_signal(int number, siginfo_t *info, void *context)
{
	if (info->si_code != SYS_USER_DISPATCH)
		bv_sigsys_forward(number, info, context);
	else if (info->si_arch != MACHINE)
		refuse_foreign(context);
	else
		bv_trap_run(context);
}
