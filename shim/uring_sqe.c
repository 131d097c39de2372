/* uring_sqe: what a request is; see uring.h. Field meanings as in
 * io_uring_enter(2). */
#include <blkverify/fdmap.h>
#include <blkverify/verify.h>

#include "guard.h"
#include "symbols.h"
#include "uring.h"

/* Of newer kernels' fields. */
#define NOP_INJECT_RESULT 1u
#define TIMEOUT_MULTISHOT (1u << 6)
#define RECVSEND_POLL_FIRST 1u

/* What each request is, and whether a ring of our own could carry it out in
 * place of the program's, unless can_move finds something against it. Those
 * that are not here are not known: what they call fd may well be a file. */
static const struct {
	uint8_t kind;
	bool moves;
} traits[] = {
	[IORING_OP_NOP] = { BV_SQE_NEUTRAL, true },
	[IORING_OP_LINK_TIMEOUT] = { BV_SQE_NEUTRAL, false },
	[IORING_OP_READ] = { BV_SQE_READ, true },
	[IORING_OP_READV] = { BV_SQE_READ, true },
	[IORING_OP_READ_FIXED] = { BV_SQE_READ, true },
	[BV_OP_READV_FIXED] = { BV_SQE_READ, true },
	[IORING_OP_WRITE] = { BV_SQE_WRITE, true },
	[IORING_OP_WRITEV] = { BV_SQE_WRITE, true },
	[IORING_OP_WRITE_FIXED] = { BV_SQE_WRITE, true },
	[BV_OP_WRITEV_FIXED] = { BV_SQE_WRITE, true },
	[IORING_OP_FSYNC] = { BV_SQE_CHANGE, true },
	[IORING_OP_SYNC_FILE_RANGE] = { BV_SQE_CHANGE, true },
	[IORING_OP_FALLOCATE] = { BV_SQE_CHANGE, true },
	[BV_OP_FTRUNCATE] = { BV_SQE_CHANGE, true },
	[IORING_OP_SPLICE] = { BV_SQE_SPLICE, true },
	[IORING_OP_OPENAT] = { BV_SQE_OPEN, true },
	[IORING_OP_OPENAT2] = { BV_SQE_OPEN, true },
	[IORING_OP_CLOSE] = { BV_SQE_CLOSE, true },
	[IORING_OP_FILES_UPDATE] = { BV_SQE_FILES, false },
	[IORING_OP_MSG_RING] = { BV_SQE_SEND, true },
	[BV_OP_FIXED_FD_INSTALL] = { BV_SQE_INSTALL, false },
	[IORING_OP_URING_CMD] = { BV_SQE_COMMAND, false },
	[BV_OP_URING_CMD128] = { BV_SQE_COMMAND, false },
	[BV_OP_READ_MULTISHOT] = { BV_SQE_MULTISHOT, false },
	[IORING_OP_RECVMSG] = { BV_SQE_DESCRIPTORS, true },
	[IORING_OP_ASYNC_CANCEL] = { BV_SQE_CANCEL, false },
	[IORING_OP_POLL_REMOVE] = { BV_SQE_CANCEL, false },
	[IORING_OP_TIMEOUT_REMOVE] = { BV_SQE_CANCEL, false },
	/* What these call fd is no file with contents, or none at all; or the
	 * kernel refuses one with contents, as tee does. */
	[IORING_OP_POLL_ADD] = { BV_SQE_HARMLESS, true },
	[IORING_OP_SENDMSG] = { BV_SQE_HARMLESS, true },
	[IORING_OP_TIMEOUT] = { BV_SQE_HARMLESS, true },
	[IORING_OP_ACCEPT] = { BV_SQE_HARMLESS, true },
	[IORING_OP_CONNECT] = { BV_SQE_HARMLESS, true },
	[IORING_OP_STATX] = { BV_SQE_HARMLESS, true },
	[IORING_OP_FADVISE] = { BV_SQE_HARMLESS, true },
	[IORING_OP_MADVISE] = { BV_SQE_HARMLESS, true },
	[IORING_OP_SEND] = { BV_SQE_HARMLESS, true },
	[IORING_OP_RECV] = { BV_SQE_HARMLESS, true },
	[IORING_OP_EPOLL_CTL] = { BV_SQE_HARMLESS, true },
	[IORING_OP_TEE] = { BV_SQE_HARMLESS, true },
	[IORING_OP_PROVIDE_BUFFERS] = { BV_SQE_HARMLESS, false },
	[IORING_OP_REMOVE_BUFFERS] = { BV_SQE_HARMLESS, false },
	[IORING_OP_SHUTDOWN] = { BV_SQE_HARMLESS, true },
	[IORING_OP_RENAMEAT] = { BV_SQE_HARMLESS, true },
	[IORING_OP_UNLINKAT] = { BV_SQE_HARMLESS, true },
	[IORING_OP_MKDIRAT] = { BV_SQE_HARMLESS, true },
	[IORING_OP_SYMLINKAT] = { BV_SQE_HARMLESS, true },
	[IORING_OP_LINKAT] = { BV_SQE_HARMLESS, true },
	[IORING_OP_FSETXATTR] = { BV_SQE_HARMLESS, true },
	[IORING_OP_SETXATTR] = { BV_SQE_HARMLESS, true },
	[IORING_OP_FGETXATTR] = { BV_SQE_HARMLESS, true },
	[IORING_OP_GETXATTR] = { BV_SQE_HARMLESS, true },
	[IORING_OP_SOCKET] = { BV_SQE_HARMLESS, true },
	[BV_OP_SEND_ZC] = { BV_SQE_HARMLESS, false },
	[BV_OP_SENDMSG_ZC] = { BV_SQE_HARMLESS, false },
	[BV_OP_WAITID] = { BV_SQE_HARMLESS, true },
	[BV_OP_FUTEX_WAIT] = { BV_SQE_HARMLESS, true },
	[BV_OP_FUTEX_WAKE] = { BV_SQE_HARMLESS, true },
	[BV_OP_FUTEX_WAITV] = { BV_SQE_HARMLESS, true },
	[BV_OP_BIND] = { BV_SQE_HARMLESS, true },
	[BV_OP_LISTEN] = { BV_SQE_HARMLESS, true },
	[BV_OP_RECV_ZC] = { BV_SQE_HARMLESS, false },
	[BV_OP_EPOLL_WAIT] = { BV_SQE_HARMLESS, true },
	[BV_OP_PIPE] = { BV_SQE_HARMLESS, true },
	[BV_OP_NOP128] = { BV_SQE_HARMLESS, false },
};

