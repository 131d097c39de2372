/* transfer: see transfer.h. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include <blkverify/disk.h>
#include <blkverify/fdmap.h>
#include <blkverify/policy.h>
#include <blkverify/thread.h>

#include "raw.h"
#include "transfer.h"

struct bv_target_io bv_target;

/* The kernel refuses the segments as such. */
#define NOT_ADMITTED (-4096)

/* As the kernel checks it (import_iovec, Linux 6.1): a negative length is
 * EINVAL, a sum past MAX_RW_COUNT is cut. The list may be at a bad address,
 * or change under us, so it is copied first. */
/* Could the kernel refuse this address for this length before it looks at
 * anything else (access_ok)? Up to the end of the lower half of a 47-bit
 * space, it cannot. */
static bool is_odd(const void *base, size_t n)
{
	return n > BV_TRANSFER_MOST ||
	       (uintptr_t)base > 0x7ffffffff000u - (uintptr_t)n;
}

/* What it says of odd addresses differs between machines and versions, so it
 * is asked, by a call that checks a list as readv does and then has nothing
 * to do. A second, empty segment makes it check the full length of the first,
 * as read does. */
static bool is_refused(const struct bv_request *request, struct iovec *iov)
{
	int count = request->count;
	long result;

	if (request->plain && iov[0].iov_len > SSIZE_MAX)
		return true;
	if (request->plain)
		iov[count++] = (struct iovec){ NULL, 0 };
	result = raw_call(SYS_process_vm_readv, bv_pid, (long)iov, count, 0, 0,
			  0);
	return result == -EFAULT || result == -EINVAL;
}

static int load_segments(struct bv_transfer *t)
{
	const struct bv_request *request = t->request;
	size_t bytes = (size_t)request->count * sizeof(struct iovec);
	struct iovec *iov = t->buffer->iov;
	uintptr_t alignment = 0;
	bool odd = false;

	if (request->plain)
		iov[0] = request->iov[0];
	else if (bv_user_copy_in(iov, request->iov, bytes) < bytes)
		return -EFAULT;
	for (int i = 0; i < request->count; i++)
		odd |= is_odd(iov[i].iov_base, iov[i].iov_len);
	if (odd && is_refused(request, iov))
		return NOT_ADMITTED;
	for (int i = 0; i < request->count; i++) {
		if (iov[i].iov_len > SSIZE_MAX)
			return -EINVAL;
		if (iov[i].iov_len > BV_TRANSFER_MOST - t->total)
			iov[i].iov_len = BV_TRANSFER_MOST - t->total;
		t->total += iov[i].iov_len;
		alignment |= (uintptr_t)iov[i].iov_base;
		if (request->count > 1)
			alignment |= iov[i].iov_len;
	}
	/* O_DIRECT checks addresses and lengths of all segments alike, so one
	 * buffer misaligned as they are together gets the same answer. */
	t->bytes = t->buffer->target + (alignment & 4095);
	t->cursor = (struct bv_cursor){ iov, request->count, 0 };
	return 0;
}

static int find_offset(struct bv_transfer *t)
{
	static const struct bv_claim claim = {
		.space = BV_SPACE_POSITION, .exclusive = true,
		.start = 0, .end = 1,
	};
	int64_t now = t->request->offset;
	int result;

	if (t->request->position) {
		result = bv_inflight_take(t->disk, &claim, &t->position);
		if (result < 0)
			return bv_transfer_stuck(t->disk, t->request->call);
		now = bv_target.lseek(t->request->fd, 0, SEEK_CUR);
		if (now < 0)
			return -errno;
	}
	t->offset = (uint64_t)now;
	return 0;
}

int bv_transfer_stuck(struct bv_disk *disk, const char *call)
{
	bv_policy_unverified(disk, call, -EAGAIN);
	return -EAGAIN;
}

ssize_t bv_transfer_pass(const struct bv_request *request, bool writes)
{
	off64_t offset = request->position ? -1 : request->offset;
	const struct iovec *iov = request->iov;
	ssize_t result;

	if (request->plain && request->position)
		offset = 0;
	if (request->plain)
		result = writes ? bv_target.pwrite(request->fd, iov->iov_base,
						   iov->iov_len, offset)
				: bv_target.pread(request->fd, iov->iov_base,
						  iov->iov_len, offset);
	else
		result = writes ? bv_target.pwritev2(request->fd, iov,
						     request->count, offset,
						     request->flags)
				: bv_target.preadv2(request->fd, iov,
						    request->count, offset,
						    request->flags);
	return result < 0 ? -errno : result;
}

/* Which of its reasons comes first (a descriptor that is not open for this,
 * say), the target's own call knows. It moves nothing. */
