/* sigsys: see sigsys.h. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <ucontext.h>

#include <blkverify/usermem.h>

#include "sigsys.h"
#include "symbols.h"
#include "trap.h"

#define SIGNALS 64
#define SYS_BIT RAW_SIGNAL(SIGSYS)
#define UNBLOCKABLE (RAW_SIGNAL(SIGKILL) | RAW_SIGNAL(SIGSTOP))
#define BY_SECCOMP 1             /* SYS_SECCOMP */

static struct raw_sigaction theirs;  /* what the program has asked for */
static _Atomic uint32_t lock;        /* of it */
static _Atomic uint64_t masked_by;   /* signals whose handlers block it */
static __thread bool blocked;

static void (*ours)(int, siginfo_t *, void *);
static void *restorer;

/* ---- taking it over ---- */

/* Not even SIGSYS may come in between, if somebody sends one. */
static raw_sigset lock_theirs(void)
{
	raw_sigset mask = raw_sigmask(~(raw_sigset)0);

	while (atomic_exchange_explicit(&lock, 1, memory_order_acquire))
		raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	return mask;
}

static void unlock_theirs(raw_sigset mask)
{
	atomic_store_explicit(&lock, 0, memory_order_release);
	raw_sigmask(mask);
}

/* On an alternate stack, if there is one: a thread's own may be too small for
 * it. Nothing may come in between there, where there is room for so many
 * frames of signals. While the program has no say, calls are restarted. */
static void install(void)
{
	bool says = (uintptr_t)theirs.handler > (uintptr_t)SIG_IGN;
	struct sigaction action = {
		.sa_sigaction = ours,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};

	sigfillset(&action.sa_mask);
	sigdelset(&action.sa_mask, SIGSYS);
	if (!says || theirs.flags & SA_RESTART)
		action.sa_flags |= SA_RESTART;
	real_sigaction(SIGSYS, &action, NULL);
}

void bv_sigsys_restorer(struct raw_sigaction *action)
{
	struct raw_sigaction mine;

	/* libc's own, which it gave to our handler of SIGSYS. */
	if (!restorer && raw_sigaction(SIGSYS, NULL, &mine) == 0)
		restorer = mine.restorer;
	action->restorer = restorer;
#if defined(__x86_64__)
	action->flags |= 0x04000000;     /* SA_RESTORER */
#endif
}

/* Replaced only as it was seen: another thread may be changing it. */
static void strip(int number)
{
	struct raw_sigaction seen, mine, was;

	if (raw_sigaction(number, NULL, &seen) < 0)
		return;
	while (seen.mask & SYS_BIT) {
		mine = seen;
		bv_sigsys_masked(number, &mine.mask, NULL);
		raw_sigaction(number, &mine, &was);
		if (!memcmp(&was, &seen, sizeof(was)))
			return;
		seen = was;
		if (!(seen.mask & SYS_BIT))
			raw_sigaction(number, &seen, NULL);
	}
}

void bv_sigsys_start(void (*handler)(int, siginfo_t *, void *))
{
	ours = handler;
	raw_sigaction(SIGSYS, NULL, &theirs);
	install();
	for (int number = 1; number <= SIGNALS; number++)
		if (number != SIGSYS)
			strip(number);
}

void bv_sigsys_forked(void (*handler)(int, siginfo_t *, void *))
{
	struct raw_sigaction now;

	atomic_store(&lock, 0);
	/* Handlers may have been cleared on the way (clone3). */
	if (raw_sigaction(SIGSYS, NULL, &now) == 0 &&
	    now.handler != (void *)handler)
		bv_sigsys_start(handler);
}

/* ---- the calling thread ---- */

void bv_sigsys_lift(raw_sigset *mask)
{
	if (!(*mask & SYS_BIT))
		return;
	blocked = true;
	*mask &= ~SYS_BIT;
}

void bv_sigsys_unblock(void)
{
	raw_sigset mask = 0;

	raw_call(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&mask, sizeof(mask), 0,
		 0);
	if (!(mask & SYS_BIT))
		return;
	bv_sigsys_lift(&mask);
	raw_sigmask(mask);
}

bool bv_sigsys_blocked(void)
{
	return blocked;
}

void bv_sigsys_believe(bool is)
{
	blocked = is;
}

const sigset_t *bv_sigsys_without(const sigset_t *set, sigset_t *copy)
{
	if (!set || !sigismember(set, SIGSYS))
		return set;
	*copy = *set;
	sigdelset(copy, SIGSYS);
	return copy;
}

