/* operations that fail: FAULT_OP (read, write, sync, space) with FAULT_ERRNO (default EIO). A failing write may have
 * torn the data: with FAULT_TORN set, half of it is written first. */
#include "fault.h"

static int fails(int fd, const char *op)
{
	const char *wanted = getenv("FAULT_OP");

	return wanted && !strcmp(wanted, op) && fault_due(fd);
}

static ssize_t failing_read(const struct fault_io *io)
{
	if (!fails(io->fd, "read"))
		return fault_real_read(io);
	errno = fault_errno();
	return -1;
}

static ssize_t failing_write(const struct fault_io *io)
{
	if (!fails(io->fd, "write"))
		return fault_real_write(io);
	if (getenv("FAULT_TORN")) {
		struct iovec half = { io->iov[0].iov_base, io->iov[0].iov_len / 2 };
		struct fault_io torn = *io;

		torn.iov = &half;
		torn.iovcnt = 1;
		fault_real_write(&torn);
	}
	errno = fault_errno();
	return -1;
}

FAULT_DEFINE(failing_read, failing_write)

#define FAIL_CALL(symbol, op, number, params, ...) \
	int fault_##symbol params __asm__(#symbol); \
	__attribute__((visibility("default"))) \
	int fault_##symbol params \
	{ \
		if (!fails(fd, op)) \
			return (int)fault_call(number, __VA_ARGS__); \
		errno = fault_errno(); \
		return -1; \
	}

FAIL_CALL(fsync, "sync", SYS_fsync, (int fd), fd, 0, 0, 0, 0, 0)
FAIL_CALL(fdatasync, "sync", SYS_fdatasync, (int fd), fd, 0, 0, 0, 0, 0)
FAIL_CALL(ftruncate, "space", SYS_ftruncate, (int fd, off_t length), fd, length, 0, 0, 0, 0)
FAIL_CALL(ftruncate64, "space", SYS_ftruncate, (int fd, off_t length), fd, length, 0, 0, 0, 0)
FAIL_CALL(fallocate, "space", SYS_fallocate, (int fd, int mode, off_t offset, off_t length), fd, mode, offset, length, 0, 0)
FAIL_CALL(fallocate64, "space", SYS_fallocate, (int fd, int mode, off_t offset, off_t length), fd, mode, offset, length, 0, 0)
