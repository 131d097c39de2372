/* closure: a program and all libraries that the dynamic linker would load. */
#ifndef BV_CLOSURE_H
#define BV_CLOSURE_H

#include <stddef.h>

struct cli_closure {
	char **file;                 /* paths, in the order they were found */
	size_t files;
};

/* Adds file and what the dynamic linker would load with it here and now, each
 * once. The linker is asked, so it must be one of the system's or the user's
 * own. Returns 0, or says what is wrong and returns -1. */
int cli_closure_add(struct cli_closure *closure, const char *linker,
		    const char *file);
void cli_closure_free(struct cli_closure *closure);

#endif
