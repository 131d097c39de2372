/*
 * aio_manner CASE FILE: what a program can see of POSIX AIO on a FILE of 1 MiB at least, as text.
 * aio_manner --list: every CASE, one a line. Without the shim and with it the text is the same.
 * build: -lpthread
 */
#include "client.h"
#include <aio.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>

#define MANY 300

static const char *path;
static int fd;
static char *buf;
static struct aiocb many[MANY], *list[MANY];
static struct timespec at_once, soon = { 0, 30000000 }, later = { 5, 0 };

static int opened(int flags)
{
	int made = open(path, flags);

	if (made < 0)
		trouble("open");
	return made;
}

static void say(const char *what, long ret)
{
	printf("%s: ", what);
	result(ret);
}

static struct aiocb *request(struct aiocb *cb, int file, int opcode, void *data, size_t n, off_t offset)
{
	memset(cb, 0, sizeof(*cb));
	cb->aio_fildes = file;
	cb->aio_lio_opcode = opcode;
	cb->aio_buf = data;
	cb->aio_nbytes = n;
	cb->aio_offset = offset;
	cb->aio_sigevent.sigev_notify = SIGEV_NONE;
	return cb;
}

static void waited(struct aiocb *cb)
{
	const struct aiocb *one[1] = { cb };

	while (aio_error(cb) == EINPROGRESS)
		aio_suspend(one, 1, NULL);
}

static void ended(struct aiocb *cb)
{
	int error;

	waited(cb);
	error = aio_error(cb);
	printf("  error %s return %zd opcode %d\n", error ? errno_name(error) : "0", aio_return(cb), cb->aio_lio_opcode);
}

static void tried(const char *what, int ret, struct aiocb *cb)
{
	say(what, ret);
	ended(cb);
}

/* ---- the cases ---- */

static void results(void)
{
	int reader = opened(O_RDONLY), writer = opened(O_WRONLY), direct = open(path, O_RDWR | O_DIRECT);
	off_t size = lseek(fd, 0, SEEK_END);
	char *hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct aiocb cb;

	tried("read", aio_read(request(&cb, fd, 9, buf, 10000, 5000)), &cb);
	printf("digest %llx\n", (unsigned long long)digest(buf, 10000));
	tried("write", aio_write(request(&cb, fd, 9, buf, 10000, 50001)), &cb);
	tried("nothing", aio_read(request(&cb, fd, 0, buf, 0, 0)), &cb);
	tried("across the end", aio_read(request(&cb, fd, 0, buf, 1000, size - 10)), &cb);
	tried("past the end", aio_read(request(&cb, fd, 0, buf, 1000, size + 10)), &cb);
	tried("write past the end", aio_write(request(&cb, fd, 0, buf, 1000, size + 10)), &cb);
	tried("negative offset", aio_read(request(&cb, fd, 0, buf, 1000, -5)), &cb);
	tried("negative length", aio_read(request(&cb, fd, 0, buf, (size_t)-5, 0)), &cb);
	tried("into nowhere", aio_read(request(&cb, fd, 0, hole, 100, 0)), &cb);
	tried("from nowhere", aio_write(request(&cb, fd, 0, hole, 100, 0)), &cb);
	tried("into null", aio_read(request(&cb, fd, 0, NULL, 100, 0)), &cb);
	tried("read of a writer", aio_read(request(&cb, writer, 0, buf, 100, 0)), &cb);
	tried("write to a reader", aio_write(request(&cb, reader, 0, buf, 100, 0)), &cb);
	tried("no descriptor", aio_read(request(&cb, -1, 0, buf, 100, 0)), &cb);
	if (direct >= 0)
		tried("direct, misaligned", aio_read(request(&cb, direct, 0, buf + 1, 100, 7)), &cb);
	request(&cb, fd, 0, buf, 100, 0)->aio_reqprio = 21;
	tried("priority 21", aio_read(&cb), &cb);
	request(&cb, fd, 0, buf, 100, 0)->aio_reqprio = -1;
	tried("priority -1", aio_write(&cb), &cb);
	tried("fsync", aio_fsync(O_SYNC, request(&cb, fd, 0, NULL, 0, 0)), &cb);
	tried("fdatasync", aio_fsync(O_DSYNC, request(&cb, fd, 0, NULL, 0, 0)), &cb);
	tried("fsync of a reader", aio_fsync(O_SYNC, request(&cb, reader, 0, NULL, 0, 0)), &cb);
	/* the other spellings, on the same structure: its layout is one */
	say("fsync64", aio_fsync64(O_SYNC, (struct aiocb64 *)request(&cb, fd, 0, NULL, 0, 0)));
	while (aio_error(&cb) == EINPROGRESS)
		aio_suspend64((const struct aiocb64 *const[]){ (struct aiocb64 *)&cb }, 1, NULL);
	ended(&cb);
	say("cancel64", aio_cancel64(fd, (struct aiocb64 *)&cb));
	say("odd fsync", aio_fsync(77, &cb));
	say("fsync of nothing", aio_fsync(O_SYNC, request(&cb, -1, 0, NULL, 0, 0)));
}

