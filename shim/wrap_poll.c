/* wrap_poll: waits for descriptors. None is a target, but what makes one of
 * them ready may be a completion that the waiting thread can bring about
 * itself (help.h). While system calls are trapped, their masks leave SIGSYS
 * open (sigsys.h). */
#include <time.h>

#include "help.h"
#include "ops.h"

/* As poll and epoll_wait have it; NULL: without end. */
static const struct timespec *from_milliseconds(int timeout,
						struct timespec *t)
{
	t->tv_sec = timeout / 1000;
	t->tv_nsec = timeout % 1000 * 1000000L;
	return timeout < 0 ? NULL : t;
}

static bool is_timeout(const struct timespec *t)
{
	return !t || (t->tv_sec >= 0 && t->tv_nsec >= 0 &&
		      t->tv_nsec < 1000000000);
}

int op_poll(const char *call, struct pollfd *fds, nfds_t count, int timeout)
{
	struct timespec t;

	(void)call;
	if (!bv_helps())
		return real_poll(fds, count, timeout);
	return bv_help_ppoll(fds, count, from_milliseconds(timeout, &t), NULL);
}

int op_poll_chk(const char *call, struct pollfd *fds, nfds_t count, int timeout,
		size_t size)
{
	if (!bv_helps() || size / sizeof(*fds) < count)
		return real___poll_chk(fds, count, timeout, size);
	return op_poll(call, fds, count, timeout);
}

int op_ppoll(const char *call, struct pollfd *fds, nfds_t count,
	     const struct timespec *timeout, const sigset_t *mask)
{
	sigset_t copy;

	(void)call;
	mask = bv_signal_fit(mask, &copy);
	return bv_helps() && is_timeout(timeout) ?
		       bv_help_ppoll(fds, count, timeout, mask) :
		       real_ppoll(fds, count, timeout, mask);
}

int op_ppoll_chk(const char *call, struct pollfd *fds, nfds_t count,
		 const struct timespec *timeout, const sigset_t *mask,
		 size_t size)
{
	sigset_t copy;

	if (!bv_helps() || size / sizeof(*fds) < count)
		return real___ppoll_chk(fds, count, timeout,
					bv_signal_fit(mask, &copy), size);
	return op_ppoll(call, fds, count, timeout, mask);
}

int op_pselect(const char *call, int count, fd_set *in, fd_set *out,
	       fd_set *exceptional, const struct timespec *timeout,
	       const sigset_t *mask)
{
	sigset_t copy;

	(void)call;
	return real_pselect(count, in, out, exceptional, timeout,
			    bv_signal_fit(mask, &copy));
}

int op_epoll_wait(const char *call, int fd, struct epoll_event *events,
		  int most, int timeout)
{
	struct timespec t;

	(void)call;
	if (!bv_helps())
		return real_epoll_wait(fd, events, most, timeout);
	return bv_help_epoll(fd, events, most, from_milliseconds(timeout, &t),
			     NULL);
}

int op_epoll_pwait(const char *call, int fd, struct epoll_event *events,
		   int most, int timeout, const sigset_t *mask)
{
	struct timespec t;
	sigset_t copy;

	(void)call;
	mask = bv_signal_fit(mask, &copy);
	if (!bv_helps())
		return real_epoll_pwait(fd, events, most, timeout, mask);
	return bv_help_epoll(fd, events, most, from_milliseconds(timeout, &t),
			     mask);
}

int op_epoll_pwait2(const char *call, int fd, struct epoll_event *events,
		    int most, const struct timespec *timeout,
		    const sigset_t *mask)
{
	sigset_t copy;

	(void)call;
	mask = bv_signal_fit(mask, &copy);
	return bv_helps() && is_timeout(timeout) ?
		       bv_help_epoll(fd, events, most, timeout, mask) :
		       real_epoll_pwait2(fd, events, most, timeout, mask);
}
