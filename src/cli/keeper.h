/* keeper: the process that looks after qemu-storage-daemon.
 *
 * Out of reach of the terminal and of signals to the process group, it starts
 * the daemon and ends it when our end of the socket is closed, however that
 * came about: with the command killed, too, nothing is left behind.
 */
#ifndef BV_KEEPER_H
#define BV_KEEPER_H

#include <sys/types.h>

struct cli_keeper {
	char **argv;                 /* of the daemon */
	const char *ready;           /* the daemon makes this file when it
	                                serves */
	const char *directory;       /* goes at the end, with all in it */
	int lock;                    /* held on it until then */
};

/* What it says on its socket. */
struct cli_keeper_word {
	enum { CLI_SERVING, CLI_NOT_STARTED, CLI_ENDED } what;
	int value;                   /* SERVING: the daemon's process id;
	                                NOT_STARTED: errno; ENDED: as wait(2)
	                                tells it */
};

/* Starts the keeper. *fd is our end of its socket, for packets. It ends the
 * daemon when that is shut down for writing, or closed; its last word is one of
 * the other two. Returns its process id, which is to be waited for, or -1 with
 * errno. */
pid_t cli_keeper_start(const struct cli_keeper *keeper, int *fd);

/* Unmounts what is mounted in directory, and removes it. */
void cli_keeper_clear(const char *directory);

#endif
