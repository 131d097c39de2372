/* What the clients that map a file share: they print what a program can see of it. */
#ifndef MAPS_H
#define MAPS_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
/* what the shim fills at a time; and where mappings of most ways reach across */
#define CHUNK 65536

__attribute__((unused)) static sigjmp_buf faulted;
__attribute__((unused)) static const char *path;
__attribute__((unused)) static int fd;
/* bytes of the file; no multiple of a page */
__attribute__((unused)) static size_t size;

__attribute__((unused, noreturn)) static void trouble(const char *what)
{
	printf("trouble: %s: %s\n", what, strerrorname_np(errno));
	exit(2);
}

/* what a call returned */
__attribute__((unused)) static void say(const char *what, long long ret)
{
	if (ret == -1)
		printf("%s = -1 %s\n", what, strerrorname_np(errno));
	else
		printf("%s = %lld\n", what, ret);
	fflush(stdout);
}

/* what n bytes are: FNV-1a */
__attribute__((unused)) static void see(const char *what, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	uint64_t h = 14695981039346656037ULL;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 1099511628211ULL;
	printf("%s: %016llx\n", what, (unsigned long long)h);
	fflush(stdout);
}

/* the file as it reads */
__attribute__((unused)) static void see_file(const char *what)
{
	static char bytes[2 << 20];
	ssize_t n = pread(fd, bytes, sizeof bytes, 0);

	say(what, n);
	if (n > 0)
		see(what, bytes, (size_t)n);
}

/* a mapping, or the end of it all */
__attribute__((unused)) static char *map(size_t n, int protection, int flags, off_t offset)
{
	char *p = mmap(NULL, n, protection, flags, fd, offset);

	if (p == MAP_FAILED)
		trouble("mmap");
	return p;
}

__attribute__((unused)) static char *shared(size_t n, off_t offset)
{
	return map(n, PROT_READ | PROT_WRITE, MAP_SHARED, offset);
}

__attribute__((unused)) static const int both = PROT_READ | PROT_WRITE;

/* something stored in each page, another byte each time */
__attribute__((unused)) static void mark(char *p, size_t n, int byte)
{
	for (size_t at = 0; at < n; at += PAGE)
		memset(p + at + 8, byte++, 40);
}

/* what mmap itself says */
__attribute__((unused)) static void *try(const char *what, size_t n, int protection, int flags, int from, off_t offset)
{
	char *p = mmap(NULL, n, protection, flags, from, offset);

	say(what, p == MAP_FAILED ? -1 : 0);
	return p;
}

__attribute__((unused)) static void on_fault(int signo)
{
	siglongjmp(faulted, signo);
}

/* one byte, loaded or stored; or the signal that comes of it */
__attribute__((unused)) static void touch(const char *what, char *at, int store)
{
	struct sigaction action = { .sa_handler = on_fault };
	int signo;

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	signo = sigsetjmp(faulted, 1);
	if (signo)
		printf("%s: SIG%s\n", what, sigabbrev_np(signo));
	else if (store)
		*(volatile char *)at = (char)store, printf("%s: stored\n", what);
	else
		printf("%s: %02x\n", what, *(volatile unsigned char *)at);
	fflush(stdout);
	signal(SIGBUS, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
}

/* FILE with a dot and a word behind it, made anew */
__attribute__((unused)) static int beside(const char *word)
{
	char name[4096];
	int other;

	snprintf(name, sizeof name, "%s.%s", path, word);
	other = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (other < 0)
		trouble(name);
	unlink(name);
	return other;
}

/* turns: each process does its part when the other has done its */
__attribute__((unused)) static int there[2], back[2];

__attribute__((unused)) static void make_turns(void)
{
	if (pipe(there) || pipe(back))
		trouble("pipe");
}

__attribute__((unused)) static void give(int *to)
{
	if (write(to[1], "", 1) != 1)
		trouble("give");
}

__attribute__((unused)) static void take(int *from)
{
	char c;

	if (read(from[0], &c, 1) != 1)
		trouble("take");
}

/* a child that does its part; it is waited for with done() */
__attribute__((unused)) static pid_t child(void (*part)(char *), char *p)
{
	pid_t pid = fork();

	if (pid < 0)
		trouble("fork");
	if (pid)
		return pid;
	part(p);
	exit(0);
}

__attribute__((unused)) static void done(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		trouble("waitpid");
	say("child", WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

struct way {
	const char *name;
	void (*go)(void);
};

/* CLIENT WAY FILE, or CLIENT --list */
__attribute__((unused)) static int go(const struct way *ways, int argc, char **argv)
{
	off_t end;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (; ways->name; ways++)
			puts(ways->name);
		return 0;
	}
	if (argc < 3) {
		fprintf(stderr, "usage: %s WAY FILE\n", argv[0]);
		return 2;
	}
	path = argv[2];
	fd = open(path, O_RDWR);
	end = lseek(fd, 0, SEEK_END);
	if (fd < 0 || end < 0 || lseek(fd, 0, SEEK_SET))
		trouble(path);
	size = (size_t)end;
	for (; ways->name; ways++)
		if (!strcmp(ways->name, argv[1])) {
			ways->go();
			return 0;
		}
	fprintf(stderr, "%s: no way called %s\n", argv[0], argv[1]);
	return 2;
}

#endif
