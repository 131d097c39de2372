/* child: see child.h.
 *
 * We are in the program's process group, so what the terminal sends, it gets
 * from the terminal; what somebody sends to us alone is passed on. When it
 * stops we do, since who started us waits for us, not for it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "cli.h"

/* Ours to have their usual effect, whatever we were started with. */
static const int usual[] = { SIGCHLD, SIGTSTP, SIGTTIN, SIGTTOU };
enum { USUAL = sizeof(usual) / sizeof(*usual) };

static struct sigaction given[USUAL];
static sigset_t mask;
static int signals = -1, endings = -1;

static bool is_ignored(int number)
{
	struct sigaction action;

	return sigaction(number, NULL, &action) == 0 &&
	       action.sa_handler == SIG_IGN;
}

int cli_child_prepare(void)
{
	/* Those that our own mistakes raise would be raised again at once. */
	static const int never[] = {
		SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS,
	};
	static const int ends[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	struct sigaction standard = { .sa_handler = SIG_DFL };
	sigset_t held, ending;

	sigfillset(&held);
	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++)
		sigdelset(&held, never[i]);
	sigemptyset(&ending);
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		if (!is_ignored(ends[i]))
			sigaddset(&ending, ends[i]);
	for (int i = 0; i < USUAL; i++)
		sigaction(usual[i], &standard, &given[i]);
	sigprocmask(SIG_BLOCK, &held, &mask);
	signals = signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK);
	endings = signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0 || endings < 0) {
		cli_say("run: signalfd: %s", strerror(errno));
		return -1;
	}
	return endings;
}

int cli_child_interrupted(void)
{
	struct signalfd_siginfo info;

	return read(endings, &info, sizeof(info)) == sizeof(info) ?
		       (int)info.ssi_signo : 0;
}

/* ---- the child's side ---- */

/* Begins the program when word comes that it is time, and sends errno back
 * where that fails. */
static void __attribute__((noreturn)) begin(const char *path, char **argv,
					    int link, pid_t parent)
{
	char go;
	int error;

	/* SIGKILL is not passed on: who kills us means the program. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || read(link, &go, 1) != 1)
		_exit(126);
	for (int i = 0; i < USUAL; i++)
		sigaction(usual[i], &given[i], NULL);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	execvp(path, argv);
	error = errno;
	(void)!write(link, &error, sizeof(error));
	_exit(126);
}

/* ---- ours ---- */

static bool next_signal(struct signalfd_siginfo *info)
{
	return read(signals, info, sizeof(*info)) == sizeof(*info);
}

static void pass_on(pid_t pid, const struct signalfd_siginfo *info)
{
	int number = (int)info->ssi_signo;

	if (info->ssi_code == SI_QUEUE)
		sigqueue(pid, number, (union sigval){
			.sival_ptr = (void *)info->ssi_ptr });
	else
		kill(pid, number);
}

/* Did it come to us alone? What the kernel sends is the terminal's, to the
 * whole group, but for the alarm that was set before we were begun; what the
 * program sends is for its own group ("kill 0"). One that somebody else sends
 * to the group is passed on nevertheless: it cannot be told. */
static bool is_ours(pid_t pid, const struct signalfd_siginfo *info)
{
	if (info->ssi_code > 0)
		return info->ssi_signo == SIGALRM;
	return info->ssi_pid != (uint32_t)pid &&
	       info->ssi_pid != (uint32_t)getpid();
}

/* What came before it was there, or while it could not act, it gets too: two
 * of a kind that are pending are one. */
static void pass_on_early(pid_t pid)
{
	struct signalfd_siginfo info;

	while (next_signal(&info))
		if (info.ssi_signo != SIGCHLD)
			pass_on(pid, &info);
}

static bool has_terminal(void)
{
	int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* As the child has. Without a terminal there is no shell that would have us go
 * on; then only the child stays where it is. */
static void stop(int number)
{
	sigset_t set;

	if (!has_terminal())
		return;
	sigemptyset(&set);
	sigaddset(&set, number);
	raise(number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* True when it has ended, with *status as wait(2) tells it. */
static bool has_ended(pid_t pid, int *status)
{
	while (waitpid(pid, status, WNOHANG | WUNTRACED) == pid) {
		if (!WIFSTOPPED(*status))
			return true;
		stop(WSTOPSIG(*status));
	}
	return false;
}

static bool look_at_signals(pid_t pid, int *status)
{
	struct signalfd_siginfo info;
	bool ended = false;

	while (next_signal(&info)) {
		if (info.ssi_signo == SIGCHLD)
			ended = ended || has_ended(pid, status);
		else if (!ended && is_ours(pid, &info))
			pass_on(pid, &info);
	}
	return ended;
}

static int wait_for(pid_t pid, const struct cli_watch *watch)
{
	struct pollfd fds[] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = watch->fd, .events = POLLIN },
	};
	int status = 0;

	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (look_at_signals(pid, &status))
			return status;
		if (fds[1].revents && !watch->readable(watch->data))
			fds[1].fd = -1;
	}
}

/* Why it could not be begun, or 0. */
static int failure(int link)
{
	int error;

	return recv(link, &error, sizeof(error), MSG_DONTWAIT) ==
			       sizeof(error) ? error : 0;
}

int cli_child_run(const char *path, char **argv, const struct cli_watch *watch)
{
	int link[2], status, error;
	pid_t self = getpid(), pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link) < 0 ||
	    (pid = fork()) < 0) {
		cli_say("%s: cannot be begun: %s", argv[0], strerror(errno));
		return -126;
	}
	if (pid == 0) {
		close(link[0]);
		begin(path, argv, link[1], self);
	}
	close(link[1]);
	pass_on_early(pid);
	(void)!write(link[0], "", 1);
	status = wait_for(pid, watch);
	error = failure(link[0]);
	close(link[0]);
	if (error) {
		cli_say("%s: cannot be begun: %s", argv[0], strerror(error));
		return error == ENOENT ? -127 : -126;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
