/*
 * stater SYMBOL FILE [COMMAND]: opens FILE, runs COMMAND by the shell, asks for the length of FILE by that symbol and prints it.
 * SEEK_END, BLKGETSIZE64 and BLKGETSIZE ask for it in these ways.
 * stater --list: every SYMBOL, one a line, these ways not among them.
 */
#include "client.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* what glibc calls _STAT_VER */
#if defined __x86_64__ || defined __i386__ || defined __powerpc__ || defined __s390__
#define VERSION 1
#else
#define VERSION 0
#endif

CALL(fstat, int, (int, struct stat *))
CALL(fstat64, int, (int, struct stat *))
CALL(__fstat64, int, (int, struct stat *))
CALL(stat, int, (const char *, struct stat *))
CALL(stat64, int, (const char *, struct stat *))
CALL(lstat, int, (const char *, struct stat *))
CALL(lstat64, int, (const char *, struct stat *))
CALL(fstatat, int, (int, const char *, struct stat *, int))
CALL(fstatat64, int, (int, const char *, struct stat *, int))
CALL(statx, int, (int, const char *, int, unsigned, struct statx *))

/* left for old programs: linkable only by their version */
#if defined __x86_64__
#define OLD(name, params) extern int old_##name params; __asm__(".symver old_" #name ", " #name "@GLIBC_2.2.5");
#define OLD_AT(name, params) extern int old_##name params; __asm__(".symver old_" #name ", " #name "@GLIBC_2.4");
OLD(__xstat, (int, const char *, struct stat *))
OLD(__xstat64, (int, const char *, struct stat *))
OLD(__lxstat, (int, const char *, struct stat *))
OLD(__lxstat64, (int, const char *, struct stat *))
OLD(__fxstat, (int, int, struct stat *))
OLD(__fxstat64, (int, int, struct stat *))
OLD_AT(__fxstatat, (int, int, const char *, struct stat *, int))
OLD_AT(__fxstatat64, (int, int, const char *, struct stat *, int))
#define IF_OLD(X) X
#else
#define IF_OLD(X)
#endif

#define FD(X) X(fstat) X(fstat64) X(__fstat64)
#define PATH(X) X(stat) X(stat64) X(lstat) X(lstat64)
#define AT(X) X(fstatat) X(fstatat64)
#define OLD_FD(X) IF_OLD(X(__fxstat) X(__fxstat64))
#define OLD_PATH(X) IF_OLD(X(__xstat) X(__xstat64) X(__lxstat) X(__lxstat64))
#define OLD_ATS(X) IF_OLD(X(__fxstatat) X(__fxstatat64))

static int asked(const char *symbol, int fd, const char *file, long long *size)
{
	struct stat st = { .st_size = -2 };
	int result = -2;

#define NAMED(name, call) if (!strcmp(symbol, #name)) result = call;
#define HERE(name, call) if (!strcmp(symbol, #name)) { if (!call_##name) absent(#name); result = call_##name call; }
#define ASK(name) HERE(name, (fd, &st))
	FD(ASK)
#undef ASK
#define ASK(name) HERE(name, (file, &st))
	PATH(ASK)
#undef ASK
	/* once by the path and once by the descriptor */
#define ASK(name) HERE(name, (AT_FDCWD, file, &st, 0)) if (!result) HERE(name, (fd, "", &st, AT_EMPTY_PATH))
	AT(ASK)
#undef ASK
#define ASK(name) NAMED(name, old_##name(VERSION, fd, &st))
	OLD_FD(ASK)
#undef ASK
#define ASK(name) NAMED(name, old_##name(VERSION, file, &st))
	OLD_PATH(ASK)
#undef ASK
#define ASK(name) NAMED(name, old_##name(VERSION, AT_FDCWD, file, &st, 0))
	OLD_ATS(ASK)
#undef ASK
	*size = st.st_size;
	if (!strcmp(symbol, "statx")) {
		struct statx stx = { 0 };

		if (!call_statx)
			absent("statx");
		result = call_statx(AT_FDCWD, file, 0, STATX_BASIC_STATS, &stx);
		if (!result)
			result = call_statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx);
		*size = (long long)stx.stx_size;
	} else if (!strcmp(symbol, "SEEK_END")) {
		*size = lseek(fd, 0, SEEK_END);
		result = *size < 0 ? -1 : 0;
	} else if (!strcmp(symbol, "BLKGETSIZE64")) {
		uint64_t bytes = 0;

		result = ioctl(fd, BLKGETSIZE64, &bytes);
		*size = (long long)bytes;
	} else if (!strcmp(symbol, "BLKGETSIZE")) {
		unsigned long sectors = 0;

		result = ioctl(fd, BLKGETSIZE, &sectors);
		*size = (long long)sectors * 512;
	}
	if (result == -2)
		usage("unknown symbol");
	return result;
}

int main(int argc, char **argv)
{
	long long size;
	int fd, failed;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
#define LIST(name) puts(#name);
		FD(LIST) PATH(LIST) AT(LIST) OLD_FD(LIST) OLD_PATH(LIST) OLD_ATS(LIST)
		puts("statx");
		return 0;
	}
	if (argc < 3)
		usage("stater SYMBOL FILE [COMMAND]");
	fd = open(argv[2], O_RDONLY);
	if (fd == -1 || (argc > 3 && system(argv[3])))
		trouble("begin");
	failed = result(asked(argv[1], fd, argv[2], &size));
	if (!failed)
		printf("size=%lld\n", size);
	return failed;
}
