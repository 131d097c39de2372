/*
 * uring_tasks WAY FILE: rings in several threads and processes, which come and go; see uring.h. "leaves" and "watches"
 * are for tests of their own.
 * build: -luring -lpthread
 */
#include "uring.h"
#include <dirent.h>
#include <pthread.h>
#include <sys/wait.h>

static void *hammer(void *argument)
{
	unsigned me = (unsigned)(uintptr_t)argument;
	struct io_uring mine;
	char *buf = buffer(65536, 0);
	uintptr_t bad = 0;

	if (io_uring_queue_init(16, &mine, 0))
		return (void *)1;
	for (unsigned round = 0; round < 60; round++) {
		for (unsigned i = 0; i < 16; i++) {
			struct io_uring_sqe *s = io_uring_get_sqe(&mine);

			/* its own 8 KiB for writing, anybody's for reading */
			if (i % 2)
				io_uring_prep_read(s, fd, buf + i * 4096, 4096, (round + i) % 16 * 4096);
			else
				io_uring_prep_write(s, fd, memset(buf + i * 4096, (int)(me + round), 1024), 1024,
					me * 8192 + i % 8 * 1024);
			s->user_data = i;
		}
		io_uring_submit(&mine);
		for (unsigned i = 0; i < 16; i++) {
			struct io_uring_cqe *cqe;

			io_uring_wait_cqe(&mine, &cqe);
			bad += cqe->res != (cqe->user_data % 2 ? 4096 : 1024);
			io_uring_cqe_seen(&mine, cqe);
		}
	}
	io_uring_queue_exit(&mine);
	free(buf);
	return (void *)bad;
}

static void threads(void)
{
	pthread_t thread[8];
	uintptr_t bad = 0;

	for (uintptr_t i = 0; i < 8; i++)
		pthread_create(&thread[i], NULL, hammer, (void *)i);
	for (int i = 0; i < 8; i++) {
		void *result;

		pthread_join(thread[i], &result);
		bad += (uintptr_t)result;
	}
	printf("bad %lu\n", (unsigned long)bad);
}

static void *posts(void *unused)
{
	char *buf = buffer(4096, 0);

	(void)unused;
	reads(fd, buf, 4096, 0);
	io_uring_submit(&ring);
	return NULL;
}

/* submitted by one thread while another waits; and the one that submitted is gone */
static void handed_over(void)
{
	struct io_uring_cqe *cqe;
	pthread_t thread;

	make(8, 0);
	pthread_create(&thread, NULL, posts, NULL);
	say("wait", io_uring_wait_cqe(&ring, &cqe));
	pthread_join(thread, NULL);
	reap(1, 1);
	pthread_create(&thread, NULL, posts, NULL);
	pthread_join(thread, NULL);
	reap(1, 1);
	io_uring_queue_exit(&ring);
}

static void forks(void)
{
	char *buf = buffer(65536, 1);
	int status;

	make(8, 0);
	reads(fd, buf, 4096, 0);
	go(1);
	fflush(stdout);
	if (fork() == 0) {
		/* a ring of its own */
		make(8, 0);
		reads(fd, buf, 4096, 4096);
		go(1);
		writes(fd, "child", 5, 12345);
		go(1);
		show("child", buf, 65536);
		fflush(stdout);
		_exit(5);
	}
	wait(&status);
	printf("child %d\n", WEXITSTATUS(status));
	fflush(stdout);
	if (fork() == 0) {
		/* the parent's */
		reads(fd, buf, 4096, 8192);
		go(1);
		show("child", buf, 65536);
		fflush(stdout);
		_exit(6);
	}
	wait(&status);
	printf("child %d\n", WEXITSTATUS(status));
	/* the queue of the parent's is out of step with its memory from here on */
	io_uring_queue_exit(&ring);
	printf("read %d\n", (int)pread(fd, buf, 16, 12340));
	show("parent", buf, 65536);
}

static int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* rings come and go, with requests in flight, under the same number */
static void reuse(void)
{
	char *buf = buffer(65536, 1);
	int before = 0, number = -1;

	for (int i = 0; i < 50; i++) {
		/* what is kept for all rings is there by then */
		if (i == 2)
			before = open_files();
		make(8, 0);
		if (number < 0)
			number = ring.ring_fd;
		printf("%s", ring.ring_fd == number ? "." : "!");
		for (int k = 0; k < 8; k++)
			reads(fd, buf + k * 8192, 8192, (uint64_t)k * 8192);
		io_uring_submit(&ring);
		if (i % 2)
			for (int k = 0; k < 8; k++) {
				struct io_uring_cqe *cqe;

				io_uring_wait_cqe(&ring, &cqe);
				io_uring_cqe_seen(&ring, cqe);
			}
		if (i % 3)
			io_uring_queue_exit(&ring);
		else
			close(ring.ring_fd);
	}
	printf("\nleft open %d\n", open_files() - before);
	show("bytes", buf, 65536);
}

/* what is submitted is done, though the program ends */
static void leaves(void)
{
	static char out[32][1024];

	make(32, 0);
	for (int i = 0; i < 32; i++) {
		memset(out[i], 'A' + i, 1024);
		writes(fd, out[i], 1024, (uint64_t)i * 1024);
	}
	say("submitted", io_uring_submit(&ring));
	fflush(stdout);
	_exit(0);
}

/* ---- a watcher: does anything show before it may? ---- */

static char *watched;

static void *watch(void *unused)
{
	unsigned *tail = ring.cq.ktail, before = __atomic_load_n(tail, __ATOMIC_ACQUIRE);

	(void)unused;
	for (;;) {
		if (__atomic_load_n(tail, __ATOMIC_ACQUIRE) != before && write(1, "SEEN: a completion\n", 19))
			return NULL;
		for (int i = 0; i < 65536; i += 64)
			if (*(volatile char *)(watched + i) != 1 && write(1, "SEEN: a byte\n", 13))
				return NULL;
	}
}

/* one read of all that is watched: prints nothing unless it was seen by the other thread */
static void watches(void)
{
	pthread_t thread;

	watched = buffer(65536, 1);
	make(8, 0);
	pthread_create(&thread, NULL, watch, NULL);
	usleep(1000);
	reads(fd, watched, 65536, 0);
	io_uring_submit(&ring);
	pthread_join(thread, NULL);
	puts("completed");
	io_uring_queue_exit(&ring);
}

static const struct way ways[] = {
	{ "threads", threads }, { "handed_over", handed_over }, { "forks", forks }, { "reuse", reuse },
	{ "leaves", leaves }, { "watches", watches }, { 0 },
};
static const struct way refused[] = {
	{ 0 },
};

int main(int argc, char **argv)
{
	return run_way(argc, argv, ways, refused);
}
