/* export: see export.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <blkverify/disk.h>

#include "cli.h"
#include "daemon.h"
#include "export.h"
#include "keeper.h"
#include "machine.h"

/* Of our directories. Each is locked by the keeper while it is in use. */
#define NAME "blkverify-export."

struct cli_export {
	const char *image;           /* the first one, for messages */
	char directory[PATH_MAX];
	int lock;
	char **mount;                /* the raw files */
	int link;                    /* to the keeper */
	pid_t keeper, daemon;
	bool lost;
};

/* ---- the directory ---- */

/* -1: somebody else has it, or it is not ours. */
static int lock_directory(const char *path, int flags)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
	    flock(fd, flags) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0)
		return fd;
	close(fd);
	return -1;
}

/* What was left by those whose keeper was killed as well. */
static void sweep(const char *where)
{
	DIR *list = opendir(where);
	char path[PATH_MAX];
	const struct dirent *entry;
	int lock;

	while (list && (entry = readdir(list))) {
		if (strncmp(entry->d_name, NAME, strlen(NAME)) ||
		    snprintf(path, sizeof(path), "%s/%s", where,
			     entry->d_name) >= (int)sizeof(path))
			continue;
		lock = lock_directory(path, LOCK_EX | LOCK_NB);
		if (lock < 0)
			continue;
		cli_keeper_clear(path);
		close(lock);
	}
	if (list)
		closedir(list);
}

/* A sweeper may come between the making and the locking. */
static int make_directory(struct cli_export *export)
{
	const char *where = cli_machine_temporary();

	sweep(where);
	do {
		if (snprintf(export->directory, sizeof(export->directory),
			     "%s/" NAME "XXXXXX", where) >= PATH_MAX - 32 ||
		    !mkdtemp(export->directory)) {
			cli_say("%s: %s", where, strerror(errno));
			return -1;
		}
		export->lock = lock_directory(export->directory, LOCK_EX);
	} while (export->lock < 0);
	return 0;
}

/* The files that the images are mounted on. */
static int make_files(struct cli_export *export, unsigned count)
{
	export->mount = calloc(count, sizeof(*export->mount));
	for (unsigned i = 0; export->mount && i < count; i++) {
		char number[16] = "";
		int fd;

		if (count > 1)
			snprintf(number, sizeof(number), "%u", i + 1);
		if (asprintf(&export->mount[i], "%s/disk%s.raw",
			     export->directory, number) < 0)
			return -1;
		fd = open(export->mount[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0) {
			cli_say("%s: %s", export->mount[i], strerror(errno));
			return -1;
		}
		close(fd);
	}
	return export->mount ? 0 : -1;
}

/* ---- start and stop ---- */

static void say_ended(const struct cli_export *export, int status,
		      const char *when)
{
	bool killed = WIFSIGNALED(status);

	cli_say("qemu-storage-daemon %s %d %s %s",
		killed ? "was killed by signal" : "ended with status",
		killed ? WTERMSIG(status) : WEXITSTATUS(status), when,
		export->image);
}

/* Returns 0 when it serves, -1 after saying why not, or because the user would
 * rather not. */
static int wait_until_served(struct cli_export *export, int interrupt)
{
	struct pollfd fds[] = {
		{ .fd = export->link, .events = POLLIN },
		{ .fd = interrupt, .events = POLLIN },
	};
	struct cli_keeper_word word;

	if (poll(fds, 2, -1) < 0 || fds[1].revents)
		return -1;
	if (recv(export->link, &word, sizeof(word), 0) != sizeof(word)) {
		cli_say("%s: the process that was to serve it is gone",
			export->image);
		return -1;
	}
	if (word.what == CLI_SERVING) {
		export->daemon = word.value;
		return 0;
	}
	if (word.what == CLI_ENDED)
		say_ended(export, word.value, "and does not serve");
	else if (word.value == ENOENT)
		cli_say("qemu-storage-daemon: " CLI_NO_DAEMON);
	else
		cli_say("qemu-storage-daemon: %s", strerror(word.value));
	return -1;
}

static int start(struct cli_export *export,
		 const struct cli_export_request *request)
{
	struct cli_keeper keeper = {
		.directory = export->directory, .lock = export->lock,
	};
	char ready[PATH_MAX + 8];

	snprintf(ready, sizeof(ready), "%s/pid", export->directory);
	keeper.ready = ready;
	keeper.argv = cli_daemon_command(request, export->mount, ready);
	if (!keeper.argv)
		return -1;
	export->keeper = cli_keeper_start(&keeper, &export->link);
	if (export->keeper < 0)
		cli_say("fork: %s", strerror(errno));
	return export->keeper < 0 ? -1 : 0;
}

/* The keeper takes all away. Returns how the daemon ended, as wait(2) does, or
 * -1 where it was known before, or nobody knows. */
static int release(struct cli_export *export)
{
	struct cli_keeper_word word;
	int status = -1, keeper = -1;

	shutdown(export->link, SHUT_WR);
	while (recv(export->link, &word, sizeof(word), 0) == sizeof(word))
		if (word.what == CLI_ENDED)
			status = word.value;
	close(export->link);
	while (waitpid(export->keeper, &keeper, 0) < 0 && errno == EINTR)
		;
	/* Somebody has killed it; the daemon was told to end by that. */
	if (keeper != 0)
		cli_keeper_clear(export->directory);
	return status;
}

struct cli_export *cli_export_start(const struct cli_export_request *request)
{
	struct cli_export *export = calloc(1, sizeof(*export));
	const char *missing = export ? cli_machine_fuse() : "no memory";

	if (missing) {
		cli_say("--format: %s", missing);
		free(export);
		return NULL;
	}
	*export = (struct cli_export){
		.image = request->image[0], .lock = -1, .keeper = -1,
	};
	if (make_directory(export) < 0)
		return NULL;
	if (make_files(export, request->images) < 0 ||
	    start(export, request) < 0) {
		cli_keeper_clear(export->directory);
		return NULL;
	}
	close(export->lock);
	if (wait_until_served(export, request->interrupt) < 0) {
		release(export);
		return NULL;
	}
	return export;
}

const char *cli_export_path(const struct cli_export *export, unsigned index)
{
	return export->mount[index];
}

bool cli_export_has(const struct cli_export *export, const struct stat *st)
{
	const struct dirent *entry;
	char path[64];
	struct stat other;
	bool found = false;
	DIR *list;

	snprintf(path, sizeof(path), "/proc/%d/fd", export->daemon);
	list = opendir(path);
	while (list && !found && (entry = readdir(list)))
		found = fstatat(dirfd(list), entry->d_name, &other, 0) == 0 &&
			bv_disk_same(&other, st);
	if (list)
		closedir(list);
	return found;
}

int cli_export_fd(const struct cli_export *export)
{
	return export->link;
}

/* status: as wait(2) tells it; NULL: nobody has. */
static void say_lost(struct cli_export *export, const int *status)
{
	export->lost = true;
	if (status)
		say_ended(export, *status, "while it served");
	else
		cli_say("the process that looks after qemu-storage-daemon is "
			"gone, and %s may not be served any more",
			export->image);
}

void cli_export_lost(struct cli_export *export)
{
	struct cli_keeper_word word;

	say_lost(export, recv(export->link, &word, sizeof(word),
			      MSG_DONTWAIT) == sizeof(word) ? &word.value : NULL);
}

bool cli_export_stop(struct cli_export *export)
{
	int status = export ? release(export) : 0;

	if (status != 0 && !export->lost)
		say_lost(export, status == -1 ? NULL : &status);
	return !export || !export->lost;
}
