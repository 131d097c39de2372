/* wrap_libaio: Linux AIO, by libaio or by libc's syscall().
 *
 * libaio returns negative errnos and leaves errno alone. Newer versions get to
 * the kernel through syscall(), older ones by an instruction of their own;
 * both are caught at the door. Contexts that are not ours go on to libaio.
 */
#include <sys/syscall.h>

#include <blkverify/usermem.h>

#include "guard.h"
#include "help.h"
#include "ops.h"
#include "ring.h"
#include "sigsys.h"

int op_io_setup(const char *call, int count, void **context)
{
	long result = bv_ring_setup((unsigned)count, context);

	(void)call;
	return result == -ENOENT ? real_io_setup(count, context) : (int)result;
}

int op_io_destroy(const char *call, void *context)
{
	long result = bv_ring_destroy(context);

	(void)call;
	return result == -ENOENT ? real_io_destroy(context) : (int)result;
}

int op_io_submit(const char *call, void *context, long count, struct iocb **list)
{
	long result = bv_ring_submit(context, count, list);

	(void)call;
	return result == -ENOENT ? real_io_submit(context, count, list)
				 : (int)result;
}

int op_io_cancel(const char *call, void *context, struct iocb *cb,
		 struct io_event *event)
{
	long result = bv_ring_cancel(context, cb, event);

	(void)call;
	return result == -ENOENT ? real_io_cancel(context, cb, event)
				 : (int)result;
}

/* libaio looks into the ring first: who does not want to wait and finds it
 * empty is told so, whatever is wrong with the call. */
static bool finds_empty(void *context, const struct timespec *timeout)
{
	struct ring *ring = timeout ? ring_enter(context) : NULL;
	bool empty;

	if (!ring)
		return false;
	bv_help(false);
	empty = timeout->tv_sec == 0 && timeout->tv_nsec == 0 &&
		atomic_load(&ring->shown->head) ==
			atomic_load(&ring->shown->tail);
	ring_leave(ring);
	return empty;
}

int op_io_getevents(const char *call, void *context, long least, long most,
		    struct io_event *events, struct timespec *timeout)
{
	long result;

	(void)call;
	if (finds_empty(context, timeout))
		return 0;
	result = bv_ring_getevents(context, least, most, events, timeout, NULL);
	return result == -ENOENT ?
		       real_io_getevents(context, least, most, events, timeout) :
		       (int)result;
}

int op_io_pgetevents(const char *call, void *context, long least, long most,
		     struct io_event *events, struct timespec *timeout,
		     sigset_t *mask)
{
	raw_sigset fit = 0;
	long result;

	(void)call;
	if (finds_empty(context, timeout))
		return 0;
	if (mask)
		fit = bv_sigsys_fit(*(const raw_sigset *)(const void *)mask);
	result = bv_ring_getevents(context, least, most, events, timeout,
				   mask ? &fit : NULL);
	return result == -ENOENT ? real_io_pgetevents(context, least, most,
						      events, timeout, mask) :
				   (int)result;
}

int op_io_queue_init(const char *call, int count, void **context)
{
	if (bv_disks == 0 || count <= 0)
		return real_io_queue_init(count, context);
	*context = NULL;
	return op_io_setup(call, count, context);
}

int op_io_queue_release(const char *call, void *context)
{
	return op_io_destroy(call, context);
}

/* One by one, to the function that stands in each request. */
int op_io_queue_run(const char *call, void *context)
{
	typedef void callback(void *, struct iocb *, long, long);
	struct ring *ring = ring_enter(context);
	struct timespec at_once = { 0, 0 };
	struct io_event event;
	int result;

	if (!ring)
		return real_io_queue_run(context);
	ring_leave(ring);
	while ((result = op_io_getevents(call, context, 0, 1, &event,
					 &at_once)) == 1)
		((callback *)(uintptr_t)event.data)(
			context, (struct iocb *)(uintptr_t)event.obj,
			(long)event.res, (long)event.res2);
	return result;
}

int op_io_queue_wait(const char *call, void *context, struct timespec *timeout)
{
	struct ring *ring = ring_enter(context);

	if (!ring)
		return real_io_queue_wait(context, timeout);
	ring_leave(ring);
	return op_io_getevents(call, context, 0, 0, NULL, timeout);
}

/* ---- by libc's syscall() ---- */

/* The last argument of io_pgetevents: a mask and its size. Returns 0, or what
 * the kernel says to one that is no good. */
static int load_mask(const void *argument, raw_sigset *mask, bool *given)
{
	struct {
		const void *set;
		size_t size;
	} theirs = { NULL, 0 };

	*given = false;
	if (argument && bv_user_copy_in(&theirs, argument, sizeof(theirs)) <
				sizeof(theirs))
		return -EFAULT;
	if (!theirs.set)
		return 0;
	if (theirs.size != sizeof(*mask))
		return -EINVAL;
	*given = true;
	if (bv_user_copy_in(mask, theirs.set, sizeof(*mask)) < sizeof(*mask))
		return -EFAULT;
	*mask = bv_sigsys_fit(*mask);
	return 0;
}

static long pgetevents(const long w[6])
{
	raw_sigset mask;
	bool given;
	int result = load_mask((const void *)w[5], &mask, &given);
	struct ring *ring = ring_enter((void *)w[0]);

	if (!ring)
		return -ENOENT;
	ring_leave(ring);
	return result < 0 ? result :
	       bv_ring_getevents((void *)w[0], w[1], w[2], (void *)w[3],
				 (const void *)w[4], given ? &mask : NULL);
}

bool bv_libaio_syscall(long number, const long w[6], long *result)
{
	long r;

	switch (number) {
	case SYS_io_setup: r = bv_ring_setup((unsigned)w[0], (void *)w[1]); break;
	case SYS_io_destroy: r = bv_ring_destroy((void *)w[0]); break;
	case SYS_io_submit: r = bv_ring_submit((void *)w[0], w[1], (void *)w[2]); break;
	case SYS_io_cancel: r = bv_ring_cancel((void *)w[0], (void *)w[1], (void *)w[2]); break;
	case SYS_io_getevents: r = bv_ring_getevents((void *)w[0], w[1], w[2], (void *)w[3], (const void *)w[4], NULL); break;
	case SYS_io_pgetevents: r = pgetevents(w); break;
	default: return false;
	}
	if (r == -ENOENT)
		return false;
	if (r < 0)
		errno = (int)-r;
	*result = r < 0 ? -1 : r;
	return true;
}
