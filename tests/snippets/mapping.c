/*
 * mapping SYMBOL:HOW FILE OFFSET LENGTH BYTE: maps the range (OFFSET a multiple of a page) and reads it; HOW is
 * "read", "private" (also writes, which nobody sees), "write" (fills it with BYTE through the mapping) or "anonymous"
 * (memory alone, though FILE's descriptor is given).
 * mapping --list: every SYMBOL:HOW, one a line.
 */
#include "client.h"
#include <sys/mman.h>

CALL(mmap, void *, (void *, size_t, int, int, int, int64_t))
CALL(mmap64, void *, (void *, size_t, int, int, int, int64_t))
CALL(__mmap, void *, (void *, size_t, int, int, int, int64_t))

int main(int argc, char **argv)
{
	static const char *const hows[] = { "read", "private", "write", "anonymous" };
	const char *how;
	int fd, named;
	char *p;
	size_t n;
	int64_t at;

#define SYMBOLS(X) X(mmap) X(mmap64) X(__mmap)
	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (int i = 0; i < 4; i++) {
#define L(name) printf("%s:%s\n", #name, hows[i]);
			SYMBOLS(L)
		}
		return 0;
	}
	how = argc == 6 ? strchr(argv[1], ':') : NULL;
	if (!how++)
		usage("mapping SYMBOL:HOW FILE OFFSET LENGTH BYTE");
	fd = open(argv[2], O_RDWR);
	if (fd == -1)
		trouble("open");
	at = number(argv[3]);
	n = (size_t)number(argv[4]);
	named = 0;
	p = MAP_FAILED;
#define M(name) if (!strncmp(argv[1], #name ":", sizeof(#name))) { \
		named = 1; \
		if (!call_##name) \
			absent(#name); \
		p = call_##name(NULL, n, *how == 'r' ? PROT_READ : PROT_READ | PROT_WRITE, \
			*how == 'p' ? MAP_PRIVATE : *how == 'a' ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, at); \
	}
	SYMBOLS(M)
	if (!named)
		usage("unknown symbol");
	if (p == MAP_FAILED)
		return result(-1);
	printf("digest=%016llx\n", (unsigned long long)digest(p, n));
	if (*how != 'r')
		memset(p, (int)number(argv[5]), n);
	if (munmap(p, n))
		trouble("munmap");
	return 0;
}
