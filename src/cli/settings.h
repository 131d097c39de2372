/* settings: what the options of "run" say. */
#ifndef BV_SETTINGS_H
#define BV_SETTINGS_H

#include <stdbool.h>

/* Lists are in the order given; all strings are those of argv. */
struct cli_settings {
	unsigned targets, shadows, formats, objects;
	const char **target, **shadow;
	const char **format;         /* none: the target is what is opened */
	const char **object;
	bool read_only;
	char **program;              /* with its arguments, NULL at the end */
};

/* Reads argv[1] and on. What has a variable is put into the environment, but
 * for target and shadow. Returns 0; -1 after saying what is wrong; 1 when
 * --help or --version has been answered. */
int cli_settings_read(struct cli_settings *settings, int argc, char **argv);

/* BLKVERIFY_TARGET or BLKVERIFY_SHADOW becomes these paths; none: it stays as
 * it is. Returns 0 or -1. */
int cli_settings_export(const char *variable, const char *const *path,
			unsigned count);

#endif
