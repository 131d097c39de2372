/*
 * sharer write|append|read FILE PROCESSES THREADS COUNT: many at one file position. Each of PROCESSES times THREADS
 * writes COUNT records of 512 bytes, all through one open file description (append: through one each); or they read
 * the file to its end. Each record must be written once and whole, or read once and whole: FILE is checked at the end.
 * build: -pthread
 */
#include "client.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define RECORD 512

static int fd, count, threads;
static const char *how, *path;
static int process;
static int *failed, *seen;	/* shared with the children */

static void make(unsigned *record, unsigned id)
{
	for (unsigned i = 0; i < RECORD / sizeof(*record); i++)
		record[i] = id * 2654435761u + i;
	record[0] = id;
}

static int sound(const unsigned *record)
{
	unsigned right[RECORD / sizeof(unsigned)];

	make(right, record[0]);
	return !memcmp(right, record, RECORD);
}

static void *work(void *arg)
{
	unsigned record[RECORD / sizeof(unsigned)], id = (unsigned)((process * threads + (int)(intptr_t)arg) * count);
	int own = fd;

	if (*how == 'a')
		own = open(path, O_RDWR | O_APPEND);
	if (*how == 'r') {
		ssize_t n;

		while ((n = read(fd, record, RECORD)) > 0)
			if (n != RECORD || !sound(record))
				*failed = 1;
			else
				__atomic_fetch_add(&seen[record[0]], 1, __ATOMIC_RELAXED);
		if (n < 0)
			*failed = 2;
		return NULL;
	}
	for (int i = 0; i < count; i++) {
		make(record, id + (unsigned)i);
		if (write(own, record, RECORD) != RECORD)
			*failed = 3;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int processes, total;

	if (argc != 6)
		usage("sharer write|append|read FILE PROCESSES THREADS COUNT");
	how = argv[1];
	path = argv[2];
	processes = atoi(argv[3]);
	threads = atoi(argv[4]);
	count = atoi(argv[5]);
	total = processes * threads * count;
	fd = open(path, O_RDWR);
	seen = mmap(NULL, ((size_t)total + 1) * sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fd == -1 || seen == MAP_FAILED)
		trouble("open");
	failed = &seen[total];
	for (process = 0; process < processes; process++)
		if (!fork()) {
			pthread_t thread[64];

			for (int i = 0; i < threads; i++)
				pthread_create(&thread[i], NULL, work, (void *)(intptr_t)i);
			for (int i = 0; i < threads; i++)
				pthread_join(thread[i], NULL);
			_exit(0);
		}
	for (int status; wait(&status) > 0;)
		if (status)
			*failed = 4;
	if (*how != 'r') {
		unsigned record[RECORD / sizeof(unsigned)];

		for (int i = 0; i < total; i++)
			if (pread(fd, record, RECORD, (off_t)i * RECORD) != RECORD || !sound(record) ||
			    record[0] >= (unsigned)total)
				*failed = 5;
			else
				seen[record[0]]++;
	}
	for (int i = 0; i < total; i++)
		if (seen[i] != 1 && !*failed) {
			printf("record %d came %d times\n", i, seen[i]);
			*failed = 6;
		}
	if (*failed)
		printf("failed: %d\n", *failed);
	else
		puts("each once and whole");
	return *failed != 0;
}
