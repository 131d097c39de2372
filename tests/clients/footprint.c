/* How much memory a process has that reads and writes a file: KiB, without what it shares with files on disk that
 * others map as well (Pss of /proc/self/smaps_rollup).  footprint FILE THREADS
 * Each thread reads and writes a MiB at a time, sixteen times; with 0 threads the file is only opened.
 * build: -lpthread */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 1 << 20, TIMES = 16, MOST = 64 };

static int fd;
static pthread_barrier_t all_done, counted;

static void *work(void *buffer)
{
	for (int i = 0; i < TIMES; i++) {
		if (pread(fd, buffer, BLOCK, (off_t)i * BLOCK) != BLOCK || pwrite(fd, buffer, BLOCK, (off_t)i * BLOCK) != BLOCK) {
			perror("footprint");
			exit(1);
		}
	}
	/* what a thread keeps counts while it lives */
	pthread_barrier_wait(&all_done);
	pthread_barrier_wait(&counted);
	return NULL;
}

static long pss(void)
{
	FILE *rollup = fopen("/proc/self/smaps_rollup", "r");
	char line[256];
	long kib = -1;

	while (rollup && fgets(line, sizeof(line), rollup))
		if (sscanf(line, "Pss: %ld kB", &kib) == 1)
			break;
	return kib;
}

int main(int argc, char **argv)
{
	int threads = argc == 3 ? atoi(argv[2]) : -1;
	char *buffers;

	if (threads < 0 || threads > MOST || (fd = open(argv[1], O_RDWR)) < 0) {
		fprintf(stderr, "usage: footprint FILE THREADS\n");
		return 2;
	}
	buffers = calloc(threads + 1, BLOCK);
	pthread_barrier_init(&all_done, NULL, (unsigned)threads + 1);
	pthread_barrier_init(&counted, NULL, (unsigned)threads + 1);
	for (int i = 0; i < threads; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, work, buffers + (size_t)i * BLOCK))
			return 1;
	}
	pthread_barrier_wait(&all_done);
	printf("%ld\n", pss());
	pthread_barrier_wait(&counted);
	return 0;
}
