/* object: what a program or library says of itself. */
#ifndef BV_OBJECT_H
#define BV_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

#include "rawcall.h"

/* Strings are in the file's own memory, and live until cli_object_close. */
struct cli_object {
	const char *path;            /* as given; must live as long */
	const char *interpreter;     /* the dynamic linker, or NULL */
	const char *runtime;         /* "Go", "Rust" or NULL */
	const char **import;         /* functions it calls from elsewhere */
	const char **export;         /* and such as it defines for all */
	size_t imports, exports;
	struct cli_rawcalls raw;

	void *file;                  /* private */
	int fd;
};

/* Returns 0, or -1 with the reason in *why. */
int cli_object_open(struct cli_object *object, const char *path, const char **why);
void cli_object_close(struct cli_object *object);

#endif
