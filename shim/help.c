/* help: see help.h. */
#include <errno.h>

#include <blkverify/thread.h>
#include <blkverify/usermem.h>

#include "../src/lock.h"
#include "deadline.h"
#include "guard.h"
#include "help.h"
#include "symbols.h"

/* Descriptors in one call; QEMU uses epoll for more. */
#define MOST 64

void bv_help(bool rung)
{
	struct bv_guard guard;
	raw_sigset mask;

	if (!rung && !bv_flight_has_landed())
		return;
	bv_guard_enter_quietly(&guard);
	mask = lock_mask();
	bv_flight_help(rung);
	lock_unmask(mask);
	bv_guard_leave(&guard, 0);
}

/* The caller's, and the bell. False: it is the kernel's to say what is wrong
 * with them. */
static bool add_bell(struct pollfd *all, const struct pollfd *fds, nfds_t count,
		     int bell)
{
	if (count > MOST ||
	    bv_user_copy_in(all, fds, count * sizeof(*fds)) <
		    count * sizeof(*fds))
		return false;
	all[count] = (struct pollfd){ .fd = bell, .events = POLLIN };
	return true;
}

int bv_help_ppoll(struct pollfd *fds, nfds_t count,
		  const struct timespec *timeout, const sigset_t *mask)
{
	const struct deadline end = deadline_after(timeout);
	struct pollfd all[MOST + 1];
	struct timespec left = { 0, 0 };
	int ready;

	for (;;) {
		bool in_time = end.never || deadline_left(&end, &left);
		int bell;

		bv_help(false);
		bell = in_time ? bv_flight_bell() : -1;
		if (bell < 0 || !add_bell(all, fds, count, bell))
			return real_ppoll(fds, count, end.never ? NULL : &left,
					  mask);
		ready = real_ppoll(all, count + 1, end.never ? NULL : &left,
				   mask);
		if (ready < 0)
			return ready;
		if (all[count].revents != 0) {
			bv_help(true);
			ready--;
		}
		if (ready > 0)
			break;
	}
	for (nfds_t i = 0; i < count; i++)
		fds[i].revents = all[i].revents;
	return ready;
}

/* Until fd is ready, or something has landed that may make it so. */
static int wait_once(int fd, bool waits, const struct timespec *left,
		     const sigset_t *mask)
{
	struct pollfd poll[2] = { { .fd = fd, .events = POLLIN } };
	int ready;

	bv_help(false);
	if (!waits)
		return 0;
	poll[1].fd = bv_flight_bell();
	poll[1].events = POLLIN;
	ready = real_ppoll(poll, 2, left, mask);
	if (ready > 0 && poll[1].revents != 0)
		bv_help(true);
	return ready;
}

int bv_help_epoll(int fd, struct epoll_event *events, int most,
		  const struct timespec *timeout, const sigset_t *mask)
{
	const struct deadline end = deadline_after(timeout);
	struct timespec left = { 0, 0 };
	int ready;

	/* What made it ready may be another thread's by then. */
	for (;;) {
		bool in_time = end.never || deadline_left(&end, &left);

		if (wait_once(fd, in_time, end.never ? NULL : &left, mask) < 0)
			return -1;
		ready = real_epoll_pwait(fd, events, most, 0, mask);
		if (ready != 0 || !in_time)
			return ready;
	}
}

int bv_help_ring(int fd, const void *mask)
{
	for (;;) {
		struct pollfd poll[2] = { { .fd = fd, .events = POLLIN } };
		long result;

		bv_help(false);
		poll[1].fd = bv_flight_bell();
		poll[1].events = POLLIN;
		if (poll[1].fd < 0)
			return 0;
		result = raw_call(SYS_ppoll, (long)poll, 2, 0, (long)mask,
				  sizeof(raw_sigset), 0);
		if (result == -EINTR)
			return -EINTR;
		if (result > 0 && poll[1].revents != 0)
			bv_help(true);
		if (result < 0 || poll[0].revents != 0)
			return 0;
	}
}
