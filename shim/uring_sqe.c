/* uring_sqe: what a request is; see uring.h. Field meanings as in
 * io_uring_enter(2). */
#include <blkverify/fdmap.h>
#include <blkverify/usermem.h>
#include <blkverify/verify.h>

#include "../src/raw.h"
#include "guard.h"
#include "symbols.h"
#include "uring.h"

static enum bv_sqe_kind kind_of(unsigned opcode)
{
	switch (opcode) {
	case IORING_OP_READ: case IORING_OP_READV: case IORING_OP_READ_FIXED:
	case BV_OP_READV_FIXED:
		return BV_SQE_READ;
	case IORING_OP_WRITE: case IORING_OP_WRITEV: case IORING_OP_WRITE_FIXED:
	case BV_OP_WRITEV_FIXED:
		return BV_SQE_WRITE;
	case IORING_OP_FSYNC: case IORING_OP_SYNC_FILE_RANGE:
	case IORING_OP_FALLOCATE: case BV_OP_FTRUNCATE:
		return BV_SQE_CHANGE;
	case IORING_OP_CLOSE:
		return BV_SQE_CLOSE;
	case IORING_OP_OPENAT: case IORING_OP_OPENAT2:
		return BV_SQE_OPEN;
	case IORING_OP_RECVMSG: case IORING_OP_FILES_UPDATE:
	case IORING_OP_MSG_RING: case BV_OP_FIXED_FD_INSTALL:
		return BV_SQE_DESCRIPTORS;
	case IORING_OP_NOP: case IORING_OP_LINK_TIMEOUT:
		return BV_SQE_NEUTRAL;
	/* What these call fd is no file with contents, or none at all. */
	case IORING_OP_POLL_ADD: case IORING_OP_POLL_REMOVE:
	case IORING_OP_SENDMSG: case IORING_OP_TIMEOUT:
	case IORING_OP_TIMEOUT_REMOVE: case IORING_OP_ACCEPT:
	case IORING_OP_ASYNC_CANCEL: case IORING_OP_CONNECT:
	case IORING_OP_STATX: case IORING_OP_FADVISE:
	case IORING_OP_MADVISE: case IORING_OP_SEND: case IORING_OP_RECV:
	case IORING_OP_EPOLL_CTL: case IORING_OP_PROVIDE_BUFFERS:
	case IORING_OP_REMOVE_BUFFERS: case IORING_OP_SHUTDOWN:
	case IORING_OP_RENAMEAT: case IORING_OP_UNLINKAT:
	case IORING_OP_MKDIRAT: case IORING_OP_SYMLINKAT: case IORING_OP_LINKAT:
	case IORING_OP_FSETXATTR: case IORING_OP_SETXATTR:
	case IORING_OP_FGETXATTR: case IORING_OP_GETXATTR:
	case IORING_OP_SOCKET: case BV_OP_SEND_ZC: case BV_OP_SENDMSG_ZC:
	case BV_OP_WAITID: case BV_OP_FUTEX_WAIT: case BV_OP_FUTEX_WAKE:
	case BV_OP_FUTEX_WAITV: case BV_OP_PIPE:
		return BV_SQE_HARMLESS;
	default:
		/* Not known here: what it calls fd may well be a file. */
		return BV_SQE_OPAQUE;
	}
}

static void look_at_file(const struct bv_uring *ring, bool registered, int fd,
			 struct bv_sqe_view *view)
{
	struct bv_held *held;

	if (!registered) {
		view->fd = fd;
		view->disk = bv_fd_disk(fd);
		return;
	}
	held = bv_files_at(ring, (unsigned)fd);
	if (!held)
		return;
	view->held = held;
	view->disk = held->disk;
}

static int open_flags(const struct io_uring_sqe *sqe)
{
	struct open_how how = { 0 };

	if (sqe->opcode == IORING_OP_OPENAT)
		return (int)sqe->open_flags;
	/* A bad pointer is the kernel's to refuse. */
	bv_user_copy_in(&how, (const void *)(uintptr_t)sqe->off, sizeof(how));
	return (int)how.flags;
}

/* A pair whose target may be this very file, once it is created. */
static struct bv_disk *awaited(void)
{
	for (unsigned i = 0; i < bv_disks; i++)
		if (!atomic_load(&bv_disk[i].bound))
			return &bv_disk[i];
	return NULL;
}

/* Opening does something to a target when it empties it, or puts it where
 * only the ring finds it. */
static void look_at_path(const struct io_uring_sqe *sqe,
			 struct bv_sqe_view *view)
{
	bool direct = sqe->file_index != 0, exists;
	int flags = open_flags(sqe);
	struct bv_disk *disk;

	view->kind = direct ? BV_SQE_OPAQUE : BV_SQE_OPEN;
	if (!direct && (!(flags & O_TRUNC) || flags & O_PATH))
		return;
	disk = bv_disk_at(sqe->fd, (const char *)(uintptr_t)sqe->addr, 0,
			  &exists);
	if (disk && !(disk->block && !direct))
		view->disk = disk;
	else if (!exists && direct && flags & O_CREAT)
		view->disk = awaited();
}

