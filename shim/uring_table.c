/* uring_table: requests that put targets into a ring's table of files, take
 * them out, or open and close them; see uring.h.
 *
 * The kernel's table and ours change in one step (bv_files_begin). */
#include <errno.h>
#include <string.h>

#include <blkverify/fdmap.h>
#include <blkverify/memory.h>
#include <blkverify/own.h>
#include <blkverify/policy.h>
#include <blkverify/usermem.h>

#include "guard.h"
#include "symbols.h"
#include "uring.h"

/* ---- opening ---- */

/* Straight into the table: what stands there has no close-on-exec flag, and
 * what we have meanwhile must not be inherited. */
static int open_file(const struct io_uring_sqe *sqe, bool direct)
{
	const char *path = (const char *)(uintptr_t)sqe->addr;
	struct open_how how = { 0 };

	if (sqe->opcode == IORING_OP_OPENAT)
		return shim_openat64(sqe->fd, path, (int)sqe->open_flags |
				     (direct ? O_CLOEXEC : 0),
				     (mode_t)sqe->len);
	if (!direct || sqe->len > sizeof(how))
		return shim_openat2(sqe->fd, path,
				    (const void *)(uintptr_t)sqe->off, sqe->len);
	memcpy(&how, (const void *)(uintptr_t)sqe->off, sqe->len);
	how.flags |= O_CLOEXEC;
	return shim_openat2(sqe->fd, path, &how, sqe->len);
}

/* The use of fd passes to the table. */
static int64_t put(struct bv_uring *ring, int fd, unsigned index)
{
	struct bv_disk *disk = bv_fd_learn(fd);
	raw_sigset mask = bv_files_begin();
	struct bv_held *held = disk ? bv_files_adopt(fd, disk) : NULL;
	unsigned slot = index - 1;
	int result = disk && !held ? -ENFILE : bv_post_file(ring, fd, index);

	if (index == IORING_FILE_INDEX_ALLOC)
		slot = (unsigned)result;
	bv_files_place(ring, result < 0 ? BV_NO_SLOT : slot, held);
	bv_files_end(mask);
	raw_close(fd);
	bv_fd_forget(fd);
	return result;
}

static uint64_t flags_of(const struct io_uring_sqe *sqe)
{
	struct open_how how = { 0 };

	if (sqe->opcode == IORING_OP_OPENAT)
		return sqe->open_flags;
	if (sqe->len >= sizeof(how.flags))
		memcpy(&how.flags, (const void *)(uintptr_t)sqe->off,
		       sizeof(how.flags));
	return how.flags;
}

int64_t bv_table_open(struct bv_taken *t)
{
	const struct io_uring_sqe *sqe = &t->sqe;
	bool direct = sqe->file_index != 0;
	int fd;

	/* In the kernel's order (__io_openat_prep). */
	if (sqe->buf_index)
		return -EINVAL;
	if (sqe->flags & IOSQE_FIXED_FILE)
		return -EBADF;
	if (direct && flags_of(sqe) & O_CLOEXEC)
		return -EINVAL;
	fd = open_file(sqe, direct);
	if (fd < 0)
		return -errno;
	return direct ? put(t->ring, fd, sqe->file_index) : fd;
}

/* ---- closing ---- */

static int enroll(struct bv_uring *ring, unsigned slot, const int *fds,
		  unsigned count)
{
	struct io_uring_files_update update = {
		.offset = slot, .fds = (uint64_t)(uintptr_t)fds,
	};

	return (int)raw_call(SYS_io_uring_register, ring->post_fd,
			     IORING_REGISTER_FILES_UPDATE, (long)&update, count,
			     0, 0);
}

static int64_t empty_slot(struct bv_uring *ring, unsigned slot)
{
	static const int nothing = -1;
	raw_sigset mask = bv_files_begin();
	int result = -EBADF;

	if (bv_files_at(ring, slot)) {
		result = enroll(ring, slot, &nothing, 1);
		if (result > 0)
			bv_files_place(ring, slot, NULL);
	}
	bv_files_end(mask);
	return result < 0 ? result : 0;
}

static int64_t close_file(struct bv_taken *t)
{
	unsigned fd = (unsigned)t->sqe.fd;
	int result;

	/* Those begun before have the file, whatever becomes of its number. */
	bv_taken_settle(fd, fd, t);
	bv_files_closing(fd, fd);
	if (bv_memory_idle())
		bv_memory_closing(t->disk);
	result = raw_close((int)fd);
	bv_fd_forget((int)fd);
	return result;
}

