/*
 * trapped WAY FILE: system calls about signals, stacks, threads and processes by instructions of the client's own, with reads
 * of FILE in between, whose first 64K they read in pieces of 4K. Prints what a kernel would answer.
 * trapped --list: every WAY, one a line. Status 77 where this system has not what it takes.
 * build: -pthread
 */
#include "client.h"
#include "filter.h"
#include "own_call.h"
#include <limits.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>

#define SIZE 4096
#define SAY(format, ...) (printf(format "\n", ##__VA_ARGS__), fflush(stdout))

static int file;
static const char *path;
static unsigned char page[SIZE];

/* Reads the next page, by an own instruction; what it says. Needs next to no stack. */
static _Thread_local int turn;
static unsigned char unread[SIZE];
static int read_some(void)
{
	long ret = own_syscall(SYS_pread64, file, unread, SIZE, (turn++ & 15) * SIZE);

	return ret == SIZE ? 0 : ret == -1 ? errno : -1;
}

static void read_all(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < 16; i++) {
		if (own_syscall(SYS_pread64, file, page, SIZE, i * SIZE) != SIZE)
			trouble("pread64");
		sum = sum * 31 + digest(page, SIZE);
	}
	SAY("all: %016llx", (unsigned long long)sum);
}

static const char *bits(uint64_t mask)
{
	static char text[4][65];
	static int next;
	char *t = text[next++ & 3];

	snprintf(t, 65, "%llx", (unsigned long long)mask);
	return t;
}

/* ---- masks ---- */

static volatile sig_atomic_t came, failed;

static void note(int number)
{
	came += number == SIGUSR1 ? 1 : 100;
	failed += read_some();
}

static void catch(int number, int flags, bool full)
{
	struct sigaction action = { .sa_handler = note, .sa_flags = flags };

	if (full)
		sigfillset(&action.sa_mask);
	if (sigaction(number, &action, NULL))
		trouble("sigaction");
}

static uint64_t mask_by(int how, const uint64_t *set)
{
	uint64_t old = 0xdead;

	if (own_syscall(SYS_rt_sigprocmask, how, set, &old, 8))
		trouble("rt_sigprocmask");
	return old;
}

static int way_masks(void)
{
	uint64_t usr1 = 1ull << (SIGUSR1 - 1), all = ~0ull, none = 0;
	sigset_t set;

	catch(SIGUSR1, 0, false);
	SAY("old %s", bits(mask_by(SIG_BLOCK, &usr1)));
	raise(SIGUSR1);
	SAY("blocked: %d", came);
	SAY("old %s", bits(mask_by(SIG_UNBLOCK, &usr1)));
	SAY("unblocked: %d", came);
	SAY("old %s", bits(mask_by(SIG_SETMASK, &all)));
	SAY("all but two: %s", bits(mask_by(SIG_BLOCK, NULL)));
	pthread_sigmask(SIG_BLOCK, NULL, &set);
	SAY("SIGSYS: %d", sigismember(&set, SIGSYS));
	read_all();
	SAY("old %s", bits(mask_by(SIG_SETMASK, &none)));
	SAY("none: %s", bits(mask_by(SIG_BLOCK, NULL)));
	SAY("%ld %d", own_syscall(SYS_rt_sigprocmask, 7, &none, NULL, 8), errno);
	SAY("%ld %d", own_syscall(SYS_rt_sigprocmask, SIG_BLOCK, &none, NULL, 4), errno);
	SAY("%ld %d", own_syscall(SYS_rt_sigprocmask, SIG_BLOCK, 16, NULL, 8), errno);
	SAY("%ld %d", own_syscall(SYS_rt_sigprocmask, SIG_BLOCK, &none, 16, 8), errno);
	/* libc's, of which own calls must know */
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	SAY("libc's: %d", (int)(mask_by(SIG_BLOCK, NULL) >> (SIGSYS - 1) & 1));
	read_all();
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	SAY("libc's: %d", (int)(mask_by(SIG_BLOCK, NULL) >> (SIGSYS - 1) & 1));
	read_all();
	return failed;
}

