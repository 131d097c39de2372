/* uring_copy: what requests point to, copied; see uring.h.
 *
 * The kernel has read it when the call that submits returns (io_uring_setup(2):
 * IORING_FEAT_SUBMIT_STABLE), and the program may use that memory for other
 * things. Buffers of data are not meant. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <blkverify/usermem.h>

#include "../src/raw.h"
#include "uring.h"

/* The most that is looked at of the newest struct open_how (E2BIG past it). */
#define HOW_MOST 128u
#define FUTEX_WAITV_MOST 128u        /* FUTEX_WAITV_MAX */

/* Room for n bytes that lives as long as the request; NULL: no memory. */
static void *room_for(struct bv_taken *t, size_t n)
{
	struct iovec *map = t->maps;
	unsigned char *place;

	if (n <= sizeof(t->room) - t->used) {
		place = t->room + t->used;
		t->used += (n + 15) & ~(size_t)15;
		return place;
	}
	place = raw_mmap(NULL, n, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (raw_is_error(place))
		return NULL;
	while (map->iov_len > 0)
		map++;
	*map = (struct iovec){ place, n };
	return place;
}

/* n bytes at what *field points to; *field then points to the copy. */
static int copy_bytes(struct bv_taken *t, __u64 *field, size_t n)
{
	void *copy = room_for(t, n);

	if (!copy)
		return -ENOMEM;
	if (bv_user_copy_in(copy, (const void *)(uintptr_t)*field, n) < n)
		return -EFAULT;
	*field = (uintptr_t)copy;
	return 0;
}

static int copy_path(struct bv_taken *t, __u64 *field)
{
	const void *theirs = (const void *)(uintptr_t)*field;
	char *copy = (char *)t->room + t->used;
	size_t most = sizeof(t->room) - t->used, n;

	n = bv_user_copy_in(copy, theirs, most);
	if (strnlen(copy, n) == n) {
		if (n < most)
			return -EFAULT;
		most = PATH_MAX;
		copy = room_for(t, most);
		if (!copy)
			return -ENOMEM;
		n = bv_user_copy_in(copy, theirs, most);
		if (strnlen(copy, n) == n)
			return n < most ? -EFAULT : -ENAMETOOLONG;
	} else {
		room_for(t, strnlen(copy, n) + 1);
	}
	*field = (uintptr_t)copy;
	return 0;
}

static int copy_segments(struct bv_taken *t)
{
	size_t bytes = t->sqe.len * sizeof(struct iovec);
	__u64 list = t->sqe.addr;
	int result;

	if (t->sqe.len > IOV_MAX)
		return -EINVAL;
	result = copy_bytes(t, &list, bytes);
	if (result < 0)
		return result;
	t->sqe.addr = list;
	t->iov = (struct iovec *)(uintptr_t)list;
	t->count = t->sqe.len;
	return 0;
}

/* One buffer, as a list of its own. */
static int note_buffer(struct bv_taken *t)
{
	t->iov = room_for(t, sizeof(*t->iov));
	*t->iov = (struct iovec){ (void *)(uintptr_t)t->sqe.addr, t->sqe.len };
	t->count = 1;
	return 0;
}

static int copy_paths(struct bv_taken *t)
{
	int result = copy_path(t, &t->sqe.addr);

	return result == 0 ? copy_path(t, &t->sqe.off) : result;
}

static int copy_open(struct bv_taken *t)
{
	struct io_uring_sqe *sqe = &t->sqe;
	int result = copy_path(t, &sqe->addr);

	if (result < 0 || sqe->opcode == IORING_OP_OPENAT)
		return result;
	if (sqe->len > HOW_MOST)
		return -E2BIG;
	return copy_bytes(t, &sqe->off, sqe->len);
}

static int copy_address(struct bv_taken *t)
{
	struct io_uring_sqe *sqe = &t->sqe;

	if (sqe->off > sizeof(struct sockaddr_storage))
		return -EINVAL;
	return copy_bytes(t, &sqe->addr, sqe->off);
}

/* The header, the list of segments and the name; what comes back of a message
 * received is for the program's header. */
static int copy_message(struct bv_taken *t)
{
	int result = copy_bytes(t, &t->sqe.addr, sizeof(struct msghdr));
	struct msghdr *header = (struct msghdr *)(uintptr_t)t->sqe.addr;
	__u64 list, name;

	if (result < 0)
		return result;
	list = (uintptr_t)header->msg_iov;
	name = (uintptr_t)header->msg_name;
	if (header->msg_iovlen > IOV_MAX)
		return -EMSGSIZE;
	result = copy_bytes(t, &list, header->msg_iovlen *
				      sizeof(struct iovec));
	header->msg_iov = (struct iovec *)(uintptr_t)list;
	if (result < 0 || t->sqe.opcode == IORING_OP_RECVMSG ||
	    !header->msg_name ||
	    header->msg_namelen > sizeof(struct sockaddr_storage))
		return result;
	result = copy_bytes(t, &name, header->msg_namelen);
	header->msg_name = (void *)(uintptr_t)name;
	return result;
}

void bv_copy_out(struct bv_taken *t)
{
	const struct msghdr *ours = (const void *)(uintptr_t)t->sqe.addr;
	struct msghdr *theirs = (void *)(uintptr_t)t->original.addr;

	if (t->sqe.opcode != IORING_OP_RECVMSG)
		return;
	bv_user_copy_out(&theirs->msg_namelen, &ours->msg_namelen,
			 sizeof(ours->msg_namelen));
	bv_user_copy_out(&theirs->msg_controllen, &ours->msg_controllen,
			 sizeof(ours->msg_controllen));
	bv_user_copy_out(&theirs->msg_flags, &ours->msg_flags,
			 sizeof(ours->msg_flags));
}

static int copy_attribute(struct bv_taken *t)
{
	struct io_uring_sqe *sqe = &t->sqe;
	bool sets = sqe->opcode == IORING_OP_SETXATTR ||
		    sqe->opcode == IORING_OP_FSETXATTR;
	bool by_path = sqe->opcode == IORING_OP_SETXATTR ||
		       sqe->opcode == IORING_OP_GETXATTR;
	int result = copy_path(t, &sqe->addr);

	if (result == 0 && by_path)
		result = copy_path(t, &sqe->addr3);
	if (result == 0 && sets && sqe->len > XATTR_SIZE_MAX)
		result = -E2BIG;
	if (result == 0 && sets)
		result = copy_bytes(t, &sqe->off, sqe->len);
	return result;
}

int bv_copy_in(struct bv_taken *t)
{
	switch (t->sqe.opcode) {
	case IORING_OP_READV: case IORING_OP_WRITEV:
	case BV_OP_READV_FIXED: case BV_OP_WRITEV_FIXED:
		return copy_segments(t);
	case IORING_OP_READ: case IORING_OP_READ_FIXED:
	case IORING_OP_WRITE: case IORING_OP_WRITE_FIXED:
		return note_buffer(t);
	case IORING_OP_OPENAT: case IORING_OP_OPENAT2:
		return copy_open(t);
	case IORING_OP_STATX:
		/* Of the descriptor alone (Linux 6.11). */
		return t->sqe.addr == 0 ? 0 : copy_path(t, &t->sqe.addr);
	case IORING_OP_UNLINKAT: case IORING_OP_MKDIRAT:
		return copy_path(t, &t->sqe.addr);
	case IORING_OP_RENAMEAT: case IORING_OP_LINKAT: case IORING_OP_SYMLINKAT:
		return copy_paths(t);
	case IORING_OP_TIMEOUT: case IORING_OP_LINK_TIMEOUT:
		return copy_bytes(t, &t->sqe.addr,
				  sizeof(struct __kernel_timespec));
	case IORING_OP_EPOLL_CTL:
		/* There is none to delete a descriptor. */
		return t->sqe.addr == 0 ? 0 :
		       copy_bytes(t, &t->sqe.addr, sizeof(struct epoll_event));
	case IORING_OP_SENDMSG: case IORING_OP_RECVMSG:
		return copy_message(t);
	case IORING_OP_SETXATTR: case IORING_OP_FSETXATTR:
	case IORING_OP_GETXATTR: case IORING_OP_FGETXATTR:
		return copy_attribute(t);
	case BV_OP_FUTEX_WAITV:
		return t->sqe.len > FUTEX_WAITV_MOST ? -EINVAL :
		       copy_bytes(t, &t->sqe.addr,
				  t->sqe.len * sizeof(struct futex_waitv));
	case IORING_OP_CONNECT: case BV_OP_BIND:
		return copy_address(t);
	default:
		return 0;
	}
}
