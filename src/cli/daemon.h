/* daemon: the command line of qemu-storage-daemon. */
#ifndef BV_DAEMON_H
#define BV_DAEMON_H

#include "export.h"

/* Its argv, to serve the images of request at the files of mount; it makes the
 * file ready when it does. Returns NULL after saying what is wrong. What it is
 * made of stays allocated. */
char **cli_daemon_command(const struct cli_export_request *request,
			  char *const *mount, const char *ready);

#endif
