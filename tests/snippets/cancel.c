/*
 * cancel FILE: every symbol that is a cancellation point still is one. A thread with a cancellation pending calls it on
 * FILE and must end there, leaving no range taken; a thread that waits for a pipe must end too.
 * Prints a line for each; the output with and without the shim is the same.
 * build: -pthread
 */
#include "client.h"
#include <aio.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

CALL(__read, ssize_t, (int, void *, size_t))
CALL(__pread64, ssize_t, (int, void *, size_t, int64_t))
CALL(__pread64_chk, ssize_t, (int, void *, size_t, int64_t, size_t))

static int fd, ends[2], other[2], full[2];
static char buf[65536];
static sem_t ready, go;
static int cleaned;

static void clean(void *arg)
{
	(void)arg;
	cleaned++;
}

static const struct iovec vector = { buf, sizeof(buf) };
static struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
static struct aiocb request;
static struct stat status;
static const char *path;

/* streams that do at once what they are told; one whose reads and writes are no cancellation points */
static FILE *plain, *without;

static FILE *opened(const char *mode)
{
	FILE *stream = fopen(path, mode);

	setvbuf(stream, NULL, _IONBF, 0);
	return stream;
}

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
	X(fcntl, fcntl(fd, F_GETFL)) \
	X(lock, fcntl(fd, F_SETLKW, &lock)) \
	X(openat, openat(AT_FDCWD, path, O_RDWR)) \
	X(creat, creat("/dev/null", 0600)) \
	X(truncate, truncate(path, 65536)) \
	X(sync_file_range, sync_file_range(fd, 0, 4096, SYNC_FILE_RANGE_WRITE)) \
	X(syncfs, syncfs(fd)) \
	X(copy_file_range, copy_file_range(fd, &(off64_t){ 0 }, fd, &(off64_t){ 32768 }, 4096, 0)) \
	X(sendfile, sendfile(other[1], fd, &(off_t){ 0 }, 100)) \
	X(splice, splice(fd, &(off64_t){ 0 }, other[1], NULL, 100, 0)) \
	X(fread, fread(buf, 1, 4096, plain)) \
	X(fread_without, fread(buf, 1, 4096, without)) \
	X(fwrite, fwrite(buf, 1, 4096, plain)) \
	X(fwrite_without, fwrite(buf, 1, 4096, without)) \
	X(getc, getc(plain)) \
	X(getc_without, getc(without)) \
	X(aio_read, aio_read(&request)) \
	X(lio_listio, lio_listio(LIO_WAIT, &(struct aiocb *){ &request }, 1, NULL)) \
	X(aio_suspend, aio_suspend(&(const struct aiocb *){ &request }, 1, NULL)) \
	X(fstat, fstat(fd, &status))

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
	while (aio_error(&request) == EINPROGRESS)
		;
	/* never closed: who was cancelled in one may have left it in any state */
	plain = opened("r+");
	without = opened("r+c");
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

/* blocked already, or about to be: either way it must end */
#define W(name, expression) \
	static void *wait_in_##name(void *arg) \
	{ \
		pthread_cleanup_push(clean, NULL); \
		sem_post(&ready); \
		sem_post(&go); \
		if ((expression) == -1) \
			puts("  " #name " failed"); \
		pthread_cleanup_pop(0); \
		return arg; \
	}
#define WAITS(X) \
	X(read, read(ends[0], buf, 10)) \
	X(splice_from, splice(ends[0], NULL, fd, &(off64_t){ 0 }, 10, 0)) \
	X(splice_to, splice(fd, &(off64_t){ 0 }, full[1], NULL, 10, 0))
WAITS(W)

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
	path = argv[1];
	fd = open(path, O_RDWR);
	if (fd == -1 || pipe(ends) || pipe(other) || pipe(full))
		trouble("open");
	fcntl(full[1], F_SETFL, O_NONBLOCK);
	while (write(full[1], buf, sizeof(buf)) > 0)
		;
	fcntl(full[1], F_SETFL, 0);
	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	memset(buf, 0x41, sizeof(buf));
	request = (struct aiocb){ .aio_fildes = fd, .aio_buf = buf, .aio_nbytes = 100, .aio_lio_opcode = LIO_READ,
		.aio_sigevent.sigev_notify = SIGEV_NONE };
#define P(name, expression) { \
		int cancelled = run(thread_##name), cleanups = cleaned, immune; \
		probe(); \
		immune = run(immune_##name); \
		probe(); \
		printf("%s: cancelled %d cleaned up %d, when disabled %d\n", #name, cancelled, cleanups, immune); \
	}
	CALLS(P)
#define Q(name, expression) { \
		int cancelled = run(wait_in_##name); \
		probe(); \
		printf("%s of a pipe: cancelled %d cleaned up %d\n", #name, cancelled, cleaned); \
	}
	WAITS(Q)
	probe();
	return 0;
}
