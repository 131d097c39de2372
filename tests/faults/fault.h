/* What every fault injector shares: it is loaded after libblkverify, so that the functions the shim finds by RTLD_NEXT
 * are these. An injector includes this file and ends with FAULT_DEFINE. FAULT_FILE names the only file that is
 * touched (found by device and inode, so that the shadow is never hit by accident), FAULT_SKIP lets that many
 * operations of the hooked kind go by first, FAULT_COUNT ends the fault after so many (default: never). */
#ifndef FAULT_H
#define FAULT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* a transfer as the hooks see it; offset is -1 where the file's own position is used */
struct fault_io {
	int fd;
	const struct iovec *iov;
	int iovcnt;
	off_t offset;
	int flags;
	size_t length;
};

static atomic_long fault_seen;

static inline long fault_number(const char *name, long otherwise)
{
	const char *value = getenv(name);

	return value ? strtol(value, NULL, 0) : otherwise;
}

/* By our own instruction: libc's syscall() is the shim's, which would take the injector's work for the program's. */
static inline long fault_call(long number, long a, long b, long c, long d, long e, long f)
{
#if defined __x86_64__
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		: "rcx", "r11", "memory");
#elif defined __aarch64__
	register long x8 __asm__("x8") = number, result __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c,
		x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;

	__asm__ volatile("svc 0" : "+r"(result) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
#else
#error "no system call instruction known"
#endif
	if (result < 0 && result > -4096) {
		errno = (int)-result;
		return -1;
	}
	return result;
}

static inline int fault_is_file(int fd)
{
	const char *path = getenv("FAULT_FILE");
	struct stat want, have;

	if (!path || fault_call(SYS_newfstatat, AT_FDCWD, (long)path, (long)&want, 0, 0, 0) ||
		fault_call(SYS_newfstatat, fd, (long)"", (long)&have, AT_EMPTY_PATH, 0, 0))
		return 0;
	return want.st_dev == have.st_dev && want.st_ino == have.st_ino;
}

/* is this operation one of those to hit? Counts it. */
static inline int fault_due(int fd)
{
	long skip = fault_number("FAULT_SKIP", 0), count = fault_number("FAULT_COUNT", -1), seen;

	if (!fault_is_file(fd))
		return 0;
	seen = atomic_fetch_add(&fault_seen, 1);
	return seen >= skip && (count < 0 || seen < skip + count);
}

static inline int fault_errno(void)
{
	static const struct { const char *name; int value; } known[] = {
		{ "EIO", EIO }, { "ENOSPC", ENOSPC }, { "EINTR", EINTR }, { "EAGAIN", EAGAIN }, { "EDQUOT", EDQUOT },
		{ "EBADF", EBADF }, { "EINVAL", EINVAL }, { "EFAULT", EFAULT },
	};
	const char *name = getenv("FAULT_ERRNO");

	for (size_t i = 0; name && i < sizeof known / sizeof *known; i++)
		if (!strcmp(name, known[i].name))
			return known[i].value;
	return EIO;
}

static inline ssize_t fault_real_read(const struct fault_io *io)
{
	if (io->offset == -1 && !io->flags)
		return fault_call(SYS_readv, io->fd, (long)io->iov, io->iovcnt, 0, 0, 0);
	return fault_call(SYS_preadv2, io->fd, (long)io->iov, io->iovcnt, io->offset, 0, io->flags);
}

static inline ssize_t fault_real_write(const struct fault_io *io)
{
	if (io->offset == -1 && !io->flags)
		return fault_call(SYS_writev, io->fd, (long)io->iov, io->iovcnt, 0, 0, 0);
	return fault_call(SYS_pwritev2, io->fd, (long)io->iov, io->iovcnt, io->offset, 0, io->flags);
}

static inline size_t fault_length(const struct iovec *iov, int iovcnt)
{
	size_t length = 0;

	for (int i = 0; i < iovcnt; i++)
		length += iov[i].iov_len;
	return length;
}

/* asm names: one definition per exported spelling, whatever the headers map the plain names to */
#define FAULT_VECTOR(symbol, hook, offset_param, offset_value, flags_param, flags_value) \
	ssize_t fault_##symbol(int fd, const struct iovec *iov, int iovcnt offset_param flags_param) __asm__(#symbol); \
	__attribute__((visibility("default"))) \
	ssize_t fault_##symbol(int fd, const struct iovec *iov, int iovcnt offset_param flags_param) \
	{ \
		struct fault_io io = { fd, iov, iovcnt, offset_value, flags_value, fault_length(iov, iovcnt) }; \
		return hook(&io); \
	}
#define FAULT_PLAIN(symbol, hook, offset_param, offset_value) \
	ssize_t fault_##symbol(int fd, void *buffer, size_t length offset_param) __asm__(#symbol); \
	__attribute__((visibility("default"))) \
	ssize_t fault_##symbol(int fd, void *buffer, size_t length offset_param) \
	{ \
		struct iovec iov = { buffer, length }; \
		struct fault_io io = { fd, &iov, 1, offset_value, 0, length }; \
		return hook(&io); \
	}
#define FAULT_NONE
#define FAULT_OFFSET , off_t offset
#define FAULT_FLAGS , int flags

/* an injector ends with this; the hooks get every transfer of every file, and say fault_due() themselves */
#define FAULT_DEFINE(reader, writer) \
	FAULT_PLAIN(read, reader, FAULT_NONE, -1) \
	FAULT_PLAIN(pread, reader, FAULT_OFFSET, offset) \
	FAULT_PLAIN(pread64, reader, FAULT_OFFSET, offset) \
	FAULT_VECTOR(readv, reader, FAULT_NONE, -1, FAULT_NONE, 0) \
	FAULT_VECTOR(preadv, reader, FAULT_OFFSET, offset, FAULT_NONE, 0) \
	FAULT_VECTOR(preadv64, reader, FAULT_OFFSET, offset, FAULT_NONE, 0) \
	FAULT_VECTOR(preadv2, reader, FAULT_OFFSET, offset, FAULT_FLAGS, flags) \
	FAULT_VECTOR(preadv64v2, reader, FAULT_OFFSET, offset, FAULT_FLAGS, flags) \
	FAULT_PLAIN(write, writer, FAULT_NONE, -1) \
	FAULT_PLAIN(pwrite, writer, FAULT_OFFSET, offset) \
	FAULT_PLAIN(pwrite64, writer, FAULT_OFFSET, offset) \
	FAULT_VECTOR(writev, writer, FAULT_NONE, -1, FAULT_NONE, 0) \
	FAULT_VECTOR(pwritev, writer, FAULT_OFFSET, offset, FAULT_NONE, 0) \
	FAULT_VECTOR(pwritev64, writer, FAULT_OFFSET, offset, FAULT_NONE, 0) \
	FAULT_VECTOR(pwritev2, writer, FAULT_OFFSET, offset, FAULT_FLAGS, flags) \
	FAULT_VECTOR(pwritev64v2, writer, FAULT_OFFSET, offset, FAULT_FLAGS, flags)

#endif
