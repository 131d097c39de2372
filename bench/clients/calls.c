/* What a call costs on a descriptor that is no target's: nanoseconds, printed alone.
 *   calls list         prints the names
 *   calls NAME FILE    the call of that name; FILE is one to read from */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "clock.h"

enum { BATCHES = 40, CALLS = 20000 };

static int file, null;
static char byte;

static void do_pread(void)
{
	if (pread(file, &byte, 1, 0) != 1)
		_exit(1);
}

static void do_preadv(void)
{
	struct iovec iov = { &byte, 1 };

	if (preadv(file, &iov, 1, 0) != 1)
		_exit(1);
}

static void do_write(void)
{
	if (write(null, &byte, 1) != 1)
		_exit(1);
}

static void do_lseek(void)
{
	if (lseek(file, 0, SEEK_SET))
		_exit(1);
}

static void do_dup_close(void)
{
	close(dup(null));
}

static void do_open_close(void)
{
	close(open("/dev/null", O_RDONLY));
}

static void do_bad_fd(void)
{
	if (pread(-1, &byte, 1, 0) >= 0)
		_exit(1);
}

static const struct {
	const char *name;
	void (*call)(void);
} calls[] = {
	{ "pread-1-byte", do_pread },   { "preadv-1-byte", do_preadv }, { "write-/dev/null", do_write },
	{ "lseek", do_lseek },          { "pread-bad-fd", do_bad_fd },  { "dup+close", do_dup_close },
	{ "open+close", do_open_close },
};

enum { COUNT = sizeof(calls) / sizeof(calls[0]) };

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "list")) {
		for (int i = 0; i < COUNT; i++)
			puts(calls[i].name);
		return 0;
	}
	if (argc != 3 || (file = open(argv[2], O_RDONLY)) < 0 || (null = open("/dev/null", O_WRONLY)) < 0) {
		fprintf(stderr, "usage: calls list | calls NAME FILE\n");
		return 2;
	}
	for (int i = 0; i < COUNT; i++) {
		if (!strcmp(argv[1], calls[i].name)) {
			printf("%.1f\n", best(BATCHES, CALLS, calls[i].call));
			return 0;
		}
	}
	return 2;
}
