/* child: the program that is run, with the signals and the terminal's job
 * control reaching it as if nobody stood between it and who started us. */
#ifndef BV_CHILD_H
#define BV_CHILD_H

/* Something else to look after meanwhile: readable is called when fd (-1:
 * none) has something to be read, and returns false when that was the last. */
struct cli_watch {
	int fd;
	_Bool (*readable)(void *data);
	void *data;
};

/* From now on signals are held for cli_child_run. Returns a descriptor that is
 * readable when one that would end us has come, or -1 after saying why; see
 * cli_child_interrupted. */
int cli_child_prepare(void);

/* The signal that came since, if it was one that ends a process; else 0. */
int cli_child_interrupted(void);

/* Runs the file at path and waits for its end. Returns what the exit status of
 * a shell would be: its own, 128+N when signal N ended it. Where it could not be
 * begun says why, and returns -126, or -127 if there is no such program. */
int cli_child_run(const char *path, char **argv, const struct cli_watch *watch);

#endif
