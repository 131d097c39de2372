/* What 4 KiB read at a random place of a file costs, in nanoseconds, printed alone.
 *   reads FILE                  anywhere in it
 *   reads FILE fds N            through N descriptors in turn, while N of another file are open
 *   reads FILE after-writes N   in its second half, after N writes here and there in its first half; these may fail
 * Always the same places, a thousand of them, so that they are in the page cache after the first batch. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"

enum { BLOCK = 4096, PLACES = 1000, BATCHES = 20 };

static int *fds, fd_count = 1, turn;
static uint64_t first_block, block_count;
static uint32_t random_state;
static char buffer[BLOCK];

static void do_read(void)
{
	int number = turn++ % PLACES;
	uint64_t block;

	if (number == 0)
		random_state = 1;
	random_state = random_state * 1664525 + 1013904223;
	block = first_block + (((uint64_t)random_state << 20) ^ (random_state >> 3)) % block_count;
	if (pread(fds[turn % fd_count], buffer, BLOCK, (off_t)(block * BLOCK)) != BLOCK) {
		perror("pread");
		_exit(1);
	}
}

static int open_or_die(const char *path)
{
	int fd = open(path, O_RDWR);

	if (fd < 0) {
		perror(path);
		_exit(1);
	}
	return fd;
}

static void open_many(const char *path, int count)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	fds = realloc(fds, (size_t)count * sizeof(*fds));
	for (fd_count = 1; fd_count < count; fd_count++)
		fds[fd_count] = open_or_die(path);
	for (int i = 0; i < count; i++)
		open_or_die("/dev/null");
}

static void write_here_and_there(int count)
{
	memset(buffer, 'Z', BLOCK);
	for (int i = 0; i < count; i++)
		if (pwrite(fds[0], buffer, BLOCK, (off_t)i * 2 * BLOCK) < 0)
			continue;
	first_block = block_count / 2;
	block_count -= first_block;
}

int main(int argc, char **argv)
{
	struct stat status;

	if (argc != 2 && argc != 4) {
		fprintf(stderr, "usage: reads FILE [fds N | after-writes N]\n");
		return 2;
	}
	fds = malloc(sizeof(*fds));
	fds[0] = open_or_die(argv[1]);
	if (fstat(fds[0], &status))
		return 1;
	block_count = (uint64_t)status.st_size / BLOCK;
	if (argc == 4 && !strcmp(argv[2], "fds"))
		open_many(argv[1], atoi(argv[3]));
	else if (argc == 4)
		write_here_and_there(atoi(argv[3]));
	printf("%.1f\n", best(BATCHES, PLACES, do_read));
	return 0;
}