static void lists(void)
{
	struct aiocb bad;

	for (int i = 0; i < 10; i++)
		list[i] = request(&many[i], fd, i % 2 ? LIO_READ : LIO_WRITE, buf + i * 4096, 4096, i / 2 * 4096);
	say("wait", lio_listio(LIO_WAIT, list, 10, NULL));
	for (int i = 0; i < 10; i++)
		ended(&many[i]);
	for (int i = 0; i < 10; i += 2)
		printf("%d", memcmp(buf + i * 4096, buf + i * 4096 + 4096, 4096));
	puts("");
	for (int i = 0; i < 4; i++)
		request(&many[i], fd, LIO_READ, buf, 100, 0);
	list[1] = NULL;
	many[2].aio_lio_opcode = LIO_NOP;
	say("null and nop", lio_listio(LIO_WAIT, list, 4, NULL));
	ended(&many[0]);
	ended(&many[3]);
	list[0] = request(&many[0], fd, LIO_READ, buf, 100, 0);
	list[1] = request(&bad, fd, LIO_READ, buf, 100, -1);
	say("one fails", lio_listio(LIO_WAIT, list, 2, NULL));
	ended(&many[0]);
	ended(&bad);
	bad.aio_lio_opcode = 50;
	many[0].aio_lio_opcode = LIO_READ;
	say("odd opcode", lio_listio(LIO_WAIT, list, 2, NULL));
	ended(&bad);
	request(&bad, fd, LIO_READ, buf, 100, 0)->aio_reqprio = 50;
	many[0].aio_lio_opcode = LIO_READ;
	say("odd priority", lio_listio(LIO_WAIT, list, 2, NULL));
	ended(&many[0]);
	ended(&bad);
	say("nothing else", lio_listio(LIO_WAIT, list + 1, 1, NULL));
	many[0].aio_lio_opcode = LIO_READ;
	say("odd priority, no wait", lio_listio(LIO_NOWAIT, list, 2, NULL));
	ended(&many[0]);
	say("odd mode", lio_listio(7, list, 1, NULL));
	say("empty", lio_listio(LIO_WAIT, list, 0, NULL));
}

static volatile sig_atomic_t signals, odd;

static void handler(int number, siginfo_t *info, void *unused)
{
	(void)unused;
	signals++;
	if (number == SIGUSR1 && (info->si_code != SI_ASYNCIO || info->si_pid != getpid() || info->si_uid != getuid() ||
		info->si_value.sival_int != 4711))
		odd++;
}

static void handled(int number, int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	sigaction(number, &action, NULL);
}

static void come(int wanted)
{
	for (int i = 0; i < 2000 && signals < wanted; i++)
		usleep(1000);
	printf("signals %d odd %d\n", (int)signals, (int)odd);
	signals = 0;
}

