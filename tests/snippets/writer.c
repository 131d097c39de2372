/*
 * writer SYMBOL FILE OFFSET LENGTH BYTE: fills the range with BYTE (a number) by that symbol and prints the result.
 * writer --list: every SYMBOL, one a line. A name with "@" uses the file position although the symbol takes an offset.
 * WRITER_FLAGS in the environment: "direct" opens with O_DIRECT, "append" with O_APPEND, "sync" with O_DSYNC.
 */
#include "client.h"

#define PLAIN_CALLS(X) X(write) X(__write)
#define POS_CALLS(X) X(pwrite) X(pwrite64) X(__pwrite64) X(__libc_pwrite)
#define VEC_CALLS(X) X(writev)
#define POSVEC_CALLS(X) X(pwritev) X(pwritev64)
#define FLAGVEC_CALLS(X) X(pwritev2) X(pwritev64v2)

#define D(name) CALL(name, ssize_t, (int, const void *, size_t))
PLAIN_CALLS(D)
#undef D
#define D(name) CALL(name, ssize_t, (int, const void *, size_t, int64_t))
POS_CALLS(D)
#undef D
#define D(name) CALL(name, ssize_t, (int, const struct iovec *, int))
VEC_CALLS(D)
#undef D
#define D(name) CALL(name, ssize_t, (int, const struct iovec *, int, int64_t))
POSVEC_CALLS(D)
#undef D
#define D(name) CALL(name, ssize_t, (int, const struct iovec *, int, int64_t, int))
FLAGVEC_CALLS(D)
#undef D
CALL(eventfd_write, int, (int, uint64_t))

static ssize_t call(const char *symbol, int fd, void *buf, size_t n, int64_t at)
{
	struct iovec iov[5];
	int cnt = cut(iov, buf, n);

#define C(name, ...) if (!strcmp(symbol, #name)) { \
		if (!call_##name) \
			absent(#name); \
		return call_##name(__VA_ARGS__); \
	}
#define P(name) C(name, fd, buf, n, at)
	POS_CALLS(P)
#undef P
#define P(name) C(name, fd, iov, cnt, at)
	POSVEC_CALLS(P)
#undef P
#define P(name) C(name, fd, iov, cnt, at, 0)
	FLAGVEC_CALLS(P)
#undef P
	if (lseek(fd, at, SEEK_SET) == -1)
		trouble("lseek");
#define P(name) C(name, fd, buf, n)
	PLAIN_CALLS(P)
#undef P
#define P(name) C(name, fd, iov, cnt)
	VEC_CALLS(P)
#undef P
#define P(name) if (!strcmp(symbol, "@" #name)) { \
		if (!call_##name) \
			absent(#name); \
		return call_##name(fd, iov, cnt, -1, 0); \
	}
	FLAGVEC_CALLS(P)
#undef P
	/* writes eight bytes to anything, whatever its name says */
	if (!strcmp(symbol, "eventfd_write")) {
		uint64_t value;

		if (n < 8)
			usage("eventfd_write writes 8 bytes");
		memcpy(&value, buf, 8);
		return call_eventfd_write(fd, value) ? -1 : 8;
	}
	usage("unknown symbol");
}

static void list(void)
{
#define L(name) puts(#name);
	PLAIN_CALLS(L) POS_CALLS(L) VEC_CALLS(L) POSVEC_CALLS(L) FLAGVEC_CALLS(L)
#undef L
#define L(name) puts("@" #name);
	FLAGVEC_CALLS(L)
#undef L
}

int main(int argc, char **argv)
{
	const char *flags = getenv("WRITER_FLAGS");
	int how = O_RDWR;
	size_t n;
	int fd;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		list();
		return 0;
	}
	if (argc != 6)
		usage("writer SYMBOL FILE OFFSET LENGTH BYTE");
	if (flags)
		how |= (strstr(flags, "direct") ? O_DIRECT : 0) | (strstr(flags, "append") ? O_APPEND : 0) |
			(strstr(flags, "sync") ? O_DSYNC : 0);
	fd = open(argv[2], how);
	if (fd == -1)
		trouble("open");
	n = (size_t)number(argv[4]);
	if (result(call(argv[1], fd, buffer(n, (int)number(argv[5])), n, number(argv[3]))))
		return 1;
	printf("position=%lld\n", (long long)lseek(fd, 0, SEEK_CUR));
	return 0;
}
