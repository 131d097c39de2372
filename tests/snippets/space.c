/*
 * space CALL FILE OFFSET LENGTH: changes the length or the allocation of FILE by that call and prints the result and
 * the length afterwards. LENGTH is the new length for the truncating calls, which ignore OFFSET.
 * space --list: every CALL, one a line: a symbol, for fallocate with ":" and the mode.
 */
#include "client.h"
#include <linux/falloc.h>
#include <sys/stat.h>

#define FD_CALLS(X) X(ftruncate) X(ftruncate64)
#define PATH_CALLS(X) X(truncate) X(truncate64)
#define MODE_CALLS(X) X(fallocate) X(fallocate64)
#define RANGE_CALLS(X) X(posix_fallocate) X(posix_fallocate64)

#define D(name) CALL(name, int, (int, int64_t))
FD_CALLS(D)
#undef D
#define D(name) CALL(name, int, (const char *, int64_t))
PATH_CALLS(D)
#undef D
#define D(name) CALL(name, int, (int, int, int64_t, int64_t))
MODE_CALLS(D)
#undef D
#define D(name) CALL(name, int, (int, int64_t, int64_t))
RANGE_CALLS(D)
#undef D

static const struct { const char *name; int mode; } modes[] = {
	{ "0", 0 }, { "keep", FALLOC_FL_KEEP_SIZE }, { "punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE },
	{ "zero", FALLOC_FL_ZERO_RANGE }, { "zero_keep", FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE },
	{ "collapse", FALLOC_FL_COLLAPSE_RANGE }, { "insert", FALLOC_FL_INSERT_RANGE },
	{ "unshare", FALLOC_FL_UNSHARE_RANGE }, { "unshare_keep", FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE },
	{ "punch_grow", FALLOC_FL_PUNCH_HOLE }, { "unknown", 0x100000 },
	{ "contradiction", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE },
};
#define MODES (sizeof(modes) / sizeof(*modes))

static int call(const char *what, const char *path, int fd, int64_t at, int64_t n)
{
#define C(name, ...) if (!strcmp(what, #name)) { \
		if (!call_##name) \
			absent(#name); \
		return call_##name(__VA_ARGS__); \
	}
#define P(name) C(name, fd, n)
	FD_CALLS(P)
#undef P
#define P(name) C(name, path, n)
	PATH_CALLS(P)
#undef P
	/* the only ones that return the error and leave errno alone */
#define P(name) if (!strcmp(what, #name)) { \
		if (!call_##name) \
			absent(#name); \
		errno = call_##name(fd, at, n); \
		return errno ? -1 : 0; \
	}
	RANGE_CALLS(P)
#undef P
	for (size_t i = 0; i < MODES; i++) {
#define P(symbol) if (!strncmp(what, #symbol ":", sizeof(#symbol)) && !strcmp(what + sizeof(#symbol), modes[i].name)) { \
			if (!call_##symbol) \
				absent(#symbol); \
			return call_##symbol(fd, modes[i].mode, at, n); \
		}
		MODE_CALLS(P)
#undef P
	}
	usage("unknown call");
}

static void list(void)
{
#define L(name) puts(#name);
	FD_CALLS(L) PATH_CALLS(L) RANGE_CALLS(L)
#undef L
	for (size_t i = 0; i < MODES; i++) {
#define L(symbol) printf("%s:%s\n", #symbol, modes[i].name);
		MODE_CALLS(L)
#undef L
	}
}

int main(int argc, char **argv)
{
	struct stat st;
	int fd, failed;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		list();
		return 0;
	}
	if (argc != 5)
		usage("space CALL FILE OFFSET LENGTH");
	fd = open(argv[2], O_RDWR);
	if (fd == -1 || fstat(fd, &st))
		trouble("open");
	failed = result(call(argv[1], argv[2], fd, number(argv[3]), number(argv[4])));
	if (fstat(fd, &st))
		trouble("fstat");
	printf("size=%lld position=%lld\n", (long long)st.st_size, (long long)lseek(fd, 0, SEEK_CUR));
	return failed;
}
