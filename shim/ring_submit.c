/* ring_submit: what io_submit does; see ring.h.
 *
 * The order of the checks is the kernel's (fs/aio.c, Linux 6.1 to 6.18): a
 * program is told of the same one of several mistakes.
 */
#include <errno.h>
#include <limits.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sys/mman.h>

#include <blkverify/disk.h>
#include <blkverify/fdmap.h>
#include <blkverify/queue.h>
#include <blkverify/thread.h>
#include <blkverify/usermem.h>
#include <blkverify/verify.h>

#include "eventfd.h"
#include "ops.h"
#include "ring.h"

#define CALL "io_submit"

/* No flag of preadv2(2) will ever be this one: it is where the kernel stops
 * when nothing before it is wrong. */
#define NO_SUCH_FLAG (1u << 31)

/* Past it an address may not be the program's (47 bits, less a page). */
#define ADDRESS_END 0x7ffffffff000u

/* One io_submit. */
struct call {
	raw_sigset mask;             /* the caller's */
	bool looked;                 /* what follows holds: */
	int fd;                      /* of the request looked at */
	int flags;                   /* of the open file, or a negative errno */
	struct bv_disk *disk;        /* the target that it is, or NULL */
	struct bv_batch batch;
};

static void look_away(struct call *call)
{
	call->looked = false;
}

static bool is_vectored(const struct iocb *cb)
{
	return cb->aio_lio_opcode == IOCB_CMD_PREADV ||
	       cb->aio_lio_opcode == IOCB_CMD_PWRITEV;
}

static bool is_read(const struct iocb *cb)
{
	return cb->aio_lio_opcode == IOCB_CMD_PREAD ||
	       cb->aio_lio_opcode == IOCB_CMD_PREADV;
}

static bool is_transfer(const struct iocb *cb)
{
	return is_read(cb) || cb->aio_lio_opcode == IOCB_CMD_PWRITE ||
	       cb->aio_lio_opcode == IOCB_CMD_PWRITEV;
}

static bool is_flush(const struct iocb *cb)
{
	return cb->aio_lio_opcode == IOCB_CMD_FSYNC ||
	       cb->aio_lio_opcode == IOCB_CMD_FDSYNC;
}

static long kernel_submit(struct ring *ring, struct iocb *cb)
{
	struct iocb *list[1] = { cb };

	return raw_call(SYS_io_submit, (long)ring->kernel, 1, (long)list, 0, 0,
			0);
}

/* ---- what is rejected at once ---- */

/* What is asked for beside the transfer (eventfd, priority), judged by the
 * kernel on a request that it rejects after that. */
static int ask_flags(const struct order *order)
{
	struct iocb cb = order->cb;
	long result;

	cb.aio_lio_opcode = IOCB_CMD_PREAD;
	cb.aio_rw_flags = NO_SUCH_FLAG;
	result = kernel_submit(order->ring, &cb);
	return result == -EOPNOTSUPP || result >= 0 ? 0 : (int)result;
}

/* The same for what only it knows of the transfer: flags of the file system,
 * where memory ends. Before the first byte at offset -1, it says EINVAL. */
static int ask_transfer(const struct order *order)
{
	struct iocb cb = order->cb;
	long result;

	cb.aio_flags = 0;
	cb.aio_offset = -1;
	result = kernel_submit(order->ring, &cb);
	return result == -EINVAL || result >= 0 ? 0 : (int)result;
}

static bool reaches_past_memory(const struct order *order)
{
	for (int i = 0; i < order->count; i++) {
		uintptr_t base = (uintptr_t)order->iov[i].iov_base;

		if (base > ADDRESS_END ||
		    order->iov[i].iov_len > ADDRESS_END - base)
			return true;
	}
	return false;
}

static int copy_segments(struct order *order)
{
	const struct iocb *cb = &order->cb;
	const void *theirs = (const void *)(uintptr_t)cb->aio_buf;
	size_t bytes = (size_t)cb->aio_nbytes * sizeof(struct iovec);

	if (cb->aio_nbytes > IOV_MAX)
		return -EINVAL;
	if (cb->aio_nbytes > sizeof(order->few) / sizeof(*order->few)) {
		void *map = raw_mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (raw_is_error(map))
			return -ENOMEM;
		order->iov = map;
	}
	order->count = (int)cb->aio_nbytes;
	return bv_user_copy_in(order->iov, theirs, bytes) < bytes ? -EFAULT : 0;
}

static int find_segments(struct order *order)
{
	if (is_vectored(&order->cb))
		return copy_segments(order);
	order->few[0].iov_base = (void *)(uintptr_t)order->cb.aio_buf;
	order->few[0].iov_len = order->cb.aio_nbytes;
	order->count = 1;
	return 0;
}