static struct sigevent by_signal(void)
{
	return (struct sigevent){ .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 4711 };
}

static void by_signals(void)
{
	struct sigevent event = by_signal();
	struct aiocb cb;

	handled(SIGUSR1, SA_RESTART);
	request(&cb, fd, 0, buf, 100, 0)->aio_sigevent = event;
	tried("read", aio_read(&cb), &cb);
	come(1);
	request(&cb, fd, 0, buf, 100, -1)->aio_sigevent = event;
	tried("failing read", aio_read(&cb), &cb);
	come(1);
	for (int i = 0; i < 10; i++)
		list[i] = request(&many[i], fd, LIO_READ, buf, 100, 0);
	say("list", lio_listio(LIO_NOWAIT, list, 10, &event));
	come(1);
	for (int i = 0; i < 10; i++)
		ended(&many[i]);
	list[0] = NULL;
	say("empty list", lio_listio(LIO_NOWAIT, list, 1, &event));
	come(1);
	list[0] = request(&many[0], fd, LIO_READ, buf, 100, 0);
	many[0].aio_sigevent = event;
	say("waited for, and told of", lio_listio(LIO_WAIT, list, 1, NULL));
	come(1);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int called, mistaken;

static void function(union sigval value)
{
	sigset_t set;

	pthread_sigmask(SIG_BLOCK, NULL, &set);
	pthread_mutex_lock(&mutex);
	called++;
	mistaken += value.sival_ptr != buf || !sigisemptyset(&set);
	pthread_cond_signal(&condition);
	pthread_mutex_unlock(&mutex);
}

static void calls(int wanted)
{
	pthread_mutex_lock(&mutex);
	while (called < wanted)
		pthread_cond_wait(&condition, &mutex);
	printf("calls %d mistaken %d\n", called, mistaken);
	called = 0;
	pthread_mutex_unlock(&mutex);
}

static void by_threads(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD, .sigev_value.sival_ptr = buf };
	struct aiocb cb;

	event.sigev_notify_function = function;
	request(&cb, fd, 0, buf, 100, 0)->aio_sigevent = event;
	tried("read", aio_read(&cb), &cb);
	calls(1);
	for (int i = 0; i < 50; i++) {
		list[i] = request(&many[i], fd, LIO_READ, buf, 100, 0);
		many[i].aio_sigevent = event;
	}
	say("list", lio_listio(LIO_NOWAIT, list, 50, &event));
	calls(51);
}

static void alarmed(void)
{
	struct itimerval timer = { .it_value = { 0, 30000 } };

	setitimer(ITIMER_REAL, &timer, NULL);
}

/* A read of an empty pipe never ends. */
static void suspending(void)
{
	struct aiocb cb, never;
	const struct aiocb *two[3] = { &never, NULL, &cb };
	int pipes[2];

	if (pipe(pipes))
		trouble("pipe");
	handled(SIGALRM, 0);
	say("never", aio_read(request(&never, pipes[0], 0, buf + 65536, 1, 0)));
	say("at once", aio_suspend(two, 2, &at_once));
	say("soon", aio_suspend(two, 2, &soon));
	alarmed();
	say("interrupted", aio_suspend(two, 1, NULL));
	for (int i = 0; i < 50; i++) {
		request(&cb, fd, 0, buf, 65536, 0);
		if (aio_read(&cb) || aio_suspend(two, 3, &later))
			say("either", -1);
		if (aio_error(&cb) == EINPROGRESS || aio_error(&never) != EINPROGRESS)
			puts("wrong one");
		waited(&cb);
	}
	say("read", aio_read(request(&cb, fd, 0, buf, 100, 0)));
	waited(&cb);
	say("done", aio_suspend(two, 3, &later));
	say("none", aio_suspend(two, 0, &at_once));
	say("negative", aio_suspend(two, -1, &at_once));
	say("cancel it", aio_cancel(pipes[0], &never));
	say("write", write(pipes[1], "x", 1));
	ended(&never);
}

