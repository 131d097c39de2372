/* task: see task.h. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>

#include <blkverify/fdmap.h>
#include <blkverify/pool.h>
#include <blkverify/thread.h>
#include <blkverify/verify.h>

#include "lock.h"
#include "ops.h"
#include "task.h"

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

static _Atomic uint32_t lock;        /* of the three below */
static struct task *live;            /* in the order they are to be done */
static struct task *spare;
static atomic_uint count;            /* of the live ones */

/* Counts up when one ends: the futex of who waits. */
static _Atomic uint32_t ended;

/* Under the lock. Memory is never given back, but used again. */
static struct task *new_task(void)
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

static void drop_task(struct task *task)
{
	task->next = spare;
	spare = task;
}

/* ---- telling of the end ---- */

struct notice {
	void (*function)(union sigval);
	union sigval value;
	_Atomic uint32_t taken;
};

static void *call_function(void *argument)
{
	struct notice *theirs = argument, notice = *theirs;

	atomic_store(&theirs->taken, 1);
	raw_futex_wake(&theirs->taken, 1);
	/* All were blocked where it was made; in glibc's it starts so. */
	raw_sigmask(0);
	notice.function(notice.value);
	return NULL;
}

static void notify_thread(const struct sigevent *event)
{
	struct notice notice = { .function = event->sigev_notify_function,
				 .value = event->sigev_value };
	pthread_attr_t *given = event->sigev_notify_attributes, own;
	pthread_t thread;

	if (!given) {
		pthread_attr_init(&own);
		pthread_attr_setdetachstate(&own, PTHREAD_CREATE_DETACHED);
	}
	if (pthread_create(&thread, given ? given : &own, call_function,
			   &notice) == 0)
		while (!atomic_load(&notice.taken))
			raw_futex_wait(&notice.taken, 0, NULL);
	if (!given)
		pthread_attr_destroy(&own);
}

