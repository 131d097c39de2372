/*
 * cancel FILE: every symbol that is a cancellation point still is one. A thread with a cancellation pending calls it on
 * FILE and must end there, leaving no range taken; a thread that waits in read on a pipe must end too.
 * Prints a line for each; the output with and without the shim is the same.
 * build: -pthread
 */
#include "client.h"
#include <pthread.h>
#include <semaphore.h>

CALL(__read, ssize_t, (int, void *, size_t))
CALL(__pread64, ssize_t, (int, void *, size_t, int64_t))
CALL(__pread64_chk, ssize_t, (int, void *, size_t, int64_t, size_t))

static int fd, ends[2];
static char buf[65536];
static sem_t ready, go;
static int cleaned;

static void clean(void *arg)
{
	(void)arg;
	cleaned++;
}

static const struct iovec vector = { buf, sizeof(buf) };

#define CALLS(X) \
	X(read, read(fd, buf, 4096)) \
	X(__read, call___read(fd, buf, 4096)) \
	X(pread, pread(fd, buf, 65536, 0)) \
	X(pread64, pread64(fd, buf, 65536, 0)) \
	X(__pread64, call___pread64(fd, buf, 65536, 0)) \
	X(__pread64_chk, call___pread64_chk(fd, buf, 65536, 0, 65536)) \
	X(readv, readv(fd, &vector, 1)) \
	X(preadv, preadv(fd, &vector, 1, 0)) \
	X(preadv2, preadv2(fd, &vector, 1, 0, 0)) \
	X(write, write(fd, buf, 4096)) \
	X(pwrite, pwrite(fd, buf, 65536, 0)) \
	X(pwrite64, pwrite64(fd, buf, 65536, 0)) \
	X(writev, writev(fd, &vector, 1)) \
	X(pwritev, pwritev(fd, &vector, 1, 0)) \
	X(pwritev2, pwritev2(fd, &vector, 1, 0, 0)) \
	X(fsync, fsync(fd)) \
	X(fdatasync, fdatasync(fd)) \
	X(fallocate, fallocate(fd, 0, 0, 10)) \
	X(posix_fallocate, posix_fallocate(fd, 0, 10)) \
	X(lseek, lseek(fd, 0, SEEK_SET)) \
	X(ftruncate, ftruncate(fd, 65536)) \
	X(open, open("/dev/null", O_RDONLY)) \
	X(close, close(dup(fd))) \
	X(fcntl, fcntl(fd, F_GETFL))

/* the cancellation is pending when the call begins */
#define T(name, expression) \
	static void *thread_##name(void *arg) \
	{ \
		pthread_cleanup_push(clean, NULL); \
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL); \
		sem_post(&ready); \
		while (sem_wait(&go)) \
			; \
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL); \
		if ((long long)(expression) == -1) \
			printf("  %s failed: %s\n", #name, errno_name(errno)); \
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL); \
		pthread_cleanup_pop(0); \
		return arg; \
	}
CALLS(T)

/* the same with cancellation turned off must go through */
#define U(name, expression) \
	static void *immune_##name(void *arg) \
	{ \
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL); \
		sem_post(&ready); \
		while (sem_wait(&go)) \
			; \
		if ((long long)(expression) == -1) \
			printf("  %s failed: %s\n", #name, errno_name(errno)); \
		return arg; \
	}
CALLS(U)

static int run(void *(*body)(void *))
{
	pthread_t thread;
	void *how;

	lseek(fd, 0, SEEK_SET);
	cleaned = 0;
	if (pthread_create(&thread, NULL, body, NULL))
		trouble("pthread_create");
	while (sem_wait(&ready))
		;
	pthread_cancel(thread);
	sem_post(&go);
	pthread_join(thread, &how);
	return how == PTHREAD_CANCELED;
}

static void *wait_in_read(void *arg)
{
	pthread_cleanup_push(clean, NULL);
	sem_post(&ready);
	sem_post(&go);
	if (read(ends[0], buf, 10) == -1)
		puts("  read of a pipe failed");
	pthread_cleanup_pop(0);
	return arg;
}

static void probe(void)
{
	/* would wait for ever on a range that a dead thread still holds */
	if (pwrite(fd, buf, sizeof(buf), 0) != sizeof(buf) || pread(fd, buf, sizeof(buf), 0) != sizeof(buf))
		trouble("I/O after a cancellation");
}

int main(int argc, char **argv)
{
	if (argc != 2)
		usage("cancel FILE");
	fd = open(argv[1], O_RDWR);
	if (fd == -1 || pipe(ends))
		trouble("open");
	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	memset(buf, 0x41, sizeof(buf));
#define P(name, expression) { \
		int cancelled = run(thread_##name), cleanups = cleaned, immune; \
		probe(); \
		immune = run(immune_##name); \
		probe(); \
		printf("%s: cancelled %d cleaned up %d, when disabled %d\n", #name, cancelled, cleanups, immune); \
	}
	CALLS(P)
	/* blocked already, or about to be: either way it must end */
	{
		int cancelled = run(wait_in_read);

		printf("read of a pipe: cancelled %d cleaned up %d\n", cancelled, cleaned);
	}
	probe();
	return 0;
}
