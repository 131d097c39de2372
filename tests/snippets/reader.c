/*
 * reader SYMBOL FILE OFFSET LENGTH: reads the range by that symbol and prints the result and a digest of the bytes.
 * reader --list: every SYMBOL, one a line. A name with "@" uses the file position although the symbol takes an offset.
 * READER_FLAGS in the environment: "direct" opens with O_DIRECT.
 */
#include "client.h"

/* how the range is handed over; CHK is followed by the size of the buffer */
#define PLAIN_CALLS(X) X(read) X(__read)
#define CHK_CALLS(X) X(__read_chk)
#define POS_CALLS(X) X(pread) X(pread64) X(__pread64) X(__libc_pread)
#define POSCHK_CALLS(X) X(__pread_chk) X(__pread64_chk)
#define VEC_CALLS(X) X(readv)
#define POSVEC_CALLS(X) X(preadv) X(preadv64)
#define FLAGVEC_CALLS(X) X(preadv2) X(preadv64v2)

#define D(name) CALL(name, ssize_t, (int, void *, size_t))
PLAIN_CALLS(D)
#undef D
#define D(name) CALL(name, ssize_t, (int, void *, size_t, size_t))
CHK_CALLS(D)
#undef D
#define D(name) CALL(name, ssize_t, (int, void *, size_t, int64_t))
POS_CALLS(D)
#undef D
#define D(name) CALL(name, ssize_t, (int, void *, size_t, int64_t, size_t))
POSCHK_CALLS(D)
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
CALL(eventfd_read, int, (int, uint64_t *))

static ssize_t call(const char *symbol, int fd, void *buf, size_t n, int64_t at)
{
	struct iovec iov[5];
	int cnt = cut(iov, buf, n);

#define C(name, ...) if (!strcmp(symbol, #name)) { \
		if (!call_##name) \
			absent(#name); \
		return call_##name(__VA_ARGS__); \
	}
#define SEEK if (lseek(fd, at, SEEK_SET) == -1) trouble("lseek")
#define P(name) C(name, fd, buf, n, at)
	POS_CALLS(P)
#undef P
#define P(name) C(name, fd, buf, n, at, n)
	POSCHK_CALLS(P)
#undef P
#define P(name) C(name, fd, iov, cnt, at)
	POSVEC_CALLS(P)
#undef P
#define P(name) C(name, fd, iov, cnt, at, 0)
	FLAGVEC_CALLS(P)
#undef P
	SEEK;
#define P(name) C(name, fd, buf, n)
	PLAIN_CALLS(P)
#undef P
#define P(name) C(name, fd, buf, n, n)
	CHK_CALLS(P)
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
	/* reads eight bytes from anything, whatever its name says */
	if (!strcmp(symbol, "eventfd_read")) {
		if (n < 8)
			usage("eventfd_read reads 8 bytes");
		return call_eventfd_read(fd, buf) ? -1 : 8;
	}
	usage("unknown symbol");
}

static void list(void)
{
#define L(name) puts(#name);
	PLAIN_CALLS(L) CHK_CALLS(L) POS_CALLS(L) POSCHK_CALLS(L) VEC_CALLS(L) POSVEC_CALLS(L) FLAGVEC_CALLS(L)
#undef L
#define L(name) puts("@" #name);
	FLAGVEC_CALLS(L)
#undef L
}

int main(int argc, char **argv)
{
	const char *flags = getenv("READER_FLAGS");
	ssize_t ret;
	size_t n;
	void *buf;
	int fd;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		list();
		return 0;
	}
	if (argc != 5)
		usage("reader SYMBOL FILE OFFSET LENGTH");
	fd = open(argv[2], O_RDONLY | (flags && strstr(flags, "direct") ? O_DIRECT : 0));
	if (fd == -1)
		trouble("open");
	n = (size_t)number(argv[4]);
	buf = buffer(n, 0xee);
	ret = call(argv[1], fd, buf, n, number(argv[3]));
	if (result(ret))
		return 1;
	printf("position=%lld digest=%016llx\n", (long long)lseek(fd, 0, SEEK_CUR), (unsigned long long)digest(buf, n));
	return 0;
}
