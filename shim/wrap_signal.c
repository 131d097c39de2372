/* wrap_signal: what would put SIGSYS out of the trap's hands (sigsys.h). While
 * nothing is trapped, all of it is libc's.
 *
 * The trap may come while a call is on its way: what it did is done again. */
#include <sys/prctl.h>

#include <blkverify/thread.h>
#include <blkverify/usermem.h>

#include "guard.h"
#include "ops.h"
#include "sigsys.h"
#include "trap.h"

#define SIGNALS 64
#define SYS_BIT ((int)RAW_SIGNAL(SIGSYS))

/* A child of vfork is trapped in nothing, and what it says of signals does not
 * concern the parent whose memory it has. */
static bool trapping(void)
{
	return __builtin_expect(atomic_load_explicit(&bv_trap_on,
						     memory_order_relaxed), 0) &&
	       raw_getpid() == bv_pid;
}

/* ---- actions ---- */

static raw_sigset *first_word(sigset_t *set)
{
	return (raw_sigset *)(void *)set;
}

static int sigsys_action(const struct sigaction *action,
			 struct sigaction *former)
{
	struct raw_sigaction now, was;

	if (action)
		now = (struct raw_sigaction){
			.handler = (void *)action->sa_handler,
			.flags = (unsigned)action->sa_flags,
			.mask = *(const raw_sigset *)(const void *)
					&action->sa_mask,
		};
	bv_sigsys_action(action ? &now : NULL, &was);
	if (!former)
		return 0;
	*former = (struct sigaction){ .sa_flags = (int)was.flags };
	former->sa_handler = (sighandler_t)was.handler;
	*first_word(&former->sa_mask) = was.mask;
	return 0;
}

static int trapped_action(int (*real)(int, const struct sigaction *,
				      struct sigaction *),
			  int number, const struct sigaction *action,
			  struct sigaction *former)
{
	raw_sigset before = 0;
	struct sigaction mine;
	int result;

	if (number == SIGSYS)
		return sigsys_action(action, former);
	if (number < 1 || number > SIGNALS)
		return real(number, action, former);
	if (action)
		mine = *action;
	bv_sigsys_masked(number, action ? first_word(&mine.sa_mask) : NULL,
			 &before);
	result = real(number, action ? &mine : NULL, former);
	if (result == 0 && former)
		*first_word(&former->sa_mask) |= before;
	return result;
}

int op_sigaction(const char *call,
		 int (*real)(int, const struct sigaction *, struct sigaction *),
		 int number, const struct sigaction *action,
		 struct sigaction *former)
{
	int result;

	(void)call;
	if (trapping())
		return trapped_action(real, number, action, former);
	result = real(number, action, former);
	if (result == 0 && action && trapping())
		trapped_action(real, number, action, NULL);
	return result;
}

sighandler_t op_signal(const char *call,
		       sighandler_t (*real)(int, sighandler_t), int flags,
		       int number, sighandler_t handler)
{
	struct sigaction action = { .sa_flags = flags }, former;

	(void)call;
	if (!trapping() || number != SIGSYS || handler == SIG_ERR)
		return real(number, handler);
	action.sa_handler = handler;
	if (flags & SA_RESETHAND)
		action.sa_flags |= SA_NODEFER;
	else
		sigaddset(&action.sa_mask, SIGSYS);
	sigsys_action(&action, &former);
	return former.sa_handler;
}

int op_sigignore(const char *call, int number)
{
	struct sigaction action = { .sa_handler = SIG_IGN };

	(void)call;
	return trapping() && number == SIGSYS ? sigsys_action(&action, NULL) :
						real_sigignore(number);
}

sighandler_t op_sigset(const char *call, int number, sighandler_t disposition)
{
	struct sigaction action = { .sa_handler = disposition }, former;
	bool held = bv_sigsys_blocked();

	(void)call;
	if (!trapping() || number != SIGSYS || disposition == SIG_ERR)
		return real_sigset(number, disposition);
	sigsys_action(disposition == SIG_HOLD ? NULL : &action, &former);
	bv_sigsys_believe(disposition == SIG_HOLD);
	return held ? SIG_HOLD : former.sa_handler;
}

/* ---- masks for good ---- */

static void believe(int how, bool has, bool was)
{
	if (how == SIG_SETMASK)
		bv_sigsys_believe(has);
	else
		bv_sigsys_believe(how == SIG_BLOCK ? was || has : was && !has);
}

static int trapped_mask(int (*real)(int, const sigset_t *, sigset_t *), int how,
			const sigset_t *set, sigset_t *former)
{
	bool was = bv_sigsys_blocked(), has = set && sigismember(set, SIGSYS);
	sigset_t copy;
	int result = real(how, bv_sigsys_without(set, &copy), former);

	if (result != 0)
		return result;
	if (set)
		believe(how, has, was);
	if (former && was)
		sigaddset(former, SIGSYS);
	return result;
}

