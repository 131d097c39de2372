/* raw: system calls by an instruction of our own; the bottom of the house.
 *
 * The engine must reach the kernel without passing through any function that
 * the shim, or another preloaded library, has replaced: no recursion, no
 * cancellation point, no errno. Every function returns the kernel's result:
 * a negative errno on failure. All are async-signal-safe.
 *
 * struct stat is the kernel's own layout in glibc on the two machines
 * supported, so it is used directly.
 */
#ifndef BV_RAW_H
#define BV_RAW_H

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>

/* By the instruction at raw_gate. */
long raw_call(long number, long a, long b, long c, long d, long e, long f);

/* A system call instruction with a return behind it: the engine's own, unless
 * who links it knows of one that the kernel lets pass where it traps others
 * (Syscall User Dispatch). Set before the first is trapped. */
extern const void *raw_gate;

/* Kernel signal sets are 64 bits on both machines. */
typedef uint64_t raw_sigset;

static inline ssize_t raw_read(int fd, void *buf, size_t n)
{
	return raw_call(SYS_read, fd, (long)buf, (long)n, 0, 0, 0);
}

static inline ssize_t raw_write(int fd, const void *buf, size_t n)
{
	return raw_call(SYS_write, fd, (long)buf, (long)n, 0, 0, 0);
}

static inline ssize_t raw_pread(int fd, void *buf, size_t n, uint64_t offset)
{
	return raw_call(SYS_pread64, fd, (long)buf, (long)n, (long)offset, 0, 0);
}

static inline ssize_t raw_pwrite(int fd, const void *buf, size_t n,
				 uint64_t offset)
{
	return raw_call(SYS_pwrite64, fd, (long)buf, (long)n, (long)offset, 0, 0);
}

static inline int raw_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	return (int)raw_call(SYS_openat, dirfd, (long)path, flags, mode, 0, 0);
}

static inline int raw_close(int fd)
{
	return (int)raw_call(SYS_close, fd, 0, 0, 0, 0, 0);
}

static inline int raw_fstat(int fd, struct stat *st)
{
	return (int)raw_call(SYS_fstat, fd, (long)st, 0, 0, 0, 0);
}

static inline int raw_fstatat(int dirfd, const char *path, struct stat *st,
			      int flags)
{
	return (int)raw_call(SYS_newfstatat, dirfd, (long)path, (long)st, flags,
			     0, 0);
}

static inline int64_t raw_lseek(int fd, int64_t offset, int whence)
{
	return raw_call(SYS_lseek, fd, offset, whence, 0, 0, 0);
}

static inline int raw_fcntl(int fd, int command, long argument)
{
	return (int)raw_call(SYS_fcntl, fd, command, argument, 0, 0, 0);
}

static inline int raw_ftruncate(int fd, uint64_t length)
{
	return (int)raw_call(SYS_ftruncate, fd, (long)length, 0, 0, 0, 0);
}

static inline int raw_fallocate(int fd, int mode, uint64_t offset,
				uint64_t length)
{
	return (int)raw_call(SYS_fallocate, fd, mode, (long)offset,
			     (long)length, 0, 0);
}

static inline int raw_flock(int fd, int operation)
{
	return (int)raw_call(SYS_flock, fd, operation, 0, 0, 0, 0);
}

static inline int raw_unlinkat(int dirfd, const char *path, int flags)
{
	return (int)raw_call(SYS_unlinkat, dirfd, (long)path, flags, 0, 0, 0);
}

/* The result is an address, or -4095..-1 for a negative errno. */
static inline void *raw_mmap(void *address, size_t length, int protection,
			     int flags, int fd, uint64_t offset)
{
	return (void *)raw_call(SYS_mmap, (long)address, (long)length,
				protection, flags, fd, (long)offset);
}

static inline int raw_is_error(const void *address)
{
	return (uintptr_t)address > (uintptr_t)-4096;
}

static inline int raw_munmap(void *address, size_t length)
{
	return (int)raw_call(SYS_munmap, (long)address, (long)length, 0, 0, 0, 0);
}

/* Not FUTEX_PRIVATE: words may stand in the shared state file. timeout is
 * relative, NULL waits for ever. */
static inline int raw_futex_wait(const void *word, uint32_t expected,
				 const struct timespec *timeout)
{
	return (int)raw_call(SYS_futex, (long)word, 0, (long)expected,
			     (long)timeout, 0, 0);
}

static inline int raw_futex_wake(const void *word, int waiters)
{
	return (int)raw_call(SYS_futex, (long)word, 1, waiters, 0, 0, 0);
}

static inline int raw_getpid(void)
{
	return (int)raw_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

static inline int raw_gettid(void)
{
	return (int)raw_call(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

static inline uid_t raw_geteuid(void)
{
	return (uid_t)raw_call(SYS_geteuid, 0, 0, 0, 0, 0, 0);
}

static inline int raw_tgkill(int pid, int tid, int signal)
{
	return (int)raw_call(SYS_tgkill, pid, tid, signal, 0, 0, 0);
}

static inline int raw_kill(int pid, int signal)
{
	return (int)raw_call(SYS_kill, pid, signal, 0, 0, 0, 0);
}

/* Replaces the calling thread's mask and returns the former one. */
static inline raw_sigset raw_sigmask(raw_sigset set)
{
	raw_sigset old = 0;

	raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&set, (long)&old,
		 sizeof(set), 0, 0);
	return old;
}

#define RAW_SIGNAL(number) ((raw_sigset)1 << ((number) - 1))

/* Blocks all signals but SIGSYS, which is left as it is: the kernel ends who
 * blocks it and makes a system call that is trapped. Returns the former mask,
 * for raw_sigmask. */
static inline raw_sigset raw_block_signals(void)
{
	const raw_sigset set = ~RAW_SIGNAL(SIGSYS);
	raw_sigset old = 0;

	raw_call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&set, (long)&old,
		 sizeof(set), 0, 0);
	return old;
}

static inline void raw_unblock_signal(int number)
{
	const raw_sigset set = RAW_SIGNAL(number);

	raw_call(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&set, 0, sizeof(set), 0,
		 0);
}

/* The kernel's struct sigaction. */
struct raw_sigaction {
	void *handler;
	unsigned long flags;
	void *restorer;
	raw_sigset mask;
};

static inline int raw_sigaction(int number, const struct raw_sigaction *action,
				struct raw_sigaction *former)
{
	return (int)raw_call(SYS_rt_sigaction, number, (long)action,
			     (long)former, sizeof(raw_sigset), 0, 0);
}

static inline int raw_ioctl(int fd, unsigned long request, void *argument)
{
	return (int)raw_call(SYS_ioctl, fd, (long)request, (long)argument, 0, 0,
			     0);
}

static inline void __attribute__((noreturn)) raw_exit(int status)
{
	for (;;)
		raw_call(SYS_exit_group, status, 0, 0, 0, 0, 0);
}

#endif
