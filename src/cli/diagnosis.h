/* diagnosis: what a program and its libraries call, and what becomes of it. */
#ifndef BV_DIAGNOSIS_H
#define BV_DIAGNOSIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "closure.h"
#include "object.h"

struct cli_diagnosis {
	struct cli_closure closure;  /* the caller's doing; the program first */
	struct cli_object *object;   /* one for each file of it */
	bool *calls;                 /* [treatment * files + file] */
	FILE *problems;              /* what is not covered, a line each */
	unsigned count;              /* of them */
	bool verbose;                /* also which files call it */
	bool trap;                   /* system calls past libc can be trapped */
};

/* Reads all files of the closure. Returns 0, or says what is wrong and returns
 * -1. */
int cli_diagnosis_read(struct cli_diagnosis *d);

/* Prints what was found, and notes the problems. */
void cli_diagnosis_print(struct cli_diagnosis *d);
void cli_diagnosis_free(struct cli_diagnosis *d);

/* One more that is not covered. */
void cli_diagnosis_note(struct cli_diagnosis *d, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
