/* guard: around everything a wrapper does on a target.
 *
 * A program sees of our work what it would see of the system call: errno
 * untouched on success, a cancellation point at the door and none inside,
 * where a cancelled thread would leave its range held for ever.
 */
#ifndef BV_GUARD_H
#define BV_GUARD_H

#include <errno.h>
#include <pthread.h>

struct bv_guard {
	int error;
	int cancel;
};

/* For calls that are not cancellation points. */
static inline void bv_guard_enter_quietly(struct bv_guard *guard)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &guard->cancel);
	guard->error = errno;
}

/* A pending cancellation is acted upon here, before anything is held. */
static inline void bv_guard_enter(struct bv_guard *guard)
{
	pthread_testcancel();
	bv_guard_enter_quietly(guard);
}

/* result is the engine's: a negative errno on failure. */
static inline long bv_guard_leave(const struct bv_guard *guard, long result)
{
	int ignored;

	pthread_setcancelstate(guard->cancel, &ignored);
	errno = result < 0 ? (int)-result : guard->error;
	return result < 0 ? -1 : result;
}

#endif
