/* task: see task.h. */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <sys/mman.h>

#include <blkverify/fdmap.h>
#include <blkverify/pool.h>
#include <blkverify/thread.h>
#include <blkverify/verify.h>

#include "../src/lock.h"
#include "notice.h"
#include "ops.h"
#include "task.h"

_Atomic uint32_t task_lock;
_Atomic uint32_t task_ended;

static struct task *live;            /* in the order they are to be done */
static struct task *spare;
static atomic_uint count;            /* of the live ones */

struct task *task_new(void)
{
	enum { CHUNK = 65536 };
	struct task *task, *chunk;

	if (!spare) {
		chunk = raw_mmap(NULL, CHUNK, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (raw_is_error(chunk))
			return NULL;
		for (size_t i = 0; i < CHUNK / sizeof(*chunk); i++) {
			chunk[i].next = spare;
			spare = &chunk[i];
		}
	}
	task = spare;
	spare = task->next;
	*task = (struct task){ 0 };
	return task;
}

void task_drop(struct task *task)
{
	task->next = spare;
	spare = task;
}

/* ---- carrying out ---- */

static ssize_t move(const struct task *task, bool writes)
{
	struct bv_disk *disk = bv_fd_disk(task->fd);
	struct bv_request request = {
		.call = task->call, .fd = task->fd, .iov = &task->iov,
		.count = 1, .offset = task->offset,
	};
	ssize_t n;

	if (task->iov.iov_len > SSIZE_MAX)
		disk = NULL;
	if (disk)
		return writes ? bv_write(disk, &request)
			      : bv_read(disk, &request);
	n = writes ? real_pwrite64(task->fd, task->iov.iov_base,
				   task->iov.iov_len, task->offset)
		   : real_pread64(task->fd, task->iov.iov_base,
				  task->iov.iov_len, task->offset);
	return n < 0 ? -errno : n;
}

static int flush(const struct task *task)
{
	struct bv_disk *disk = bv_fd_disk(task->fd);
	int (*real)(int) = task->operation == TASK_SYNC ? real_fsync :
							  real_fdatasync;
	int result = disk ? op_sync(disk, task->call, task->fd, real) :
			    real(task->fd);

	return result < 0 ? -errno : 0;
}

static ssize_t carry_out(const struct task *task)
{
	switch (task->operation) {
	case LIO_READ:
	case LIO_WRITE:
		return move(task, task->operation == LIO_WRITE);
	case TASK_SYNC:
	case TASK_DSYNC:
		return flush(task);
	default:
		return -EINVAL;
	}
}

/* The one that is next on fd, unless one is being done. Under the lock. */
static struct task *next_on(int fd)
{
	struct task *first = NULL;

