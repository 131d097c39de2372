/* task: requests of POSIX AIO that are carried out by us.
 *
 * glibc's threads do the I/O by calls inside libc that no symbol catches, so
 * requests on targets go to the pool instead. As with glibc, those on one
 * descriptor are done one after the other, by priority, then in the order
 * they came in; what comes of one is written into its aiocb, where
 * aio_error and aio_return find it. Its tables, glibc's own, know nothing of
 * ours: what asks those (aio_suspend, aio_cancel) asks here, too.
 */
#ifndef BV_TASK_H
#define BV_TASK_H

#include <aio.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <time.h>

#include <blkverify/pool.h>

/* What a request does, as glibc numbers it beyond LIO_NOP. */
enum { TASK_DSYNC = LIO_NOP + 1, TASK_SYNC };

/* One request, or several that are waited for together (lio_listio): a batch. */
struct task;

struct task *task_batch(const struct sigevent *event);

/* Queues cb. False: it is not; errno and cb say why. batch may be NULL. */
bool task_queue(const char *call, struct aiocb *cb, int operation,
		struct task *batch);

/* No more will join the batch: from now on it can end. With wait, until it
 * has, and the result is 0 or a negative errno: -EIO when one of them failed,
 * -EINTR after a signal. */
int task_batch_end(struct task *batch, bool wait);

/* Is any of ours in progress at all? One load. */
bool task_any(void);

/* Waits like aio_suspend when one of the list is ours: then true, and
 * *result is 0 or a negative errno. */
bool task_suspend(const struct aiocb *const *list, int count,
		  const struct timespec *timeout, int *result);

/* Takes back what has not been begun: cb, or all on fd when it is NULL. An
 * answer of aio_cancel, or -1 when none of ours is meant. */
int task_cancel(int fd, const struct aiocb *cb);

/* In the child after fork: they are the parent's. */
void bv_task_forked(void);

/* ---- for task.c and task_wait.c alone ---- */

struct task {
	struct bv_job job;
	struct task *next;           /* in live, or free */
	struct aiocb *cb;
	const char *call;
	int fd, operation, priority;
	bool running, withdrawn;
	struct iovec iov;
	int64_t offset;
	struct sigevent event;
	struct task *batch;

	/* As a batch. */
	unsigned left;
	bool failed, waited;
};

/* The lock of all tasks, and of what follows. */
extern _Atomic uint32_t task_lock;

/* Counts up when one ends: the futex of who waits. */
extern _Atomic uint32_t task_ended;

/* Memory is never given back, but used again. */
struct task *task_new(void);
void task_drop(struct task *task);

/* One that is queued or being done, or NULL. */
struct task *task_find(const struct aiocb *cb);

/* One less of the batch. True: it was the last of one nobody waits for, and
 * *event says how to tell. */
bool task_count_down(struct task *batch, bool failed, struct sigevent *event);

#endif
