/* Children of every make, each of which reads the target.  children HOW FILE OFF [PROGRAM ARG...]
 *   fork      the child reads, the parent waits and reads too      _Fork     the same
 *   inherit   the child reads by the parent's descriptor, at the position that both share
 *   clone     a child in our memory, with descriptors of its own, reuses the number that FILE has here; then both read
 *   files     the same with our descriptors: FILE is opened by the child, and read by both
 *   vfork     a vfork child closes and dups as python does, then runs PROGRAM; then the parent reads
 *   spawn     posix_spawn of PROGRAM, FILE as its standard input   spawnenv  the same with an empty environment
 *   spawndup  the same, duplicated from a descriptor that the child does not inherit
 *   popen     popen of PROGRAM (one string)                        system    system() of it
 *   daemon    daemon(0, 0), then reads: nobody waits for it, its standard error is /dev/null
 *   beside    a hundred children, one after the other, while a thread of ours reads all the time
 *   threads   64 threads with the smallest stack read
 *   execv     PROGRAM instead of us                                execenv   the same with an empty environment
 *   locks     a POSIX lock on FILE must survive the reads of this process and stay known to a child
 * The status is that of whoever read. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *file;
static long long offset;

static int complain(const char *what)
{
	fprintf(stderr, "children: %s: %s\n", what, strerror(errno));
	return 1;
}

static int read_target(void)
{
	char block[4096];
	int fd = open(file, O_RDONLY), bad;

	if (fd < 0)
		return complain(file);
	bad = pread(fd, block, sizeof block, offset) != sizeof block && complain("pread");
	close(fd);
	return bad;
}

static int status_of(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child)
		return complain("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static atomic_int over;

static void *read_on(void *unused)
{
	while (!over)
		read_target();
	return unused;
}

static int beside(void)
{
	pthread_t thread;
	int bad = pthread_create(&thread, NULL, read_on, NULL) && complain("thread");

	for (int i = 0; i < 100 && !bad; i++) {
		pid_t child = fork();

		if (!child)
			_exit(read_target());
		bad = status_of(child);
	}
	over = 1;
	pthread_join(thread, NULL);
	return bad;
}

static int forked(pid_t (*how)(void))
{
	pid_t child = how();
	int status;

	if (!child)
		_exit(read_target());
	status = status_of(child);
	return status ? status : read_target();
}

static int inherit(void)
{
	char block[512];
	int fd = open(file, O_RDWR);
	pid_t child;

	if (fd < 0 || lseek(fd, offset, SEEK_SET) != offset || read(fd, block, sizeof block) != sizeof block)
		return complain("read");
	child = fork();
	if (!child) {
		/* goes on where the parent stopped, and leaves the position to it */
		_exit(read(fd, block, sizeof block) != sizeof block || write(fd, block, sizeof block) != sizeof block);
	}
	if (status_of(child))
		return complain("child");
	if (lseek(fd, 0, SEEK_CUR) != offset + 3 * (long long)sizeof block)
		return complain("the position is not shared");
	return read(fd, block, sizeof block) != sizeof block;
}

static int by_vfork(char **argv)
{
	int fd = open(file, O_RDONLY);
	pid_t child;

	if (fd < 0)
		return complain(file);
	child = vfork();
	if (!child) {
		/* in the parent's memory: what the shim remembers here is the parent's */
		dup2(fd, 0);
		close(fd);
		closefrom(3);
		execvp(argv[0], argv);
		_exit(127);
	}
	if (status_of(child))
		return complain("the child failed");
	if (lseek(fd, 0, SEEK_SET))
		return complain("the parent's descriptor is gone");
	return read_target();
}

struct sharing {
	int fd, files, bad;
	char block[4096];
};

static int in_our_memory(void *argument)
{
	struct sharing *s = argument;

	if (s->files) {
		s->fd = open(file, O_RDWR);
	} else {
		int null = open("/dev/null", O_RDWR);

		s->bad |= dup2(null, s->fd) != s->fd || write(s->fd, s->block, 512) != 512;
		s->fd = open(file, O_RDWR);
	}
	s->bad |= pread(s->fd, s->block, sizeof s->block, 0) != sizeof s->block || pwrite(s->fd, s->block, 512, 0) != 512;
	/* exit would run what the parent has to run */
	_exit(0);
}