/* with a mask of all while its handler runs, and while it waits */
static int way_waits(void)
{
	struct timespec long_ = { 5, 0 };
	struct pollfd none = { -1, POLLIN, 0 };
	struct { const uint64_t *set; size_t size; } argument;
	struct epoll_event event;
	uint64_t others = ~(1ull << (SIGUSR1 - 1));
	int fd = epoll_create1(0);
	sigset_t set;

	catch(SIGUSR1, 0, true);
	raise(SIGUSR1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigfillset(&set);
	sigdelset(&set, SIGUSR1);
	argument.set = &others;
	argument.size = 8;
#define WAIT(call) (raise(SIGUSR1), errno = 0, SAY(#call ": %ld %d, %d", (long)(call), errno, came))
	WAIT(sigsuspend(&set));
	WAIT(ppoll(&none, 1, &long_, &set));
	WAIT(pselect(0, NULL, NULL, NULL, &long_, &set));
	WAIT(epoll_pwait(fd, &event, 1, 5000, &set));
	WAIT(own_syscall(SYS_rt_sigsuspend, &others, 8));
	WAIT(own_syscall(SYS_ppoll, &none, 1, &long_, &others, 8));
	WAIT(own_syscall(SYS_pselect6, 0, NULL, NULL, NULL, &long_, &argument));
	WAIT(own_syscall(SYS_epoll_pwait, fd, &event, 1, 5000, &others, 8));
	read_all();
	return failed;
}

/* ---- actions ---- */

#if defined(__x86_64__)
struct kernel_action { void (*handler)(int); unsigned long flags; void (*restorer)(void); uint64_t mask; };
#define OWN_RESTORER 0x04000000ul
void own_restorer(void);
__asm__(".text\nown_restorer:\n\tmovl $15, %eax\n\tsyscall\n");
#else
struct kernel_action { void (*handler)(int); unsigned long flags; void (*restorer)(void); uint64_t mask; };
#define OWN_RESTORER 0ul
static void own_restorer(void) { }
#endif

static int way_restorer(void)
{
	struct kernel_action action = { note, OWN_RESTORER | SA_ONSTACK, own_restorer, ~0ull }, old;
	stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };
	long numbers[6] = { 0 };

	if (own_syscall(SYS_rt_sigaction, SIGUSR1, &action, NULL, 8))
		trouble("rt_sigaction");
	for (int i = 0; i < 6; i++) {
		if (i == 3)
			sigaltstack(&stack, NULL);
		own_syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1);
		numbers[i] = came;
		failed += read_some();
	}
	SAY("came %ld %ld %ld %ld %ld %ld", numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]);
	if (own_syscall(SYS_rt_sigaction, SIGUSR1, NULL, &old, 8))
		trouble("rt_sigaction");
	SAY("handler %d, restorer %d, mask %s", old.handler == note, old.restorer == own_restorer || !OWN_RESTORER, bits(old.mask));
	SAY("%ld %d", own_syscall(SYS_rt_sigaction, SIGUSR1, NULL, &old, 4), errno);
	SAY("%ld %d", own_syscall(SYS_rt_sigaction, SIGUSR1, 16, NULL, 8), errno);
	SAY("%ld %d", own_syscall(SYS_rt_sigaction, 65, &action, NULL, 8), errno);
	SAY("%ld %d", own_syscall(SYS_rt_sigaction, SIGKILL, &action, NULL, 8), errno);
	SAY("%ld %d", own_syscall(SYS_rt_sigaction, SIGSYS, &action, 16, 8), errno);
	read_all();
	return failed;
}

/* Of SIGSYS itself, by all the ways there are. */
CALL(bsd_signal, sighandler_t, (int, sighandler_t))
CALL(ssignal, sighandler_t, (int, sighandler_t))
CALL(sysv_signal, sighandler_t, (int, sighandler_t))
CALL(__sysv_signal, sighandler_t, (int, sighandler_t))
CALL(__sigaction, int, (int, const struct sigaction *, struct sigaction *))
CALL(sigblock, int, (int))
CALL(sigsetmask, int, (int))
CALL(sighold, int, (int))
CALL(sigrelse, int, (int))
CALL(sigignore, int, (int))
CALL(sigset, sighandler_t, (int, sighandler_t))
CALL(sigpause, int, (int))
CALL(__sigsuspend, int, (const sigset_t *))
CALL(__ppoll_chk, int, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t))
CALL(epoll_pwait2, int, (int, struct epoll_event *, int, const struct timespec *, const sigset_t *))

