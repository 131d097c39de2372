/*
 * raw CALL FILE OFFSET LENGTH BYTE: the range by syscall(SYS_CALL, ...).
 * raw --list: every CALL, one a line.
 */
#include "client.h"
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define CALLS(X) \
	X(read, fd, buf, n) \
	X(write, fd, buf, n) \
	X(pread64, fd, buf, n, at) \
	X(pwrite64, fd, buf, n, at) \
	X(readv, fd, iov, count) \
	X(writev, fd, iov, count) \
	X(preadv, fd, iov, count, at, 0) \
	X(pwritev, fd, iov, count, at, 0) \
	X(preadv2, fd, iov, count, at, 0, 0) \
	X(pwritev2, fd, iov, count, at, 0, 0) \
	X(ftruncate, fd, at) \
	X(truncate, path, at) \
	X(fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, n) \
	X(fsync, fd) \
	X(fdatasync, fd) \
	X(lseek, fd, at, SEEK_SET) \
	X(mmap, NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)

int main(int argc, char **argv)
{
	struct iovec iov[5];
	const char *path;
	int64_t at;
	size_t n;
	void *buf;
	long ret = -1;
	int fd, count, named = 0;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
#define L(name, ...) puts(#name);
		CALLS(L)
		return 0;
	}
	if (argc != 6)
		usage("raw CALL FILE OFFSET LENGTH BYTE");
	path = argv[2];
	fd = open(path, O_RDWR);
	if (fd == -1)
		trouble("open");
	at = number(argv[3]);
	n = (size_t)number(argv[4]);
	buf = buffer(n, strstr(argv[1], "write") ? (int)number(argv[5]) : 0xee);
	count = cut(iov, buf, n);
	if (lseek(fd, at, SEEK_SET) != at)
		trouble("lseek");
#define C(name, ...) if (!strcmp(argv[1], #name)) { \
		named = 1; \
		ret = syscall(SYS_##name, __VA_ARGS__); \
	}
	CALLS(C)
	if (!named)
		usage("unknown call");
	/* an address is different each time */
	if (!strcmp(argv[1], "mmap") && ret != -1) {
		memset((void *)ret, (int)number(argv[5]), n);
		ret = 0;
	}
	if (result(ret))
		return 1;
	printf("digest=%016llx\n", (unsigned long long)digest(buf, n));
	return 0;
}