/* One list with a target, a file that is none, and one that fails. */
static void mixed(void)
{
	struct sigevent event = by_signal();
	int zero = open("/dev/zero", O_RDWR);

	handled(SIGUSR1, SA_RESTART);
	for (int mode = LIO_WAIT; mode <= LIO_NOWAIT; mode++) {
		list[0] = request(&many[0], zero, LIO_READ, buf, 4096, 0);
		list[1] = request(&many[1], fd, LIO_READ, buf + 4096, 4096, 0);
		list[2] = request(&many[2], zero, LIO_WRITE, buf, 4096, 0);
		list[3] = request(&many[3], fd, LIO_WRITE, buf, 4096, 4096);
		say("list", lio_listio(mode, list, 4, &event));
		if (mode == LIO_NOWAIT)
			come(1);
		for (int i = 0; i < 4; i++)
			ended(&many[i]);
	}
	list[4] = request(&many[4], -1, LIO_READ, buf, 100, 0);
	for (int i = 0; i < 4; i++)
		many[i].aio_lio_opcode = LIO_READ;
	say("bad one", lio_listio(LIO_WAIT, list, 5, NULL));
	for (int i = 0; i < 5; i++)
		ended(&many[i]);
}

static void cancelling(void)
{
	struct aiocb cb;
	int ret, wrong = 0, other = opened(O_RDWR);

	say("nothing", aio_cancel(fd, NULL));
	say("no descriptor", aio_cancel(-1, NULL));
	say("read", aio_read(request(&cb, fd, 0, buf, 100, 0)));
	waited(&cb);
	say("done", aio_cancel(fd, &cb));
	say("another descriptor", aio_cancel(other, &cb));
	/* how much is taken back depends; what is, is told as such */
	handled(SIGUSR1, SA_RESTART);
	for (int i = 0; i < MANY; i++) {
		request(&many[i], fd, 0, buf, 1 << 20, 0)->aio_sigevent = by_signal();
		wrong += aio_read(&many[i]) != 0;
	}
	ret = aio_cancel(other, NULL);
	say("nothing there", ret);
	ret = aio_cancel(fd, &many[MANY - 1]);
	if (ret == AIO_CANCELED)
		wrong += aio_error(&many[MANY - 1]) != ECANCELED || aio_return(&many[MANY - 1]) != -1;
	printf("one %d\n", ret == AIO_CANCELED);
	ret = aio_cancel(fd, NULL);
	printf("all %d\n", ret == AIO_CANCELED || ret == AIO_NOTCANCELED);
	for (int i = 0; i < MANY; i++) {
		waited(&many[i]);
		if (aio_error(&many[i]) == ECANCELED)
			wrong += aio_return(&many[i]) != -1;
		else
			wrong += aio_error(&many[i]) != 0 || aio_return(&many[i]) != 1 << 20;
	}
	printf("wrong %d\n", wrong);
	say("all done", aio_cancel(fd, NULL));
}

/* On one descriptor each waits for those before it. */
static void order(void)
{
	int wrong = 0, appending = opened(O_RDWR | O_APPEND);
	off_t size = lseek(fd, 0, SEEK_END);
	struct aiocb last;

	for (int i = 0; i < MANY; i++) {
		request(&many[i], fd, 0, i % 2 ? buf : memset(buf + 4096 * (i / 2 + 1), i, 4096), 4096, 8192);
		many[i].aio_buf = i % 2 ? buf + 4096 * 200 + i : buf + 4096 * (i / 2 + 1);
		if (i % 2)
			many[i].aio_nbytes = 1;
		wrong += i % 2 ? aio_read(&many[i]) : aio_write(&many[i]);
	}
	for (int i = 0; i < MANY; i++) {
		waited(&many[i]);
		wrong += i % 2 && buf[4096 * 200 + i] != (char)(i - 1);
	}
	printf("wrong %d\n", wrong);
	for (int i = 0; i < MANY; i++) {
		memset(buf + i, i, 1);
		wrong += aio_write(request(&many[i], appending, 0, buf + i, 1, 0));
	}
	wrong += aio_fsync(O_SYNC, request(&last, appending, 0, NULL, 0, 0));
	waited(&last);
	for (int i = 0; i < MANY; i++)
		wrong += aio_error(&many[i]) != 0;
	printf("appended %lld\n", (long long)lseek(fd, 0, SEEK_END) - (long long)size);
	wrong += pread(fd, buf + 4096, MANY, size) != MANY;
	wrong += memcmp(buf, buf + 4096, MANY);
	printf("wrong %d\n", wrong);
}

