/*
 * handler FILE SECONDS io|jump [SYMBOL]: signals come thousands of times a second while FILE (64 KiB at least) is read and written.
 *   io    its handler reads and writes FILE too, in ranges that overlap those of the interrupted call
 *   jump  its handler leaves the interrupted call by SYMBOL (siglongjmp); I/O on the same ranges follows, now and then by another thread
 * Reads the whole file at the end. Prints nothing that depends on timing.
 * build: -pthread
 */
#include "client.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#define SPAN 65536

void call___longjmp_chk(struct __jmp_buf_tag *, int) __asm__("__longjmp_chk");

static const struct {
	const char *name;
	void (*leave)(struct __jmp_buf_tag *, int);
} leavers[] = {
	{ "siglongjmp", siglongjmp },
	{ "longjmp", longjmp },
	{ "_longjmp", _longjmp },
	{ "__longjmp_chk", call___longjmp_chk },
};

static void (*leave)(struct __jmp_buf_tag *, int) = siglongjmp;
static int fd, second;
static volatile sig_atomic_t busy, came, failed;
static sigjmp_buf back;
static char *mine, *its;
static unsigned seed = 1;

/* once, and again from the handler: what it interrupts gets its turn on slow machines, too */
static void arm(void)
{
	struct itimerval once = { { 0, 0 }, { 0, 29 } };

	setitimer(ITIMER_REAL, &once, NULL);
}

static unsigned next(unsigned n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

static void io(int signo)
{
	static unsigned turn;
	size_t n = 512 + turn * 37 % 8192;
	off_t at = turn * 4099 % (SPAN - 9000);
	int e = errno;

	(void)signo;
	came = came + 1;
	turn++;
	memset(its, (int)turn, n);
	if (pwrite(fd, its, n, at) != (ssize_t)n || pread(fd, its, n, at) != (ssize_t)n)
		failed = 1;
	/* a descriptor of the handler's own, with its own position */
	if (lseek(second, at, SEEK_SET) != at || read(second, its, n) != (ssize_t)n)
		failed = 1;
	arm();
	errno = e;
}

static void jump(int signo)
{
	(void)signo;
	came = came + 1;
	arm();
	if (busy)
		leave(back, 1);
}

/* one read and one write, in ranges that overlap those of the handler */
static void work(void)
{
	size_t n = 1 + next(16384);
	off_t at = next((unsigned)(SPAN - n));

	memset(mine, (int)next(256), n);
	if (pwrite(fd, mine, n, at) != (ssize_t)n)
		failed = 2;
	n = 1 + next(16384);
	at = next((unsigned)(SPAN - n));
	if (pread(fd, mine, n, at) != (ssize_t)n)
		failed = 2;
}

static void *whole(void *arg)
{
	(void)arg;
	if (pread(fd, mine, SPAN, 0) != SPAN || pwrite(fd, mine, SPAN, 0) != SPAN)
		failed = 3;
	return NULL;
}

static void in_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, whole, NULL))
		trouble("pthread_create");
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	struct itimerval never = { 0 };
	struct sigaction action = { 0 };
	struct timespec t;
	time_t end;
	int jumps;

	if (argc < 4 || argc > 5)
		usage("handler FILE SECONDS io|jump");
	jumps = !strcmp(argv[3], "jump");
	for (size_t i = 0; argc == 5 && i < sizeof(leavers) / sizeof(*leavers); i++)
		if (!strcmp(argv[4], leavers[i].name))
			leave = leavers[i].leave;
	fd = open(argv[1], O_RDWR);
	second = open(argv[1], O_RDWR);
	if (fd == -1 || second == -1)
		trouble("open");
	mine = buffer(SPAN, 0);
	its = buffer(SPAN, 0);
	action.sa_handler = jumps ? jump : io;
	sigaction(SIGALRM, &action, NULL);
	clock_gettime(CLOCK_MONOTONIC, &t);
	end = t.tv_sec + atoi(argv[2]);
	arm();
	while (clock_gettime(CLOCK_MONOTONIC, &t), t.tv_sec < end) {
		if (!jumps) {
			work();
			continue;
		}
		if (!sigsetjmp(back, 1)) {
			busy = 1;
			work();
		} else if (came % 64 == 0) {
			/* this thread does no I/O that could clear up what the jump left behind */
			busy = 0;
			setitimer(ITIMER_REAL, &never, NULL);
			in_thread();
			arm();
		}
		busy = 0;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	if (came < 100)
		trouble("too few signals came");
	in_thread();
	whole(NULL);
	if (failed)
		printf("I/O failed: %d\n", (int)failed);
	else
		puts("done");
	return failed != 0;
}
