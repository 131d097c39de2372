/* uring_post: completions; see uring.h. */
#include <errno.h>

#include <blkverify/own.h>
#include <blkverify/policy.h>

#include "../src/raw.h"
#include "guard.h"
#include "uring.h"

/* Newer than Debian 12's headers. */
#define MSG_RING_FLAGS_PASS (1u << 1)

static void __attribute__((noreturn)) give_up(int error)
{
	static struct bv_text why;

	text_add(&why, "io_uring: a completion cannot be sent: ");
	text_errno(&why, error);
	bv_policy_fatal(&why);
}

bool bv_post_reaches(struct bv_uring *ring)
{
	return ring->post_fd >= 0 ||
	       bv_own_dup(ring->key - 1, &ring->post_fd) == 0;
}

/* One message, carried out at once. Returns 0 or a negative errno. */
static int send(const struct io_uring_sqe *message)
{
	struct io_uring_cqe cqe;
	int result = bv_ours_submit(message, 1);

	if (result == 0) {
		bv_ours_reap(&cqe, NULL);
		result = cqe.res;
	}
	return result;
}

/* Flags are passed from Linux 6.3 on; before that, they are lost. */
static void pass_flags(struct io_uring_sqe *message, uint32_t flags)
{
	message->msg_ring_flags = flags ? MSG_RING_FLAGS_PASS : 0;
	message->file_index = flags;
}

void bv_post(struct bv_uring *ring, uint64_t user_data, int result,
	     uint32_t flags)
{
	static const struct timespec while_ = { 0, 1000000 };
	struct io_uring_sqe message = {
		.opcode = IORING_OP_MSG_RING, .len = (uint32_t)result,
		.off = user_data,
		/* Its eventfd is told only of what a worker of the kernel's
		 * completes. */
		.flags = ring->async_event ? IOSQE_ASYNC : 0,
	};
	int error = -EAGAIN;

	pass_flags(&message, flags);
	/* The descriptor may have to move (own.h), and memory be short for a
	 * while. */
	for (int tries = 0; tries < 10000; tries++) {
		message.fd = ring->post_fd;
		error = send(&message);
		if (error >= 0)
			return;
		if (error == -EINVAL)
			pass_flags(&message, 0);
		raw_call(SYS_nanosleep, (long)&while_, 0, 0, 0, 0, 0);
	}
	give_up(-error);
}

bool bv_post_sends_files(void)
{
	return bv_ours_possible() && bv_ours_knows(BV_OP_SENDMSG_ZC);
}

/* By way of the one slot of our own ring's table. */
int bv_post_file(struct bv_uring *ring, int fd, unsigned index)
{
	int nothing = -1;
	const struct io_uring_sqe sqes[] = {
		{ .opcode = IORING_OP_FILES_UPDATE, .addr = (uintptr_t)&fd,
		  .len = 1, .flags = IOSQE_IO_LINK },
		{ .opcode = IORING_OP_MSG_RING, .fd = ring->post_fd,
		  .addr = IORING_MSG_SEND_FD, .file_index = index,
		  .msg_ring_flags = IORING_MSG_RING_CQE_SKIP,
		  .flags = IOSQE_IO_HARDLINK, .user_data = 1 },
		{ .opcode = IORING_OP_FILES_UPDATE, .addr = (uintptr_t)&nothing,
		  .len = 1, .user_data = 2 },
	};
	int results[3] = { 0 };
	struct io_uring_cqe cqe;

	if (bv_ours_submit(sqes, 3) < 0)
		return -ENOMEM;
	for (int i = 0; i < 3; i++) {
		bv_ours_reap(&cqe, NULL);
		results[cqe.user_data] = cqe.res;
	}
	return results[0] < 0 ? results[0] : results[1];
}
