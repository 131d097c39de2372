/*
 * edges SECTION FILE: edge cases, each a line of text: what was called, result, errno, position, length, bytes seen.
 * FILE has 20000 bytes. Run twice on equal files, with and without the shim, the output must be the same.
 * edges --list: every SECTION, one a line.
 */
#include "client.h"
#include <limits.h>
#include <linux/falloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* declared without what the headers say of them: the compiler must not know that these arguments are wrong */
CALL(read, ssize_t, (int, void *, size_t))
CALL(pread, ssize_t, (int, void *, size_t, int64_t))
CALL(readv, ssize_t, (int, const struct iovec *, int))
CALL(preadv, ssize_t, (int, const struct iovec *, int, int64_t))
CALL(preadv2, ssize_t, (int, const struct iovec *, int, int64_t, int))
CALL(write, ssize_t, (int, const void *, size_t))
CALL(pwrite, ssize_t, (int, const void *, size_t, int64_t))
CALL(writev, ssize_t, (int, const struct iovec *, int))
CALL(pwritev, ssize_t, (int, const struct iovec *, int, int64_t))
CALL(pwritev2, ssize_t, (int, const struct iovec *, int, int64_t, int))
CALL(truncate, int, (const char *, int64_t))
CALL(__pread64_chk, ssize_t, (int, void *, size_t, int64_t, size_t))
CALL(__read_chk, ssize_t, (int, void *, size_t, size_t))
#define read call_read
#define pread call_pread
#define readv call_readv
#define preadv call_preadv
#define preadv2 call_preadv2
#define write call_write
#define pwrite call_pwrite
#define writev call_writev
#define pwritev call_pwritev
#define pwritev2 call_pwritev2
#define truncate call_truncate
#define __pread64_chk call___pread64_chk
#define __read_chk call___read_chk

#define SIZE 20000
#define BIG (1 << 20)
#define UNTOUCHED 0x5eed

static const char *path;
static int fd;
static char *buf;		/* BIG bytes */
static char *page;		/* two pages that can be written, followed by one that cannot be touched */
static char *fixed;		/* a page that can only be read, followed by one that cannot be touched */
static long page_size;

/* what the last call did, and to what */
static void say(const char *label, int on, long long ret, int e)
{
	struct stat st = { 0 };

	printf("%s: %lld", label, ret);
	if (ret == -1)
		printf(" %s", errno_name(e));
	else if (e != UNTOUCHED)
		printf(" errno became %s", errno_name(e));
	if (on >= 0) {
		off_t at = lseek(on, 0, SEEK_CUR);

		if (!fstat(on, &st) && S_ISREG(st.st_mode))
			printf(" at %lld of %lld", (long long)at, (long long)st.st_size);
	}
	printf(" %08x\n", (unsigned)digest(buf, BIG));
	memset(buf, 0xee, BIG);
}

#define ON(on, label, call) do { \
		long long r_; \
		int e_; \
		errno = UNTOUCHED; \
		r_ = (call); \
		e_ = errno; \
		say(label, on, r_, e_); \
	} while (0)
#define DO(call) ON(fd, #call, call)
/* a direct read fills the last block to its end: what is behind the result is nobody's business */
#define DO_SHORT(call) do { \
		long long r_; \
		int e_; \
		errno = UNTOUCHED; \
		r_ = (call); \
		e_ = errno; \
		if (r_ >= 0) \
			memset(buf + r_, 0xee, BIG - r_); \
		say(#call, fd, r_, e_); \
	} while (0)

static void seek(off_t at)
{
	if (lseek(fd, at, SEEK_SET) != at)
		printf("no way to %lld\n", (long long)at);
}

static void use(int flags)
{
	if (fd > 0)
		close(fd);
	fd = open(path, flags);
	if (fd == -1)
		trouble("open");
}

