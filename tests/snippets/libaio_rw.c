/*
 * libaio_rw HOW FILE OFFSET LENGTH BYTE: reads or fills the range through the kernel's asynchronous I/O.
 * libaio_rw --list: every HOW, one a line: with "raw_" by syscall(), otherwise by libaio; a "v" works on an iovec.
 * build: -laio
 */
#include "client.h"
#include <libaio.h>
#include <sys/syscall.h>

int main(int argc, char **argv)
{
	struct iocb cb, *list[1] = { &cb };
	struct io_event event = { 0 };
	io_context_t context = 0;
	struct iovec iov[5];
	const char *how;
	long ret;
	size_t n;
	void *buf;
	int64_t at;
	int fd, raw, count;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		puts("read\nreadv\nwrite\nwritev\nraw_read\nraw_write");
		return 0;
	}
	if (argc != 6)
		usage("libaio_rw HOW FILE OFFSET LENGTH BYTE");
	raw = !strncmp(argv[1], "raw_", 4);
	how = argv[1] + 4 * raw;
	at = number(argv[3]);
	n = (size_t)number(argv[4]);
	fd = open(argv[2], O_RDWR);
	if (fd == -1)
		trouble("open");
	buf = buffer(n, *how == 'w' ? (int)number(argv[5]) : 0xee);
	count = cut(iov, buf, n);
	ret = raw ? syscall(SYS_io_setup, 8, &context) : io_setup(8, &context);
	if (ret < 0) {
		if (!raw)
			errno = (int)-ret;
		return result(-1);
	}
	if (!strcmp(how, "read"))
		io_prep_pread(&cb, fd, buf, n, at);
	else if (!strcmp(how, "readv"))
		io_prep_preadv(&cb, fd, iov, count, at);
	else if (!strcmp(how, "write"))
		io_prep_pwrite(&cb, fd, buf, n, at);
	else if (!strcmp(how, "writev"))
		io_prep_pwritev(&cb, fd, iov, count, at);
	else
		usage("unknown HOW");
	ret = raw ? syscall(SYS_io_submit, context, 1, list) : io_submit(context, 1, list);
	if (ret != 1) {
		if (!raw)
			errno = (int)-ret;
		return result(-1);
	}
	ret = raw ? syscall(SYS_io_getevents, context, 1, 1, &event, NULL) : io_getevents(context, 1, 1, &event, NULL);
	if (ret != 1)
		trouble("io_getevents");
	if ((long)event.res < 0) {
		errno = (int)-(long)event.res;
		return result(-1);
	}
	result((long long)event.res);
	printf("digest=%016llx\n", (unsigned long long)digest(buf, n));
	return 0;
}