static int refused_by_target(struct bv_transfer *t, bool writes)
{
	ssize_t result = bv_transfer_pass(t->request, writes);

	return result < 0 ? (int)result : -EFAULT;
}

bool bv_transfer_is_astray(const struct bv_transfer *t)
{
	return t->request->guessed && bv_fd_learn(t->request->fd) != t->disk;
}

static void add(_Atomic uint64_t *count, uint64_t n)
{
	atomic_fetch_add_explicit(count, n, memory_order_relaxed);
}

void bv_transfer_done(struct bv_disk *disk, bool writes, size_t n)
{
	struct bv_counters *count = &disk->count;
	struct bv_state *state = disk->state;

	bv_policy_count_process(disk);
	add(writes ? &count->writes : &count->reads, 1);
	add(writes ? &count->write_bytes : &count->read_bytes, n);
	add(writes ? &state->writes : &state->reads, 1);
	add(writes ? &state->write_bytes : &state->read_bytes, n);
}

int bv_transfer_begin(struct bv_transfer *t, struct bv_disk *disk,
		      const struct bv_request *request, bool writes)
{
	int result;

	bv_thread_enter();
	*t = (struct bv_transfer){
		.disk = disk, .request = request,
		.position = { .disk = disk, .slot = -1 },
		.range = { .disk = disk, .slot = -1 },
	};
	t->buffer = bv_buffer_get();
	result = load_segments(t);
	if (result == NOT_ADMITTED)
		return refused_by_target(t, writes);
	return result < 0 ? result : find_offset(t);
}

ssize_t bv_transfer_end(struct bv_transfer *t, ssize_t result)
{
	bv_inflight_drop(&t->range);
	if (t->position.slot >= 0 && result > 0)
		bv_target.lseek(t->request->fd,
				(off64_t)t->offset + result, SEEK_SET);
	bv_inflight_drop(&t->position);
	bv_buffer_put(t->buffer);
	bv_thread_leave();
	return result;
}

/* Only once: what is tried again is asked for again. */
static bool is_answered(struct bv_transfer *t)
{
	bool answered = t->answered;

	t->answered = false;
	return answered;
}

ssize_t bv_transfer_read(struct bv_transfer *t, size_t n, uint64_t offset)
{
	const struct bv_request *request = t->request;
	struct iovec iov = { t->bytes, n };
	ssize_t got;

	if (is_answered(t))
		return t->answer;
	got = request->flags ?
		bv_target.preadv2(request->fd, &iov, 1, (off64_t)offset,
				  request->flags) :
		bv_target.pread(request->fd, t->bytes, n, (off64_t)offset);

	return got < 0 ? -errno : got;
}

ssize_t bv_transfer_write(struct bv_transfer *t, size_t n, uint64_t offset)
{
	const struct bv_request *request = t->request;
	struct iovec iov = { t->bytes, n };
	ssize_t put;

	if (is_answered(t))
		return t->answer;
	if (request->put)
		return request->put(request, t->bytes, n);
	put = request->flags ?
		bv_target.pwritev2(request->fd, &iov, 1, (off64_t)offset,
				   request->flags) :
		bv_target.pwrite(request->fd, t->bytes, n, (off64_t)offset);

	return put < 0 ? -errno : put;
}

void bv_transfer_begin_late(struct bv_transfer *t, enum bv_op op,
			    bv_late_finish *finish)
{
	struct bv_late *late = bv_late_begin(&t->range, t->total);
	struct timespec now;

	t->late = late;
	if (!late)
		return;
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	late->op = op;
	late->call = t->request->call;
	late->fd = t->request->fd;
	late->tid = bv_thread_tid();
	late->time = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	late->offset = t->offset;
	late->finish = finish;
}

void bv_transfer_keep(struct bv_transfer *t, size_t n)
{
	memcpy(t->late->bytes + t->late->done, t->bytes, n);
	t->late->done += n;
}

bool bv_transfer_end_late(struct bv_transfer *t)
{
	struct bv_late *late = t->late;

	t->late = NULL;
	if (late->done > 0 && bv_fd_learn(late->fd) == t->disk &&
	    bv_late_submit(late, &t->range))
		return true;
	bv_late_cancel(late);
	return false;
}

void bv_transfer_resume(struct bv_transfer *t, struct bv_request *request,
			struct bv_late *late, struct bv_buffer *buffer)
{
	*request = (struct bv_request){ .call = late->call, .fd = late->fd };
	*t = (struct bv_transfer){
		.disk = late->range.disk, .request = request,
		.buffer = buffer, .bytes = late->bytes,
		.offset = late->offset, .total = late->length,
		.position = { .slot = -1 }, .range = late->range, .late = late,
	};
}