raw_sigset bv_sigsys_fit(raw_sigset mask)
{
	return atomic_load(&bv_trap_on) ? mask & ~SYS_BIT : mask;
}

/* ---- what the program asks for ---- */

int bv_sigsys_action(const struct raw_sigaction *action,
		     struct raw_sigaction *former)
{
	raw_sigset mask = lock_theirs();

	if (former)
		*former = theirs;
	if (action) {
		theirs = *action;
		theirs.mask &= ~UNBLOCKABLE;
		install();
	}
	unlock_theirs(mask);
	return 0;
}

void bv_sigsys_masked(int number, raw_sigset *mask, raw_sigset *former)
{
	uint64_t bit = RAW_SIGNAL(number), before = atomic_load(&masked_by);

	if (mask && *mask & SYS_BIT) {
		atomic_fetch_or(&masked_by, bit);
		*mask &= ~SYS_BIT;
	} else if (mask && before & bit) {
		atomic_fetch_and(&masked_by, ~bit);
	}
	if (former && before & bit)
		*former |= SYS_BIT;
}

int bv_sigsys_sigaction(int number, const void *action, void *former,
			size_t size)
{
	struct raw_sigaction now, was;
	int result;

	if (size != sizeof(raw_sigset))
		return -EINVAL;
	if (action &&
	    bv_user_copy_in(&now, action, sizeof(now)) < sizeof(now))
		return -EFAULT;
	if (number == SIGSYS) {
		result = bv_sigsys_action(action ? &now : NULL, &was);
	} else if (number < 1 || number > SIGNALS) {
		result = -EINVAL;
	} else {
		raw_sigset before = 0;

		bv_sigsys_masked(number, action ? &now.mask : NULL, &before);
		result = raw_sigaction(number, action ? &now : NULL, &was);
		was.mask |= before;
	}
	if (result == 0 && former &&
	    bv_user_copy_out(former, &was, sizeof(was)) < sizeof(was))
		return -EFAULT;
	return result;
}

int bv_sigsys_sigprocmask(int how, const void *set, void *former, size_t size,
			  raw_sigset *frame)
{
	raw_sigset now, mask = 0, was;

	if (size != sizeof(now))
		return -EINVAL;
	if (set && bv_user_copy_in(&mask, set, sizeof(mask)) < sizeof(mask))
		return -EFAULT;
	mask &= ~UNBLOCKABLE;
	if (frame)
		now = *frame;
	else
		raw_call(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&now,
			 sizeof(now), 0, 0);
	was = blocked ? now | SYS_BIT : now;
	if (set) {
		if (how == SIG_BLOCK)
			now = was | mask;
		else if (how == SIG_UNBLOCK)
			now = was & ~mask;
		else if (how == SIG_SETMASK)
			now = mask;
		else
			return -EINVAL;
		blocked = now & SYS_BIT;
		now &= ~SYS_BIT;
		if (frame)
			*frame = now;
		else
			raw_sigmask(now);
	}
	return former && bv_user_copy_out(former, &was, sizeof(was)) <
				 sizeof(was) ? -EFAULT : 0;
}

/* ---- signals that are not the trap's ---- */

static void die(void)
{
	struct raw_sigaction standard = { 0 };

	raw_sigaction(SIGSYS, &standard, NULL);
	raw_tgkill(raw_getpid(), raw_gettid(), SIGSYS);
}

void bv_sigsys_forward(int number, siginfo_t *info, void *context)
{
	raw_sigset mask = lock_theirs();
	struct raw_sigaction action = theirs;

	if (action.flags & SA_RESETHAND &&
	    (uintptr_t)action.handler > (uintptr_t)SIG_IGN)
		theirs.handler = NULL;
	unlock_theirs(mask);
	/* What the kernel forces on a thread is not ignored. */
	if (action.handler == (void *)SIG_IGN && info->si_code != BY_SECCOMP)
		return;
	if ((uintptr_t)action.handler <= (uintptr_t)SIG_IGN) {
		die();
		return;
	}
	/* Until our own handler returns. */
	memcpy(&mask, &((ucontext_t *)context)->uc_sigmask, sizeof(mask));
	raw_sigmask(mask | (action.mask & ~SYS_BIT));
	if (action.flags & SA_SIGINFO)
		((void (*)(int, siginfo_t *, void *))action.handler)(
			number, info, context);
	else
		((void (*)(int))action.handler)(number);
}