int op_sigprocmask(const char *call,
		   int (*real)(int, const sigset_t *, sigset_t *), int how,
		   const sigset_t *set, sigset_t *former)
{
	int result;

	(void)call;
	if (trapping())
		return trapped_mask(real, how, set, former);
	result = real(how, set, former);
	if (result == 0 && set && trapping())
		bv_sigsys_unblock();
	return result;
}

int op_sigmask_bits(const char *call, int (*real)(int), int how, int mask)
{
	bool was = bv_sigsys_blocked();
	int result;

	(void)call;
	if (!trapping())
		return real(mask);
	result = real(mask & ~SYS_BIT);
	believe(how, mask & SYS_BIT, was);
	return was ? result | SYS_BIT : result;
}

int op_sighold(const char *call, int (*real)(int), int how, int number)
{
	(void)call;
	if (!trapping() || number != SIGSYS)
		return real(number);
	bv_sigsys_believe(how == SIG_BLOCK);
	return 0;
}

/* ---- masks while waiting, with which handlers run ---- */

int op_sigpause(const char *call, int (*real)(int), int mask)
{
	(void)call;
	return real(trapping() ? mask & ~SYS_BIT : mask);
}

const sigset_t *bv_signal_fit(const sigset_t *mask, sigset_t *copy)
{
	return trapping() ? bv_sigsys_without(mask, copy) : mask;
}

int op_sigsuspend(const char *call, int (*real)(const sigset_t *),
		  const sigset_t *mask)
{
	sigset_t copy;

	(void)call;
	return real(bv_signal_fit(mask, &copy));
}

/* ---- by number ---- */

static bool load_mask(const void *theirs, raw_sigset *mask)
{
	return theirs && bv_user_copy_in(mask, theirs, sizeof(*mask)) ==
				 sizeof(*mask) && *mask & RAW_SIGNAL(SIGSYS);
}

/* The mask is at the address in w[at]. What is wrong with the call, the kernel
 * says. */
static bool wait_masked(long number, const long w[6], int at, long *result)
{
	raw_sigset mask;
	long mine[6];

	if (!load_mask((const void *)w[at], &mask))
		return false;
	mask &= ~RAW_SIGNAL(SIGSYS);
	for (int i = 0; i < 6; i++)
		mine[i] = w[i];
	mine[at] = (long)&mask;
	*result = real_syscall(number, mine[0], mine[1], mine[2], mine[3],
			       mine[4], mine[5]);
	return true;
}

/* The mask is one step further. */
static bool wait_in_select(const long w[6], long *result)
{
	struct {
		const void *mask;
		size_t size;
	} argument;
	raw_sigset mask;

	if (!w[5] || bv_user_copy_in(&argument, (const void *)w[5],
				     sizeof(argument)) < sizeof(argument) ||
	    !load_mask(argument.mask, &mask))
		return false;
	mask &= ~RAW_SIGNAL(SIGSYS);
	argument.mask = &mask;
	*result = real_syscall(SYS_pselect6, w[0], w[1], w[2], w[3], w[4],
			       (long)&argument);
	return true;
}

static long finish(int result)
{
	if (result < 0)
		errno = -result;
	return result < 0 ? -1 : result;
}

bool bv_signal_syscall(long number, const long w[6], long *result)
{
	if (!trapping())
		return false;
	switch (number) {
	case SYS_rt_sigaction:
		*result = finish(bv_sigsys_sigaction((int)w[0],
						     (const void *)w[1],
						     (void *)w[2],
						     (size_t)w[3]));
		return true;
	case SYS_rt_sigprocmask:
		*result = finish(bv_sigsys_sigprocmask((int)w[0],
						       (const void *)w[1],
						       (void *)w[2],
						       (size_t)w[3], NULL));
		return true;
	case SYS_prctl:
		if (w[0] != PR_SET_SYSCALL_USER_DISPATCH)
			return false;
		*result = finish(-EINVAL);
		return true;
	case SYS_rt_sigsuspend:
		return wait_masked(number, w, 0, result);
	case SYS_ppoll:
		return wait_masked(number, w, 3, result);
	case SYS_epoll_pwait: case SYS_epoll_pwait2:
		return wait_masked(number, w, 4, result);
	case SYS_pselect6:
		return wait_in_select(w, result);
	default:
		return false;
	}
}

/* Nobody else may have system calls handed over: as if the kernel could not. */
int op_prctl(const char *call, int option, unsigned long a, unsigned long b,
	     unsigned long c, unsigned long d)
{
	(void)call;
	if (trapping() && option == PR_SET_SYSCALL_USER_DISPATCH)
		return (int)finish(-EINVAL);
	return real_prctl(option, a, b, c, d);
}