/* Files that come into the ring's table, or go, while nobody looks. */
static void look_at_update(const struct bv_uring *ring,
			   const struct io_uring_sqe *sqe,
			   struct bv_sqe_view *view)
{
	const int *fds = (const int *)(uintptr_t)sqe->addr;

	view->kind = BV_SQE_OPAQUE;
	for (unsigned i = 0; i < sqe->len && !view->disk; i++) {
		struct bv_held *held = NULL;
		int fd = -1;

		if (sqe->off != UINT32_MAX && sqe->off != UINT64_MAX)
			held = bv_files_at(ring, (unsigned)sqe->off + i);
		if (bv_user_copy_in(&fd, &fds[i], sizeof(fd)) < sizeof(fd))
			break;
		if (fd == IORING_REGISTER_FILES_SKIP)
			continue;
		view->disk = held ? held->disk : fd < 0 ? NULL : bv_fd_disk(fd);
	}
}

/* The file of this slot goes to another ring. */
static void look_at_message(const struct bv_uring *ring,
			    const struct io_uring_sqe *sqe,
			    struct bv_sqe_view *view)
{
	struct bv_held *held;

	view->kind = BV_SQE_HARMLESS;
	if (sqe->addr != 1 /* IORING_MSG_SEND_FD */)
		return;
	view->kind = BV_SQE_OPAQUE;
	held = bv_files_at(ring, (unsigned)sqe->addr3);
	if (held)
		view->disk = held->disk;
}

static void look_at_close(const struct bv_uring *ring,
			  const struct io_uring_sqe *sqe,
			  struct bv_sqe_view *view)
{
	if (sqe->file_index == 0) {
		look_at_file(ring, false, sqe->fd, view);
		return;
	}
	view->kind = BV_SQE_OPAQUE;
	look_at_file(ring, true, (int)sqe->file_index - 1, view);
}

/* As BV_SQE_OPAQUE for what cannot be taken over: buffers chosen by the
 * kernel, and protection information (Linux 6.14). */
static bool is_plain(const struct io_uring_sqe *sqe)
{
	const uint64_t *words = (const uint64_t *)(const void *)sqe;

	return !(sqe->flags & IOSQE_BUFFER_SELECT) && words[7] == 0;
}

void bv_sqe_look(const struct bv_uring *ring, const struct io_uring_sqe *sqe,
		 struct bv_sqe_view *view)
{
	bool registered = sqe->flags & IOSQE_FIXED_FILE;

	*view = (struct bv_sqe_view){ .kind = kind_of(sqe->opcode), .fd = -1 };
	switch (view->kind) {
	case BV_SQE_OPEN:
		look_at_path(sqe, view);
		break;
	case BV_SQE_CLOSE:
		look_at_close(ring, sqe, view);
		break;
	case BV_SQE_DESCRIPTORS:
		if (sqe->opcode == IORING_OP_FILES_UPDATE)
			look_at_update(ring, sqe, view);
		else if (sqe->opcode == IORING_OP_MSG_RING)
			look_at_message(ring, sqe, view);
		break;
	case BV_SQE_READ: case BV_SQE_WRITE: case BV_SQE_CHANGE:
		look_at_file(ring, registered, sqe->fd, view);
		if (view->kind != BV_SQE_CHANGE && !is_plain(sqe))
			view->kind = BV_SQE_OPAQUE;
		/* It stays for the kernel to say that it does not. */
		if (view->disk && bv_ours_possible() &&
		    !bv_ours_knows(sqe->opcode))
			*view = (struct bv_sqe_view){
				.kind = BV_SQE_HARMLESS, .fd = -1,
			};
		break;
	case BV_SQE_OPAQUE:
		look_at_file(ring, registered, sqe->fd, view);
		if (!view->disk && (sqe->opcode == IORING_OP_SPLICE ||
				    sqe->opcode == IORING_OP_TEE))
			look_at_file(ring, sqe->splice_flags &
						   SPLICE_F_FD_IN_FIXED,
				     sqe->splice_fd_in, view);
		break;
	case BV_SQE_NEUTRAL:
		/* Flags of newer kernels' no-ops. */
		if (sqe->opcode == IORING_OP_NOP && sqe->rw_flags)
			view->kind = BV_SQE_HARMLESS;
		break;
	default:
		break;
	}
}

void bv_sqe_give_up(struct bv_disk *disk, const struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_READ: case IORING_OP_READV: case IORING_OP_READ_FIXED:
	case BV_OP_READV_FIXED: case BV_OP_READ_MULTISHOT:
	case IORING_OP_FSYNC: case IORING_OP_SYNC_FILE_RANGE:
	case IORING_OP_CLOSE:
		return;
	case IORING_OP_WRITE: case IORING_OP_WRITE_FIXED:
		if (sqe->off != UINT64_MAX) {
			bv_change_lasting(disk, sqe->off, sqe->len);
			return;
		}
		break;
	/* A vectored one's length is in memory that may change. */
	case IORING_OP_WRITEV: case BV_OP_WRITEV_FIXED:
	case IORING_OP_FALLOCATE:
		if (sqe->off != UINT64_MAX) {
			bv_change_lasting(disk, sqe->off, INT64_MAX);
			return;
		}
		break;
	default:
		break;
	}
	bv_change_lasting(disk, 0, INT64_MAX);
}