void task_notify(const struct sigevent *event)
{
	siginfo_t info = { .si_signo = event->sigev_signo,
			   .si_code = SI_ASYNCIO };

	if (event->sigev_notify == SIGEV_THREAD)
		notify_thread(event);
	if (event->sigev_notify != SIGEV_SIGNAL)
		return;
	info.si_pid = bv_pid;
	info.si_uid = (uid_t)raw_call(SYS_getuid, 0, 0, 0, 0, 0, 0);
	info.si_value = event->sigev_value;
	raw_call(SYS_rt_sigqueueinfo, bv_pid, event->sigev_signo, (long)&info,
		 0, 0, 0);
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

/* One less of the batch. True: it was the last of one nobody waits for, and
 * *event says how to tell. Under the lock. */
static bool count_down(struct task *batch, bool failed, struct sigevent *event)
{
	batch->failed |= failed;
	if (--batch->left > 0 || batch->waited)
		return false;
	*event = batch->event;
	drop_task(batch);
	return true;
}

static void run(struct bv_job *job);

static void begin(struct task *task)
{
	if (!task)
		return;
	task->job.run = run;
	if (bv_pool_submit(&task->job) < 0)
		run(&task->job);
}

/* It is over, with that result: says so to everybody, and takes the next. */
static void end(struct task *task, ssize_t result)
{
	struct sigevent event = task->event, last;
	raw_sigset mask = lock_take(&lock);
	struct task *next;
	bool is_last;

	unlink_task(task);
	tell(task->cb, result);
	is_last = task->batch && count_down(task->batch, result < 0, &last);
	next = next_on(task->fd);
	drop_task(task);
	atomic_fetch_add(&ended, 1);
	lock_give(&lock, mask);
	raw_futex_wake(&ended, INT_MAX);
	begin(next);
	task_notify(&event);
	if (is_last)
		task_notify(&last);
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
	mask = lock_take(&lock);
	task = new_task();
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
	lock_give(&lock, mask);
	begin(next);
	return task ? true : reject(cb, EAGAIN);
}

/* It counts as one of its own until task_batch_end. */
struct task *task_batch(const struct sigevent *event)
{
	raw_sigset mask = lock_take(&lock);
	struct task *batch = new_task();

	if (batch) {
		batch->left = 1;
		if (event)
			batch->event = *event;
		else
			batch->event.sigev_notify = SIGEV_NONE;
	}
	lock_give(&lock, mask);
	return batch;
}

/* ---- waiting ---- */

/* A cancellation point, as it is in glibc: nothing is held. Without a time
 * limit the kernel goes on waiting after a handler with SA_RESTART. */
static int wait_end(uint32_t seen, const struct timespec *left)
{
	int type, unused, result;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	result = raw_futex_wait(&ended, seen, left);
	pthread_setcanceltype(type, &unused);
	return result;
}

static bool batch_is_done(const struct task *batch, uint32_t *seen)
{
	raw_sigset mask = lock_take(&lock);
	bool done = batch->left == 0;

	*seen = atomic_load(&ended);
	lock_give(&lock, mask);
	return done;
}

int task_batch_end(struct task *batch, bool wait)
{
	struct sigevent event;
	raw_sigset mask = lock_take(&lock);
	uint32_t seen;
	int result = 0;
	bool last;

	batch->waited = wait;
	last = count_down(batch, false, &event);
	lock_give(&lock, mask);
	if (last)
		task_notify(&event);
	if (!wait)
		return 0;
	while (result != -EINTR && !batch_is_done(batch, &seen))
		result = wait_end(seen, NULL);
	mask = lock_take(&lock);
	result = batch->left > 0 ? -EINTR : batch->failed ? -EIO : 0;
	/* Who is interrupted hears no more of it; the last of them clears up. */
	batch->waited = false;
	batch->event.sigev_notify = SIGEV_NONE;
	if (batch->left == 0)
		drop_task(batch);
	lock_give(&lock, mask);
	return result;
}

bool task_any(void)
{
	return atomic_load(&count) > 0;
}

/* Under the lock. */
static struct task *find(const struct aiocb *cb)
{
	struct task *t = live;

	while (t && t->cb != cb)
		t = t->next;
	return t;
}

struct survey {
	bool done, ours, theirs;     /* one of the list is */
	uint32_t seen;
};

static struct survey look(const struct aiocb *const *list, int n)
{
	struct survey s = { 0 };
	raw_sigset mask = lock_take(&lock);

	s.seen = atomic_load(&ended);
	for (int i = 0; i < n; i++) {
		if (!list[i])
			continue;
		if (find(list[i]))
			s.ours = true;
		else if (__atomic_load_n(&list[i]->__error_code,
					 __ATOMIC_ACQUIRE) == EINPROGRESS)
			s.theirs = true;
		else
			s.done = true;
	}
	lock_give(&lock, mask);
	return s;
}

static int64_t now(void)
{
	struct timespec t = { 0, 0 };

	raw_call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&t, 0, 0, 0, 0);
	return t.tv_sec * 1000000000 + t.tv_nsec;
}

/* One that is glibc's ends without a word to us. */
#define OFTEN 5000000

static int wait_more(const struct survey *s, bool timed, int64_t deadline)
{
	int64_t left = timed ? deadline - now() : INT64_MAX;
	struct timespec t;
	int result;

	if (left <= 0)
		return -EAGAIN;
	if (s->theirs && left > OFTEN)
		left = OFTEN;
	t = (struct timespec){ left / 1000000000, left % 1000000000 };
	result = wait_end(s->seen, left == INT64_MAX ? NULL : &t);
	return result == -EINTR ? result : 0;
}

bool task_suspend(const struct aiocb *const *list, int n,
		  const struct timespec *timeout, int *result)
{
	bool timed = timeout && timeout->tv_sec < INT64_MAX / 2000000000;
	int64_t deadline = timed ? now() + timeout->tv_sec * 1000000000 +
					   timeout->tv_nsec : 0;
	bool were_ours = false;

	for (*result = 0; *result == 0;) {
		struct survey s = look(list, n);

		were_ours |= s.ours;
		if (!were_ours || s.done || !(s.ours || s.theirs))
			break;
		*result = wait_more(&s, timed, deadline);
	}
	return were_ours;
}

/* ---- taking back ---- */

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
		raw_sigset mask = lock_take(&lock);

		task = find_waiting(fd, cb, &answer);
		lock_give(&lock, mask);
		if (task)
			end(task, -ECANCELED);
	} while (task);
	return answer;
}

void bv_task_forked(void)
{
	live = NULL;
	atomic_store(&count, 0);
	atomic_store(&lock, 0);
}