static volatile sig_atomic_t sys_came, sys_code;

static void on_sys(int number, siginfo_t *info, void *context)
{
	(void)context;
	sys_came += number == SIGSYS;
	sys_code = info->si_code;
	failed += read_some();
}

static void on_sys_plain(int number) { sys_came += number == SIGSYS; }

static const char *which(sighandler_t handler)
{
	return handler == SIG_DFL ? "default" : handler == SIG_IGN ? "ignored" : handler == SIG_HOLD ? "held" :
		handler == on_sys_plain ? "plain" : (void *)handler == (void *)on_sys ? "with information" : "somebody's";
}

static void ask_action(void)
{
	struct sigaction now;

	if (sigaction(SIGSYS, NULL, &now))
		trouble("sigaction");
	SAY("now %s, flags %x, blocks itself %d and SIGUSR2 %d", which(now.sa_handler), (unsigned)now.sa_flags & ~0x04000000u,
		sigismember(&now.sa_mask, SIGSYS), sigismember(&now.sa_mask, SIGUSR2));
}

static int way_actions(void)
{
	struct sigaction action = { .sa_sigaction = on_sys, .sa_flags = SA_SIGINFO | SA_NODEFER }, old;

	ask_action();
	sigaddset(&action.sa_mask, SIGUSR2);
	if (call___sigaction(SIGSYS, &action, &old))
		trouble("sigaction");
	SAY("was %s", which(old.sa_handler));
	ask_action();
	read_all();
	raise(SIGSYS);
	SAY("came %d, code %d", sys_came, sys_code);
	own_syscall(SYS_tgkill, getpid(), gettid(), SIGSYS);
	SAY("came %d, code %d", sys_came, sys_code);
#define OLD(call) (SAY(#call ": %s", which(call)), ask_action(), read_some())
	OLD(signal(SIGSYS, on_sys_plain));
	raise(SIGSYS);
	OLD(call_bsd_signal(SIGSYS, SIG_IGN));
	raise(SIGSYS);
	OLD(call_ssignal(SIGSYS, on_sys_plain));
	OLD(call_sysv_signal(SIGSYS, on_sys_plain));
	raise(SIGSYS);
	ask_action();
	OLD(call___sysv_signal(SIGSYS, SIG_IGN));
	OLD(call_sigset(SIGSYS, on_sys_plain));
	OLD(call_sigset(SIGSYS, SIG_HOLD));
	OLD(call_sigset(SIGSYS, on_sys_plain));
	SAY("ignore: %d", call_sigignore(SIGSYS));
	ask_action();
	SAY("%d %d", signal(SIGSYS, SIG_ERR) == SIG_ERR, errno);
	SAY("came %d", sys_came);
	/* others' masks */
	catch(SIGUSR1, SA_RESTART, true);
	sigaction(SIGUSR1, NULL, &old);
	SAY("SIGUSR1 blocks it: %d", sigismember(&old.sa_mask, SIGSYS));
	raise(SIGUSR1);
	catch(SIGUSR1, SA_RESTART, false);
	sigaction(SIGUSR1, NULL, &old);
	SAY("SIGUSR1 blocks it: %d", sigismember(&old.sa_mask, SIGSYS));
	SAY("%d %d", sigaction(65, &action, NULL), errno);
	SAY("%d %d", sigaction(SIGKILL, &action, NULL), errno);
	read_all();
	return failed;
}

