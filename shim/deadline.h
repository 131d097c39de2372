/* deadline: when a wait that goes in several steps ends. */
#ifndef BV_DEADLINE_H
#define BV_DEADLINE_H

#include <limits.h>
#include <stdbool.h>
#include <time.h>

#include "../src/raw.h"

struct deadline {
	bool never;
	struct timespec at;          /* monotonic clock */
};

static inline struct timespec deadline_now(void)
{
	struct timespec t = { 0, 0 };

	raw_call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&t, 0, 0, 0, 0);
	return t;
}

/* So long from now; wait NULL: never. */
static inline struct deadline deadline_after(const struct timespec *wait)
{
	struct deadline d = { .never = !wait || wait->tv_sec > LONG_MAX / 4 };

	if (d.never)
		return d;
	d.at = deadline_now();
	d.at.tv_sec += wait->tv_sec;
	d.at.tv_nsec += wait->tv_nsec;
	if (d.at.tv_nsec >= 1000000000) {
		d.at.tv_sec++;
		d.at.tv_nsec -= 1000000000;
	}
	return d;
}

/* What is left of it; false: nothing, and *left is zero. Not for those that
 * never come. */
static inline bool deadline_left(const struct deadline *d,
				 struct timespec *left)
{
	struct timespec t = deadline_now();

	left->tv_sec = d->at.tv_sec - t.tv_sec;
	left->tv_nsec = d->at.tv_nsec - t.tv_nsec;
	if (left->tv_nsec < 0) {
		left->tv_sec--;
		left->tv_nsec += 1000000000;
	}
	if (left->tv_sec > 0 || (left->tv_sec == 0 && left->tv_nsec > 0))
		return true;
	*left = (struct timespec){ 0, 0 };
	return false;
}

#endif
