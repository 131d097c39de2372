/*
 * router ROUTE FILE OFFSET LENGTH: comes by a descriptor of FILE in one of the many ways there are, and reads the range.
 * router --list: every ROUTE, one a line.
 */
#include "client.h"
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

CALL(dup, int, (int))
CALL(dup2, int, (int, int))
CALL(__dup2, int, (int, int))
CALL(dup3, int, (int, int, int))
CALL(fcntl, int, (int, int, ...))
CALL(fcntl64, int, (int, int, ...))
CALL(__fcntl, int, (int, int, ...))
CALL(__libc_fcntl64, int, (int, int, ...))

static const char *self;
static const char *range[2];

static int plain(const char *file)
{
	int fd = open(file, O_RDONLY);

	if (fd == -1)
		trouble("open");
	return fd;
}

static int other(void)
{
	int fd = open("/dev/null", O_RDONLY);

	if (fd == -1)
		trouble("/dev/null");
	return fd;
}

/* duplicates, and closes the first so that only the copy can be what is read */
#define COPY(name, symbol, expression) \
	static int by_##name(const char *file) \
	{ \
		int fd = plain(file), copy; \
		if (!call_##symbol) \
			absent(#symbol); \
		copy = expression; \
		close(fd); \
		return copy; \
	}
COPY(dup, dup, call_dup(fd))
COPY(dup2, dup2, call_dup2(fd, other()))
COPY(_dup2, __dup2, call___dup2(fd, other()))
COPY(dup2_free, dup2, call_dup2(fd, 77))
COPY(dup3, dup3, call_dup3(fd, other(), O_CLOEXEC))
COPY(fcntl, fcntl, call_fcntl(fd, F_DUPFD, 40))
COPY(fcntl_cloexec, fcntl, call_fcntl(fd, F_DUPFD_CLOEXEC, 40))
COPY(fcntl64, fcntl64, call_fcntl64(fd, F_DUPFD, 40))
COPY(fcntl64_cloexec, fcntl64, call_fcntl64(fd, F_DUPFD_CLOEXEC, 40))
COPY(_fcntl, __fcntl, call___fcntl(fd, F_DUPFD, 40))
COPY(libc_fcntl64, __libc_fcntl64, call___libc_fcntl64(fd, F_DUPFD, 40))
COPY(raw_dup, dup, (int)syscall(SYS_dup, fd))

static int by_open(const char *file) { return plain(file); }

static int by_openat(const char *file)
{
	char *copy = strdup(file), *slash = strrchr(copy, '/');
	int dir;

	*slash = 0;
	dir = open(copy, O_RDONLY | O_DIRECTORY);
	return openat(dir, slash + 1, O_RDONLY);
}

static int by_relative(const char *file)
{
	char *copy = strdup(file), *slash = strrchr(copy, '/');

	*slash = 0;
	if (chdir(copy))
		trouble("chdir");
	return plain(slash + 1);
}

static int by_symlink(const char *file)
{
	char name[4096];
	int fd;

	snprintf(name, sizeof(name), "%s.symlink", file);
	if (symlink(file, name))
		trouble("symlink");
	fd = plain(name);
	unlink(name);
	return fd;
}

static int by_hardlink(const char *file)
{
	char name[4096];
	int fd;

	snprintf(name, sizeof(name), "%s.hardlink", file);
	if (link(file, name))
		trouble("link");
	fd = plain(name);
	unlink(name);
	return fd;
}

static int by_proc(const char *file)
{
	char name[64];
	int fd = plain(file), again;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	again = plain(name);
	close(fd);
	return again;
}

static int by_o_path(const char *file)
{
	char name[64];
	int fd = open(file, O_PATH), again;

	snprintf(name, sizeof(name), "/dev/fd/%d", fd);
	again = plain(name);
	close(fd);
	return again;
}

static int by_openat2(const char *file)
{
	struct { uint64_t flags, mode, resolve; } how = { O_RDONLY, 0, 0 };
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, file, &how, sizeof(how));

	if (fd == -1 && errno == ENOSYS)
		absent("openat2");
	return fd;
}

static int by_raw_openat(const char *file) { return (int)syscall(SYS_openat, AT_FDCWD, file, O_RDONLY, 0); }

static int passed(const char *file, int many)
{
	union { char room[CMSG_SPACE(sizeof(int))]; struct cmsghdr head; } control = { { 0 } };
	struct iovec iov = { .iov_base = (char[1]){ 0 }, .iov_len = 1 };
	struct mmsghdr message = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control) } };
	struct cmsghdr *c = CMSG_FIRSTHDR(&message.msg_hdr);
	int pair[2], fd = plain(file);

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		trouble("socketpair");
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(pair[0], &message.msg_hdr, 0) != 1)
		trouble("sendmsg");
	close(fd);
	memset(&control, 0, sizeof(control));
	message.msg_hdr.msg_controllen = sizeof(control);
	if (many ? recvmmsg(pair[1], &message, 1, 0, NULL) != 1 : recvmsg(pair[1], &message.msg_hdr, 0) != 1)
		trouble("recvmsg");
	c = CMSG_FIRSTHDR(&message.msg_hdr);
	if (!c)
		trouble("no descriptor came");
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}
static int by_scm_rights(const char *file) { return passed(file, 0); }
static int by_scm_rights_many(const char *file) { return passed(file, 1); }