static int way_old_masks(void)
{
	int bit = (int)(1u << (SIGSYS - 1));
	struct timespec at_once = { 0, 1000 };
	struct pollfd none = { -1, POLLIN, 0 };
	struct epoll_event event;
	sigset_t set;

	SAY("%x", (unsigned)call_sigblock(bit | 1));
	read_all();
	SAY("%x", (unsigned)call_sigsetmask(bit | 2));
	read_all();
	SAY("%x", (unsigned)call_sigsetmask(0));
	SAY("%d", call_sighold(SIGSYS));
	SAY("%x", (unsigned)call_sigblock(0));
	SAY("%d", call_sigrelse(SIGSYS));
	SAY("%x", (unsigned)call_sigblock(0));
	SAY("%d %d", call_sighold(SIGUSR2), call_sigrelse(SIGUSR2));
	SAY("%d", call_sigignore(SIGUSR2));
	SAY("%s", which(call_sigset(SIGUSR2, SIG_DFL)));
	catch(SIGALRM, 0, true);
	ualarm(2000, 0);
	SAY("%d %d", call_sigpause(bit), errno);
	ualarm(2000, 0);
	sigfillset(&set);
	sigdelset(&set, SIGALRM);
	SAY("%d %d", call___sigsuspend(&set), errno);
	SAY("%d", call___ppoll_chk(&none, 1, &at_once, &set, sizeof(none)));
	SAY("%d", call_epoll_pwait2 ? call_epoll_pwait2(epoll_create1(0), &event, 1, &at_once, &set) : 0);
	read_all();
	return failed;
}

/* one that is sent to a thread that lets it, by seccomp: its handler says what the call is to give */
static void on_seccomp(int number, siginfo_t *info, void *context)
{
	ucontext_t *at = context;

	sys_came += number == SIGSYS && info->si_code == 1 && info->si_syscall == SYS_getppid;
#if defined(__x86_64__)
	at->uc_mcontext.gregs[REG_RAX] = 4711;
#else
	at->uc_mcontext.regs[0] = 4711;
#endif
	failed += read_some();
}

static int way_seccomp(void)
{
	struct sigaction action = { .sa_sigaction = on_seccomp, .sa_flags = SA_SIGINFO };

	sigaction(SIGSYS, &action, NULL);
	if (deny(SYS_getppid, 0, 815, SECCOMP_RET_TRAP))
		absent("seccomp");
	SAY("libc's: %ld", syscall(SYS_getppid, 815));
	SAY("own: %ld", own_syscall(SYS_getppid, 815));
	SAY("other: %d", own_syscall(SYS_getppid, 0) == getppid());
	SAY("came %d", sys_came);
	read_all();
	return failed;
}

/* natively, it ends the process */
static int way_dies_of_seccomp(void)
{
	if (deny(SYS_getppid, 0, 815, SECCOMP_RET_TRAP))
		absent("seccomp");
	read_all();
	own_syscall(SYS_getppid, 815);
	SAY("alive");
	return 0;
}

static int way_dies_of_kill(void)
{
	read_all();
	kill(getpid(), SIGSYS);
	SAY("alive");
	return 0;
}

/* ---- stacks ---- */

static void show_stack(void)
{
	stack_t now = { 0 };
	long ret = own_syscall(SYS_sigaltstack, NULL, &now);

	SAY("stack: %ld, flags %x, size %zu, at %d", ret, (unsigned)now.ss_flags, now.ss_size, now.ss_sp != NULL);
}

static void in_stack(int number)
{
	stack_t none = { .ss_flags = SS_DISABLE };

	(void)number;
	show_stack();
	SAY("change: %ld %d", own_syscall(SYS_sigaltstack, &none, NULL), errno);
	failed += read_some();
}

static int way_stack(void)
{
	size_t size = (size_t)sysconf(_SC_SIGSTKSZ);
	stack_t stack = { .ss_sp = malloc(2 * size), .ss_size = size }, now;
	struct sigaction action = { .sa_handler = in_stack, .sa_flags = SA_ONSTACK };

	show_stack();
	SAY("set: %ld", own_syscall(SYS_sigaltstack, &stack, &now));
	show_stack();
	sigaltstack(NULL, &now);
	SAY("libc's: %zu", now.ss_size);
	read_all();
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	stack.ss_size = 100;
	SAY("small: %ld %d", own_syscall(SYS_sigaltstack, &stack, NULL), errno);
	stack.ss_flags = 55;
	SAY("flags: %ld %d", own_syscall(SYS_sigaltstack, &stack, NULL), errno);
	SAY("fault: %ld %d", own_syscall(SYS_sigaltstack, 16, NULL), errno);
	stack.ss_flags = SS_DISABLE;
	SAY("none: %ld", own_syscall(SYS_sigaltstack, &stack, &now));
	SAY("was %zu", now.ss_size);
	show_stack();
	read_all();
	return failed;
}