static void reads(void)
{
	use(O_RDONLY);
	DO(read(fd, buf, 0));
	DO(read(fd, buf, 1));
	DO(read(fd, buf, 4096));
	DO(read(fd, buf, BIG));
	DO(read(fd, buf, BIG));
	DO(read(fd, NULL, 10));
	DO(read(fd, NULL, 0));
	seek(25000);
	DO(read(fd, buf, 10));
	seek(19990);
	DO(__read_chk(fd, buf, 100, 100));
	DO(pread(fd, buf, 0, 0));
	DO(pread(fd, buf, 1, SIZE - 1));
	DO(pread(fd, buf, 100, SIZE - 1));
	DO(pread(fd, buf, 100, SIZE));
	DO(pread(fd, buf, 100, SIZE + 100));
	DO(pread(fd, buf, BIG, 0));
	DO(pread(fd, buf, 100, -1));
	DO(pread(fd, buf, 0, -1));
	DO(pread(fd, buf, 100, INT64_MIN));
	DO(pread(fd, buf, 100, INT64_MAX));
	DO(pread(fd, buf, 1, INT64_MAX));
	DO(pread(fd, buf, 0, INT64_MAX));
	DO(__pread64_chk(fd, buf, 100, SIZE - 50, 100));
	/* far more than the buffer, but the file ends in time */
	DO(pread(fd, buf, 1UL << 33, 0));
	DO(pread(fd, buf, INT_MAX, 10));
	seek(0);
	DO(read(fd, buf, 1UL << 32));
	DO(pread(fd, buf + 1, 5001, 4095));
	DO(write(fd, buf, 10));
	DO(pwrite(fd, buf, 10, 0));
	DO(pwrite(fd, buf, 0, 0));
	DO(ftruncate(fd, 10));
	DO(fallocate(fd, 0, 0, 10));
	DO(fsync(fd));
	use(O_WRONLY);
	DO(read(fd, buf, 10));
	DO(pread(fd, buf, 10, 0));
	DO(pread(fd, buf, 0, 0));
	DO(readv(fd, NULL, 0));
}

static void faults(void)
{
	use(O_RDWR);
	DO(pread(fd, NULL, 10, 0));
	DO(pread(fd, (void *)1, 10, 0));
	DO(pread(fd, (void *)-1, 10, 0));
	DO(pread(fd, NULL, 10, SIZE));
	DO(pread(fd, page + 2 * page_size, 10, 0));
	DO(pread(fd, fixed, 10, 0));
	DO(pread(fd, fixed, 10, SIZE));
	/* as much as fits in front of the page that cannot be touched */
	DO(pread(fd, page + 2 * page_size - 100, 200, 0));
	say("  what came", fd, (long long)digest(page, 2 * page_size), UNTOUCHED);
	DO(pread(fd, page, 3 * page_size, 5));
	say("  what came", fd, (long long)digest(page, 2 * page_size), UNTOUCHED);
	DO(pread(fd, page + 2 * page_size - 1, 2, 4095));
	DO(read(fd, page + 2 * page_size - 100, 200));
	DO(read(fd, NULL, 10));
	DO(read(fd, page + 2 * page_size, 10));
	DO(pwrite(fd, NULL, 10, 0));
	DO(pwrite(fd, NULL, 0, 0));
	DO(pwrite(fd, page + 2 * page_size, 10, 0));
	DO(pwrite(fd, fixed, 10, 0));
	DO(pwrite(fd, fixed + page_size - 100, 200, 50));
	DO(pwrite(fd, page + page_size, 2 * page_size, 3000));
	DO(write(fd, page + 2 * page_size - 10, 20));
	DO(write(fd, NULL, 20));
	DO(pwrite(fd, NULL, 10, SIZE));
	DO(pread(fd, buf, BIG, 0));
}

