/* A program that takes every descriptor number for its own, as daemons do, and then works on files.
 *   fdsweep HOW TARGET DIR READ_AT
 * HOW: loop (close 3 up), closefrom, close_range, cloexec (close_range with CLOEXEC), syscall (close_range through
 * libc's syscall()), raw (by an instruction of our own: not to be seen), dup2 (an innocent file on every number in turn).
 * Afterwards it writes 64 files in DIR, keeps them open, writes the target's first block, reads its block at READ_AT,
 * and finds every file as it left it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FILES = 64, SIZE = 4096 };

static int complain(const char *what)
{
	fprintf(stderr, "fdsweep: %s\n", what);
	return 1;
}

static void raw_close_range(unsigned first, unsigned last)
{
#if defined __x86_64__
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(SYS_close_range), "D"((long)first), "S"((long)last), "d"(0L)
		: "rcx", "r11", "memory");
#else
	syscall(SYS_close_range, first, last, 0);
#endif
}

static int sweep(const char *how, const char *dir)
{
	struct rlimit limit;
	int top;

	getrlimit(RLIMIT_NOFILE, &limit);
	top = limit.rlim_cur > 4096 ? 4096 : (int)limit.rlim_cur;
	if (!strcmp(how, "loop")) {
		/* the whole table: the shim's own numbers may be high ones */
		for (int fd = 3; fd < (int)limit.rlim_cur && fd < 1 << 20; fd++)
			close(fd);
	} else if (!strcmp(how, "closefrom")) {
		closefrom(3);
	} else if (!strcmp(how, "close_range")) {
		close_range(3, ~0u, 0);
	} else if (!strcmp(how, "cloexec")) {
		close_range(3, ~0u, 4);
	} else if (!strcmp(how, "syscall")) {
		syscall(SYS_close_range, 3u, ~0u, 0);
	} else if (!strcmp(how, "raw")) {
		raw_close_range(3, ~0u);
	} else if (!strcmp(how, "dup2")) {
		char path[4096];
		int fd;

		snprintf(path, sizeof path, "%s/everywhere", dir);
		fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
		if (fd < 0)
			return -1;
		/* one after the other, so that whoever holds a number has another place to go; some stay */
		for (int to = 3; to < top; to++) {
			if (to == fd)
				continue;
			if (dup2(fd, to) != to)
				return -1;
			if (to % 4)
				close(to);
		}
	} else {
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	unsigned char block[SIZE], back[SIZE];
	int fds[FILES], target;
	char path[4096];

	if (argc != 5)
		return complain("usage: fdsweep HOW TARGET DIR READ_AT");
	if (sweep(argv[1], argv[3]))
		return complain("cannot sweep");
	for (int i = 0; i < FILES; i++) {
		snprintf(path, sizeof path, "%s/%d", argv[3], i);
		fds[i] = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
		memset(block, i, sizeof block);
		if (fds[i] < 0 || write(fds[i], block, sizeof block) != sizeof block)
			return complain("cannot write an innocent file");
	}
	target = open(argv[2], O_RDWR);
	if (target < 0)
		return complain("cannot open the target");
	memset(block, 0xcc, sizeof block);
	if (pwrite(target, block, sizeof block, 0) != sizeof block || pread(target, back, sizeof back, 0) != sizeof back ||
		memcmp(block, back, sizeof block))
		return complain("the target's first block is not what was written");
	if (pread(target, back, sizeof back, atoll(argv[4])) != sizeof back || fsync(target))
		return complain("cannot read the target");
	for (int i = 0; i < FILES; i++) {
		memset(block, i, sizeof block);
		if (lseek(fds[i], 0, SEEK_END) != SIZE || pread(fds[i], back, sizeof back, 0) != sizeof back ||
			memcmp(block, back, sizeof block))
			return complain("an innocent file was changed");
	}
	return 0;
}
