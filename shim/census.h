/* census: the process's other threads. */
#ifndef BV_CENSUS_H
#define BV_CENSUS_H

#include <stdbool.h>
#include <stdint.h>

/* Calls visit for every thread but the calling one, the shim's own and the
 * kernel's workers, until it returns something else than 0; returns that, or
 * a negative errno when they cannot be listed. One that ends or begins
 * meanwhile may hide another. */
int bv_census(int (*visit)(int tid, void *argument), void *argument);

/* Is it there, and can it still run the program's code? */
bool bv_census_lives(int tid);

/* A system call that a thread waits in. */
struct bv_waiting {
	long number;                 /* -1: it is in none, or nobody can tell */
	long words[6];
	uintptr_t sp, pc;            /* pc: behind the instruction */
};

void bv_census_waiting(int tid, struct bv_waiting *waiting);

#endif