static void vectors(void)
{
	static struct iovec many[IOV_MAX + 1];
	struct iovec *edge = (struct iovec *)(void *)(page + 2 * page_size) - 2;
	struct iovec three[3] = { { buf, 100 }, { buf + 1000, 0 }, { buf + 500, 200 } };
	struct iovec twice[2] = { { buf, 100 }, { buf, 100 } };
	struct iovec overlapping[2] = { { buf, 300 }, { buf + 100, 300 } };
	struct iovec holed[3] = { { buf, 100 }, { NULL, 100 }, { buf + 100, 100 } };
	struct iovec empty_null[3] = { { buf, 100 }, { NULL, 0 }, { buf + 100, 100 } };
	struct iovec negative[2] = { { buf, 100 }, { buf, (size_t)-1 } };
	struct iovec huge[2] = { { buf, 1UL << 31 }, { buf, 1UL << 31 } };
	struct iovec crossing[2] = { { buf, 50 }, { page + 2 * page_size - 100, 200 } };
	struct iovec at_fixed[2] = { { buf, 50 }, { fixed, 50 } };

	for (int i = 0; i <= IOV_MAX; i++)
		many[i] = (struct iovec){ buf + i * 3, 2 };
	use(O_RDWR);
	DO(readv(fd, three, 3));
	DO(readv(fd, three, 0));
	DO(readv(fd, NULL, 0));
	DO(readv(fd, three, -1));
	DO(readv(fd, NULL, 3));
	DO(readv(fd, (void *)(page + 2 * page_size), 1));
	DO(readv(fd, edge, 3));
	DO(readv(fd, many, IOV_MAX));
	DO(readv(fd, many, IOV_MAX + 1));
	DO(readv(fd, many, INT_MAX));
	DO(readv(fd, negative, 2));
	DO(readv(fd, twice, 2));
	DO(preadv(fd, three, 3, 7));
	DO(preadv(fd, three, 3, -1));
	DO(preadv(fd, three, 0, -1));
	DO(preadv(fd, three, 3, SIZE - 150));
	DO(preadv(fd, three, 3, SIZE));
	DO(preadv(fd, twice, 2, 11));
	DO(preadv(fd, overlapping, 2, 11));
	DO(preadv(fd, holed, 3, 0));
	DO(preadv(fd, holed, 3, SIZE - 50));
	DO(preadv(fd, empty_null, 3, 0));
	DO(preadv(fd, huge, 2, 100));
	DO(preadv(fd, crossing, 2, 100));
	DO(preadv(fd, at_fixed, 2, 100));
	DO(preadv(fd, many, IOV_MAX, 100));
	DO(preadv(fd, many, IOV_MAX + 1, 100));
	DO(preadv2(fd, three, 3, 7, 0));
	DO(preadv2(fd, three, 3, -1, 0));
	DO(preadv2(fd, three, 3, -2, 0));
	DO(preadv2(fd, three, 0, -1, 0));
	DO(preadv2(fd, three, 3, 7, RWF_HIPRI));
	DO(preadv2(fd, three, 3, 7, RWF_DSYNC));
	DO(preadv2(fd, three, 3, 7, RWF_APPEND));
	DO(preadv2(fd, three, 3, 7, 0x40000000));
	DO(preadv2(fd, three, 3, -1, 0x40000000));
	DO(preadv2(fd, three, -1, 0, 0));
	DO(writev(fd, three, 3));
	DO(writev(fd, three, 0));
	DO(writev(fd, NULL, 0));
	DO(writev(fd, three, -1));
	DO(writev(fd, NULL, 3));
	DO(writev(fd, many, IOV_MAX));
	DO(writev(fd, many, IOV_MAX + 1));
	DO(writev(fd, negative, 2));
	DO(pwritev(fd, three, 3, 21000));
	DO(pwritev(fd, three, 3, -1));
	DO(pwritev(fd, holed, 3, 0));
	DO(pwritev(fd, holed + 1, 2, 0));
	DO(pwritev(fd, empty_null, 3, 0));
	DO(pwritev(fd, crossing, 2, 100));
	DO(pwritev(fd, at_fixed, 2, 100));
	DO(pwritev2(fd, three, 3, 40000, 0));
	DO(pwritev2(fd, three, 3, -1, 0));
	DO(pwritev2(fd, three, 3, -2, 0));
	DO(pwritev2(fd, three, 3, 100, RWF_DSYNC));
	DO(pwritev2(fd, three, 3, 100, RWF_SYNC));
	DO(pwritev2(fd, three, 3, 100, RWF_HIPRI));
	DO(pwritev2(fd, three, 3, 100, RWF_APPEND));
	DO(pwritev2(fd, three, 3, -1, RWF_APPEND));
	DO(pwritev2(fd, three, 3, 100, RWF_APPEND | RWF_DSYNC));
	DO(pwritev2(fd, three, 3, 100, 0x40000000));
	DO(pwritev2(fd, three, 3, -1, 0x40000000));
	DO(pread(fd, buf, BIG, 0));
}

