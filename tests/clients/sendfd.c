/* Descriptors that reach a process by other ways than open.
 *   sendfd scm FILE OFF    a child that never opened FILE gets it over a socket (SCM_RIGHTS) and reads there
 *   sendfd scmm FILE OFF   the same with recvmmsg
 *   sendfd pidfd FILE OFF  the child takes it out of its parent with pidfd_getfd
 *   sendfd give SOCKET FILE, sendfd take SOCKET OFF: the same between unrelated programs
 * The reader reads 4096 bytes, writes them back and reads once more; its status is the program's. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#define SYS_pidfd_getfd 438
#endif

union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(sizeof(int))];
};

static int complain(const char *what)
{
	perror(what);
	return 1;
}

static int send_fd(int socket_fd, int fd)
{
	union control control;
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };

	memset(&control, 0, sizeof control);
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
	return sendmsg(socket_fd, &message, 0) == 1 ? 0 : -1;
}

static int receive_fd(int socket_fd, int many)
{
	union control control;
	char byte;
	int fd = -1;
	struct iovec iov = { &byte, 1 };
	struct mmsghdr message = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof control } };

	if (many ? recvmmsg(socket_fd, &message, 1, 0, NULL) != 1 : recvmsg(socket_fd, &message.msg_hdr, 0) != 1)
		return -1;
	memcpy(&fd, CMSG_DATA(&control.head), sizeof fd);
	return fd;
}

static int use(int fd, long long offset)
{
	static char block[4096];

	if (fd < 0)
		return complain("no descriptor");
	if (pread(fd, block, sizeof block, offset) != sizeof block)
		return complain("pread");
	if (pwrite(fd, block, sizeof block, offset) != sizeof block)
		return complain("pwrite");
	if (pread(fd, block, sizeof block, offset) != sizeof block)
		return complain("pread");
	return 0;
}

/* the child asks first: it must not inherit the descriptor */
static int with_child(const char *how, const char *file, long long offset)
{
	int pair[2], status, fd;
	char byte;
	pid_t parent = getpid(), child;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return complain("socketpair");
	child = fork();
	if (child < 0)
		return complain("fork");
	if (!child) {
		if (write(pair[1], "?", 1) != 1)
			_exit(1);
		if (!strcmp(how, "pidfd")) {
			int number, pidfd;

			if (read(pair[1], &number, sizeof number) != sizeof number)
				_exit(1);
			pidfd = (int)syscall(SYS_pidfd_open, parent, 0);
			_exit(use((int)syscall(SYS_pidfd_getfd, pidfd, number, 0), offset));
		}
		_exit(use(receive_fd(pair[1], !strcmp(how, "scmm")), offset));
	}
	if (read(pair[0], &byte, 1) != 1)
		return complain("read");
	fd = open(file, O_RDWR);
	if (fd < 0)
		return complain(file);
	if (!strcmp(how, "pidfd") ? write(pair[0], &fd, sizeof fd) != sizeof fd : send_fd(pair[0], fd) != 0)
		return complain("send");
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int give(const char *path, const char *file)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), peer, fd = open(file, O_RDWR);
	char byte;

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	if (fd < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1))
		return complain(path);
	peer = accept(listener, NULL, NULL);
	if (peer < 0 || send_fd(peer, fd))
		return complain("send");
	/* until the other is done */
	return read(peer, &byte, 1) < 0;
}

static int take(const char *path, long long offset)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int peer = socket(AF_UNIX, SOCK_STREAM, 0), tries = 500;
	struct timespec pause = { 0, 10000000 };

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	while (connect(peer, (struct sockaddr *)&address, sizeof address)) {
		if (!tries--)
			return complain(path);
		nanosleep(&pause, NULL);
	}
	return use(receive_fd(peer, 0), offset);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: sendfd scm|scmm|pidfd FILE OFF, sendfd give SOCKET FILE, sendfd take SOCKET OFF\n");
		return 2;
	}
	if (!strcmp(argv[1], "give"))
		return give(argv[2], argv[3]);
	if (!strcmp(argv[1], "take"))
		return take(argv[2], atoll(argv[3]));
	return with_child(argv[1], argv[2], atoll(argv[3]));
}
