/* draft: see draft.h. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <blkverify/disk.h>

#include "cli.h"
#include "draft.h"
#include "interrupt.h"
#include "record.h"

/* Bytes that a device zeroes before the user is asked again. */
#define ZEROED_AT_ONCE (256u << 20)

static int complain(const char *path, const char *why)
{
	cli_say("%s: %s", path, why);
	return -1;
}

/* ---- beginning ---- */

static uint64_t first_bytes(const struct cli_draft *d)
{
	return d->length < CLI_DRAFT_FIRST ? d->length : CLI_DRAFT_FIRST;
}

static int put(int fd, const unsigned char *bytes, size_t n, uint64_t offset)
{
	while (n > 0) {
		ssize_t done = pwrite(fd, bytes, n, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		bytes += done;
		offset += (uint64_t)done;
		n -= (size_t)done;
	}
	return 0;
}

/* Until the end the device begins with words that no shadow begins with. */
static int mark_device(struct cli_draft *d)
{
	unsigned char mark[CLI_DRAFT_FIRST];
	static const char words[] = "blkverify: not a shadow yet\n";
	int result;

	for (size_t i = 0; i < sizeof(mark); i++)
		mark[i] = (unsigned char)words[i % (sizeof(words) - 1)];
	result = put(d->fd, mark, first_bytes(d), 0);
	if (result == 0 && fsync(d->fd) < 0)
		result = -errno;
	return result < 0 ? complain(d->path, cli_why(-result)) : 0;
}

static int begin_device(struct cli_draft *d)
{
	struct stat st;
	int64_t length;

	if (!d->force)
		return complain(d->path, "is a block device: --force overwrites "
					 "it");
	/* O_EXCL: not one that is mounted. */
	d->fd = open(d->file, O_RDWR | O_EXCL | O_CLOEXEC | O_NONBLOCK);
	if (d->fd < 0 || fstat(d->fd, &st) < 0)
		return complain(d->path, errno == EBUSY ? "is mounted or in use" :
							  cli_why(errno));
	length = cli_image_length(d->fd, &st);
	if (length < 0)
		return complain(d->path, cli_why((int)-length));
	if ((uint64_t)length != d->length) {
		cli_say("%s: %llu bytes, target has %llu", d->path,
			(unsigned long long)length,
			(unsigned long long)d->length);
		return -1;
	}
	if (cli_record_forget(d->path, d->fd, true) < 0)
		return -1;
	return mark_device(d);
}

/* Nobody else's file by another name. Somebody who has finished meanwhile has
 * renamed it. */
static bool is_ours(const struct cli_draft *d)
{
	struct stat ours, there;

	return fstat(d->fd, &ours) == 0 && lstat(d->partial, &there) == 0 &&
	       bv_disk_same(&ours, &there) && S_ISREG(ours.st_mode) &&
	       ours.st_nlink == 1 && ours.st_uid == geteuid();
}

/* One that was left by somebody who was killed is taken over; who is still at
 * work on it has it locked. */
static int open_partial(struct cli_draft *d, mode_t mode)
{
	d->fd = open(d->partial, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
		     mode);
	if (d->fd < 0)
		return complain(d->path, errno == ENOENT ? "no such directory" :
							   cli_why(errno));
	if (flock(d->fd, LOCK_EX | LOCK_NB) < 0)
		return complain(d->partial, "is being written by another "
					    "prepare");
	if (!is_ours(d))
		return complain(d->partial, "is not ours to write");
	if (ftruncate(d->fd, 0) < 0 ||
	    ftruncate(d->fd, (off_t)d->length) < 0) {
		complain(d->path, cli_why(errno));
		unlink(d->partial);
		return -1;
	}
	return 0;
}

/* The former shadow, if there is one, must not be at work. */
static int look_at_former(struct cli_draft *d, bool exists)
{
	int fd, result;

	if (!exists)
		return 0;
	if (!d->force)
		return complain(d->path, "exists: --force replaces it");
	fd = open(d->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return 0;
	result = cli_record_forget(d->path, fd, true);
	close(fd);
	return result;
}

static int begin_file(struct cli_draft *d, bool exists, mode_t mode)
{
	if (look_at_former(d, exists) < 0)
		return -1;
	if (snprintf(d->partial, sizeof(d->partial), "%s.partial", d->file) >=
	    (int)sizeof(d->partial))
		return complain(d->path, cli_why(ENAMETOOLONG));
	return open_partial(d, mode);
}

static int begin(struct cli_draft *d, const struct cli_image *target)
{
	const char *shadow = d->path;
	struct stat st;
	bool exists = stat(shadow, &st) == 0;

	if (!exists && errno != ENOENT)
		return complain(shadow, cli_why(errno));
	if (exists && bv_disk_same(&st, &target->st))
		return complain(shadow, "is the target");
	if (exists && S_ISDIR(st.st_mode))
		return complain(shadow, "is a directory");
	if (exists && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return complain(shadow, "neither a regular file nor a block "
					"device");
	if (!exists && lstat(shadow, &st) == 0)
		return complain(shadow, "is a link to nothing");
	if (exists ? !realpath(shadow, d->file) :
		     strlen(shadow) >= sizeof(d->file))
		return complain(shadow, cli_why(exists ? errno : ENAMETOOLONG));
	if (!exists)
		strcpy(d->file, shadow);
	d->block = exists && S_ISBLK(st.st_mode);
	return d->block ? begin_device(d) :
			  begin_file(d, exists,
				     0600 | (target->st.st_mode & 0066));
}

int cli_draft_begin(struct cli_draft *d, const char *shadow,
		    const struct cli_image *target, bool force)
{
	int result;

	*d = (struct cli_draft){
		.path = shadow, .fd = -1, .force = force,
		.length = target->length,
	};
	result = begin(d, target);
	if (result < 0 && d->fd >= 0)
		close(d->fd);
	return result;
}

/* ---- contents ---- */

int cli_draft_write(struct cli_draft *d, const unsigned char *bytes, size_t n,
		    uint64_t offset)
{
	size_t kept = 0;

	if (d->block && offset < CLI_DRAFT_FIRST) {
		kept = CLI_DRAFT_FIRST - offset;
		if (kept > n)
			kept = n;
		memcpy(d->first + offset, bytes, kept);
	}
	return put(d->fd, bytes + kept, n - kept, offset + kept);
}

int cli_draft_zero(struct cli_draft *d, uint64_t start, uint64_t end)
{
	if (!d->block)
		return 0;
	if (start < CLI_DRAFT_FIRST)
		start = CLI_DRAFT_FIRST;
	while (start < end && !cli_interrupted()) {
		uint64_t range[2] = { start, end - start };

		if (range[1] > ZEROED_AT_ONCE)
			range[1] = ZEROED_AT_ONCE;
		if (ioctl(d->fd, BLKZEROOUT, range) < 0)
			return -errno;
		start += range[1];
	}
	return 0;
}

/* ---- the end ---- */

/* The name itself has to reach the disk. */
static void sync_directory(const char *file)
{
	char *copy = strdup(file);
	int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
		      : -1;

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(copy);
}

static int give_name(struct cli_draft *d)
{
	unsigned flags = d->force ? 0 : RENAME_NOREPLACE;
	int result = renameat2(AT_FDCWD, d->partial, AT_FDCWD, d->file, flags);

	/* A file system that does not know the flag. */
	if (result < 0 && errno == EINVAL && flags &&
	    access(d->file, F_OK) < 0)
		result = rename(d->partial, d->file);
	if (result == 0) {
		sync_directory(d->file);
		return 0;
	}
	return complain(d->path, errno == EEXIST ? "exists meanwhile" :
						   cli_why(errno));
}

int cli_draft_commit(struct cli_draft *d)
{
	int result = 0;

	/* Everything else first. */
	if (fsync(d->fd) < 0)
		result = -errno;
	if (result == 0 && d->block) {
		result = put(d->fd, d->first, first_bytes(d), 0);
		if (result == 0 && fsync(d->fd) < 0)
			result = -errno;
	}
	if (result < 0)
		return complain(d->path, cli_why(-result));
	if (!d->block && give_name(d) < 0)
		return -1;
	d->partial[0] = '\0';
	result = cli_record_forget(d->path, d->fd, false);
	close(d->fd);
	d->fd = -1;
	return result;
}

void cli_draft_discard(struct cli_draft *d)
{
	if (d->fd < 0)
		return;
	if (d->block)
		complain(d->path, "is left unfinished, and no shadow");
	else if (d->partial[0])
		unlink(d->partial);
	close(d->fd);
	d->fd = -1;
}
