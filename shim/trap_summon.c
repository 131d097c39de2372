/* trap_summon: arming the threads that are there already; see trap.h.
 *
 * It is done by a signal. It must be one that no thread blocks, and there is
 * one: that by which glibc has every thread change its user id, which it
 * keeps out of all masks. A call that the signal interrupts goes on behind
 * it, if it was seen to wait before: few programs expect EINTR in threads
 * that block all signals.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../src/raw.h"
#include "census.h"
#include "sigsys.h"
#include "trap.h"

#define SUMMONS 33               /* SIGSETXID in glibc's sources */

/* Longest wait for one thread, in ticks. */
#define PATIENCE 100
static const struct timespec tick = { 0, 10 * 1000 * 1000 };

static struct raw_sigaction former;  /* of SUMMONS */
static const char token;             /* tells ours from glibc's */
static _Atomic int answer;           /* futex: a thread's id; -1: cannot */

/* The call that the summoned thread was seen in; number -1: none. */
static struct bv_waiting waiting;

/* ---- the thread that is summoned ---- */

#if defined(__x86_64__)

/* The same call, at the same place, and nothing else came in between. */
static bool was_interrupted(const struct bv_waiting *w, const ucontext_t *at)
{
	const greg_t *r = at->uc_mcontext.gregs;

	return w->number >= 0 && r[REG_RAX] == -EINTR &&
	       (uintptr_t)r[REG_RIP] == w->pc &&
	       (uintptr_t)r[REG_RSP] == w->sp &&
	       r[REG_RDI] == w->words[0] && r[REG_RSI] == w->words[1] &&
	       r[REG_RDX] == w->words[2] && r[REG_R10] == w->words[3] &&
	       r[REG_R8] == w->words[4] && r[REG_R9] == w->words[5];
}

/* The kernel still knows how long those with a time of their own have to
 * wait; all others are made again. */
static void go_on(const struct bv_waiting *w, ucontext_t *at)
{
	greg_t *r = at->uc_mcontext.gregs;

	switch (w->number) {
	/* These had an effect. */
	case SYS_close: case SYS_connect:
		break;
	case SYS_nanosleep: case SYS_clock_nanosleep: case SYS_poll:
		r[REG_RAX] = raw_call(SYS_restart_syscall, 0, 0, 0, 0, 0, 0);
		break;
	default:
		r[REG_RAX] = w->number;
		r[REG_RIP] -= 2;         /* the length of the instruction */
		break;
	}
}

#else

static bool was_interrupted(const struct bv_waiting *w, const ucontext_t *at)
{
	(void)w;
	(void)at;
	return false;
}

static void go_on(const struct bv_waiting *w, ucontext_t *at)
{
	(void)w;
	(void)at;
}

#endif

static void obey(ucontext_t *at)
{
	struct bv_waiting mine = waiting;

	bv_sigsys_lift((raw_sigset *)(void *)&at->uc_sigmask);
	atomic_store(&answer, bv_trap_arm() < 0 ? -1 : raw_gettid());
	raw_futex_wake(&answer, 1);
	if (was_interrupted(&mine, at))
		go_on(&mine, at);
}

static void on_summons(int number, siginfo_t *info, void *context)
{
	int error = errno;

	if (info->si_code == SI_QUEUE && info->si_value.sival_ptr == &token)
		obey(context);
	else if ((uintptr_t)former.handler > (uintptr_t)SIG_IGN)
		((void (*)(int, siginfo_t *, void *))former.handler)(
			number, info, context);
	errno = error;
}

/* ---- the thread that summons ---- */

static void expect_summons(void)
{
	struct raw_sigaction now, mine = {
		.handler = (void *)on_summons,
		.flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART,
	};

	raw_sigaction(SUMMONS, NULL, &now);
	bv_sigsys_restorer(&mine);
	if (now.handler == mine.handler)
		return;
	former = now;
	raw_sigaction(SUMMONS, &mine, NULL);
}

static int summon_one(int tid)
{
	siginfo_t info = { .si_signo = SUMMONS, .si_code = SI_QUEUE };
	int result;

	info.si_pid = raw_getpid();
	info.si_value.sival_ptr = (void *)(uintptr_t)&token;
	atomic_store(&answer, 0);
	bv_census_waiting(tid, &waiting);
	result = (int)raw_call(SYS_rt_tgsigqueueinfo, info.si_pid, tid, SUMMONS,
			       (long)&info, 0, 0);
	if (result == -ESRCH)
		return 0;
	for (int ticks = 0; result == 0 && ticks < PATIENCE; ) {
		int now = atomic_load(&answer);

		if (now == tid)
			return 0;
		if (now < 0)
			return -EPERM;
		if (raw_futex_wait(&answer, (uint32_t)now, &tick) !=
		    -ETIMEDOUT)
			continue;
		if (!bv_census_lives(tid))
			return 0;
		ticks++;
	}
	return result < 0 ? result : -ETIMEDOUT;
}

/* Who was summoned: the list of threads may have to be read again. */
#define MOST 16384
struct roll {
	int *tid;
	unsigned count;
};

static int summon(int tid, void *argument)
{
	struct roll *roll = argument;
	int result;

	for (unsigned i = 0; i < roll->count; i++)
		if (roll->tid[i] == tid)
			return 0;
	if (roll->count == MOST)
		return -EAGAIN;
	result = summon_one(tid);
	if (result == 0)
		roll->tid[roll->count++] = tid;
	return result;
}

/* Until nobody is found that was not there before. */
int bv_trap_summon(void)
{
	struct roll roll = { .count = 0 };
	unsigned before;
	int result;

	roll.tid = raw_mmap(NULL, MOST * sizeof(*roll.tid),
			    PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (raw_is_error(roll.tid))
		return -ENOMEM;
	expect_summons();
	do {
		before = roll.count;
		result = bv_census(summon, &roll);
	} while (result == 0 && roll.count > before);
	/* Else one may still come, and must find a handler. */
	if (result == 0)
		raw_sigaction(SUMMONS, &former, NULL);
	raw_munmap(roll.tid, MOST * sizeof(*roll.tid));
	return result;
}