/* An alternate stack with no room to spare, with guards; a handler on it that reads, while the main thread reads. */
static unsigned char *guarded;
static size_t guarded_size;

static void make_guarded(size_t size)
{
	guarded_size = (size + 4095) & ~(size_t)4095;
	guarded = mmap(NULL, guarded_size + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (guarded == MAP_FAILED || mprotect(guarded + 4096, guarded_size, PROT_READ | PROT_WRITE))
		trouble("mmap");
	guarded += 4096;
}

static volatile sig_atomic_t ticks, elsewhere;
static void tick(int number)
{
	unsigned char here;

	(void)number;
	ticks++;
	elsewhere += &here < guarded || &here >= guarded + guarded_size;
	failed += read_some();
}

/* One comes at a time, however slow everything is. */
static void storm(void (*handler)(int), int flags, int most)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	sigaction(SIGALRM, &action, NULL);
	while (ticks < most && !failed) {
		struct itimerval soon = { { 0, 0 }, { 0, 20 + ticks % 50 } };
		int before = ticks;

		setitimer(ITIMER_REAL, &soon, NULL);
		while (ticks == before && !failed)
			failed += read_some();
	}
}

static int in_storm(size_t size, int flags)
{
	stack_t stack;

	make_guarded(size);
	stack = (stack_t){ .ss_sp = guarded, .ss_size = guarded_size };
	if (sigaltstack(&stack, NULL))
		trouble("sigaltstack");
	storm(tick, flags, 300);
	SAY("failed %d, on another stack: %d", failed, flags & SA_ONSTACK ? elsewhere : 0);
	read_all();
	return failed;
}

/* 8192: the SIGSTKSZ of old */
static int way_small_stack(void) { return in_storm(8192, SA_ONSTACK | SA_RESTART); }
static int way_large_stack(void) { return in_storm(262144, SA_ONSTACK | SA_RESTART); }
static int way_unused_stack(void) { return in_storm(8192, SA_RESTART); }

/* a handler within itself */
static void nest(int number)
{
	static volatile sig_atomic_t depth;

	if (++depth < 3)
		raise(number);
	failed += read_some();
	depth--;
	tick(number);
}

static int way_nested_stack(void)
{
	struct sigaction action = { .sa_handler = nest, .sa_flags = SA_ONSTACK | SA_NODEFER };

	sigaction(SIGUSR1, &action, NULL);
	make_guarded(32768);
	stack_t stack = { .ss_sp = guarded, .ss_size = guarded_size };
	sigaltstack(&stack, NULL);
	for (int i = 0; i < 100; i++) {
		raise(SIGUSR1);
		failed += read_some();
	}
	SAY("came %d, failed %d, on another stack: %d", ticks, failed, elsewhere);
	return failed;
}

static int way_no_stack(void)
{
	guarded = (void *)-1;
	storm(tick, SA_RESTART, 300);
	SAY("failed %d", failed);
	return failed;
}

/* handlers that never return */
static sigjmp_buf back;
static void jump(int number)
{
	(void)number;
	ticks++;
	failed += read_some();
	siglongjmp(back, 1);
}

static int jumping(size_t size)
{
	stack_t stack;

	if (size) {
		make_guarded(size);
		stack = (stack_t){ .ss_sp = guarded, .ss_size = guarded_size };
		sigaltstack(&stack, NULL);
	}
	sigsetjmp(back, 1);
	storm(jump, size ? SA_ONSTACK : 0, 300);
	signal(SIGALRM, SIG_IGN);
	SAY("failed %d", failed);
	read_all();
	return failed;
}

static int way_jumps(void) { return jumping(0); }
static int way_jumps_off_stack(void) { return jumping(32768); }

static void *read_on_small(void *unused)
{
	for (int i = 0; i < 40; i++)
		failed += read_some();
	return unused;
}

static int way_small_thread(void)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, (size_t)sysconf(_SC_THREAD_STACK_MIN));
	if (pthread_create(&thread, &attributes, read_on_small, NULL))
		trouble("pthread_create");
	pthread_join(thread, NULL);
	SAY("failed %d", failed);
	return failed;
}

