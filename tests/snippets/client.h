/*
 * What the clients share. A client calls libc by exact symbol names, which it declares by asm label: the C names
 * would be renamed by feature macros (read under fortify, pread under large file support), and the symbol that
 * the test asks for would not be the one that is called.
 *
 * A result is printed as text, "ret=3" or "ret=-1 EBADF". Exit status: 0 success, 1 the call failed,
 * 2 bad usage or trouble of the client's own, 77 this system has no such symbol.
 */
#ifndef CLIENT_H
#define CLIENT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* weak: a symbol that this libc does not have is a null pointer, and the client says so */
#define CALL(name, ret, params) extern ret call_##name params __asm__(#name) __attribute__((weak));

__attribute__((unused)) static const char *errno_name(int e)
{
	const char *name = strerrorname_np(e);

	return name ? name : "E?";
}

__attribute__((unused, noreturn)) static void trouble(const char *what)
{
	printf("trouble: %s: %s\n", what, errno_name(errno));
	exit(2);
}

__attribute__((unused, noreturn)) static void absent(const char *what)
{
	printf("not here: %s\n", what);
	exit(77);
}

__attribute__((unused, noreturn)) static void usage(const char *text)
{
	fprintf(stderr, "usage: %s\n", text);
	exit(2);
}

/* prints a result and gives the exit status that goes with it */
__attribute__((unused)) static int result(long long ret)
{
	int e = errno;

	if (ret == -1)
		printf("ret=-1 %s\n", errno_name(e));
	else
		printf("ret=%lld\n", ret);
	return ret == -1;
}

__attribute__((unused)) static long long number(const char *text)
{
	char *end;
	long long n = strtoll(text, &end, 0);

	switch (*end) {
	case 'K': return n << 10;
	case 'M': return n << 20;
	case 'G': return n << 30;
	default: return n;
	}
}

/* FNV-1a, enough to tell whether two runs saw the same bytes */
__attribute__((unused)) static uint64_t digest(const void *data, size_t n)
{
	const unsigned char *p = data;
	uint64_t h = 14695981039346656037ULL;

	while (n--)
		h = (h ^ *p++) * 1099511628211ULL;
	return h;
}

/* a buffer that suits O_DIRECT, filled */
__attribute__((unused)) static void *buffer(size_t n, int fill)
{
	void *p;

	if (posix_memalign(&p, 65536, n ? n : 1))
		trouble("memory");
	memset(p, fill, n);
	return p;
}

/* cuts a buffer into a few uneven pieces, an empty one among them; iov has room for 5 */
__attribute__((unused)) static int cut(struct iovec *iov, void *buf, size_t n)
{
	size_t cuts[6] = { 0, n / 7, n / 7, n / 3, n - n / 5, n };
	int i;

	for (i = 0; i < 5; i++) {
		iov[i].iov_base = (char *)buf + cuts[i];
		iov[i].iov_len = cuts[i + 1] - cuts[i];
	}
	return 5;
}

#endif