static void writes(void)
{
	use(O_RDWR);
	memset(buf, 0x31, BIG);
	DO(write(fd, buf, 0));
	DO(write(fd, buf, 10));
	DO(write(fd, buf, 5000));
	DO(pwrite(fd, buf, 0, 50000));
	DO(pwrite(fd, buf, 10, SIZE));
	DO(pwrite(fd, buf, 10, 30000));
	DO(pread(fd, buf, BIG, 0));
	DO(pwrite(fd, buf, 10, -1));
	DO(pwrite(fd, buf, 0, -1));
	DO(pwrite(fd, buf, 10, INT64_MAX));
	seek(60000);
	DO(read(fd, buf, 10));
	DO(write(fd, buf, 10));
	DO(pread(fd, buf, BIG, 0));
	use(O_RDWR | O_DSYNC);
	DO(pwrite(fd, buf, 1000, 1000));
	use(O_WRONLY);
	DO(write(fd, buf, 1000));
	DO(pwrite(fd, buf, 1000, 100000));
	use(O_RDONLY);
	DO(pread(fd, buf, BIG, 0));
}

/* lengths that leave the address space, which the kernel turns down before it does anything */
static void absurd(void)
{
	struct iovec too_long[2] = { { buf, SSIZE_MAX }, { buf, SSIZE_MAX } };
	struct iovec at_last[2] = { { buf, 100 }, { (void *)-1, 10 } };
	struct iovec nothing_there[2] = { { buf, 100 }, { (void *)-1, 0 } };

	use(O_RDWR);
	DO(pread(fd, buf, SSIZE_MAX, 0));
	DO(pread(fd, buf, (size_t)SSIZE_MAX + 1, 0));
	DO(pread(fd, buf, SIZE_MAX, 0));
	DO(read(fd, buf, SSIZE_MAX));
	DO(pread(fd, (void *)-1, 0, 0));
	DO(readv(fd, too_long, 2));
	DO(preadv(fd, at_last, 2, 0));
	DO(preadv(fd, nothing_there, 2, 0));
	DO(pwrite(fd, buf, SSIZE_MAX, 0));
	DO(pwrite(fd, buf, (size_t)SSIZE_MAX + 1, 0));
	DO(pwrite(fd, buf, SIZE_MAX, 0));
	DO(pwrite(fd, (void *)-1, 0, 0));
	DO(write(fd, buf, SSIZE_MAX));
	DO(writev(fd, too_long, 2));
	DO(pwritev(fd, at_last, 2, 0));
	DO(pwritev(fd, nothing_there, 2, 0));
	DO(pread(fd, buf, BIG, 0));
}

/* an offset that only some file systems have room for, and no test for a copy of it */
static void far(void)
{
	use(O_RDWR);
	DO(pwrite(fd, buf, 10, INT64_MAX - 20));
	DO(pread(fd, buf, 10, INT64_MAX - 20));
	DO(ftruncate(fd, INT64_MAX - 1));
}

static void append(void)
{
	struct iovec v = { buf, 30 };

	use(O_RDWR | O_APPEND);
	memset(buf, 0x31, BIG);
	DO(read(fd, buf, 100));
	DO(write(fd, buf, 10));
	DO(write(fd, buf, 0));
	DO(pwrite(fd, buf, 20, 0));
	DO(pwrite(fd, buf, 20, 100000));
	DO(pwrite(fd, buf, 20, -1));
	seek(5);
	DO(pwrite(fd, buf, 20, 3));
	DO(write(fd, buf, 5));
	DO(writev(fd, &v, 1));
	DO(pwritev(fd, &v, 1, 0));
	DO(pwritev2(fd, &v, 1, 0, 0));
	DO(pwritev2(fd, &v, 1, -1, 0));
	DO(pwritev2(fd, &v, 1, 10, RWF_APPEND));
	DO(pread(fd, buf, BIG, 0));
#ifdef RWF_NOAPPEND
	DO(pwritev2(fd, &v, 1, 10, RWF_NOAPPEND));
#endif
	DO(fcntl(fd, F_SETFL, 0));
	DO(pwrite(fd, buf, 10, 0));
	DO(write(fd, buf, 10));
	seek(3);
	DO(write(fd, buf, 10));
	DO(fcntl(fd, F_SETFL, O_APPEND));
	DO(pwrite(fd, buf, 10, 0));
	DO(write(fd, buf, 10));
	DO(pread(fd, buf, BIG, 0));
}

