/* wrap_aio: POSIX AIO. What has nothing to do with a target is glibc's. */
#include <blkverify/fdmap.h>

#include "../src/raw.h"
#include "guard.h"
#include "ops.h"
#include "task.h"

/* From a thread that cancels or is cancelled: queueing is no cancellation
 * point, and half of it would hang whoever waits. */
static bool queue(const char *call, struct aiocb *cb, int operation,
		  struct task *batch)
{
	int cancel, unused;
	bool queued;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	queued = task_queue(call, cb, operation, batch);
	pthread_setcancelstate(cancel, &unused);
	return queued;
}

int op_aio(const char *call, int (*real)(struct aiocb *), struct aiocb *cb)
{
	bool writes = real == real_aio_write || real == real_aio_write64;

	if (!bv_fd_disk(cb->aio_fildes))
		return real(cb);
	return queue(call, cb, writes ? LIO_WRITE : LIO_READ, NULL) ? 0 : -1;
}

int op_aio_fsync(const char *call, int (*real)(int, struct aiocb *),
		 int operation, struct aiocb *cb)
{
	/* What is wrong with the call, glibc says. */
	if ((operation != O_SYNC && operation != O_DSYNC) ||
	    !bv_fd_disk(cb->aio_fildes))
		return real(operation, cb);
	return queue(call, cb, operation == O_SYNC ? TASK_SYNC : TASK_DSYNC,
		     NULL) ? 0 : -1;
}

static bool is_request(const struct aiocb *cb)
{
	return cb && cb->aio_lio_opcode != LIO_NOP;
}

static bool reaches_target(struct aiocb *const *list, int count)
{
	for (int i = 0; i < count; i++)
		if (is_request(list[i]) && bv_fd_disk(list[i]->aio_fildes))
			return true;
	return false;
}

/* With glibc, lio_listio is no cancellation point. */
static int end_batch(struct task *batch, bool wait)
{
	int cancel, unused, error;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	error = task_batch_end(batch, wait);
	pthread_setcancelstate(cancel, &unused);
	return error;
}

/* Requests on targets and others in one list are all ours: their end is told
 * of once. */
int op_lio_listio(const char *call,
		  int (*real)(int, struct aiocb *const *, int, struct sigevent *),
		  int mode, struct aiocb *const *list, int count,
		  struct sigevent *event)
{
	struct task *batch;
	int result = 0, queued = 0, error;

	if ((mode != LIO_WAIT && mode != LIO_NOWAIT) ||
	    !reaches_target(list, count))
		return real(mode, list, count, event);
	batch = task_batch(mode == LIO_WAIT ? NULL : event);
	if (!batch) {
		errno = EAGAIN;
		return -1;
	}
	for (int i = 0; i < count; i++) {
		if (!is_request(list[i]))
			continue;
		if (queue(call, list[i], list[i]->aio_lio_opcode, batch))
			queued++;
		else
			result = -1;
	}
	error = end_batch(batch, mode == LIO_WAIT);
	if (error == 0 && result < 0 && queued > 0 && mode == LIO_WAIT)
		error = -EIO;
	if (error < 0)
		errno = -error;
	return error < 0 ? -1 : result;
}

int op_aio_suspend(const char *call,
		   int (*real)(const struct aiocb *const *, int,
			       const struct timespec *),
		   const struct aiocb *const *list, int count,
		   const struct timespec *timeout)
{
	int result;

	(void)call;
	if (!task_any() || !task_suspend(list, count, timeout, &result))
		return real(list, count, timeout);
	if (result < 0)
		errno = -result;
	return result < 0 ? -1 : 0;
}

int op_aio_cancel(const char *call, int (*real)(int, struct aiocb *), int fd,
		  struct aiocb *cb)
{
	int answer = -1;

	(void)call;
	/* What is wrong with the call, glibc says. */
	if (task_any() && raw_fcntl(fd, F_GETFL, 0) >= 0 &&
	    (!cb || cb->aio_fildes == fd))
		answer = task_cancel(fd, cb);
	return answer < 0 ? real(fd, cb) : answer;
}