/* -EINVAL: a negative length, or an end past what an offset can say. */
static int check_range(const struct order *order)
{
	int64_t offset = order->cb.aio_offset;
	uint64_t total = 0;

	for (int i = 0; i < order->count; i++) {
		if (order->iov[i].iov_len > SSIZE_MAX)
			return -EINVAL;
		total += order->iov[i].iov_len;
		if (total > INT_MAX)
			total = INT_MAX & ~4095;
	}
	return offset < 0 || total > (uint64_t)(INT64_MAX - offset) ? -EINVAL : 0;
}

static int check_transfer(struct order *order, int flags)
{
	int access = flags & O_ACCMODE, result;

	if (order->cb.aio_rw_flags) {
		result = ask_transfer(order);
		if (result < 0)
			return result;
	}
	if (access == (is_read(&order->cb) ? O_WRONLY : O_RDONLY))
		return -EBADF;
	result = find_segments(order);
	if (result == 0 && reaches_past_memory(order))
		result = ask_transfer(order);
	return result < 0 ? result : check_range(order);
}

static int check_flush(const struct iocb *cb)
{
	return cb->aio_buf || cb->aio_offset || cb->aio_nbytes ||
	       cb->aio_rw_flags ? -EINVAL : 0;
}

/* ---- carrying out ---- */

static int64_t flush(struct bv_disk *disk, const struct iocb *cb)
{
	int result = op_sync(disk, CALL, (int)cb->aio_fildes,
			     cb->aio_lio_opcode == IOCB_CMD_FSYNC ?
				     real_fsync : real_fdatasync);

	return result < 0 ? -errno : 0;
}

static struct bv_request request_of(const struct order *order)
{
	const struct iocb *cb = &order->cb;

	return (struct bv_request){
		.call = CALL, .fd = (int)cb->aio_fildes,
		.iov = order->iov, .count = order->count,
		.offset = cb->aio_offset,
		/* Nobody polls for it: the kernel drops that flag, too. */
		.flags = (int)(cb->aio_rw_flags & ~(unsigned)RWF_HIPRI),
	};
}

static int64_t carry_out(const struct order *order)
{
	const struct iocb *cb = &order->cb;
	struct bv_disk *disk = bv_fd_disk((int)cb->aio_fildes);
	struct bv_request request = request_of(order);

	/* Closed behind our back: whose the number is now, nobody knows. */
	if (!disk)
		return -EBADF;
	if (is_flush(cb))
		return flush(disk, cb);
	return is_read(cb) ? bv_read(disk, &request) : bv_write(disk, &request);
}

static void run(struct bv_job *job)
{
	struct order *order = (struct order *)(void *)job;

	ring_post(order, carry_out(order), 0);
}

static void queued_done(struct bv_job *job, ssize_t result)
{
	ring_post((struct order *)(void *)job, result, 0);
}

/* Through the page cache the kernel does it before io_submit returns, in the
 * order of the requests, and programs come to rely on that; so with what is
 * appended. Else at its leisure, and flushes always. */
static bool is_at_once(const struct iocb *cb, int flags)
{
	return is_transfer(cb) &&
	       (!(flags & O_DIRECT) || flags & O_APPEND ||
		cb->aio_rw_flags & (RWF_APPEND | RWF_NOWAIT));
}

/* Returns false when somebody has to wait for it. */
static bool queue(struct order *order, struct call *call)
{
	const struct bv_request request = request_of(order);

	return is_transfer(&order->cb) &&
	       bv_queue_add(&call->batch, call->disk, &request,
			    !is_read(&order->cb), &order->job, queued_done);
}

static void begin(struct order *order, int flags, struct call *call)
{
	bool at_once = is_at_once(&order->cb, flags);

	order->job.run = run;
	atomic_store(&order->phase, ORDER_POOL);
	if (!at_once && (queue(order, call) ||
			 bv_pool_submit(&bv_requests, &order->job) == 0))
		return;
	atomic_store(&order->phase, ORDER_HERE);
	/* It may have to wait for one of those. */
	bv_queue_submit(&call->batch);
	run(&order->job);
	look_away(call);
}

static int submit_ours(struct order *order, int flags, struct call *call)
{
	int result;

	if (is_flush(&order->cb))
		result = check_flush(&order->cb);
	else if (is_transfer(&order->cb))
		result = check_transfer(order, flags);
	else
		result = -EINVAL;
	if (result == 0)
		begin(order, flags, call);
	return result;
}

/* To the context behind. It may take long (a pipe), and is interrupted by
 * signals as without us. */
