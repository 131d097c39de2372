/*
 * leaver HOW FILE OFFSET LENGTH BYTE: fills the range and ends the process right then by HOW, with status 7.
 * leaver --list: every HOW, one a line; leaver --aborts: those that end it by SIGABRT instead.
 * build: -pthread
 */
#include "client.h"
#include "own_call.h"
#include <pthread.h>
#include <sys/syscall.h>

CALL(exit, void, (int))
CALL(_exit, void, (int))
CALL(_Exit, void, (int))
CALL(quick_exit, void, (int))
CALL(abort, void, (void))
CALL(__assert, void, (const char *, const char *, int))
CALL(__assert_fail, void, (const char *, const char *, unsigned, const char *))
CALL(__assert_perror_fail, void, (int, const char *, unsigned, const char *))

static void *last(void *arg)
{
	pthread_join(*(pthread_t *)arg, NULL);
	exit(7);
}

static void seven(void)
{
	call__exit(7);
}

static void *nothing(void *arg)
{
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t self = pthread_self(), other;
	size_t n;
	int fd;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		puts("return\nexit\n_exit\n_Exit\nquick_exit\nexit_group\npthread_exit\nlast_thread\nexit_thread\nown_exit_thread\nexec");
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "--aborts")) {
		puts("abort\n__assert\n__assert_fail\n__assert_perror_fail");
		return 0;
	}
	if (argc != 6)
		usage("leaver HOW FILE OFFSET LENGTH BYTE");
	fd = open(argv[2], O_RDWR);
	if (fd == -1)
		trouble("open");
	n = (size_t)number(argv[4]);
	if (pwrite(fd, buffer(n, (int)number(argv[5])), n, number(argv[3])) != (ssize_t)n)
		trouble("pwrite");
#define HOW(name) if (!strcmp(argv[1], #name)) call_##name(7);
	HOW(exit)
	HOW(_exit)
	HOW(_Exit)
	HOW(quick_exit)
	if (!strcmp(argv[1], "abort"))
		call_abort();
	if (!strcmp(argv[1], "__assert") && call___assert)
		call___assert("it", "leaver", 1);
	if (!strcmp(argv[1], "__assert_fail"))
		call___assert_fail("it", "leaver", 1, "main");
	if (!strcmp(argv[1], "__assert_perror_fail"))
		call___assert_perror_fail(EIO, "leaver", 1, "main");
	if (!strcmp(argv[1], "exit_group"))
		syscall(SYS_exit_group, 7);
	/* of the only thread */
	if (!strcmp(argv[1], "exit_thread"))
		syscall(SYS_exit, 7);
	if (!strcmp(argv[1], "own_exit_thread"))
		own_syscall(SYS_exit, 7);
	if (!strcmp(argv[1], "pthread_exit")) {
		if (pthread_create(&other, NULL, last, &self))
			trouble("pthread_create");
		pthread_exit(NULL);
	}
	/* the process ends with its last thread, whose status is 0 */
	if (!strcmp(argv[1], "last_thread")) {
		if (atexit(seven) || pthread_create(&other, NULL, nothing, NULL))
			trouble("pthread_create");
		pthread_exit(NULL);
	}
	if (!strcmp(argv[1], "exec"))
		execl("/bin/sh", "sh", "-c", "exit 7", (char *)NULL);
	if (strcmp(argv[1], "return"))
		usage("unknown HOW");
	return 7;
}