/* Registered files, provided buffers and credentials are the ring's own; and
 * so is what has more than one completion, or counts those of others. */
static bool can_move(const struct io_uring_sqe *sqe)
{
	if (sqe->flags & (IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT) ||
	    sqe->personality)
		return false;
	switch (sqe->opcode) {
	case IORING_OP_NOP:
		return !(sqe->rw_flags & ~NOP_INJECT_RESULT);
	case IORING_OP_OPENAT: case IORING_OP_OPENAT2: case IORING_OP_CLOSE:
	case IORING_OP_SOCKET: case BV_OP_PIPE:
		return sqe->file_index == 0;
	case IORING_OP_ACCEPT:
		return sqe->file_index == 0 && sqe->ioprio == 0;
	case IORING_OP_SENDMSG: case IORING_OP_RECVMSG:
		return !(sqe->ioprio & ~RECVSEND_POLL_FIRST);
	case IORING_OP_MSG_RING:
		return sqe->addr != IORING_MSG_SEND_FD;
	case IORING_OP_SEND: case IORING_OP_RECV:
		return sqe->off == 0 && !(sqe->ioprio & ~RECVSEND_POLL_FIRST);
	case IORING_OP_POLL_ADD:
		return sqe->len == 0;
	case IORING_OP_TIMEOUT:
		return sqe->off == 0 && !(sqe->timeout_flags & TIMEOUT_MULTISHOT);
	case IORING_OP_SPLICE: case IORING_OP_TEE:
		return !(sqe->splice_flags & SPLICE_F_FD_IN_FIXED);
	default:
		return true;
	}
}

void bv_sqe_look_at_file(const struct bv_uring *ring,
			 const struct bv_coming *coming, bool registered,
			 int fd, struct bv_sqe_view *view)
{
	struct bv_held *held;

	if (!registered) {
		view->disk = bv_fd_disk(fd);
	} else if (coming->any && coming->slot == (unsigned)fd) {
		view->disk = coming->disk;
	} else {
		held = bv_files_at(ring, (unsigned)fd);
		view->disk = held ? held->disk : NULL;
	}
	if (!view->disk)
		return;
	view->fd = fd;
	view->registered = registered;
	if (registered && coming->unclear)
		view->kind = BV_SQE_OPAQUE;
}

static void look_at_splice(const struct bv_uring *ring,
			   const struct bv_coming *coming,
			   const struct io_uring_sqe *sqe,
			   struct bv_sqe_view *view)
{
	bool fixed_out = sqe->flags & IOSQE_FIXED_FILE;
	bool fixed_in = sqe->splice_flags & SPLICE_F_FD_IN_FIXED;

