/* image: a file or block device as it lies there, read only. */
#ifndef BV_IMAGE_H
#define BV_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Offsets and buffers of reads are multiples of it, and so are the bounds of
 * what is looked at together: of every sector size and of what O_DIRECT asks
 * for. */
#define CLI_ALIGNMENT 65536u

struct cli_image {
	const char *path;            /* the one in messages */
	int fd;
	int direct;                  /* the same with O_DIRECT, or -1 */
	bool fresh;                  /* see CLI_FRESH */
	bool block;
	uint64_t length;             /* bytes */
	struct stat st;
};

enum cli_freshness {
	/* As any program sees it. */
	CLI_CACHED,
	/* As it is stored: past the page cache, which may hold what is not
	 * there any more; with O_DIRECT, else pages are dropped first. */
	CLI_FRESH,
};

/* Opens file; name stands for it in messages and must live as long. Returns 0,
 * or says what is wrong and returns -1. */
int cli_image_open(struct cli_image *image, const char *file, const char *name,
		   enum cli_freshness freshness);
void cli_image_close(struct cli_image *image);

/* Length of a file or device in bytes, or a negative errno. */
int64_t cli_image_length(int fd, const struct stat *st);

/* Reads n bytes at offset, a multiple of CLI_ALIGNMENT, into buffer, which is
 * aligned to it and has room for n rounded up to it. Returns 0 or a negative
 * errno; -ENODATA: there are fewer. */
int cli_image_read(const struct cli_image *image, void *buffer, size_t n,
		   uint64_t offset);

/* The first data at or after at: [*start, *end). Where there is none, both are
 * the image's length. Where nobody knows of holes, all is data. */
void cli_image_data(const struct cli_image *image, uint64_t at,
		    uint64_t *start, uint64_t *end);

/* What is wrong with a path: "does not exist", else strerror's words. */
const char *cli_why(int error);

#endif
