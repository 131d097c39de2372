/* Calls on the target that never return to where they were made.  abrupt HOW FILE ROUNDS [PROGRAM ARG...]
 *   cancel   threads are cancelled in the middle of reads and writes; async: wherever they are, at any instruction
 *   jump     a signal handler leaves them by siglongjmp
 *   fork     the process forks while its threads are in the middle of them; each child uses the file and ends
 *   exit     the process ends, and exec: becomes PROGRAM, while its threads are in the middle of them (one round)
 *   _exit, quick_exit, abort    it ends otherwise; thread: by exit in one of its threads
 * Afterwards the whole of the first 64 KiB is read and written, which waits for whatever was left behind. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, SPACE = 65536, PART = 8192 };

static int fd, async;
static atomic_int over;
static sigjmp_buf back;

static int complain(const char *what)
{
	fprintf(stderr, "abrupt: %s: %s\n", what, strerror(errno));
	return 1;
}

static void pause_us(long us)
{
	struct timespec pause = { 0, us * 1000 };

	nanosleep(&pause, NULL);
}

static void *work(void *argument)
{
	unsigned state = (unsigned)(size_t)argument * 7919 + (unsigned)time(NULL);
	char part[PART];
	int unused;

	if (async)
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &unused);
	while (!over) {
		off_t offset = rand_r(&state) % (SPACE - PART);

		memset(part, (int)state, sizeof part);
		if (state & 64 ? pread(fd, part, sizeof part, offset) < 0 : pwrite(fd, part, sizeof part, offset) < 0)
			_exit(3);
	}
	return NULL;
}

/* waits for every lock that somebody left behind */
static int use_all(void)
{
	static char all[SPACE];

	if (pread(fd, all, sizeof all, 0) != sizeof all)
		return complain("pread");
	if (pwrite(fd, all, sizeof all, 0) != sizeof all)
		return complain("pwrite");
	return 0;
}

static void start(pthread_t *threads)
{
	for (size_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work, (void *)i);
}

static int by_cancel(int rounds)
{
	pthread_t threads[THREADS];

	while (rounds--) {
		start(threads);
		pause_us(200 + rounds % 13 * 100);
		for (int i = 0; i < THREADS; i++)
			pthread_cancel(threads[i]);
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
	}
	return use_all();
}

static void leave(int signal_number)
{
	(void)signal_number;
	siglongjmp(back, 1);
}

static int by_jump(int rounds)
{
	static char part[PART];
	volatile int left = rounds;

	signal(SIGALRM, leave);
	while (left-- > 0) {
		struct itimerval soon = { { 0, 0 }, { 0, 100 + left % 17 * 30 } };

		if (!sigsetjmp(back, 1)) {
			setitimer(ITIMER_REAL, &soon, NULL);
			for (;;)
				if (pread(fd, part, sizeof part, 100) < 0 || pwrite(fd, part, sizeof part, 5000) < 0)
					return complain("transfer");
		}
	}
	return use_all();
}

static int by_fork(int rounds)
{
	pthread_t threads[THREADS];
	int bad = 0, status;

	start(threads);
	while (rounds-- && !bad) {
		pid_t child = fork();

		if (!child)
			_exit(use_all());
		if (child < 0 || waitpid(child, &status, 0) != child || status)
			bad = complain("child");
	}
	over = 1;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return bad || use_all();
}

static void *leave_all(void *argument)
{
	(void)argument;
	exit(0);
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	const char *how = argc < 4 ? "" : argv[1];

	if (argc < 4 || (fd = open(argv[2], O_RDWR)) < 0) {
		fprintf(stderr, "usage: abrupt HOW FILE ROUNDS [PROGRAM ARG...]\n");
		return 2;
	}
	async = !strcmp(how, "async");
	if (async || !strcmp(how, "cancel"))
		return by_cancel(atoi(argv[3]));
	if (!strcmp(how, "jump"))
		return by_jump(atoi(argv[3]));
	if (!strcmp(how, "fork"))
		return by_fork(atoi(argv[3]));
	start(threads);
	pause_us(20000);
	if (!strcmp(how, "exec") && argc > 4)
		execvp(argv[4], argv + 4);
	if (!strcmp(how, "_exit"))
		_exit(0);
	if (!strcmp(how, "quick_exit"))
		quick_exit(0);
	if (!strcmp(how, "abort"))
		abort();
	if (!strcmp(how, "thread") && !pthread_create(&threads[0], NULL, leave_all, NULL))
		pause();
	exit(strcmp(how, "exit") != 0);
}