static int submit_theirs(struct order *order, struct call *call)
{
	struct ring *ring = order->ring;
	int result = ring_forward(ring);
	raw_sigset all;

	/* A handler may want what is not handed over yet. */
	bv_queue_submit(&call->batch);

	if (result < 0)
		return -EAGAIN;
	order->cb.aio_flags |= IOCB_FLAG_RESFD;
	order->cb.aio_resfd = (uint32_t)ring->ended;
	atomic_store(&order->phase, ORDER_KERNEL);
	bv_thread.masked = false;
	all = raw_sigmask(call->mask);
	result = (int)kernel_submit(ring, &order->cb);
	raw_sigmask(all);
	bv_thread.masked = true;
	look_away(call);
	if (result < 0)
		return result;
	/* What the kernel does before it returns is seen when we do. */
	ring_harvest(ring);
	return 0;
}

/* ---- submission ---- */

/* The program's request is marked as the kernel marks it. */
static int mark(const struct order *order)
{
	static const uint32_t key;
	struct iocb *theirs = (struct iocb *)(uintptr_t)order->theirs;

	return bv_user_copy_out(&theirs->aio_key, &key, sizeof(key)) < sizeof(key)
		? -EFAULT : 0;
}

static int find_eventfd(struct order *order)
{
	int result = 0;

	if (order->cb.aio_flags & IOCB_FLAG_RESFD)
		order->eventfd = bv_eventfd_again((int)order->cb.aio_resfd);
	if (order->cb.aio_flags & IOCB_FLAG_IOPRIO ||
	    (order->cb.aio_flags & IOCB_FLAG_RESFD && order->eventfd < 0))
		result = ask_flags(order);
	if (result < 0 || !(order->cb.aio_flags & IOCB_FLAG_RESFD) ||
	    order->eventfd >= 0)
		return result;
	result = bv_eventfd_get((int)order->cb.aio_resfd);
	if (result < 0)
		return result == -EMFILE ? -EAGAIN : result;
	order->eventfd = result;
	return 0;
}

/* Asked again after whatever may have waited (look_away): another thread could
 * have made a target of the number meanwhile. */
static void look_at(struct call *call, int fd)
{
	if (call->looked && fd == call->fd)
		return;
	call->looked = true;
	call->fd = fd;
	call->flags = raw_fcntl(fd, F_GETFL, 0);
	call->disk = call->flags < 0 ? NULL : bv_fd_disk(fd);
}

static int submit(struct order *order, struct call *call)
{
	int result;

	look_at(call, (int)order->cb.aio_fildes);
	if (call->flags < 0 || call->flags & O_PATH)
		return -EBADF;
	result = find_eventfd(order);
	if (result == 0)
		result = mark(order);
	if (result < 0)
		return result;
	/* Polling moves no bytes. */
	return call->disk && order->cb.aio_lio_opcode != IOCB_CMD_POLL ?
		       submit_ours(order, call->flags, call) :
		       submit_theirs(order, call);
}

static int submit_one(struct ring *ring, uint64_t theirs, struct call *call)
{
	struct order *order;
	struct iocb cb;
	int result;

	if (bv_user_copy_in(&cb, (void *)(uintptr_t)theirs, sizeof(cb)) <
	    sizeof(cb))
		return -EFAULT;
	if (cb.aio_reserved2 || (int64_t)cb.aio_nbytes < 0)
		return -EINVAL;
	order = ring_admit(ring);
	if (!order)
		return -EAGAIN;
	order->cb = cb;
	order->theirs = theirs;
	result = submit(order, call);
	if (result < 0)
		ring_reject(order);
	return result;
}

static long submit_all(struct ring *ring, long count, struct iocb **list,
		       struct call *call)
{
	long done = 0;
	int result = 0;

	if (count < 0)
		return -EINVAL;
	if (count > ring->nr)
		count = ring->nr;
	while (done < count && result == 0) {
		uint64_t theirs[16];
		long some = count - done < 16 ? count - done : 16;
		long had = (long)(bv_user_copy_in(theirs, list + done,
						  (size_t)some * 8) / 8);

		for (long i = 0; i < had && result == 0; i++) {
			result = submit_one(ring, theirs[i], call);
			if (result == 0)
				done++;
		}
		if (had < some && result == 0)
			result = -EFAULT;
	}
	return done ? done : result;
}

long bv_ring_submit(void *context, long count, struct iocb **list)
{
	struct ring *ring = ring_enter(context);
	struct call call = { .looked = false, .batch = { .count = 0 } };
	int cancel, unused;
	long result;

	if (!ring)
		return -ENOENT;
	/* No signal handler and no cancellation in the middle, as in the
	 * kernel: it would leave a request that nobody ends. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	call.mask = raw_block_signals();
	bv_thread.masked = true;
	result = submit_all(ring, count, list, &call);
	bv_queue_submit(&call.batch);
	bv_thread.masked = false;
	raw_sigmask(call.mask);
	ring_leave(ring);
	pthread_setcancelstate(cancel, &unused);
	return result;
}
