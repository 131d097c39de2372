/* wrap_uring: io_uring through liburing.
 *
 * Requests stand in memory shared with the kernel, so they are looked at
 * where they become the kernel's: at submission. One that would move bytes
 * of a target is turned into a request that completes with EBADF; all others
 * go on working (QEMU's event loop polls through a ring). Files cannot be
 * registered with a ring when one of them is a target, so that a number in a
 * request is always a descriptor.
 */
#include <linux/io_uring.h>
#include <string.h>

#include <blkverify/fdmap.h>
#include <blkverify/policy.h>
#include <blkverify/verify.h>

#include "guard.h"
#include "ops.h"

/* The part of liburing's struct io_uring that submission uses; the same from
 * 2.0 to 2.9 (liburing.h). */
struct io_uring {
	unsigned *khead, *ktail, *kring_mask, *kring_entries;
	unsigned *kflags, *kdropped, *array;
	struct io_uring_sqe *sqes;
	unsigned sqe_head, sqe_tail;
	size_t sq_ring_sz;
	void *sq_ring_ptr;
	unsigned sq_pad[4];
	unsigned *cq_khead, *cq_ktail, *cq_kring_mask, *cq_kring_entries;
	unsigned *cq_kflags, *cq_koverflow;
	void *cqes;
	size_t cq_ring_sz;
	void *cq_ring_ptr;
	unsigned cq_pad[4];
	unsigned flags;
	int ring_fd;
};

/* Linux 5.19, 6.x: newer than Debian 12's headers. */
#define OP_SEND_ZC 47
#define OP_SENDMSG_ZC 48
#define OP_READ_MULTISHOT 49
#define OP_WAITID 50
#define OP_FUTEX_WAIT 51
#define OP_FIXED_FD_INSTALL 54
#define OP_READV_FIXED 60
#define OP_WRITEV_FIXED 61

enum kind { NO_FILE, READS, WRITES, SPLICES, OPENS, OTHER };

static enum kind kind_of(unsigned opcode)
{
	switch (opcode) {
	case IORING_OP_READ: case IORING_OP_READV: case IORING_OP_READ_FIXED:
	case OP_READ_MULTISHOT: case OP_READV_FIXED:
		return READS;
	case IORING_OP_WRITE: case IORING_OP_WRITEV: case IORING_OP_WRITE_FIXED:
	case IORING_OP_FALLOCATE: case OP_WRITEV_FIXED:
		return WRITES;
	case IORING_OP_SPLICE: case IORING_OP_TEE:
		return SPLICES;
	case IORING_OP_OPENAT: case IORING_OP_OPENAT2: case IORING_OP_CLOSE:
	case IORING_OP_RECVMSG: case IORING_OP_FILES_UPDATE:
	case OP_FIXED_FD_INSTALL:
		return OPENS;
	case IORING_OP_NOP: case IORING_OP_FSYNC: case IORING_OP_POLL_ADD:
	case IORING_OP_POLL_REMOVE: case IORING_OP_SYNC_FILE_RANGE:
	case IORING_OP_SENDMSG: case IORING_OP_TIMEOUT:
	case IORING_OP_TIMEOUT_REMOVE: case IORING_OP_ACCEPT:
	case IORING_OP_ASYNC_CANCEL: case IORING_OP_LINK_TIMEOUT:
	case IORING_OP_CONNECT: case IORING_OP_STATX: case IORING_OP_FADVISE:
	case IORING_OP_MADVISE: case IORING_OP_SEND: case IORING_OP_RECV:
	case IORING_OP_EPOLL_CTL: case IORING_OP_PROVIDE_BUFFERS:
	case IORING_OP_REMOVE_BUFFERS: case IORING_OP_SHUTDOWN:
	case IORING_OP_RENAMEAT: case IORING_OP_UNLINKAT:
	case IORING_OP_MKDIRAT: case IORING_OP_SYMLINKAT: case IORING_OP_LINKAT:
	case OP_SEND_ZC: case OP_SENDMSG_ZC:
		return NO_FILE;
	default:
		/* Not known here: what it calls fd may well be one. */
		return OTHER;
	}
}

/* The target that the request would reach, if any. */
static struct bv_disk *disk_of(const struct io_uring_sqe *sqe, enum kind kind)
{
	struct bv_disk *disk = NULL;

	if (kind == NO_FILE || kind == OPENS)
		return NULL;
	if (!(sqe->flags & IOSQE_FIXED_FILE))
		disk = bv_fd_disk(sqe->fd);
	if (!disk && kind == SPLICES && !(sqe->splice_flags & SPLICE_F_FD_IN_FIXED))
		disk = bv_fd_disk(sqe->splice_fd_in);
	return disk;
}

/* READ of descriptor -1: accepted, and completed with EBADF at its place in
 * the queue, whatever it is linked to. */
static void defuse(struct io_uring_sqe *sqe)
{
	uint64_t user_data = sqe->user_data;
	uint8_t flags = sqe->flags & ~(IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT);

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_READ;
	sqe->fd = -1;
	sqe->flags = flags;
	sqe->user_data = user_data;
}

