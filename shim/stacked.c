/* stacked: see stacked.h. */
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <stdbool.h>

#include <blkverify/thread.h>

#include "../src/raw.h"
#include "stacked.h"

static struct bv_target_io next;

static raw_sigset enter(void)
{
	raw_sigset mask = raw_sigmask(RAW_SIGNALS_ALL);

	bv_thread.inside = true;
	return mask;
}

static void leave(raw_sigset mask)
{
	bv_thread.inside = false;
	raw_sigmask(mask);
}

static ssize_t guarded_pread(int fd, void *bytes, size_t n, off64_t offset)
{
	raw_sigset mask = enter();
	ssize_t result = next.pread(fd, bytes, n, offset);

	leave(mask);
	return result;
}

static ssize_t guarded_pwrite(int fd, const void *bytes, size_t n,
			      off64_t offset)
{
	raw_sigset mask = enter();
	ssize_t result = next.pwrite(fd, bytes, n, offset);

	leave(mask);
	return result;
}

static ssize_t guarded_preadv2(int fd, const struct iovec *iov, int count,
			       off64_t offset, int flags)
{
	raw_sigset mask = enter();
	ssize_t result = next.preadv2(fd, iov, count, offset, flags);

	leave(mask);
	return result;
}

static ssize_t guarded_pwritev2(int fd, const struct iovec *iov, int count,
				off64_t offset, int flags)
{
	raw_sigset mask = enter();
	ssize_t result = next.pwritev2(fd, iov, count, offset, flags);

	leave(mask);
	return result;
}

static off64_t guarded_lseek(int fd, off64_t offset, int whence)
{
	raw_sigset mask = enter();
	off64_t result = next.lseek(fd, offset, whence);

	leave(mask);
	return result;
}

static bool is_libc(const void *function)
{
	Dl_info theirs, libc;

	return dladdr(function, &theirs) &&
	       dladdr((const void *)gnu_get_libc_version, &libc) &&
	       theirs.dli_fbase == libc.dli_fbase;
}

void bv_stacked_guard(struct bv_target_io *io)
{
	next = *io;
	if (!is_libc((const void *)io->pread))
		io->pread = guarded_pread;
	if (!is_libc((const void *)io->pwrite))
		io->pwrite = guarded_pwrite;
	if (!is_libc((const void *)io->preadv2))
		io->preadv2 = guarded_preadv2;
	if (!is_libc((const void *)io->pwritev2))
		io->pwritev2 = guarded_pwritev2;
	if (!is_libc((const void *)io->lseek))
		io->lseek = guarded_lseek;
}
