/*
 * seeker SYMBOL FILE OFFSET set|cur|end|data|hole: moves the position from 1000 by that symbol, prints the result and
 * reads 512 bytes there. "hole" and "data" only move.
 * seeker --list: every SYMBOL, one a line.
 */
#include "client.h"

CALL(lseek, int64_t, (int, int64_t, int))
CALL(lseek64, int64_t, (int, int64_t, int))
CALL(__lseek, int64_t, (int, int64_t, int))
/* left for old programs: linkable only by its version */
#if defined __x86_64__
extern int64_t old_llseek(int, int64_t, int);
__asm__(".symver old_llseek, llseek@GLIBC_2.2.5");
#define OLD(X) X(llseek)
#define call_llseek old_llseek
#else
#define OLD(X)
#endif
#define SYMBOLS(X) X(lseek) X(lseek64) X(__lseek) OLD(X)

int main(int argc, char **argv)
{
	static const struct { const char *name; int whence; } ways[] = {
		{ "set", SEEK_SET }, { "cur", SEEK_CUR }, { "end", SEEK_END }, { "data", SEEK_DATA }, { "hole", SEEK_HOLE },
		{ "unknown", 99 },
	};
	int64_t (*call)(int, int64_t, int) = NULL;
	size_t w;
	char buf[512];
	int fd;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
#define L(name) puts(#name);
		SYMBOLS(L)
		return 0;
	}
	if (argc != 5)
		usage("seeker SYMBOL FILE OFFSET WHENCE");
#define F(name) if (!strcmp(argv[1], #name)) call = call_##name;
	SYMBOLS(F)
	if (!call)
		absent(argv[1]);
	for (w = 0; w < sizeof(ways) / sizeof(*ways) && strcmp(argv[4], ways[w].name); w++)
		;
	if (w == sizeof(ways) / sizeof(*ways))
		usage("unknown whence");
	fd = open(argv[2], O_RDONLY);
	if (fd == -1)
		trouble("open");
	if (lseek(fd, 1000, SEEK_SET) != 1000)
		trouble("lseek");
	if (result(call(fd, number(argv[3]), ways[w].whence)))
		return 1;
	if (ways[w].whence == SEEK_DATA || ways[w].whence == SEEK_HOLE)
		return 0;
	if (result(read(fd, buf, sizeof(buf))))
		return 1;
	printf("digest=%016llx\n", (unsigned long long)digest(buf, sizeof(buf)));
	return 0;
}
