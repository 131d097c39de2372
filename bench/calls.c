/* What a call costs on a descriptor that is no target's: prints "NAME NANOSECONDS" lines.  calls FILE
 * Each call is repeated in batches; the best batch counts, because everything else is the machine's. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

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

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void measure(const char *name, void (*call)(void))
{
	double best = 1e18;

	for (int batch = 0; batch < BATCHES; batch++) {
		double start = now(), each;

		for (int i = 0; i < CALLS; i++)
			call();
		each = (now() - start) / CALLS;
		if (each < best)
			best = each;
	}
	printf("%s %.1f\n", name, best);
}

int main(int argc, char **argv)
{
	if (argc != 2 || (file = open(argv[1], O_RDONLY)) < 0 || (null = open("/dev/null", O_WRONLY)) < 0) {
		fprintf(stderr, "usage: calls FILE\n");
		return 2;
	}
	measure("pread-1-byte", do_pread);
	measure("preadv-1-byte", do_preadv);
	measure("write-/dev/null", do_write);
	measure("lseek", do_lseek);
	measure("pread-bad-fd", do_bad_fd);
	measure("dup+close", do_dup_close);
	measure("open+close", do_open_close);
	return 0;
}
