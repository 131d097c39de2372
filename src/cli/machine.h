/* machine: what there is here that the library or "run --format" makes use
 * of. */
#ifndef BV_MACHINE_H
#define BV_MACHINE_H

#include <stdbool.h>

/* Each NULL where it is there, else what is in the way. */
struct cli_machine {
	const char *fuse;            /* /dev/fuse, and who mounts */
	const char *daemon;          /* qemu-storage-daemon */
	const char *uring;           /* io_uring */
	const char *message;         /* its IORING_OP_MSG_RING */
	const char *inject;          /* results of its NOP that one can choose */
	const char *dispatch;        /* Syscall User Dispatch */
};

/* Where there is none: Debian 12's. */
#define CLI_NO_DAEMON "not found; it is in the Debian package qemu-system-common"

void cli_machine_look(struct cli_machine *machine);

/* The first of these alone. */
const char *cli_machine_fuse(void);

/* The directory for temporary files: TMPDIR, or /tmp. */
const char *cli_machine_temporary(void);

#endif
