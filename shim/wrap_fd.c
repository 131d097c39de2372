/* wrap_fd: descriptors made, moved and closed, and file positions. */
#include <blkverify/fdmap.h>
#include <blkverify/own.h>
#include <blkverify/late.h>
#include <blkverify/layout.h>
#include <blkverify/memory.h>

#include "../src/raw.h"
#include "guard.h"
#include "ops.h"
#include "ring.h"
#include "uring.h"

off64_t op_lseek(struct bv_disk *disk, const char *call, int fd,
		 off64_t offset, int whence)
{
	struct bv_guard guard = { .error = errno };
	int64_t result = bv_seek(disk, call, fd, offset, whence);

	errno = result < 0 ? (int)-result : guard.error;
	return result < 0 ? -1 : result;
}

int op_made(const char *call, int fd)
{
	(void)call;
	if (fd >= 0)
		bv_fd_forget(fd);
	return fd;
}

/* A descriptor of ours does not exist, as far as the program knows. */
static int not_yours(void)
{
	errno = EBADF;
	return -1;
}

int op_dup3(const char *call, int fd, int fd2, int flags)
{
	int result;

	if (bv_own_has(fd))
		return not_yours();
	if (fd != fd2)
		bv_late_settle();
	if (fd != fd2)
		bv_uring_closing((unsigned)fd2, (unsigned)fd2);
	if (bv_own_has(fd2)) {
		result = bv_own_yield(fd2);
		if (result < 0) {
			errno = -result;
			return -1;
		}
	}
	if (fd != fd2 && fd2 >= 0)
		bv_ring_closing((unsigned)fd2, (unsigned)fd2);
	if (fd != fd2 && bv_memory_idle() && bv_fd_disk(fd2))
		bv_memory_closing(bv_fd_disk(fd2));
	result = flags == -1 ? real_dup2(fd, fd2) : real_dup3(fd, fd2, flags);
	return op_made(call, result);
}

/* Before it is done: from then on a write has to ask. */
static void appends_from_now_on(int fd)
{
	struct bv_disk *disk = bv_fd_disk(fd);

	if (disk)
		atomic_store(&disk->state->appending, 1);
}

int op_fcntl(const char *call, int (*real)(int, int, void *), int fd,
	     int command, void *argument)
{
	int result;

	if (bv_own_has(fd))
		return not_yours();
	if (command == F_SETFL && (intptr_t)argument & O_APPEND)
		appends_from_now_on(fd);
	result = real(fd, command, argument);
	if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
		return op_made(call, result);
	return result;
}

int op_close(const char *call, int (*real)(int), int fd)
{
	int late, result;

	(void)call;
	if (bv_own_has(fd))
		return not_yours();
	if (fd >= 0) {
		bv_ring_closing((unsigned)fd, (unsigned)fd);
		bv_uring_closing((unsigned)fd, (unsigned)fd);
	}
	if (bv_memory_idle() && bv_fd_disk(fd))
		bv_memory_closing(bv_fd_disk(fd));
	late = atomic_load(&bv_late_pending) > 0 && bv_fd_disk(fd) ?
		       bv_late_drain() : 0;
	bv_fd_forget(fd);
	result = real(fd);
	/* Closed it is, as the kernel has it with errors of its own. */
	if (result == 0 && late < 0) {
		errno = -late;
		return -1;
	}
	return result;
}

/* close_range around what is ours. Linux has it from 5.9; glibc from 2.34. */
static int close_around(unsigned first, unsigned last, int flags)
{
	while (first <= last) {
		int next = bv_own_next(first);
		int result;

		if (next < 0 || (unsigned)next > last)
			return (int)raw_call(SYS_close_range, first, last,
					     flags, 0, 0, 0);
		if ((unsigned)next > first) {
			result = (int)raw_call(SYS_close_range, first, next - 1,
					       flags, 0, 0, 0);
			if (result < 0)
				return result;
		}
		first = (unsigned)next + 1;
	}
	return 0;
}

int op_close_range(const char *call, unsigned first, unsigned last, int flags)
{
	int result;

	(void)call;
	/* What is wrong with the call, the kernel says; and what stays open
	 * is no concern of ours. */
	if (first > last || flags & CLOSE_RANGE_CLOEXEC || bv_disks == 0)
		return real_close_range(first, last, flags);
	if (flags & CLOSE_RANGE_UNSHARE)
		bv_fd_distrust();
	bv_late_settle();
	bv_ring_closing(first, last);
	bv_uring_closing(first, last);
	bv_fd_forget_range(first, last);
	result = close_around(first, last, flags);
	if (result < 0) {
		errno = -result;
		return -1;
	}
	return 0;
}

void op_closefrom(const char *call, int low)
{
	unsigned first = low < 0 ? 0 : (unsigned)low;
	int error = errno;

	(void)call;
	if (bv_disks == 0) {
		real_closefrom(low);
		return;
	}
	bv_late_settle();
	bv_ring_closing(first, ~0u);
	bv_uring_closing(first, ~0u);
	bv_fd_forget_range(first, BV_FDMAP_ROOM - 1);
	if (close_around(first, ~0u, 0) < 0)
		for (unsigned fd = first; fd < BV_FDMAP_ROOM; fd++)
			if (!bv_own_has((int)fd))
				raw_close((int)fd);
	errno = error;
}

/* Descriptors that came with a message. */
static void forget_received(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c;
	     c = CMSG_NXTHDR(message, c)) {
		const unsigned char *data = CMSG_DATA(c);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len;
		     at += sizeof(int), data += sizeof(int))
			bv_fd_forget(*(const int *)(const void *)data);
	}
}

ssize_t op_recvmsg(const char *call, int fd, struct msghdr *message, int flags)
{
	ssize_t n = real_recvmsg(fd, message, flags);

	(void)call;
	if (n >= 0 && message->msg_controllen > 0)
		forget_received(message);
	return n;
}

int op_recvmmsg(const char *call, int fd, struct mmsghdr *messages,
		unsigned count, int flags, struct timespec *timeout)
{
	int n = real_recvmmsg(fd, messages, count, flags, timeout);

	(void)call;
	for (int i = 0; i < n; i++)
		if (messages[i].msg_hdr.msg_controllen > 0)
			forget_received(&messages[i].msg_hdr);
	return n;
}
