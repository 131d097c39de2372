/* writes that say they were done and were not */
#include "fault.h"

static ssize_t lose(const struct fault_io *io)
{
	if (!fault_due(io->fd))
		return fault_real_write(io);
	if (io->offset == -1)
		fault_call(SYS_lseek, io->fd, (long)io->length, SEEK_CUR, 0, 0, 0);
	return (ssize_t)io->length;
}

FAULT_DEFINE(fault_real_read, lose)
