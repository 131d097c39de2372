/*
 * thread FILE OFFSET LENGTH: reads and writes back the range in a thread with the smallest stack there can be.
 * build: -pthread
 */
#include "client.h"
#include <limits.h>
#include <pthread.h>

static int fd;
static int64_t at;
static size_t length;
static void *buf;
static struct iovec iov[5];

static void *body(void *arg)
{
	ssize_t n = pread(fd, buf, length, at);

	if (n != (ssize_t)length || pwrite(fd, buf, length, at) != n || preadv(fd, iov, 5, at) != n ||
	    pwritev(fd, iov, 5, at) != n || lseek(fd, at, SEEK_SET) != at || read(fd, buf, length) != n || fsync(fd))
		return arg;
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_attr_t attr;
	pthread_t thread;
	void *failed;

	if (argc != 4)
		usage("thread FILE OFFSET LENGTH");
	fd = open(argv[1], O_RDWR);
	if (fd == -1)
		trouble("open");
	at = number(argv[2]);
	length = (size_t)number(argv[3]);
	buf = buffer(length, 0xee);
	cut(iov, buf, length);
	pthread_attr_init(&attr);
	errno = pthread_attr_setstacksize(&attr, (size_t)sysconf(_SC_THREAD_STACK_MIN));
	if (errno)
		trouble("pthread_attr_setstacksize");
	errno = pthread_create(&thread, &attr, body, &fd);
	if (errno)
		trouble("pthread_create");
	pthread_join(thread, &failed);
	if (failed)
		trouble("I/O in the thread");
	printf("digest=%016llx\n", (unsigned long long)digest(buf, length));
	return 0;
}