	bv_sqe_look_at_file(ring, coming, fixed_in, sqe->splice_fd_in, view);
	if (!view->disk)
		bv_sqe_look_at_file(ring, coming, fixed_out, sqe->fd, view);
	/* The pipe is the ring's alone. */
	else if (fixed_out)
		view->kind = BV_SQE_OPAQUE;
	if (view->disk && fixed_in &&
	    !bv_sqe_reads_from(sqe, view->fd, view->registered))
		view->kind = BV_SQE_OPAQUE;
}

bool bv_sqe_reads_from(const struct io_uring_sqe *sqe, int fd, bool registered)
{
	return fd == sqe->splice_fd_in &&
	       registered == !!(sqe->splice_flags & SPLICE_F_FD_IN_FIXED);
}

/* Only these may leave the choice of a buffer to the kernel; it refuses others
 * (EOPNOTSUPP). */
static bool may_choose(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == IORING_OP_READ || sqe->opcode == IORING_OP_READV ||
	       sqe->opcode == BV_OP_READ_MULTISHOT;
}

static void look_at_transfer(const struct io_uring_sqe *sqe,
			     struct bv_sqe_view *view)
{
	const uint64_t *words = (const uint64_t *)(const void *)sqe;

	/* Protection information (Linux 6.14). */
	if (words[7] != 0)
		view->kind = BV_SQE_OPAQUE;
	view->selects = sqe->flags & IOSQE_BUFFER_SELECT;
}

/* It stays for the kernel to say that it will not have it. */
static bool is_refused(const struct io_uring_sqe *sqe,
		       const struct bv_sqe_view *view)
{
	if (!bv_ours_possible())
		return false;
	return !bv_ours_knows(sqe->opcode) ||
	       (sqe->flags & IOSQE_BUFFER_SELECT && !may_choose(sqe) &&
		view->kind != BV_SQE_OPAQUE);
}

/* The kernel is asked what it would make of a file, where it may refuse. */
static void look_at_odd(const struct bv_uring *ring,
			const struct io_uring_sqe *sqe, struct bv_sqe_view *view)
{
	struct bv_held *held;
	int fd = view->fd;

	if (view->registered) {
		held = bv_files_at(ring, (unsigned)fd);
		fd = held ? held->fd : -1;
	}
	if (view->kind == BV_SQE_MULTISHOT ? bv_probe_never_polls(fd)
					   : bv_probe_no_commands(fd)) {
		view->disk = NULL;
		view->moves = !view->registered;
	} else if (!view->disk->block || sqe->opcode != IORING_OP_URING_CMD ||
		 sqe->cmd_op != BV_COMMAND_DISCARD) {
		view->kind = BV_SQE_OPAQUE;
	}
}

static void look(const struct bv_uring *ring, const struct io_uring_sqe *sqe,
		 struct bv_coming *coming, struct bv_sqe_view *view)
{
	bool registered = sqe->flags & IOSQE_FIXED_FILE;

	switch (view->kind) {
	case BV_SQE_SPLICE:
		look_at_splice(ring, coming, sqe, view);
		break;
	case BV_SQE_READ: case BV_SQE_WRITE: case BV_SQE_CHANGE:
	case BV_SQE_OPAQUE: case BV_SQE_COMMAND: case BV_SQE_MULTISHOT:
		bv_sqe_look_at_file(ring, coming, registered, sqe->fd, view);
		if (!view->disk)
			break;
		if (view->kind == BV_SQE_COMMAND ||
		    view->kind == BV_SQE_MULTISHOT)
			look_at_odd(ring, sqe, view);
		else if (view->kind != BV_SQE_CHANGE)
			look_at_transfer(sqe, view);
		break;
	case BV_SQE_NEUTRAL:
		/* Flags of newer kernels' no-ops. */
		if (sqe->opcode == IORING_OP_NOP && sqe->rw_flags)
			view->kind = BV_SQE_HARMLESS;
		break;
	default:
		bv_sqe_look_at_place(ring, sqe, coming, view);
		break;
	}
}

void bv_sqe_look(const struct bv_uring *ring, const struct io_uring_sqe *sqe,
		 struct bv_coming *coming, struct bv_sqe_view *view)
{
	*view = (struct bv_sqe_view){ .fd = -1 };
	if (sqe->opcode < sizeof(traits) / sizeof(*traits)) {
		view->kind = traits[sqe->opcode].kind;
		view->moves = traits[sqe->opcode].moves && can_move(sqe);
	}
	look(ring, sqe, coming, view);
	if (view->disk && is_refused(sqe, view))
		*view = (struct bv_sqe_view){ .kind = BV_SQE_HARMLESS, .fd = -1 };
	if (view->fills && view->kind != BV_SQE_OPAQUE) {
		coming->any = true;
		coming->slot = view->slot;
		coming->disk = view->filled;
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