static void descriptors(void)
{
	int p[2], d, other, sealed, null;

	use(O_RDWR);
	d = dup(fd);
	DO(read(fd, buf, 100));
	DO(read(d, buf, 100));
	DO(lseek(d, 10, SEEK_CUR));
	DO(write(fd, "123", 3));
	fflush(stdout);
	if (!fork()) {
		DO(read(fd, buf, 1000));
		DO(write(d, "abc", 3));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	DO(read(fd, buf, 1000));
	close(d);
	DO(read(fd, buf, 10));
	DO(read(d, buf, 10));
	DO(pread(d, buf, 0, 0));
	DO(write(-1, buf, 10));
	DO(pread(-1, buf, 10, 0));
	DO(pread(1 << 30, buf, 10, 0));
	DO(pwrite(INT_MIN, buf, 10, 0));
	DO(lseek(-1, 0, SEEK_SET));
	DO(close(-1));
	DO(close(d));
	DO(dup(-1));
	DO(dup2(-1, fd));
	DO(dup2(fd, fd));
	DO(dup2(fd, -1));
	DO(dup2(fd, 1 << 29));
	DO(dup3(fd, fd, 0));
	DO(dup3(fd, 50, 0x7f));
	DO(fcntl(fd, F_DUPFD, -1));
	DO(fcntl(fd, F_DUPFD, 1 << 29));
	DO(fcntl(-1, F_DUPFD, 0));
	DO(fcntl(fd, 9999, 0));
	DO(dup3(fd, 50, O_CLOEXEC));
	DO(fcntl(50, F_GETFD));
	DO(dup2(50, 51));
	DO(fcntl(51, F_GETFD));
	DO(fcntl(fd, F_DUPFD, 51));
	DO(fcntl(fd, F_DUPFD_CLOEXEC, 51));
	DO(fcntl(53, F_GETFD));
	DO(read(53, buf, 10));
	DO(close(50));
	DO(close(51));
	DO(close_range(52, 51, 0));
	DO(close_range(52, 53, 0x4000));
	DO(close_range(52, 53, 0));
	DO(read(53, buf, 10));
	DO(fcntl(fd, F_GETFL));
	DO(fsync(-1));
	DO(fdatasync(-1));
	DO(sync_file_range(fd, -1, 10, 0));
	DO(sync_file_range(fd, 0, 10, 0x100));
	DO(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
	DO(ftruncate(-1, 10));
	DO(fallocate(-1, 0, 0, 10));
	DO(posix_fallocate(-1, 0, 10));
	DO(fsync(fd));

	/* things that are not files */
	if (pipe(p))
		trouble("pipe");
	ON(-1, "pipe write", write(p[1], "hello", 5));
	ON(-1, "pipe short read", read(p[0], buf, 100));
	ON(-1, "pipe pread", pread(p[0], buf, 10, 0));
	ON(-1, "pipe pwrite", pwrite(p[1], "x", 1, 0));
	ON(-1, "pipe lseek", lseek(p[0], 0, SEEK_CUR));
	ON(-1, "pipe ftruncate", ftruncate(p[1], 0));
	ON(-1, "pipe fallocate", fallocate(p[1], 0, 0, 10));
	ON(-1, "pipe posix_fallocate", posix_fallocate(p[1], 0, 10));
	ON(-1, "pipe fsync", fsync(p[1]));
	ON(-1, "pipe pwritev2 -1", pwritev2(p[1], &(struct iovec){ "abc", 3 }, 1, -1, 0));
	ON(-1, "pipe preadv2 -1", preadv2(p[0], &(struct iovec){ buf, 10 }, 1, -1, 0));
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	ON(-1, "pipe empty", read(p[0], buf, 10));
	ON(-1, "pipe fault", write(p[1], NULL, 10));
	close(p[1]);
	ON(-1, "pipe end", read(p[0], buf, 10));
	close(p[0]);
	d = open("/", O_RDONLY | O_DIRECTORY);
	ON(-1, "directory read", read(d, buf, 10));
	ON(-1, "directory pread", pread(d, buf, 10, 0));
	ON(-1, "directory write", write(d, buf, 10));
	ON(-1, "directory fallocate", fallocate(d, 0, 0, 10));
	close(d);
	null = open("/dev/null", O_RDWR);
	ON(-1, "null read", pread(null, buf, 10, 0));
	ON(-1, "null write", pwrite(null, buf, 10, 0));
	ON(-1, "null ftruncate", ftruncate(null, 0));
	close(null);
	sealed = memfd_create("sealed", MFD_ALLOW_SEALING);
	ON(-1, "memfd write", pwrite(sealed, "0123456789", 10, 0));
	fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	ON(-1, "sealed shrink", ftruncate(sealed, 5));
	ON(-1, "sealed grow", pwrite(sealed, "0123456789", 10, 5));
	fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE);
	ON(-1, "sealed write", pwrite(sealed, "x", 1, 0));
	ON(-1, "sealed punch", fallocate(sealed, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10));
	ON(-1, "sealed read", pread(sealed, buf, 100, 0));
	close(sealed);
	other = open(path, O_PATH);
	ON(-1, "path read", read(other, buf, 10));
	ON(-1, "path pread", pread(other, buf, 10, 0));
	ON(-1, "path write", write(other, buf, 10));
	ON(-1, "path ftruncate", ftruncate(other, 0));
	ON(-1, "path lseek", lseek(other, 0, SEEK_SET));
	ON(-1, "path fsync", fsync(other));
	close(other);
	DO(pread(fd, buf, BIG, 0));
}

static void positions(void)
{
	use(O_RDWR);
	DO(lseek(fd, 100, SEEK_SET));
	DO(lseek(fd, 100, SEEK_CUR));
	DO(lseek(fd, -201, SEEK_CUR));
	DO(lseek(fd, -1, SEEK_SET));
	DO(lseek(fd, 0, SEEK_END));
	DO(lseek(fd, -SIZE, SEEK_END));
	DO(lseek(fd, -SIZE - 1, SEEK_END));
	DO(lseek(fd, INT64_MAX, SEEK_SET));
	DO(lseek(fd, 10, SEEK_END));
	DO(read(fd, buf, 10));
	DO(lseek(fd, INT64_MAX, SEEK_CUR));
	DO(lseek(fd, 0, 77));
	DO(lseek(fd, 0, -1));
	DO(lseek(fd, 0, SEEK_DATA));
	DO(lseek(fd, 0, SEEK_HOLE));
	DO(lseek(fd, SIZE, SEEK_DATA));
	DO(lseek(fd, SIZE, SEEK_HOLE));
	DO(lseek(fd, -1, SEEK_DATA));
	DO(ftruncate(fd, 100000));
	DO(lseek(fd, 0, SEEK_END));
	DO(lseek(fd, 99999, SEEK_DATA));
	DO(write(fd, "x", 1));
	DO(read(fd, buf, 1));
}

static void sizes(void)
{
	use(O_RDWR);
	DO(ftruncate(fd, -1));
	DO(ftruncate(fd, INT64_MIN));
	DO(ftruncate(fd, INT64_MAX));
	DO(ftruncate(fd, SIZE));
	DO(ftruncate(fd, 30000));
	DO(pread(fd, buf, BIG, 0));
	DO(ftruncate(fd, 777));
	DO(pread(fd, buf, BIG, 0));
	DO(ftruncate(fd, SIZE));
	DO(pread(fd, buf, BIG, 0));
	DO(truncate(path, -1));
	DO(truncate(path, 10001));
	DO(pread(fd, buf, BIG, 0));
	ON(-1, "truncate directory", truncate("/", 0));
	ON(-1, "truncate nothing", truncate("/nowhere/at/all", 0));
	ON(-1, "truncate NULL", truncate(NULL, 0));
	ON(-1, "truncate empty", truncate("", 0));
	DO(fallocate(fd, 0, 0, 0));
	DO(fallocate(fd, 0, -1, 10));
	DO(fallocate(fd, 0, 10, -1));
	DO(fallocate(fd, 0, INT64_MAX, 10));
	DO(fallocate(fd, 0, INT64_MAX - 100, 50));
	DO(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10));
	DO(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 0));
	DO(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 300));
	DO(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 9000, 30000));
	DO(pread(fd, buf, BIG, 0));
	DO(fallocate(fd, 0, 9000, 3000));
	DO(fallocate(fd, FALLOC_FL_KEEP_SIZE, 9000, 30000));
	DO(pread(fd, buf, BIG, 0));
	DO(posix_fallocate(fd, 0, 0));
	DO(posix_fallocate(fd, -1, 10));
	DO(posix_fallocate(fd, 100, 20000));
	DO(pread(fd, buf, BIG, 0));
	DO(ftruncate(fd, 0));
	DO(pread(fd, buf, BIG, 0));
	DO(write(fd, "abc", 3));
	DO(pread(fd, buf, BIG, 0));
	use(O_RDONLY);
	DO(posix_fallocate(fd, 0, 100000));
	DO(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10));
}