static int by_pidfd_getfd(const char *file)
{
	int fd = plain(file), me = (int)syscall(SYS_pidfd_open, getpid(), 0), copy;

	copy = me == -1 ? -1 : (int)syscall(SYS_pidfd_getfd, me, fd, 0);
	if (copy == -1)
		absent("pidfd_getfd");
	close(fd);
	return copy;
}

static int by_handle(const char *file)
{
	struct file_handle *handle = calloc(1, sizeof(*handle) + MAX_HANDLE_SZ);
	int mount, dir, fd;
	char *copy = strdup(file);

	*strrchr(copy, '/') = 0;
	dir = open(copy, O_RDONLY);
	handle->handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(AT_FDCWD, file, handle, &mount, 0))
		absent("file handles");
	fd = open_by_handle_at(dir, handle, O_RDONLY);
	if (fd == -1)
		absent("open_by_handle_at");
	return fd;
}

static int by_renamed(const char *file)
{
	char name[4096];
	int fd = plain(file);

	snprintf(name, sizeof(name), "%s.renamed", file);
	if (rename(file, name))
		trouble("rename");
	return fd;
}

/* opened under the new name, which the shim was never told */
static int by_rename(const char *file)
{
	char name[4096];

	snprintf(name, sizeof(name), "%s.renamed", file);
	if (rename(file, name))
		trouble("rename");
	return plain(name);
}

static int by_unlinked(const char *file)
{
	int fd = plain(file);

	if (unlink(file))
		trouble("unlink");
	return fd;
}

/* the rest read in another process or image; they end with the status of that */
static int wait_for(pid_t child)
{
	int status;

	fflush(stdout);
	if (waitpid(child, &status, 0) != child)
		trouble("waitpid");
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
	}
	exit(WEXITSTATUS(status));
}

static int by_fork(const char *file)
{
	int fd = plain(file);
	pid_t child = fork();

	if (child)
		wait_for(child);
	return fd;
}

static int by_raw_fork(const char *file)
{
	int fd = plain(file);
	pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (child)
		wait_for(child);
	return fd;
}

static int inherited_fd;

static int cloned(void *done)
{
	*(int *)done = 1;
	return 0;
}

/* the child of clone() has a function of its own, which reads in the place of main */
static int read_range(int fd);
static int read_in_clone(void *arg)
{
	(void)arg;
	return read_range(inherited_fd);
}

static int by_clone(const char *file)
{
	static char stack[1 << 20] __attribute__((aligned(16)));
	int done = 0;
	pid_t child;

	/* one that shares the memory first: it must leave everything as it was */
	child = clone(cloned, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, &done);
	if (child == -1 || waitpid(child, NULL, 0) != child || !done)
		trouble("clone");
	inherited_fd = plain(file);
	child = clone(read_in_clone, stack + sizeof(stack), SIGCHLD, NULL);
	if (child == -1)
		trouble("clone");
	wait_for(child);
	return -1;
}

static int by_exec(const char *file)
{
	char name[16];

	snprintf(name, sizeof(name), "%d", plain(file));
	execl(self, self, "inherited", name, range[0], range[1], (char *)NULL);
	trouble("exec");
}

static int by_inherited(const char *name) { return atoi(name); }

static int by_spawn(const char *file)
{
	posix_spawn_file_actions_t actions;
	char *argv[] = { (char *)self, "inherited", "33", (char *)range[0], (char *)range[1], NULL };
	pid_t child;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 33, file, O_RDONLY, 0);
	errno = posix_spawn(&child, self, &actions, NULL, argv, environ);
	if (errno)
		trouble("posix_spawn");
	wait_for(child);
	return -1;
}

static int by_shell(const char *file)
{
	char command[8192];
	int status;

	snprintf(command, sizeof(command), "exec '%s' inherited 0 %s %s <'%s'", self, range[0], range[1], file);
	fflush(stdout);
	status = system(command);
	if (WIFSIGNALED(status))
		raise(WTERMSIG(status));
	/* a shell that stays between says 128+N */
	exit(WEXITSTATUS(status));
}

#define ROUTES(X) X(open) X(openat) X(relative) X(symlink) X(hardlink) X(proc) X(o_path) X(openat2) X(raw_openat) \
	X(handle) X(dup) X(dup2) X(_dup2) X(dup2_free) X(dup3) X(fcntl) X(fcntl_cloexec) X(fcntl64) X(fcntl64_cloexec) \
	X(_fcntl) X(libc_fcntl64) X(raw_dup) X(scm_rights) X(scm_rights_many) X(pidfd_getfd) X(renamed) X(rename) \
	X(unlinked) X(fork) X(raw_fork) X(clone) X(exec) X(spawn) X(shell)

static int read_range(int fd)
{
	size_t n = (size_t)number(range[1]);
	void *buf = buffer(n, 0xee);

	if (result(pread(fd, buf, n, number(range[0]))))
		return 1;
	printf("fd=%d digest=%016llx\n", fd, (unsigned long long)digest(buf, n));
	fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	int fd = -2;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
#define L(name) puts(#name);
		ROUTES(L)
		return 0;
	}
	if (argc != 5)
		usage("router ROUTE FILE OFFSET LENGTH");
	self = realpath("/proc/self/exe", NULL);
	range[0] = argv[3];
	range[1] = argv[4];
#define R(name) if (!strcmp(argv[1], #name)) fd = by_##name(argv[2]);
	ROUTES(R)
	R(inherited)
	if (fd == -2)
		usage("unknown route");
	if (fd == -1)
		trouble(argv[1]);
	return read_range(fd);
}
