/* task_wait: waiting for requests of POSIX AIO; see task.h. For all of a batch
 * (lio_listio), or for one of several (aio_suspend).
 */
#include <errno.h>
#include <pthread.h>

#include "../src/raw.h"
#include "../src/lock.h"
#include "notice.h"
#include "task.h"

/* A cancellation point, as it is in glibc: nothing is held. Without a time
 * limit the kernel goes on waiting after a handler with SA_RESTART. */
static int wait_end(uint32_t seen, const struct timespec *left)
{
	int type, unused, result;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	result = raw_futex_wait(&task_ended, seen, left);
	pthread_setcanceltype(type, &unused);
	return result;
}

/* ---- all of a batch ---- */

/* It counts as one of its own until task_batch_end. */
struct task *task_batch(const struct sigevent *event)
{
	raw_sigset mask = lock_take(&task_lock);
	struct task *batch = task_new();

	if (batch) {
		batch->left = 1;
		if (event)
			batch->event = *event;
		else
			batch->event.sigev_notify = SIGEV_NONE;
	}
	lock_give(&task_lock, mask);
	return batch;
}

bool task_count_down(struct task *batch, bool failed, struct sigevent *event)
{
	batch->failed |= failed;
	if (--batch->left > 0 || batch->waited)
		return false;
	*event = batch->event;
	task_drop(batch);
	return true;
}

static bool batch_is_done(const struct task *batch, uint32_t *seen)
{
	raw_sigset mask = lock_take(&task_lock);
	bool done = batch->left == 0;

	*seen = atomic_load(&task_ended);
	lock_give(&task_lock, mask);
	return done;
}

int task_batch_end(struct task *batch, bool wait)
{
	struct sigevent event;
	raw_sigset mask = lock_take(&task_lock);
	uint32_t seen;
	int result = 0;
	bool last;

	batch->waited = wait;
	last = task_count_down(batch, false, &event);
	lock_give(&task_lock, mask);
	if (last)
		bv_notify(&event);
	if (!wait)
		return 0;
	while (result != -EINTR && !batch_is_done(batch, &seen))
		result = wait_end(seen, NULL);
	mask = lock_take(&task_lock);
	result = batch->left > 0 ? -EINTR : batch->failed ? -EIO : 0;
	/* Who is interrupted hears no more of it; the last of them clears up. */
	batch->waited = false;
	batch->event.sigev_notify = SIGEV_NONE;
	if (batch->left == 0)
		task_drop(batch);
	lock_give(&task_lock, mask);
	return result;
}

/* ---- one of several ---- */

struct survey {
	bool done, ours, theirs;     /* one of the list is */
	uint32_t seen;
};

static struct survey look(const struct aiocb *const *list, int n)
{
	struct survey s = { 0 };
	raw_sigset mask = lock_take(&task_lock);

	s.seen = atomic_load(&task_ended);
	for (int i = 0; i < n; i++) {
		if (!list[i])
			continue;
		if (task_find(list[i]))
			s.ours = true;
		else if (__atomic_load_n(&list[i]->__error_code,
					 __ATOMIC_ACQUIRE) == EINPROGRESS)
			s.theirs = true;
		else
			s.done = true;
	}
	lock_give(&task_lock, mask);
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
