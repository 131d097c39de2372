/* help: a thread that waits for what it submitted takes part in the work
 * (flight.h). Each wait here is that of the call it stands for, but that it
 * also ends for something that has come back, which is verified and told to
 * the program, and goes on. So a program that waits for its completion by an
 * eventfd, or for that of a ring, finds it there.
 *
 * Waits by other means (select, signals, a look at memory from time to time)
 * go without: a thread of the library does it then.
 */
#ifndef BV_HELP_H
#define BV_HELP_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <time.h>

#include <blkverify/flight.h>

/* Is there anything to help with? A load for who never has anything in flight. */
static inline bool bv_helps(void)
{
	return bv_flight_concerns() && bv_flight_is_awaited();
}

/* What there is to do without waiting. errno stays. */
void bv_help(bool rung);

/* As the functions of libc without "bv_help_"; cancellation points as they
 * are. mask NULL: the thread's own. */
int bv_help_ppoll(struct pollfd *fds, nfds_t count,
		  const struct timespec *timeout, const sigset_t *mask);
int bv_help_epoll(int fd, struct epoll_event *events, int most,
		  const struct timespec *timeout, const sigset_t *mask);

/* Waits until a ring of io_uring has a completion. Returns 0, also when it
 * cannot be waited for, or -EINTR. Cancellation does not come in between. */
int bv_help_ring(int fd, const void *mask);

#endif
