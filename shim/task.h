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
#include <time.h>

/* What a request does, as glibc numbers it beyond LIO_NOP. */
enum { TASK_DSYNC = LIO_NOP + 1, TASK_SYNC };

/* Several that are waited for together (lio_listio). */
struct task;

struct task *task_batch(const struct sigevent *event);

/* Queues cb. False: it is not; errno and cb say why. batch may be NULL. */
bool task_queue(const char *call, struct aiocb *cb, int operation,
		struct task *batch);

/* No more will join the batch: from now on it can end. With wait, until it
 * has, and the result is 0 or a negative errno: -EIO when one of them failed,
 * -EINTR after a signal. */
int task_batch_end(struct task *batch, bool wait);

/* Tells of an end as event says. */
void task_notify(const struct sigevent *event);

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

#endif
