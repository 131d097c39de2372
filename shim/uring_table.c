/* uring_table: targets opened and closed by requests; see uring.h. */
#include <errno.h>

#include <blkverify/fdmap.h>

#include "guard.h"
#include "symbols.h"
#include "uring.h"

int64_t bv_table_open(struct bv_taken *t)
{
	const struct io_uring_sqe *sqe = &t->sqe;
	const char *path = (const char *)(uintptr_t)sqe->addr;
	int fd;

	/* In the kernel's order (__io_openat_prep). */
	if (sqe->buf_index)
		return -EINVAL;
	if (sqe->flags & IOSQE_FIXED_FILE)
		return -EBADF;
	if (sqe->opcode == IORING_OP_OPENAT)
		fd = shim_openat64(sqe->fd, path, (int)sqe->open_flags,
				   (mode_t)sqe->len);
	else
		fd = shim_openat2(sqe->fd, path,
				  (const void *)(uintptr_t)sqe->off, sqe->len);
	return fd < 0 ? -errno : fd;
}

int64_t bv_table_close(struct bv_taken *t)
{
	const struct io_uring_sqe *sqe = &t->sqe;
	unsigned fd = (unsigned)sqe->fd;
	int result;

	if (sqe->off || sqe->addr || sqe->len || sqe->rw_flags ||
	    sqe->buf_index)
		return -EINVAL;
	if (sqe->flags & IOSQE_FIXED_FILE)
		return -EBADF;
	/* Those begun before have the file, whatever becomes of its number. */
	bv_taken_settle(fd, fd, t);
	bv_files_closing(fd, fd);
	result = raw_close((int)fd);
	bv_fd_forget((int)fd);
	return result;
}
