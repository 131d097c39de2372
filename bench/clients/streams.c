/* What 512 bytes through a stream cost, in nanoseconds.  streams FILE read|random|write
 * read and write go through the file from its start; random seeks to a sector before each. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

enum { SECTOR = 512, CALLS = 20000, BATCHES = 10 };

static FILE *stream;
static char sector[SECTOR];
static uint32_t random_state;

static void check(size_t done)
{
	if (done != SECTOR) {
		perror("stream");
		exit(1);
	}
}

static void do_read(void)
{
	check(fread(sector, 1, SECTOR, stream));
}

static void do_random(void)
{
	random_state = random_state * 1664525 + 1013904223;
	fseek(stream, (long)(random_state >> 8) % CALLS * SECTOR, SEEK_SET);
	check(fread(sector, 1, SECTOR, stream));
}

static void do_write(void)
{
	check(fwrite(sector, 1, SECTOR, stream));
}

int main(int argc, char **argv)
{
	double least = 1e18;
	void (*call)(void);

	if (argc != 3 || !(stream = fopen(argv[1], "r+"))) {
		fprintf(stderr, "usage: streams FILE read|random|write\n");
		return 2;
	}
	memset(sector, 'Z', SECTOR);
	call = !strcmp(argv[2], "read") ? do_read : !strcmp(argv[2], "write") ? do_write : do_random;
	for (int batch = 0; batch < BATCHES; batch++) {
		double each;

		rewind(stream);
		each = best(1, CALLS, call);
		if (each < least)
			least = each;
	}
	printf("%.1f\n", least);
	return 0;
}
