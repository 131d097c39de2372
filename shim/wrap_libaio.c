/* wrap_libaio: Linux AIO, by libaio or by raw io_submit. */
#include <blkverify/fdmap.h>
#include <blkverify/policy.h>
#include <blkverify/verify.h>

#include "guard.h"
#include "ops.h"

static __thread bool inside;

static bool moves_bytes(const struct iocb *cb)
{
	switch (cb->aio_lio_opcode) {
	case IOCB_CMD_FSYNC:
	case IOCB_CMD_FDSYNC:
	case IOCB_CMD_POLL:
	case IOCB_CMD_NOOP:
		return false;
	default:
		return true;
	}
}

/* How many of the requests may go to the kernel: those before the first on a
 * target, as the kernel stops at the first it rejects. A negative errno when
 * there is none. Under warn, all, with the ranges written given up. */
long bv_libaio_admit(const char *call, long count, struct iocb **list)
{
	if (inside)
		return count;
	for (long i = 0; i < count; i++) {
		struct bv_disk *disk = bv_fd_disk((int)list[i]->aio_fildes);
		int refused;

		if (!disk || !moves_bytes(list[i]))
			continue;
		if (i > 0)
			return i;
		refused = bv_policy_unverified(disk, call, -EOPNOTSUPP);
		if (refused < 0)
			return refused;
		/* A vectored one's length is in memory that may change. */
		if (list[i]->aio_lio_opcode == IOCB_CMD_PWRITE)
			bv_change_lasting(disk, (uint64_t)list[i]->aio_offset,
					  list[i]->aio_nbytes);
		else if (list[i]->aio_lio_opcode != IOCB_CMD_PREAD &&
			 list[i]->aio_lio_opcode != IOCB_CMD_PREADV)
			bv_change_lasting(disk, (uint64_t)list[i]->aio_offset,
					  INT64_MAX);
	}
	return count;
}

/* libaio returns negative errnos and leaves errno alone. Where its own system
 * call is libc's syscall(), that finds the list admitted already. */
int op_io_submit(const char *call, void *context, long count, struct iocb **list)
{
	int error = errno, result;
	long admitted = bv_libaio_admit(call, count, list);

	errno = error;
	if (admitted < 0)
		return (int)admitted;
	inside = true;
	result = real_io_submit(context, admitted, list);
	inside = false;
	return result;
}