/* all signals blocked before it is created, by its creator and by itself */
static void *read_blocked(void *unused)
{
	sigset_t set, now;

	pthread_sigmask(SIG_BLOCK, NULL, &now);
	SAY("inherited: %d", sigismember(&now, SIGSYS));
	failed += read_some();
	sigfillset(&set);
	pthread_sigmask(SIG_SETMASK, &set, &now);
	SAY("was: %d", sigismember(&now, SIGSYS));
	read_all();
	return unused;
}

static int way_blocked_thread(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all, none, was;

	sigfillset(&all);
	sigemptyset(&none);
	pthread_sigmask(SIG_BLOCK, &all, &was);
	pthread_create(&thread, NULL, read_blocked, NULL);
	pthread_join(thread, NULL);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	pthread_create(&thread, NULL, read_blocked, NULL);
	pthread_join(thread, NULL);
	pthread_attr_init(&attributes);
	pthread_attr_setsigmask_np(&attributes, &all);
	pthread_create(&thread, &attributes, read_blocked, NULL);
	pthread_join(thread, NULL);
	return failed;
}

/* ---- processes ---- */

static int report(pid_t pid)
{
	int status;

	if (pid < 0) {
		SAY("no child: %d", errno);
		return 0;
	}
	if (waitpid(pid, &status, 0) != pid)
		trouble("waitpid");
	SAY("child: %x", (unsigned)status);
	read_all();
	return 0;
}

static void child(void)
{
	read_all();
	own_syscall(SYS_exit_group, 5);
}

#if defined(SYS_fork)
static int way_fork(void)
{
	pid_t pid = (pid_t)own_syscall(SYS_fork);

	if (pid == 0)
		child();
	return report(pid);
}

static int way_vfork(void)
{
	pid_t pid = (pid_t)own_syscall(SYS_vfork);

	if (pid == 0)
		own_syscall(SYS_exit_group, 6);
	return report(pid);
}
#else
static int way_fork(void) { absent("fork"); }
static int way_vfork(void) { absent("vfork"); }
#endif

/* by clone: on a stack of its own, where nothing but what is on it may be used */
static _Alignas(16) unsigned char other_stack[65536];
static int on_other(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	SAY("on its stack: %d", here - (uintptr_t)other_stack < sizeof(other_stack));
	child();
	return 0;
}

#if defined(__x86_64__)
static long clone_to(long flags, void *stack, int (*function)(void))
{
	register long r10 __asm__("r10") = 0;
	register long r8 __asm__("r8") = 0;
	long ret;

	__asm__ volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\tcall *%[function]\n1:"
		: "=a"(ret) : "a"((long)SYS_clone), "D"(flags), "S"(stack), "d"(0L), "r"(r10), "r"(r8), [function] "b"(function)
		: "rcx", "r11", "memory");
	if (ret < 0)
		errno = (int)-ret;
	return ret < 0 ? -1 : ret;
}
#else
static long clone_to(long flags, void *stack, int (*function)(void))
{
	(void)flags, (void)stack, (void)function;
	absent("clone by hand");
}
#endif

static int way_clone(void)
{
	return report((pid_t)clone_to(SIGCHLD, other_stack + sizeof(other_stack), on_other));
}

static int way_clone_vfork(void)
{
	return report((pid_t)clone_to(CLONE_VM | CLONE_VFORK | SIGCHLD, other_stack + sizeof(other_stack), on_other));
}

static int way_clone3(void)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	pid_t pid = (pid_t)own_syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		child();
	return report(pid);
}

/* handlers gone on the way */
static int way_clone3_cleared(void)
{
	struct clone_args args = { .exit_signal = SIGCHLD, .flags = 0x100000000ull };
	pid_t pid = (pid_t)own_syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		child();
	return report(pid);
}

static int way_libc_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		child();
	report(pid);
	pid = _Fork();
	if (pid == 0)
		child();
	return report(pid);
}

static int way_exec(void)
{
	char name[] = "/proc/self/exe", way[] = "masks";
	char *argv[] = { name, way, (char *)path, NULL };
	char *envp[] = { NULL };

	read_all();
	own_syscall(SYS_execve, name, argv, envp);
	return result(-1);
}