static void limits(void)
{
	struct rlimit limit = { 30000, 30000 };

	use(O_RDWR);
	signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &limit))
		trouble("setrlimit");
	memset(buf, 0x31, BIG);
	DO(pwrite(fd, buf, 100, 29900));
	DO(pwrite(fd, buf, 200, 29900));
	DO(pwrite(fd, buf, 100, 30000));
	DO(pwrite(fd, buf, 0, 30000));
	DO(pwrite(fd, buf, 100, 50000));
	seek(29000);
	DO(write(fd, buf, 5000));
	DO(write(fd, buf, 5000));
	DO(ftruncate(fd, 30000));
	DO(ftruncate(fd, 30001));
	DO(truncate(path, 40000));
	DO(fallocate(fd, 0, 0, 40000));
	DO(posix_fallocate(fd, 0, 40000));
	DO(fallocate(fd, 0, 0, 30000));
	DO(pread(fd, buf, BIG, 0));
}

static void direct(void)
{
	struct iovec two[2] = { { buf, 4096 }, { buf + 8192, 4096 } };
	struct iovec uneven[2] = { { buf, 4095 }, { buf + 8192, 1 } };

	use(O_RDWR);
	DO(pread(fd, buf, BIG, 0));
	fd = open(path, O_RDWR | O_DIRECT);
	if (fd == -1) {
		puts("no O_DIRECT");
		fd = 0;
		return;
	}
	DO(pread(fd, buf, 4096, 0));
	DO(pread(fd, buf, 8192, 4096));
	DO_SHORT(pread(fd, buf, 65536, 0));
	DO_SHORT(pread(fd, buf, 4096, 16384));
	DO(pread(fd, buf, 4096, 20480));
	DO(pread(fd, buf, 4096, 40960));
	DO(pread(fd, buf, 512, 512));
	DO(pread(fd, buf, 512, 1024));
	DO(pread(fd, buf, 100, 0));
	DO(pread(fd, buf, 4096, 100));
	DO(pread(fd, buf + 1, 4096, 0));
	DO(pread(fd, buf + 4, 4096, 0));
	DO(pread(fd, buf + 512, 4096, 0));
	DO(pread(fd, buf, 0, 0));
	DO(pread(fd, buf, 0, 1));
	DO(pread(fd, NULL, 4096, 0));
	DO(pread(fd, fixed, 4096, 0));
	DO(preadv(fd, two, 2, 0));
	DO(preadv(fd, uneven, 2, 0));
	DO(read(fd, buf, 4096));
	DO(read(fd, buf, 100));
	DO_SHORT(read(fd, buf, 65536));
	DO_SHORT(read(fd, buf, 65536));
	memset(buf, 0x31, BIG);
	DO(pwrite(fd, buf, 4096, 4096));
	DO(pwrite(fd, buf, 4096, 100));
	DO(pwrite(fd, buf, 100, 4096));
	DO(pwrite(fd, buf + 1, 4096, 4096));
	DO(pwrite(fd, buf + 4, 4096, 4096));
	DO(pwrite(fd, buf, 512, 512));
	DO(pwrite(fd, NULL, 4096, 0));
	DO(pwritev(fd, two, 2, 8192));
	DO(pwritev(fd, uneven, 2, 8192));
	DO(pwrite(fd, buf, 8192, 16384));
	DO(pwrite(fd, buf, 4096, 65536));
	DO(pwrite(fd, buf, 0, 1));
	DO_SHORT(pread(fd, buf, 65536, 0));
	DO(fcntl(fd, F_SETFL, 0));
	DO(pread(fd, buf + 1, 100, 3));
	DO(pwrite(fd, buf + 1, 100, 3));
	DO(fcntl(fd, F_SETFL, O_DIRECT));
	DO(pread(fd, buf + 1, 100, 3));
	use(O_RDWR | O_DIRECT | O_APPEND);
	DO(pwrite(fd, buf, 4096, 0));
	DO(write(fd, buf, 4096));
	use(O_RDONLY);
	DO(pread(fd, buf, BIG, 0));
}

