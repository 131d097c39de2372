/*
 * aio CALL:HOW FILE OFFSET LENGTH BYTE: reads or fills the range by POSIX asynchronous I/O and waits for it.
 * aio --list: every CALL:HOW, one a line.
 */
#include "client.h"
#include <aio.h>

CALL(aio_read, int, (void *))
CALL(aio_read64, int, (void *))
CALL(aio_write, int, (void *))
CALL(aio_write64, int, (void *))
CALL(lio_listio, int, (int, struct aiocb *const *, int, struct sigevent *))
CALL(lio_listio64, int, (int, struct aiocb *const *, int, struct sigevent *))

int main(int argc, char **argv)
{
	const struct aiocb *waited;
	struct aiocb cb = { 0 }, *list[1] = { &cb };
	const char *call;
	int ret = -1, writing, lio;
	size_t n;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		puts("aio_read:read\naio_read64:read\naio_write:write\naio_write64:write\nlio_listio:read\nlio_listio:write\n"
			"lio_listio64:read\nlio_listio64:write");
		return 0;
	}
	if (argc != 6)
		usage("aio CALL:HOW FILE OFFSET LENGTH BYTE");
	call = argv[1];
	writing = !!strstr(call, ":write");
	n = (size_t)number(argv[4]);
	cb.aio_fildes = open(argv[2], O_RDWR);
	if (cb.aio_fildes == -1)
		trouble("open");
	cb.aio_offset = number(argv[3]);
	cb.aio_nbytes = n;
	cb.aio_buf = buffer(n, writing ? (int)number(argv[5]) : 0xee);
	cb.aio_lio_opcode = writing ? LIO_WRITE : LIO_READ;
	lio = !strncmp(call, "lio_listio", 10);
#define C(name, ...) if (!strncmp(call, #name ":", sizeof(#name))) ret = call_##name(__VA_ARGS__);
	C(aio_read, &cb)
	C(aio_read64, &cb)
	C(aio_write, &cb)
	C(aio_write64, &cb)
	C(lio_listio, LIO_WAIT, list, 1, NULL)
	C(lio_listio64, LIO_WAIT, list, 1, NULL)
	if (ret == -1 && !lio)
		return result(-1);
	if (lio && ret == -1 && aio_error(&cb) == 0)
		return result(-1);
	waited = &cb;
	while (aio_error(&cb) == EINPROGRESS)
		aio_suspend(&waited, 1, NULL);
	errno = aio_error(&cb);
	if (errno)
		return result(-1);
	if (result(aio_return(&cb)))
		return 1;
	printf("digest=%016llx\n", (unsigned long long)digest((void *)cb.aio_buf, n));
	return 0;
}
