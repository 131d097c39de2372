/* transfers that end early. FAULT_OP: read or write; FAULT_BYTES: how many bytes they still take */
#include "fault.h"

static int due(const struct fault_io *io, const char *op, size_t *bytes)
{
	const char *wanted = getenv("FAULT_OP");

	*bytes = (size_t)fault_number("FAULT_BYTES", 512);
	return *bytes < io->length && (!wanted || !strcmp(wanted, op)) && fault_due(io->fd);
}

/* the first bytes of a request, as a request of one piece */
static struct fault_io head(const struct fault_io *io, struct iovec *piece, size_t bytes)
{
	struct fault_io first = *io;

	*piece = io->iov[0];
	if (piece->iov_len > bytes)
		piece->iov_len = bytes;
	first.iov = piece;
	first.iovcnt = 1;
	first.length = piece->iov_len;
	return first;
}

static ssize_t short_read(const struct fault_io *io)
{
	struct iovec piece;
	struct fault_io first;
	size_t bytes;

	if (!due(io, "read", &bytes))
		return fault_real_read(io);
	first = head(io, &piece, bytes);
	return bytes ? fault_real_read(&first) : 0;
}

static ssize_t short_write(const struct fault_io *io)
{
	struct iovec piece;
	struct fault_io first;
	size_t bytes;

	if (!due(io, "write", &bytes))
		return fault_real_write(io);
	first = head(io, &piece, bytes);
	return bytes ? fault_real_write(&first) : 0;
}

FAULT_DEFINE(short_read, short_write)
