/* wrap_rw: reading and writing. */
#include <limits.h>

#include <blkverify/verify.h>

#include "guard.h"
#include "ops.h"

/* Reads at an offset may be on what the descriptor was: see bv_fd_guess. */
typedef ssize_t engine(struct bv_disk *disk, const struct bv_request *request);

static ssize_t run(engine *transfer, struct bv_disk *disk,
		   const struct bv_request *request)
{
	struct bv_guard guard;

	bv_guard_enter(&guard);
	return bv_guard_leave(&guard, transfer(disk, request));
}

/* A single buffer is a list of one. */
static ssize_t run_single(engine *transfer, struct bv_disk *disk,
			  const char *call, int fd, const void *buf, size_t n,
			  bool position, off64_t offset)
{
	struct iovec iov = { (void *)buf, n };
	struct bv_request request = {
		.call = call, .fd = fd, .iov = &iov, .count = 1, .plain = true,
		.position = position, .guessed = transfer == bv_read && !position, .offset = offset,
	};

	return run(transfer, disk, &request);
}

/* -1 is the file position, to preadv2 and pwritev2 alone. */
static ssize_t run_list(engine *transfer, struct bv_disk *disk,
			const char *call, int fd, const struct iovec *iov,
			int count, bool position, off64_t offset, int flags)
{
	struct bv_request request = {
		.call = call, .fd = fd, .iov = iov, .count = count,
		.position = position, .guessed = transfer == bv_read && !position, .offset = offset,
		.flags = flags,
	};

	return run(transfer, disk, &request);
}

/* What the kernel refuses before it looks at anything else goes to it. */
static bool bad_count(int count)
{
	return count < 0 || count > IOV_MAX;
}

ssize_t op_read(struct bv_disk *disk, const char *call, int fd, void *buf,
		size_t n)
{
	return run_single(bv_read, disk, call, fd, buf, n, true, 0);
}

ssize_t op_pread(struct bv_disk *disk, const char *call, int fd, void *buf,
		 size_t n, off64_t offset)
{
	return run_single(bv_read, disk, call, fd, buf, n, false, offset);
}

ssize_t op_readv(struct bv_disk *disk, const char *call, int fd,
		 const struct iovec *iov, int count)
{
	if (bad_count(count))
		return real_readv(fd, iov, count);
	return run_list(bv_read, disk, call, fd, iov, count, true, 0, 0);
}

ssize_t op_preadv(struct bv_disk *disk, const char *call, int fd,
		  const struct iovec *iov, int count, off64_t offset)
{
	if (bad_count(count))
		return real_preadv64(fd, iov, count, offset);
	return run_list(bv_read, disk, call, fd, iov, count, false, offset, 0);
}

ssize_t op_preadv2(struct bv_disk *disk, const char *call, int fd,
		   const struct iovec *iov, int count, off64_t offset, int flags)
{
	if (bad_count(count))
		return real_preadv64v2(fd, iov, count, offset, flags);
	return run_list(bv_read, disk, call, fd, iov, count, offset == -1,
			offset, flags);
}

ssize_t op_write(struct bv_disk *disk, const char *call, int fd,
		 const void *buf, size_t n)
{
	return run_single(bv_write, disk, call, fd, buf, n, true, 0);
}

ssize_t op_pwrite(struct bv_disk *disk, const char *call, int fd,
		  const void *buf, size_t n, off64_t offset)
{
	return run_single(bv_write, disk, call, fd, buf, n, false, offset);
}

ssize_t op_writev(struct bv_disk *disk, const char *call, int fd,
		  const struct iovec *iov, int count)
{
	if (bad_count(count))
		return real_writev(fd, iov, count);
	return run_list(bv_write, disk, call, fd, iov, count, true, 0, 0);
}

ssize_t op_pwritev(struct bv_disk *disk, const char *call, int fd,
		   const struct iovec *iov, int count, off64_t offset)
{
	if (bad_count(count))
		return real_pwritev64(fd, iov, count, offset);
	return run_list(bv_write, disk, call, fd, iov, count, false, offset, 0);
}

ssize_t op_pwritev2(struct bv_disk *disk, const char *call, int fd,
		    const struct iovec *iov, int count, off64_t offset, int flags)
{
	if (bad_count(count))
		return real_pwritev64v2(fd, iov, count, offset, flags);
	return run_list(bv_write, disk, call, fd, iov, count, offset == -1,
			offset, flags);
}

/* glibc's are a read and a write of eight bytes. */
int op_eventfd_read(struct bv_disk *disk, const char *call, int fd,
		    eventfd_t *value)
{
	ssize_t n = op_read(disk, call, fd, value, sizeof(*value));

	return n == (ssize_t)sizeof(*value) ? 0 : -1;
}

int op_eventfd_write(struct bv_disk *disk, const char *call, int fd,
		     eventfd_t value)
{
	ssize_t n = op_write(disk, call, fd, &value, sizeof(value));

	return n == (ssize_t)sizeof(value) ? 0 : -1;
}
