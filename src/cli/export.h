/* export: images of any format QEMU knows, as raw files, for as long as they are
 * needed.
 *
 * qemu-storage-daemon serves them, in a directory of our own. A process that is
 * nobody's to interrupt looks after it (keeper.h) and takes all away when it is
 * stopped, and also when this process ends without stopping it.
 */
#ifndef BV_EXPORT_H
#define BV_EXPORT_H

#include <stdbool.h>
#include <sys/stat.h>

struct cli_export;

struct cli_export_request {
	unsigned images;
	const char *const *image;    /* paths */

	/* QEMU's name of the format, "auto", and what options it needs
	 * ("luks,key-secret=s"): one for each image, or a single one. */
	unsigned formats;
	const char *const *format;
	unsigned objects;            /* for --object, handed through */
	const char *const *object;
	bool read_only;
	int interrupt;               /* a descriptor: readable, or a signal
	                                handler that ran, means to give up while
	                                nothing is served yet. -1: none */
};

/* Returns when all images are served, or NULL after saying why not, with all
 * taken away again. Without a word when it was interrupted. */
struct cli_export *cli_export_start(const struct cli_export_request *request);

/* The raw file in place of image index, 0 and on. */
const char *cli_export_path(const struct cli_export *export, unsigned index);

/* Does the daemon have that file open: is it an image, or one that an image is
 * made of? */
bool cli_export_has(const struct cli_export *export, const struct stat *st);

/* Readable as soon as the images are not served any more, though nobody has
 * stopped it. cli_export_lost then says so. */
int cli_export_fd(const struct cli_export *export);
void cli_export_lost(struct cli_export *export);

/* Ends it, when all is written; NULL: nothing to do. Returns false when it had
 * been lost, or the daemon did not end well: that has been said then. */
bool cli_export_stop(struct cli_export *export);

#endif
