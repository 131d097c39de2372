/* wrap_aio: POSIX AIO. glibc's threads do the I/O by calls of their own
 * inside libc, which no symbol catches. */
#include <blkverify/fdmap.h>
#include <blkverify/policy.h>
#include <blkverify/verify.h>

#include "guard.h"
#include "ops.h"

/* True: not to be queued; errno says why. */
static bool refused(const char *call, const struct aiocb *cb, bool writes)
{
	struct bv_disk *disk = bv_fd_disk(cb->aio_fildes);
	int result = disk ? bv_policy_unverified(disk, call, -ENOSYS) : 0;

	if (result < 0)
		errno = -result;
	else if (disk && writes)
		bv_change_lasting(disk, (uint64_t)cb->aio_offset,
				  cb->aio_nbytes);
	return result < 0;
}

int op_aio(const char *call, int (*real)(struct aiocb *), struct aiocb *cb)
{
	bool writes = real == real_aio_write || real == real_aio_write64;

	return refused(call, cb, writes) ? -1 : real(cb);
}

int op_lio_listio(const char *call,
		  int (*real)(int, struct aiocb *const *, int, struct sigevent *),
		  int mode, struct aiocb *const *list, int count,
		  struct sigevent *event)
{
	for (int i = 0; i < count; i++) {
		const struct aiocb *cb = list[i];

		if (cb && cb->aio_lio_opcode != LIO_NOP &&
		    refused(call, cb, cb->aio_lio_opcode == LIO_WRITE))
			return -1;
	}
	return real(mode, list, count, event);
}
