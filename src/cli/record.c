/* record: see record.h. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <blkverify/inflight.h>
#include <blkverify/thread.h>
#include <blkverify/unknown.h>

#include "cli.h"
#include "record.h"

/* Does anybody hold a flock on the file? Asked of the list of all: a lock of
 * our own, be it for a moment, would keep a run that starts in that moment
 * from seeing that it is alone. */
static bool is_locked(int fd)
{
	FILE *list = fopen("/proc/locks", "re");
	char line[256], wanted[64];
	bool found = false;
	struct stat st;

	if (list && fstat(fd, &st) == 0) {
		snprintf(wanted, sizeof(wanted), " %02x:%02x:%llu ",
			 major(st.st_dev), minor(st.st_dev),
			 (unsigned long long)st.st_ino);
		while (!found && fgets(line, sizeof(line), list))
			found = strstr(line, " FLOCK ") && strstr(line, wanted);
	}
	if (list)
		fclose(list);
	return found;
}

/* Returns what bv_state_look does. */
static int look(struct cli_record *record, const char *shadow_file, int fd,
		bool block)
{
	struct bv_disk *disk = &record->disk;
	int result;

	memset((void *)record, 0, sizeof(*record));
	disk->shadow = shadow_file;
	disk->shadow_fd = fd;
	disk->shadow_block = block;
	disk->pin_fd = disk->parent_fd = disk->state_fd = -1;
	result = bv_state_look(disk);
	if (result == 0) {
		record->there = true;
		record->live = is_locked(disk->state_fd);
	}
	return result;
}

void cli_record_open(struct cli_record *record, const struct cli_image *shadow,
		     const char *shadow_file)
{
	int result = look(record, shadow_file, shadow->fd, shadow->block);
	struct bv_left left;

	if (result < 0 && result != -ENOENT)
		cli_say("%s: state file: %s", shadow->path,
			result == -EUCLEAN ?
				"of another shadow or another version" :
				cli_why(-result));
	/* What the dead were writing counts as unknown: in our copy. */
	bv_pid = getpid();
	if (record->there && !record->live)
		bv_inflight_recover(&record->disk, &left);
}

static int remove_state(const char *file)
{
	if (unlink(file) == 0 || errno == ENOENT)
		return 0;
	cli_say("%s: cannot be removed: %s", file, cli_why(errno));
	return -1;
}

int cli_record_forget(const char *shadow_file, int fd, bool only_look)
{
	char link[32], file[PATH_MAX];
	struct cli_record record;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) == 0)
		look(&record, shadow_file, fd, S_ISBLK(st.st_mode));
	if (record.live) {
		cli_say("%s: in use by a running program", shadow_file);
		return -1;
	}
	if (only_look)
		return 0;
	if (record.there) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d",
			 record.disk.state_fd);
		n = readlink(link, file, sizeof(file) - 1);
		file[n > 0 ? n : 0] = '\0';
		if (n > 0 && remove_state(file) < 0)
			return -1;
	}
	/* One of a shadow that stood here before. */
	if (snprintf(file, sizeof(file), "%s.bvstate", shadow_file) <
		    (int)sizeof(file) && !S_ISBLK(st.st_mode))
		return remove_state(file);
	return 0;
}

bool cli_record_unknown(const struct cli_record *record, uint64_t start,
			uint64_t end, struct bv_extent *found)
{
	return record->there &&
	       bv_unknown_next(&record->disk, start, end, found);
}
