/* reads that return a wrong byte while the file itself is right: a bad cable, a bad cache.
 * FAULT_AT: which byte of the file (default: the first of the request) */
#include "fault.h"

static void flip(const struct fault_io *io, size_t at)
{
	for (int i = 0; i < io->iovcnt; i++) {
		if (at < io->iov[i].iov_len) {
			((unsigned char *)io->iov[i].iov_base)[at] ^= 0xff;
			return;
		}
		at -= io->iov[i].iov_len;
	}
}

static ssize_t corrupt(const struct fault_io *io)
{
	long at = fault_number("FAULT_AT", -1);
	off_t start = io->offset;
	ssize_t got;

	if (start == -1)
		start = fault_call(SYS_lseek, io->fd, 0, SEEK_CUR, 0, 0, 0);
	got = fault_real_read(io);
	if (got <= 0 || (at >= 0 && (at < start || at >= start + got)) || !fault_due(io->fd))
		return got;
	flip(io, at < 0 ? 0 : (size_t)(at - start));
	return got;
}

FAULT_DEFINE(corrupt, fault_real_write)