static void admit(const char *call, struct io_uring_sqe *sqe)
{
	enum kind kind = kind_of(sqe->opcode);
	struct bv_disk *disk = disk_of(sqe, kind);

	/* It will make or close descriptors when nobody looks. */
	if (kind == OPENS)
		bv_fd_distrust();
	if (!disk)
		return;
	if (bv_policy_unverified(disk, call, -EBADF) < 0)
		defuse(sqe);
	else if (kind == WRITES)
		bv_change_lasting(disk, sqe->off,
				  sqe->opcode == IORING_OP_WRITE ||
				  sqe->opcode == IORING_OP_WRITE_FIXED ?
					  sqe->len : INT64_MAX);
	else if (kind != READS)
		bv_change_lasting(disk, 0, INT64_MAX);
}

/* What the program filled in and liburing has not handed over yet. */
static void look(const char *call, struct io_uring *ring)
{
	unsigned shift = ring->flags & IORING_SETUP_SQE128 ? 1 : 0;
	int error = errno;

	if (bv_disks == 0)
		return;
	for (unsigned at = ring->sqe_head; at != ring->sqe_tail; at++)
		admit(call, &ring->sqes[(at & *ring->kring_mask) << shift]);
	errno = error;
}

int op_uring_submit(const char *call, struct io_uring *ring)
{
	look(call, ring);
	return real_io_uring_submit(ring);
}

int op_uring_submit_and_wait(const char *call, struct io_uring *ring,
			     unsigned count)
{
	look(call, ring);
	return real_io_uring_submit_and_wait(ring, count);
}

int op_uring_submit_and_wait_timeout(const char *call, struct io_uring *ring,
				     void **cqe, unsigned count, void *timeout,
				     void *mask)
{
	look(call, ring);
	return real_io_uring_submit_and_wait_timeout(ring, cqe, count, timeout,
						     mask);
}

int op_uring_submit_and_get_events(const char *call, struct io_uring *ring)
{
	look(call, ring);
	return real_io_uring_submit_and_get_events(ring);
}

/* On kernels without IORING_FEAT_EXT_ARG these submit as well. */
int op_uring_wait_cqes(const char *call, struct io_uring *ring, void **cqe,
		       unsigned count, void *timeout, void *mask)
{
	look(call, ring);
	return real_io_uring_wait_cqes(ring, cqe, count, timeout, mask);
}

int op_uring_wait_cqe_timeout(const char *call, struct io_uring *ring,
			      void **cqe, void *timeout)
{
	look(call, ring);
	return real_io_uring_wait_cqe_timeout(ring, cqe, timeout);
}

/* Below liburing's own queue: the ring's memory is known to the caller alone. */
static int refuse_raw(const char *call)
{
	return bv_disks == 0 ? 0 :
	       bv_policy_unverified(&bv_disk[0], call, -ENOSYS);
}

int op_uring_enter(const char *call, unsigned fd, unsigned submit, unsigned wait,
		   unsigned flags, void *mask)
{
	int refused = submit ? refuse_raw(call) : 0;

	return refused < 0 ? refused :
	       real_io_uring_enter(fd, submit, wait, flags, mask);
}

int op_uring_enter2(const char *call, unsigned fd, unsigned submit,
		    unsigned wait, unsigned flags, void *argument, size_t size)
{
	int refused = submit ? refuse_raw(call) : 0;

	return refused < 0 ? refused :
	       real_io_uring_enter2(fd, submit, wait, flags, argument, size);
}

int op_uring_setup(const char *call, unsigned entries, void *parameters)
{
	int refused = refuse_raw(call);

	return refused < 0 ? refused : real_io_uring_setup(entries, parameters);
}

/* 0, or the refusal when one of the files is a target. */
static int refuse_files(const char *call, const int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct bv_disk *disk = fds[i] < 0 ? NULL : bv_fd_disk(fds[i]);
		int refused = disk ? bv_policy_unverified(disk, call,
							  -EOPNOTSUPP) : 0;

		if (refused < 0)
			return refused;
		if (disk)
			bv_change_lasting(disk, 0, INT64_MAX);
	}
	return 0;
}

int op_uring_register(const char *call, unsigned fd, unsigned code,
		      const void *argument, unsigned count)
{
	int refused = 0;

	if (code == IORING_REGISTER_FILES)
		refused = refuse_files(call, argument, count);
	else if (code == IORING_REGISTER_FILES2 ||
		 code == IORING_REGISTER_FILES_UPDATE ||
		 code == IORING_REGISTER_FILES_UPDATE2)
		refused = refuse_raw(call);
	return refused < 0 ? refused :
	       real_io_uring_register(fd, code, argument, count);
}

int op_uring_register_files(const char *call, struct io_uring *ring,
			    const int *fds, unsigned count)
{
	int refused = refuse_files(call, fds, count);

	return refused < 0 ? refused :
	       real_io_uring_register_files(ring, fds, count);
}

int op_uring_register_files_tags(const char *call, struct io_uring *ring,
				 const int *fds, const void *tags,
				 unsigned count)
{
	int refused = refuse_files(call, fds, count);

	return refused < 0 ? refused :
	       real_io_uring_register_files_tags(ring, fds, tags, count);
}

int op_uring_register_files_update(const char *call, struct io_uring *ring,
				   unsigned offset, const int *fds,
				   unsigned count)
{
	int refused = refuse_files(call, fds, count);

	return refused < 0 ? refused :
	       real_io_uring_register_files_update(ring, offset, fds, count);
}

int op_uring_register_files_update_tag(const char *call, struct io_uring *ring,
				       unsigned offset, const int *fds,
				       const void *tags, unsigned count)
{
	int refused = refuse_files(call, fds, count);

	return refused < 0 ? refused :
	       real_io_uring_register_files_update_tag(ring, offset, fds, tags,
						       count);
}