	for (struct task *t = live; t; t = t->next) {
		if (t->fd == fd && t->running)
			return NULL;
		if (t->fd == fd && !t->withdrawn && !first)
			first = t;
	}
	if (first)
		first->running = true;
	return first;
}

static void unlink_task(const struct task *task)
{
	struct task **at = &live;

	while (*at != task)
		at = &(*at)->next;
	*at = task->next;
	atomic_fetch_sub(&count, 1);
}

/* Its aiocb, whose fields aio_error and aio_return read: the code comes last,
 * and after it the memory is the program's again. */
static void tell(struct aiocb *cb, ssize_t result)
{
	cb->__return_value = result < 0 ? -1 : result;
	__atomic_store_n(&cb->__error_code, result < 0 ? (int)-result : 0,
			 __ATOMIC_RELEASE);
}

static void run(struct bv_job *job);

static void begin(struct task *task)
{
	if (!task)
		return;
	task->job.run = run;
	if (bv_pool_submit(&bv_requests, &task->job) < 0)
		run(&task->job);
}

/* It is over, with that result: says so to everybody, and takes the next. */
static void end(struct task *task, ssize_t result)
{
	struct sigevent event = task->event, last;
	raw_sigset mask = lock_take(&task_lock);
	struct task *next;
	bool is_last;

	unlink_task(task);
	tell(task->cb, result);
	is_last = task->batch && task_count_down(task->batch, result < 0, &last);
	next = next_on(task->fd);
	task_drop(task);
	atomic_fetch_add(&task_ended, 1);
	lock_give(&task_lock, mask);
	raw_futex_wake(&task_ended, INT_MAX);
	begin(next);
	bv_notify(&event);
	if (is_last)
		bv_notify(&last);
}

static void run(struct bv_job *job)
{
	struct task *task = (struct task *)(void *)job;

	end(task, carry_out(task));
}

/* ---- queueing ---- */

/* Before those of lower priority on its descriptor, but never before one
 * that is being done. */
static void insert(struct task *task)
{
	struct task **at = &live, **place = NULL;

	for (; *at; at = &(*at)->next)
		if (!place && (*at)->fd == task->fd && !(*at)->running &&
		    (*at)->priority < task->priority)
			place = at;
	if (!place)
		place = at;
	task->next = *place;
	*place = task;
	atomic_fetch_add(&count, 1);
}

static bool reject(struct aiocb *cb, int error)
{
	cb->__return_value = -1;
	cb->__error_code = error;
	errno = error;
	return false;
}

static void fill_in(struct task *task, const char *call, struct aiocb *cb,
		    int operation)
{
	task->call = call;
	task->cb = cb;
	task->fd = cb->aio_fildes;
	task->operation = operation & 127;
	task->priority = -cb->aio_reqprio;
	task->iov.iov_base = (void *)cb->aio_buf;
	task->iov.iov_len = cb->aio_nbytes;
	task->offset = cb->aio_offset;
	task->event = cb->aio_sigevent;
}

bool task_queue(const char *call, struct aiocb *cb, int operation,
		struct task *batch)
{
	struct task *task, *next = NULL;
	raw_sigset mask;

	if (operation == TASK_SYNC || operation == TASK_DSYNC)
		cb->aio_reqprio = 0;
	else if (cb->aio_reqprio < 0 || cb->aio_reqprio > AIO_PRIO_DELTA_MAX)
		return reject(cb, EINVAL);
	mask = lock_take(&task_lock);
	task = task_new();
	if (task) {
		cb->aio_lio_opcode = operation;
		cb->__return_value = 0;
		cb->__error_code = EINPROGRESS;
		fill_in(task, call, cb, operation);
		task->batch = batch;
		if (batch)
			batch->left++;
		insert(task);
		next = next_on(task->fd);
	}
	lock_give(&task_lock, mask);
	begin(next);
	return task ? true : reject(cb, EAGAIN);
}

/* ---- asking, and taking back ---- */

bool task_any(void)
{
	return atomic_load(&count) > 0;
}

struct task *task_find(const struct aiocb *cb)
{
	struct task *t = live;

	while (t && t->cb != cb)
		t = t->next;
	return t;
}


/* One of those meant that has not been begun. Under the lock. */
static struct task *find_waiting(int fd, const struct aiocb *cb, int *answer)
{
	struct task *found = NULL;

	for (struct task *t = live; t; t = t->next) {
		if (t->fd != fd || t->withdrawn || (cb && t->cb != cb))
			continue;
		if (t->running)
			*answer = AIO_NOTCANCELED;
		else if (!found)
			found = t;
	}
	/* It is nobody else's to take now. */
	if (found)
		found->withdrawn = true;
	if (found && *answer < 0)
		*answer = AIO_CANCELED;
	return found;
}

int task_cancel(int fd, const struct aiocb *cb)
{
	int answer = -1;
	struct task *task;

	do {
		raw_sigset mask = lock_take(&task_lock);

		task = find_waiting(fd, cb, &answer);
		lock_give(&task_lock, mask);
		if (task)
			end(task, -ECANCELED);
	} while (task);
	return answer;
}

void bv_task_forked(void)
{
	live = NULL;
	atomic_store(&count, 0);
	atomic_store(&task_lock, 0);
}
