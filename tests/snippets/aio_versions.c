/*
 * aio_versions CALL FILE OFFSET LENGTH BYTE: one request of POSIX AIO, all of it by the versions of the symbols that a program
 * linked with an old glibc has. CALL is "aio_read", "aio_write64", "lio_listio:read" ...
 * aio_versions --list: every CALL, one a line.
 */
#include "client.h"
#include <aio.h>

#ifdef __x86_64__
#define OLD "GLIBC_2.2.5"
#else
#define OLD "GLIBC_2.17"
#endif

#define OLD_CALL(name, ret, params) extern ret old_##name params; __asm__(".symver old_" #name "," #name "@" OLD);
OLD_CALL(aio_read, int, (struct aiocb *))
OLD_CALL(aio_read64, int, (struct aiocb *))
OLD_CALL(aio_write, int, (struct aiocb *))
OLD_CALL(aio_write64, int, (struct aiocb *))
OLD_CALL(aio_fsync, int, (int, struct aiocb *))
OLD_CALL(aio_suspend, int, (const struct aiocb *const *, int, const struct timespec *))
OLD_CALL(aio_error, int, (const struct aiocb *))
OLD_CALL(aio_return, ssize_t, (struct aiocb *))
OLD_CALL(aio_cancel, int, (int, struct aiocb *))
OLD_CALL(lio_listio, int, (int, struct aiocb *const *, int, struct sigevent *))
OLD_CALL(lio_listio64, int, (int, struct aiocb *const *, int, struct sigevent *))

static int done(struct aiocb *cb)
{
	const struct aiocb *one[] = { cb };

	while (old_aio_error(cb) == EINPROGRESS)
		old_aio_suspend(one, 1, NULL);
	errno = old_aio_error(cb);
	return result(old_aio_return(cb));
}

static int begun(const char *call, struct aiocb *cb)
{
	struct aiocb *list[] = { cb };

	if (!strcmp(call, "aio_read"))
		return old_aio_read(cb);
	if (!strcmp(call, "aio_read64"))
		return old_aio_read64(cb);
	if (!strcmp(call, "aio_write"))
		return old_aio_write(cb);
	if (!strcmp(call, "aio_write64"))
		return old_aio_write64(cb);
	if (!strncmp(call, "lio_listio:", 11))
		return old_lio_listio(LIO_WAIT, list, 1, NULL);
	if (!strncmp(call, "lio_listio64:", 13))
		return old_lio_listio64(LIO_NOWAIT, list, 1, NULL);
	usage("unknown CALL");
}

int main(int argc, char **argv)
{
	struct aiocb cb = { 0 };
	size_t n;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		puts("aio_read\naio_read64\naio_write\naio_write64\nlio_listio:read\nlio_listio64:write");
		return 0;
	}
	if (argc != 6)
		usage("aio_versions CALL FILE OFFSET LENGTH BYTE");
	n = (size_t)number(argv[4]);
	cb.aio_fildes = open(argv[2], O_RDWR);
	if (cb.aio_fildes < 0)
		trouble("open");
	cb.aio_offset = (off_t)number(argv[3]);
	cb.aio_nbytes = n;
	cb.aio_buf = buffer(n, (int)number(argv[5]));
	cb.aio_sigevent.sigev_notify = SIGEV_NONE;
	cb.aio_lio_opcode = strstr(argv[1], "read") ? LIO_READ : LIO_WRITE;
	if (begun(argv[1], &cb))
		return result(-1);
	if (done(&cb))
		return 1;
	printf("digest=%016llx\n", (unsigned long long)digest((void *)cb.aio_buf, n));
	if (old_aio_fsync(O_SYNC, &cb) || done(&cb))
		return 1;
	return old_aio_cancel(cb.aio_fildes, &cb) != AIO_ALLDONE;
}