/*
 * ext4 grows the file up to the offset of a write that then fails for its buffer. No program counts on that, so the
 * output may differ here; target and shadow may not.
 */
static void grown(void)
{
	use(O_RDWR);
	DO(pwrite(fd, NULL, 10, 30000));
	DO(pwrite(fd, page + 2 * page_size, 10, 40000));
	DO(pwritev(fd, &(struct iovec){ NULL, 10 }, 1, 50000));
	use(O_WRONLY | O_APPEND);
	DO(write(fd, NULL, 10));
	use(O_RDONLY);
	DO(pread(fd, buf, BIG, 0));
}

/* data that is in memory can be had at once; a section of its own, as file systems differ in what they say */
static void nowait(void)
{
	struct iovec v = { buf, 4096 };

	use(O_RDWR);
	DO(pread(fd, buf, BIG, 0));
	DO(preadv2(fd, &v, 1, 0, RWF_NOWAIT));
	DO(preadv2(fd, &v, 1, -1, RWF_NOWAIT));
	DO(preadv2(fd, &v, 1, SIZE - 10, RWF_NOWAIT));
	DO(preadv2(fd, &v, 1, SIZE, RWF_NOWAIT));
	DO(preadv2(fd, &v, 1, 0, RWF_NOWAIT | RWF_HIPRI));
}