/* Those that wait on a descriptor are done by priority: the later of two writes to one place goes first. */
static void priorities(void)
{
	struct aiocb low, high;
	int busy;

	do {
		int n = MANY / 3;

		for (int i = 0; i < n; i++)
			aio_read(request(&many[i], fd, 0, buf, 1 << 20, 0));
		memset(buf + (1 << 20), 'l', 4096);
		memset(buf + (1 << 20) + 4096, 'h', 4096);
		request(&low, fd, 0, buf + (1 << 20), 4096, 8192)->aio_reqprio = 10;
		aio_write(&low);
		aio_write(request(&high, fd, 0, buf + (1 << 20) + 4096, 4096, 8192));
		busy = aio_error(&many[n - 1]) == EINPROGRESS;
		for (int i = 0; i < n; i++)
			waited(&many[i]);
		waited(&low);
		waited(&high);
	} while (!busy);
	ended(&low);
	ended(&high);
	pread(fd, buf, 4096, 8192);
	printf("last %c%c\n", buf[0], buf[4095]);
}

/* In flight when the process ends: what has been begun is done, or is not. */
static void leaving(void)
{
	for (int i = 0; i < 64; i++) {
		memset(buf + i * 16384, 'a' + i % 26, 16384);
		aio_write(request(&many[i], i % 2 ? fd : opened(O_RDWR), 0, buf + i * 16384, 16384, i * 16384));
	}
	_exit(0);
}

static void *suspended(void *unused)
{
	struct aiocb *never = unused;
	const struct aiocb *one[1] = { never };

	for (;;)
		aio_suspend(one, 1, NULL);
	return NULL;
}

/* aio_suspend is a cancellation point, also while it waits. */
static void cancelled(void)
{
	struct aiocb never;
	pthread_t thread;
	void *ret;
	int pipes[2];

	if (pipe(pipes))
		trouble("pipe");
	say("never", aio_read(request(&never, pipes[0], 0, buf + 65536, 1, 0)));
	for (int i = 0; i < MANY; i++)
		aio_read(request(&many[i], fd, 0, buf, 65536, 0));
	pthread_create(&thread, NULL, suspended, &never);
	usleep(20000);
	pthread_cancel(thread);
	pthread_join(thread, &ret);
	printf("cancelled %d\n", ret == PTHREAD_CANCELED);
	for (int i = 0; i < MANY; i++)
		waited(&many[i]);
}

#define CASES X(results) X(lists) X(by_signals) X(by_threads) X(suspending) X(mixed) X(cancelling) X(order) X(priorities) X(cancelled) X(leaving)

int main(int argc, char **argv)
{
#define X(name) #name "\n"
	if (argc == 2 && !strcmp(argv[1], "--list"))
		return fputs(CASES, stdout) == EOF;
#undef X
	if (argc != 3)
		usage("aio_manner CASE FILE");
	path = argv[2];
	fd = opened(O_RDWR);
	buf = buffer(2 << 20, 0xee);
#define X(name) if (!strcmp(argv[1], #name)) return name(), 0;
	CASES
	usage("unknown CASE");
}