int64_t bv_table_close(struct bv_taken *t)
{
	const struct io_uring_sqe *sqe = &t->sqe;

	if (sqe->off || sqe->addr || sqe->len || sqe->rw_flags ||
	    sqe->buf_index || (sqe->file_index && sqe->fd))
		return -EINVAL;
	if (sqe->flags & IOSQE_FIXED_FILE)
		return -EBADF;
	if (sqe->file_index)
		return empty_slot(t->ring, sqe->file_index - 1);
	return close_file(t);
}

/* ---- filling slots ---- */

/* One descriptor into a slot of the kernel's choice, which it then tells. */
static int fill_any(struct bv_uring *ring, int *place)
{
	struct bv_held *held = NULL;
	struct bv_disk *disk;
	int fd, result;

	if (bv_user_copy_in(&fd, place, sizeof(fd)) < sizeof(fd))
		return -EFAULT;
	disk = fd < 0 ? NULL : bv_fd_learn(fd);
	if (disk) {
		held = bv_files_hold(fd, disk);
		if (!held)
			return -ENFILE;
	}
	result = fd < 0 ? -EBADF :
		 bv_post_file(ring, fd, IORING_FILE_INDEX_ALLOC);
	bv_files_place(ring, result < 0 ? BV_NO_SLOT : (unsigned)result, held);
	if (result >= 0 &&
	    bv_user_copy_out(place, &result, sizeof(result)) < sizeof(result))
		result = -EFAULT;
	return result;
}

static int fill_where_free(struct bv_uring *ring, int *fds, unsigned count)
{
	unsigned done = 0;
	int result = 0;

	while (done < count && result >= 0) {
		result = fill_any(ring, &fds[done]);
		done += result >= 0;
	}
	return done > 0 ? (int)done : result;
}

static int fill(struct bv_uring *ring, unsigned slot, const int *fds,
		unsigned count)
{
	int result = enroll(ring, slot, fds, count);

	if (result > 0)
		bv_files_update(ring, slot, fds, (unsigned)result);
	return result;
}

int64_t bv_table_update(struct bv_taken *t)
{
	const struct io_uring_sqe *sqe = &t->sqe;
	int *fds = (int *)(uintptr_t)sqe->addr;
	raw_sigset mask;
	int result;

	if (sqe->flags & (IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT) ||
	    sqe->rw_flags || sqe->splice_fd_in || sqe->len == 0)
		return -EINVAL;
	mask = bv_files_begin();
	if ((uint32_t)sqe->off == IORING_FILE_INDEX_ALLOC)
		result = fill_where_free(t->ring, fds, sqe->len);
	else
		result = fill(t->ring, (unsigned)sqe->off, fds, sqe->len);
	bv_files_end(mask);
	return result;
}

/* ---- handing on ---- */

int64_t bv_table_send(struct bv_taken *t)
{
	const struct io_uring_sqe *sqe = &t->sqe;
	struct bv_uring *other = bv_uring_at(sqe->fd);
	unsigned slot = sqe->file_index - 1;
	raw_sigset mask;
	int result;

	if (sqe->buf_index || sqe->personality || sqe->len ||
	    sqe->msg_ring_flags & ~IORING_MSG_RING_CQE_SKIP)
		return -EINVAL;
	if (!other || !bv_post_reaches(other))
		return -EBADFD;
	if (other == t->ring)
		return -EINVAL;
	mask = bv_files_begin();
	result = bv_post_file(other, t->held->fd, sqe->file_index);
	if (sqe->file_index == IORING_FILE_INDEX_ALLOC)
		slot = (unsigned)result;
	if (result >= 0) {
		atomic_fetch_add(&t->held->users, 1);
		bv_files_place(other, slot, t->held);
	}
	bv_files_end(mask);
	if (result >= 0 && !(sqe->msg_ring_flags & IORING_MSG_RING_CQE_SKIP))
		bv_post(other, sqe->off, result, 0);
	return result;
}

/* A descriptor for what stands in a slot. */
int64_t bv_table_install(struct bv_taken *t)
{
	const struct io_uring_sqe *sqe = &t->sqe;
	bool inherited = sqe->rw_flags & 1 /* IORING_FIXED_FD_NO_CLOEXEC */;
	int fd;

	if (sqe->off || sqe->addr || sqe->len || sqe->buf_index ||
	    sqe->splice_fd_in || sqe->addr3 || sqe->rw_flags & ~1)
		return -EINVAL;
	fd = raw_fcntl(t->held->fd, inherited ? F_DUPFD : F_DUPFD_CLOEXEC, 0);
	if (fd >= 0)
		bv_fd_forget(fd);
	return fd;
}
