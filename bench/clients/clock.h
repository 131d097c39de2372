/* How all of these programs measure: calls in batches, and the best batch counts, because everything else is the
 * machine's. */
#ifndef CLOCK_H
#define CLOCK_H

#include <time.h>

/* Seconds since some time or other. */
static inline double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Nanoseconds a call, the least mean of all batches. */
static inline double best(int batches, int calls, void (*call)(void))
{
	double least = 1e18;

	for (int batch = 0; batch < batches; batch++) {
		double start = now(), each;

		for (int i = 0; i < calls; i++)
			call();
		each = (now() - start) * 1e9 / calls;
		if (each < least)
			least = each;
	}
	return least;
}

#endif