/* record locks vanish when the process closes any descriptor of the file; only the program may do that */
static void locks(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 100 };
	struct flock seen;

	use(O_RDWR);
	DO(fcntl(fd, F_SETLK, &lock));
	DO(pread(fd, buf, 1000, 0));
	DO(pwrite(fd, buf, 1000, 0));
	DO(ftruncate(fd, 25000));
	DO(truncate(path, 24000));
	DO(fsync(fd));
	DO(lseek(fd, 0, SEEK_END));
	fflush(stdout);
	if (!fork()) {
		seen = lock;
		DO(fcntl(fd, F_GETLK, &seen));
		printf("lock seen: type %d start %lld\n", seen.l_type, (long long)seen.l_start);
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	DO(fcntl(fd, F_OFD_GETLK, &lock));
	lock = (struct flock){ .l_type = F_RDLCK, .l_whence = SEEK_END, .l_start = -10, .l_len = 5 };
	DO(fcntl(fd, F_OFD_SETLK, &lock));
}

/* the lowest free number, as programs that close and open count on */
static void numbers(void)
{
	int a, b, p[2];

	use(O_RDWR);
	printf("first %d\n", fd);
	a = open(path, O_RDONLY);
	b = open(path, O_RDONLY);
	printf("then %d %d\n", a, b);
	close(a);
	printf("again %d\n", a = dup(b));
	close(0);
	printf("zero %d\n", open(path, O_RDONLY));
	DO(read(0, buf, 100));
	if (pipe(p))
		trouble("pipe");
	printf("pipe %d %d\n", p[0], p[1]);
	printf("high %d\n", fcntl(fd, F_DUPFD, 900));
	DO(pread(900, buf, 100, 0));
}

#define SECTIONS(X) X(reads) X(faults) X(vectors) X(absurd) X(far) X(writes) X(append) X(descriptors) X(positions) \
	X(sizes) X(limits) X(direct) X(nowait) X(locks) X(numbers) \
	X(grown)

int main(int argc, char **argv)
{
	int known = 0;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
#define L(name) puts(#name);
		SECTIONS(L)
		return 0;
	}
	if (argc != 3)
		usage("edges SECTION FILE");
	path = argv[2];
	page_size = sysconf(_SC_PAGESIZE);
	buf = buffer(BIG, 0xee);
	page = mmap(NULL, 3 * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fixed = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED || fixed == MAP_FAILED)
		trouble("mmap");
	memset(page, 0x32, 2 * page_size);
	memset(fixed, 0x33, page_size);
	if (mprotect(page + 2 * page_size, page_size, PROT_NONE) || mprotect(fixed, page_size, PROT_READ) ||
	    mprotect(fixed + page_size, page_size, PROT_NONE))
		trouble("mprotect");
#define R(name) if (!strcmp(argv[1], #name)) known = 1, name();
	SECTIONS(R)
	if (!known)
		usage("unknown section");
	return 0;
}
