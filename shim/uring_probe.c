/* uring_probe: what the kernel would make of a file; see uring.h. */
#include <errno.h>
#include <sys/epoll.h>

#include "../src/raw.h"
#include "uring.h"

/* Multishot reads are for files that can be polled (EBADFD), and epoll takes
 * just those. Files on most file systems cannot be; on FUSE they can. */
bool bv_probe_never_polls(int fd)
{
	int events = (int)raw_call(SYS_epoll_create1, EPOLL_CLOEXEC, 0, 0, 0, 0,
				   0), result;
	struct epoll_event event = { .events = 0 };

	if (events < 0)
		return false;
	result = (int)raw_call(SYS_epoll_ctl, events, EPOLL_CTL_ADD, fd,
			       (long)&event, 0, 0);
	raw_close(events);
	return result == -EPERM;
}

/* No file has a command of that number. */
bool bv_probe_no_commands(int fd)
{
	const struct io_uring_sqe command = {
		.opcode = IORING_OP_URING_CMD, .fd = fd,
	};
	struct io_uring_cqe cqe = { 0 };
	/* A handler would have the same ring. */
	raw_sigset mask = raw_block_signals();

	if (bv_ours_submit(&command, 1) == 0)
		bv_ours_reap(&cqe, NULL);
	raw_sigmask(mask);
	return cqe.res == -EOPNOTSUPP;
}