/* ---- ends ---- */

static void write_last(void)
{
	memset(page, 0x77, SIZE);
	if (own_syscall(SYS_pwrite64, file, page, SIZE, 2 * SIZE) != SIZE)
		trouble("pwrite64");
}

static int way_exit_group(void)
{
	write_last();
	own_syscall(SYS_exit_group, 7);
	return 0;
}

static int way_exit(void)
{
	write_last();
	own_syscall(SYS_exit, 7);
	return 0;
}

static void *ends_alone(void *unused)
{
	usleep(10000);
	read_all();
	own_syscall(SYS_exit, 8);
	return unused;
}

/* first one thread, then the last */
static int way_exits(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, ends_alone, NULL);
	own_syscall(SYS_exit, 9);
	return 0;
}

/* ---- calls that wait ---- */

static int ends[2];
static void wake(int number)
{
	(void)number;
	ticks++;
	failed += read_some();
	if (ticks == 3 && write(ends[1], "x", 1) != 1)
		failed++;
}

static int waiting(int flags)
{
	struct sigaction action = { .sa_handler = wake, .sa_flags = flags };
	struct itimerval often = { { 0, 10000 }, { 0, 10000 } }, never = { 0 };
	char byte;
	long ret;
	int error;

	if (pipe(ends))
		trouble("pipe");
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	errno = 0;
	ret = own_syscall(SYS_read, ends[0], &byte, 1);
	error = errno;
	setitimer(ITIMER_REAL, &never, NULL);
	SAY("%ld %d", ret, error);
	read_all();
	return failed;
}

static int way_interrupted(void) { return waiting(0); }
static int way_restarted(void) { return waiting(SA_RESTART); }

static int waiting_beside(size_t size)
{
	stack_t stack;

	make_guarded(size);
	stack = (stack_t){ .ss_sp = guarded, .ss_size = guarded_size };
	sigaltstack(&stack, NULL);
	return waiting(SA_RESTART | SA_ONSTACK);
}

static int way_restarted_beside(void) { return waiting_beside(8192); }

/* The one that waits is a handler itself, on the alternate stack. */
static void wait_inside(int number)
{
	volatile unsigned char mark[256];
	unsigned wrong = 0;
	char byte = 0;
	long ret;

	(void)number;
	for (size_t i = 0; i < sizeof(mark); i++)
		mark[i] = (unsigned char)i;
	ualarm(10000, 0);
	ret = own_call(SYS_read, ends[0], (long)&byte, 1, 0, 0, 0);
	for (size_t i = 0; i < sizeof(mark); i++)
		wrong += mark[i] != (unsigned char)i;
	failed += ret != 1 || byte != 'x' || wrong;
}

static void wake_once(int number)
{
	(void)number;
	ticks++;
	failed += read_some() || write(ends[1], "x", 1) != 1;
}

static int way_waits_inside(void)
{
	struct sigaction waits = { .sa_handler = wait_inside, .sa_flags = SA_ONSTACK };
	struct sigaction wakes = { .sa_handler = wake_once, .sa_flags = SA_ONSTACK | SA_RESTART };
	stack_t stack;

	if (pipe(ends))
		trouble("pipe");
	make_guarded(8192);
	stack = (stack_t){ .ss_sp = guarded, .ss_size = guarded_size };
	sigaltstack(&stack, NULL);
	sigaction(SIGUSR1, &waits, NULL);
	sigaction(SIGALRM, &wakes, NULL);
	for (int i = 0; i < 5; i++) {
		raise(SIGUSR1);
		failed += read_some();
	}
	SAY("failed %d after %d", failed, ticks);
	show_stack();
	read_all();
	return failed;
}

static void *uncancelled(void *unused)
{
	int old;

	/* an instruction is no cancellation point */
	pthread_cancel(pthread_self());
	failed += read_some();
	SAY("not cancelled");
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	SAY("was enabled: %d", old == PTHREAD_CANCEL_ENABLE);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
	pthread_testcancel();
	return unused;
}

