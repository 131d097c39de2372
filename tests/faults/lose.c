/* writes that say they were done and were not */
#include "fault.h"

static ssize_t lose(const struct fault_io *io)
{
	if (!fault_due(io->fd))
		return fault_real_write(io);
	if (io->offset == -1)
		lseek(io->fd, (off_t)io->length, SEEK_CUR);
	return (ssize_t)io->length;
}

FAULT_DEFINE(fault_real_read, lose)
