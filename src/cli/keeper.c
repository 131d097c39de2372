/* keeper: see keeper.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "keeper.h"

/* Milliseconds: between two looks for the file, and until a daemon that was
 * told to end is told again, and killed. It may have much to write. */
#define LOOK 10
#define PATIENCE 60000
#define AGAIN 1000

struct state {
	const struct cli_keeper *keeper;
	int link, said, signals;     /* socket; the daemon's standard error */
	pid_t self, daemon;
	bool serving, closed;        /* our user has closed the socket */
	char line[1024];             /* of the daemon's, not complete yet */
	size_t length;
};

static void tell(struct state *s, int what, int value)
{
	struct cli_keeper_word word = { .what = what, .value = value };

	send(s->link, &word, sizeof(word), MSG_NOSIGNAL);
}

/* ---- the daemon ---- */

static void __attribute__((noreturn)) become_daemon(struct state *s, int said,
						    int failed)
{
	sigset_t none;
	int error;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != s->self)
		_exit(1);
	dup2(said, 2);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	unsetenv("LD_PRELOAD");
	execvp(s->keeper->argv[0], s->keeper->argv);
	error = errno;
	(void)!write(failed, &error, sizeof(error));
	_exit(1);
}

static int start_daemon(struct state *s)
{
	int said[2], failed[2], error = 0;

	if (pipe2(said, O_CLOEXEC) < 0 || pipe2(failed, O_CLOEXEC) < 0)
		return errno;
	s->daemon = fork();
	if (s->daemon < 0)
		return errno;
	if (s->daemon == 0)
		become_daemon(s, said[1], failed[1]);
	close(said[1]);
	close(failed[1]);
	if (read(failed[0], &error, sizeof(error)) != sizeof(error))
		error = 0;
	close(failed[0]);
	s->said = said[0];
	fcntl(s->said, F_SETFL, O_NONBLOCK);
	return error;
}

static void say_line(struct state *s)
{
	if (s->length > 0)
		cli_say("%.*s", (int)s->length, s->line);
	s->length = 0;
}

/* What it has to say is for the user, a line at a time. */
static void pass_on(struct state *s)
{
	char bytes[512];
	ssize_t n;

	while ((n = read(s->said, bytes, sizeof(bytes))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (bytes[i] != '\n')
				s->line[s->length++] = bytes[i];
			if (bytes[i] == '\n' || s->length == sizeof(s->line))
				say_line(s);
		}
	if (n == 0) {
		say_line(s);
		close(s->said);
		s->said = -1;
	}
}

/* True with *status when it has ended. */
static bool has_ended(const struct state *s, int *status)
{
	return waitpid(s->daemon, status, WNOHANG) == s->daemon;
}

/* One that is left there would wake us again at once. */
static void take_signals(const struct state *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof(info)) > 0)
		;
}

static void look(struct state *s, int timeout)
{
	struct pollfd fds[] = {
		{ .fd = s->signals, .events = POLLIN },
		{ .fd = s->closed ? -1 : s->link, .events = POLLIN },
		{ .fd = s->said, .events = POLLIN },
	};

	poll(fds, 3, timeout);
	take_signals(s);
	s->closed = s->closed || fds[1].revents;
	if (fds[2].revents)
		pass_on(s);
	if (!s->serving && access(s->keeper->ready, F_OK) == 0) {
		s->serving = true;
		tell(s, CLI_SERVING, s->daemon);
	}
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000ll + time.tv_nsec / 1000000;
}

/* Told to, and killed if it will not. Told again: a signal that comes right
 * before QEMU goes to sleep is noted, and does not wake it. */
static void end_daemon(struct state *s, int *status)
{
	long long next = now(), until = next + PATIENCE;

	s->serving = true;
	while (!has_ended(s, status)) {
		if (now() >= next) {
			kill(s->daemon, SIGTERM);
			next += AGAIN;
		}
		if (now() >= until) {
			cli_say("%s: does not end, and is killed",
				s->keeper->argv[0]);
			kill(s->daemon, SIGKILL);
			waitpid(s->daemon, status, 0);
			return;
		}
		look(s, LOOK);
	}
}

/* ---- what is left ---- */

/* Lazily: somebody may still have it open. Only root may do it; others have a
 * program for it. */
static void unmount(const char *path)
{
	pid_t pid;

	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 ||
	    errno != EPERM)
		return;
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 2);
		execlp("fusermount3", "fusermount3", "-u", "-q", "-z", "--",
		       path, NULL);
		_exit(1);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

void cli_keeper_clear(const char *directory)
{
	DIR *list = opendir(directory);
	char path[PATH_MAX];
	const struct dirent *entry;

	while (list && (entry = readdir(list))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", directory,
			     entry->d_name) >= (int)sizeof(path))
			continue;
		unmount(path);
		unlink(path);
	}
	if (list)
		closedir(list);
	rmdir(directory);
}

/* ---- the process ---- */

/* A group and a session of its own; nothing of the user's kept open but
 * standard error. */
static void withdraw(struct state *s, int link)
{
	int null = open("/dev/null", O_RDWR), lock;
	sigset_t all;

	setsid();
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	signal(SIGCHLD, SIG_DFL);
	dup2(null, 0);
	dup2(null, 1);
	/* Both are away from 3 and 4 before they go there. */
	link = fcntl(link, F_DUPFD_CLOEXEC, 5);
	lock = fcntl(s->keeper->lock, F_DUPFD_CLOEXEC, 5);
	s->link = dup3(link, 3, O_CLOEXEC);
	dup3(lock, 4, O_CLOEXEC);
	closefrom(5);
	s->self = getpid();
	s->signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The daemon is gone, and nobody has told it to. What it served stays mounted,
 * and fails: below it are empty files that must not be taken for images. */
static void mourn(struct state *s)
{
	s->serving = true;
	while (!s->closed)
		look(s, -1);
}

static void __attribute__((noreturn)) keep(const struct cli_keeper *keeper,
					   int link)
{
	struct state s = { .keeper = keeper, .said = -1 };
	int error, status;

	withdraw(&s, link);
	error = start_daemon(&s);
	while (!error && !s.closed && !has_ended(&s, &status))
		look(&s, s.serving ? -1 : LOOK);
	if (!error && s.closed)
		end_daemon(&s, &status);
	if (!error && s.said >= 0)
		pass_on(&s);
	tell(&s, error ? CLI_NOT_STARTED : CLI_ENDED, error ? error : status);
	mourn(&s);
	cli_keeper_clear(keeper->directory);
	_exit(0);
}

pid_t cli_keeper_start(const struct cli_keeper *keeper, int *fd)
{
	int link[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		close(link[0]);
		keep(keeper, link[1]);
	}
	close(link[1]);
	*fd = link[0];
	if (pid < 0)
		close(link[0]);
	return pid;
}
