/* image: see image.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <blkverify/disk.h>

#include "cli.h"
#include "image.h"

const char *cli_why(int error)
{
	return error == ENOENT ? "does not exist" :
	       error == EACCES ? "permission denied" : strerror(error);
}

int64_t cli_image_length(int fd, const struct stat *st)
{
	uint64_t bytes;

	if (!S_ISBLK(st->st_mode))
		return st->st_size;
	return ioctl(fd, BLKGETSIZE64, &bytes) < 0 ? -errno : (int64_t)bytes;
}

static int learn(struct cli_image *image)
{
	const char *reason;
	int64_t length;

	if (fstat(image->fd, &image->st) < 0) {
		cli_say("%s: %s", image->path, cli_why(errno));
		return -1;
	}
	reason = bv_disk_unfit(&image->st);
	if (reason) {
		cli_say("%s: %s", image->path, reason);
		return -1;
	}
	length = cli_image_length(image->fd, &image->st);
	if (length < 0) {
		cli_say("%s: length: %s", image->path, cli_why((int)-length));
		return -1;
	}
	image->length = (uint64_t)length;
	image->block = S_ISBLK(image->st.st_mode);
	return 0;
}

/* What is still on its way to the disk is written first: only then can pages
 * be dropped, and holes be told from what has no place yet. */
static void look_below_cache(struct cli_image *image)
{
	char name[32];

	fdatasync(image->fd);
	/* By the descriptor: the path may lead elsewhere by now. */
	snprintf(name, sizeof(name), "/proc/self/fd/%d", image->fd);
	image->direct = open(name, O_RDONLY | O_DIRECT | O_CLOEXEC);
	image->fresh = true;
}

int cli_image_open(struct cli_image *image, const char *file, const char *name,
		   enum cli_freshness freshness)
{
	*image = (struct cli_image){ .path = name, .direct = -1 };
	/* O_NONBLOCK: nobody may ever open the other end of a pipe. */
	image->fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (image->fd < 0) {
		cli_say("%s: %s", name, cli_why(errno));
		return -1;
	}
	if (learn(image) < 0) {
		cli_image_close(image);
		return -1;
	}
	if (freshness == CLI_FRESH)
		look_below_cache(image);
	return 0;
}

void cli_image_close(struct cli_image *image)
{
	if (image->direct >= 0)
		close(image->direct);
	if (image->fd >= 0)
		close(image->fd);
	image->fd = image->direct = -1;
}

static int read_all(int fd, unsigned char *to, size_t n, uint64_t offset)
{
	while (n > 0) {
		ssize_t got = pread(fd, to, n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -ENODATA;
		to += got;
		n -= (size_t)got;
		offset += (uint64_t)got;
	}
	return 0;
}

static size_t round_up(size_t n)
{
	return (n + CLI_ALIGNMENT - 1) / CLI_ALIGNMENT * CLI_ALIGNMENT;
}

/* True when it has read all. What O_DIRECT does not like, or leaves undone in
 * the middle, is for the other way. */
static bool read_direct(const struct cli_image *image, void *buffer, size_t n,
			uint64_t offset)
{
	ssize_t got;

	if (image->direct < 0)
		return false;
	do {
		got = pread(image->direct, buffer, round_up(n), (off_t)offset);
	} while (got < 0 && errno == EINTR);
	return got >= 0 && (size_t)got >= n;
}

int cli_image_read(const struct cli_image *image, void *buffer, size_t n,
		   uint64_t offset)
{
	if (read_direct(image, buffer, n, offset))
		return 0;
	if (image->fresh)
		posix_fadvise(image->fd, (off_t)offset, (off_t)n,
			      POSIX_FADV_DONTNEED);
	return read_all(image->fd, buffer, n, offset);
}

void cli_image_data(const struct cli_image *image, uint64_t at,
		    uint64_t *start, uint64_t *end)
{
	off_t data = image->block ? (off_t)at :
				    lseek(image->fd, (off_t)at, SEEK_DATA);
	off_t hole = -1;

	if (data < 0 && errno == ENXIO) {
		*start = *end = image->length;
		return;
	}
	if (data >= 0 && !image->block)
		hole = lseek(image->fd, data, SEEK_HOLE);
	*start = data < (off_t)at ? at : (uint64_t)data;
	*end = hole < 0 || (uint64_t)hole > image->length ? image->length :
							    (uint64_t)hole;
	if (*start > *end)
		*start = *end;
}
