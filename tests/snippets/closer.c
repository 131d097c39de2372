/*
 * closer SYMBOL CASE TARGET OTHER OFFSET LENGTH: what a descriptor number means after SYMBOL freed it.
 *   stale   the number of the target becomes that of OTHER: OTHER is read and written
 *   fresh   the number of OTHER becomes that of the target: the target is read
 *   all     everything from 3 up is closed one way or another, then the target is opened and read, and OTHER written
 * closer --list: every SYMBOL, one a line.
 */
#include "client.h"
#include <sys/syscall.h>

CALL(close, int, (int))
CALL(__close, int, (int))
CALL(close_range, int, (unsigned, unsigned, int))
CALL(closefrom, void, (int))
CALL(dup2, int, (int, int))
CALL(__dup2, int, (int, int))
CALL(dup3, int, (int, int, int))

#define SYMBOLS(X) X(close) X(__close) X(close_range) X(closefrom) X(dup2) X(__dup2) X(dup3) X(raw)

static const char *symbol;
#define IS(name) !strcmp(symbol, #name)

/* fd is the highest open one; afterwards it is the descriptor of file */
static void replace(int fd, const char *file)
{
	int new, ret = 0;

	if (IS(dup2) || IS(__dup2) || IS(dup3)) {
		new = open(file, O_RDWR);
		ret = IS(dup2) ? call_dup2(new, fd) : IS(dup3) ? call_dup3(new, fd, O_CLOEXEC) : call___dup2(new, fd);
		if (ret != fd)
			trouble("dup");
		close(new);
		return;
	}
	if (IS(close))
		ret = call_close(fd);
	else if (IS(__close))
		ret = call___close(fd);
	else if (IS(close_range))
		ret = call_close_range ? call_close_range((unsigned)fd, ~0U, 0) : -1;
	else if (IS(closefrom))
		call_closefrom ? call_closefrom(fd) : absent("closefrom");
	else if (IS(raw))
		ret = (int)syscall(SYS_close, fd);
	else
		usage("unknown symbol");
	if (ret)
		trouble(symbol);
	new = open(file, O_RDWR);
	if (new != fd)
		printf("number %d, not %d\n", new, fd);
}

static void close_all(void)
{
	int null;

	if (IS(closefrom))
		call_closefrom(3);
	else if (IS(close_range))
		call_close_range(3, ~0U, 0);
	else if (IS(dup2) || IS(__dup2) || IS(dup3)) {
		null = open("/dev/null", O_RDWR);
		for (int fd = null + 1; fd < 1024; fd++)
			IS(dup2) ? call_dup2(null, fd) : IS(dup3) ? call_dup3(null, fd, 0) : call___dup2(null, fd);
		for (int fd = 3; fd < 1024; fd++)
			close(fd);
	} else
		for (int fd = 3; fd < 1024; fd++)
			IS(close) ? call_close(fd) : IS(__close) ? call___close(fd) : (int)syscall(SYS_close, fd);
}

static int get(int fd, size_t n, int64_t at)
{
	void *buf = buffer(n, 0xee);

	if (result(pread(fd, buf, n, at)))
		return 1;
	printf("digest=%016llx\n", (unsigned long long)digest(buf, n));
	return 0;
}

int main(int argc, char **argv)
{
	size_t n;
	int64_t at;
	int fd;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
#define L(name) puts(#name);
		SYMBOLS(L)
		return 0;
	}
	if (argc != 7)
		usage("closer SYMBOL CASE TARGET OTHER OFFSET LENGTH");
	symbol = argv[1];
	at = number(argv[5]);
	n = (size_t)number(argv[6]);
	if (!strcmp(argv[2], "stale")) {
		fd = open(argv[3], O_RDWR);
		/* a range that is sound in both */
		if (fd == -1 || get(fd, 512, 0))
			return 1;
		replace(fd, argv[4]);
		return get(fd, n, at) || result(pwrite(fd, buffer(n, 0x77), n, at)) || get(fd, n, at);
	}
	if (!strcmp(argv[2], "fresh")) {
		fd = open(argv[4], O_RDWR);
		if (fd == -1 || get(fd, n, at))
			return 1;
		replace(fd, argv[3]);
		return get(fd, n, at);
	}
	if (!strcmp(argv[2], "all")) {
		close_all();
		fd = open(argv[4], O_RDWR);
		for (int i = 0; i < 40; i++)
			dup(fd);
		if (result(pwrite(fd, buffer(n, 0x77), n, at)))
			return 1;
		fd = open(argv[3], O_RDWR);
		return fd == -1 || get(fd, n, at);
	}
	usage("unknown case");
}
