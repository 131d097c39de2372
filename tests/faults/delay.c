/* transfers that take their time, each a different one, so that overlapping requests finish in another order than
 * they were made. FAULT_DELAY: at most so many microseconds (default 2000), half before and half after the transfer */
#include "fault.h"

#include <stdint.h>
#include <time.h>

static void wait_a_little(void)
{
	static atomic_uint step;
	uint32_t random = (atomic_fetch_add(&step, 1) + 1) * 2654435761u;
	long limit = fault_number("FAULT_DELAY", 2000) / 2;
	struct timespec pause = { 0, limit > 0 ? (long)((random >> 8) % (unsigned long)limit) * 1000 : 0 };

	fault_call(SYS_nanosleep, (long)&pause, 0, 0, 0, 0, 0);
}

static ssize_t slow_read(const struct fault_io *io)
{
	ssize_t got;

	if (!fault_due(io->fd))
		return fault_real_read(io);
	wait_a_little();
	got = fault_real_read(io);
	wait_a_little();
	return got;
}

static ssize_t slow_write(const struct fault_io *io)
{
	ssize_t put;

	if (!fault_due(io->fd))
		return fault_real_write(io);
	wait_a_little();
	put = fault_real_write(io);
	wait_a_little();
	return put;
}

FAULT_DEFINE(slow_read, slow_write)