static int way_cancelled(void)
{
	pthread_t thread;
	void *end;

	pthread_create(&thread, NULL, uncancelled, NULL);
	pthread_join(thread, &end);
	SAY("cancelled: %d", end == PTHREAD_CANCELED);
	return failed;
}

/* neither errno nor any register may change */
static int way_quiet(void)
{
	double kept = 0.1, sum = 0;

	errno = 12345;
	for (int i = 0; i < 100; i++) {
		sum += kept * i;
		own_call(SYS_pread64, file, (long)page, SIZE, 0, 0, 0);
		own_call(SYS_pread64, -1, (long)page, SIZE, 0, 0, 0);
		own_call(SYS_pread64, file, (long)page, SIZE, -1, 0, 0);
		own_call(SYS_lseek, file, 0, 99, 0, 0, 0);
		own_call(SYS_getppid, 0, 0, 0, 0, 0, 0);
	}
	SAY("errno %d, sum %.3f", errno, sum);
	SAY("nothing: %ld", own_call(4095, 0, 0, 0, 0, 0, 0));
	return 0;
}

static void *many(void *unused)
{
	for (int i = 0; i < 300; i++)
		failed += read_some();
	return unused;
}

static int way_threads(void)
{
	pthread_t thread[4];

	for (int round = 0; round < 5; round++) {
		for (size_t i = 0; i < 4; i++)
			pthread_create(&thread[i], NULL, many, NULL);
		for (size_t i = 0; i < 4; i++)
			pthread_join(thread[i], NULL);
	}
	SAY("failed %d", failed);
	return failed;
}

#define WAYS(X) X(masks) X(waits) X(restorer) X(actions) X(old_masks) X(seccomp) X(dies_of_seccomp) X(dies_of_kill) X(stack) \
	X(small_stack) X(large_stack) X(unused_stack) X(nested_stack) X(no_stack) X(jumps) X(jumps_off_stack) X(small_thread) \
	X(blocked_thread) X(fork) X(vfork) X(clone) X(clone_vfork) X(clone3) X(clone3_cleared) X(libc_fork) X(exec) \
	X(exit_group) X(exit) X(exits) X(interrupted) X(restarted) X(restarted_beside) X(waits_inside) X(cancelled) X(quiet) X(threads)

/* what does not come out as without the shim, and so stands apart */
static int way_clone_thread(void)
{
	const long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;

	return report((pid_t)clone_to(flags, other_stack + sizeof(other_stack), on_other));
}

/* the kernel forbids it from some time on */
static int denied(pid_t (*make)(void))
{
	pthread_t thread;
	pid_t pid;

	if (deny(SYS_prctl, 0, PR_SET_SYSCALL_USER_DISPATCH, SECCOMP_RET_ERRNO | EPERM))
		absent("seccomp");
	read_all();
	if (make) {
		pid = make();
		if (pid == 0)
			child();
		return report(pid);
	}
	pthread_create(&thread, NULL, many, NULL);
	pthread_join(thread, NULL);
	SAY("failed %d", failed);
	return failed;
}

static int way_denied_thread(void) { return denied(NULL); }
static int way_denied_child(void) { return denied(fork); }

/* another's use of it: the last word is what the kernel says to one that has it not */
static int way_dispatch(void)
{
	int ret = prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0);

	SAY("%d %d", ret, errno);
	SAY("%ld %d", own_syscall(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0), errno);
	read_all();
	return 0;
}

/* by the instruction of 32-bit programs: getpid */
static int way_int80(void)
{
#if defined(__x86_64__)
	long ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(20L) : "memory");
	SAY("%ld", ret == getpid() ? 0 : ret);
	read_all();
	return 0;
#else
	absent("int 0x80");
#endif
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--list")) {
#define L(name) puts(#name);
		WAYS(L)
		return 0;
	}
	if (argc != 3)
		usage("trapped WAY FILE");
	path = argv[2];
	file = open(path, O_RDWR);
	if (file == -1)
		trouble("open");
#define W(name) if (!strcmp(argv[1], #name)) return way_##name();
	WAYS(W)
	W(clone_thread)
	W(denied_thread)
	W(denied_child)
	W(dispatch)
	W(int80)
	usage("unknown WAY");
}