static int by_clone(int files)
{
	static char stack[65536];
	static struct sharing s;
	int mine = files ? -1 : open(file, O_RDWR), fd, status;

	s.files = files;
	s.fd = mine;
	status = status_of(clone(in_our_memory, stack + sizeof stack, CLONE_VM | SIGCHLD | (files ? CLONE_FILES : 0), &s));
	fd = files ? s.fd : mine;
	if (status || s.bad)
		return complain("the child");
	if (pread(fd, s.block, sizeof s.block, offset) != sizeof s.block || pwrite(fd, s.block, 512, offset) != 512)
		return complain("the parent");
	return read_target();
}

static int spawn(char **argv, char **environment, int duplicate)
{
	posix_spawn_file_actions_t actions;
	pid_t child;
	int error;

	posix_spawn_file_actions_init(&actions);
	if (duplicate)
		posix_spawn_file_actions_adddup2(&actions, open(file, O_RDONLY | O_CLOEXEC), 0);
	else
		posix_spawn_file_actions_addopen(&actions, 0, file, O_RDONLY, 0);
	error = posix_spawnp(&child, argv[0], &actions, NULL, argv, environment);
	if (error) {
		errno = error;
		return complain("posix_spawn");
	}
	return status_of(child);
}

static void *small(void *result)
{
	if (read_target())
		*(int *)result = 1;
	return NULL;
}

static int threads(void)
{
	pthread_t ids[64];
	pthread_attr_t attributes;
	int bad = 0, count = 0;

	pthread_attr_init(&attributes);
	/* room for the block that read_target keeps there, no more */
	pthread_attr_setstacksize(&attributes, (size_t)sysconf(_SC_THREAD_STACK_MIN) + 8192);
	for (int i = 0; i < 64; i++)
		if (!pthread_create(&ids[count], &attributes, small, &bad))
			count++;
	for (int i = 0; i < count; i++)
		pthread_join(ids[i], NULL);
	return bad || count != 64;
}

static int locks(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1 };
	int fd = open(file, O_RDWR);
	char block[512];
	pid_t child;

	if (fd < 0 || fcntl(fd, F_SETLK, &lock))
		return complain("lock");
	if (pread(fd, block, sizeof block, offset) != sizeof block || pwrite(fd, block, sizeof block, offset) != sizeof block)
		return complain("transfer");
	child = fork();
	if (!child) {
		struct flock probe = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1 };

		_exit(fcntl(fd, F_GETLK, &probe) || probe.l_type == F_UNLCK);
	}
	return status_of(child) ? complain("the lock is gone") : 0;
}

static int by_popen(const char *command)
{
	FILE *pipe = popen(command, "r");
	int status, c;

	if (!pipe)
		return complain("popen");
	while ((c = getc(pipe)) != EOF)
		putchar(c);
	status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	static char *nothing[] = { NULL };
	extern char **environ;
	const char *how = argc < 4 ? "" : argv[1];
	char **program = argc > 4 ? argv + 4 : NULL;
	int status;

	file = argc < 4 ? "" : argv[2];
	offset = argc < 4 ? 0 : atoll(argv[3]);
	if (!strcmp(how, "fork"))
		return forked(fork);
	if (!strcmp(how, "_Fork"))
		return forked(_Fork);
	if (!strcmp(how, "clone") || !strcmp(how, "files"))
		return by_clone(*how == 'f');
	if (!strcmp(how, "inherit"))
		return inherit();
	if (!strcmp(how, "beside"))
		return beside();
	if (!strcmp(how, "threads"))
		return threads();
	if (!strcmp(how, "locks"))
		return locks();
	if (!strcmp(how, "daemon"))
		return daemon(0, 0) ? complain("daemon") : read_target();
	if (program && !strcmp(how, "vfork"))
		return by_vfork(program);
	if (program && !strcmp(how, "spawn"))
		return spawn(program, environ, 0);
	if (program && !strcmp(how, "spawndup"))
		return spawn(program, environ, 1);
	if (program && !strcmp(how, "spawnenv"))
		return spawn(program, nothing, 0);
	if (program && !strcmp(how, "popen"))
		return by_popen(program[0]);
	if (program && !strcmp(how, "system")) {
		status = system(program[0]);
		return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	if (program && !strcmp(how, "execv"))
		execvp(program[0], program);
	if (program && !strcmp(how, "execenv"))
		execve(program[0], program, nothing);
	fprintf(stderr, "children: cannot do %s\n", how);
	return 2;
}
