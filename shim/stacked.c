/* stacked: see stacked.h. */
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <stdbool.h>

#include <blkverify/thread.h>

#include "../src/raw.h"
#include "stacked.h"

static struct bv_target_io next;

static bool interposed;

uint64_t bv_stacked_enter(void)
{
	raw_sigset mask;

	if (!interposed)
		return 0;
	mask = raw_block_signals();
	bv_thread.inside = true;
	return mask;
}

void bv_stacked_leave(uint64_t mask)
{
	if (!interposed)
		return;
	bv_thread.inside = false;
	raw_sigmask(mask);
}

static ssize_t guarded_pread(int fd, void *bytes, size_t n, off64_t offset)
{
	uint64_t mask = bv_stacked_enter();
	ssize_t result = next.pread(fd, bytes, n, offset);

	bv_stacked_leave(mask);
	return result;
}

static ssize_t guarded_pwrite(int fd, const void *bytes, size_t n,
			      off64_t offset)
{
	uint64_t mask = bv_stacked_enter();
	ssize_t result = next.pwrite(fd, bytes, n, offset);

	bv_stacked_leave(mask);
	return result;
}

static ssize_t guarded_preadv2(int fd, const struct iovec *iov, int count,
			       off64_t offset, int flags)
{
	uint64_t mask = bv_stacked_enter();
	ssize_t result = next.preadv2(fd, iov, count, offset, flags);

	bv_stacked_leave(mask);
	return result;
}

static ssize_t guarded_pwritev2(int fd, const struct iovec *iov, int count,
				off64_t offset, int flags)
{
	uint64_t mask = bv_stacked_enter();
	ssize_t result = next.pwritev2(fd, iov, count, offset, flags);

	bv_stacked_leave(mask);
	return result;
}

static off64_t guarded_lseek(int fd, off64_t offset, int whence)
{
	uint64_t mask = bv_stacked_enter();
	off64_t result = next.lseek(fd, offset, whence);

	bv_stacked_leave(mask);
	return result;
}

bool bv_stacked_is_libc(const void *function)
{
	Dl_info theirs, libc;

	return dladdr(function, &theirs) &&
	       dladdr((const void *)gnu_get_libc_version, &libc) &&
	       theirs.dli_fbase == libc.dli_fbase;
}

void bv_stacked_guard(struct bv_target_io *io, const void *const *others,
		      size_t count)
{
	next = *io;
	interposed = !bv_stacked_is_libc((const void *)io->pread) ||
		     !bv_stacked_is_libc((const void *)io->pwrite) ||
		     !bv_stacked_is_libc((const void *)io->preadv2) ||
		     !bv_stacked_is_libc((const void *)io->pwritev2) ||
		     !bv_stacked_is_libc((const void *)io->lseek);
	for (size_t i = 0; i < count; i++)
		interposed |= !bv_stacked_is_libc(others[i]);
	if (interposed)
		*io = (struct bv_target_io){
			.pread = guarded_pread, .pwrite = guarded_pwrite,
			.preadv2 = guarded_preadv2,
			.pwritev2 = guarded_pwritev2,
			.lseek = guarded_lseek,
		};
}
