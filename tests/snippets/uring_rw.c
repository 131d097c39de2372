/*
 * uring_rw HOW FILE OFFSET LENGTH BYTE: reads or fills the range through a ring.
 * uring_rw --list: every HOW, one a line. "raw" makes its ring by syscall(), "setup" by io_uring_setup, and does
 * no more; "none" does its I/O on a pipe and never touches FILE but to open it.
 * build: -luring
 */
#include "client.h"
#include <liburing.h>
#include <linux/falloc.h>
#include <signal.h>
#include <sys/syscall.h>

static int done(struct io_uring *ring, int submitted, size_t n, const void *buf)
{
	struct io_uring_cqe *cqe;
	int ret;

	if (submitted < 0) {
		errno = -submitted;
		return result(-1);
	}
	ret = io_uring_wait_cqe(ring, &cqe);
	if (ret) {
		errno = -ret;
		trouble("io_uring_wait_cqe");
	}
	if (cqe->res < 0) {
		errno = -cqe->res;
		return result(-1);
	}
	result(cqe->res);
	printf("digest=%016llx\n", (unsigned long long)digest(buf, n));
	io_uring_cqe_seen(ring, cqe);
	return 0;
}

int main(int argc, char **argv)
{
	static const char *const hows[] = { "read", "write", "readv", "writev", "read_fixed", "write_fixed", "registered",
		"registered_tags", "registered_update", "registered_update_tag", "register", "sqpoll", "wait", "wait_timeout",
		"get_events", "ring_fd", "wait_cqes", "wait_cqe_timeout", "enter", "enter2", "get_cqe", "raw_enter", "raw_register",
		"fallocate", "raw", "setup", "none" };
	struct io_uring_params params = { 0 };
	struct io_uring ring;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	struct iovec iov[5], whole;
	const char *how;
	int64_t at;
	size_t n;
	void *buf;
	int fd, ret, count, ends[2];

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (size_t i = 0; i < sizeof(hows) / sizeof(*hows); i++)
			puts(hows[i]);
		return 0;
	}
	if (argc != 6)
		usage("uring_rw HOW FILE OFFSET LENGTH BYTE");
	how = argv[1];
	at = number(argv[3]);
	n = (size_t)number(argv[4]);
	fd = open(argv[2], O_RDWR);
	if (fd == -1)
		trouble("open");
	buf = buffer(n, strstr(how, "write") ? (int)number(argv[5]) : 0xee);
	count = cut(iov, buf, n);
	whole = (struct iovec){ buf, n };
	if (!strcmp(how, "raw")) {
		ret = (int)syscall(SYS_io_uring_setup, 8, &params);
		if (ret == -1)
			return result(-1);
		puts("a ring");
		return 0;
	}
	if (!strcmp(how, "setup")) {
		ret = io_uring_setup(8, &params);
		errno = ret < 0 ? -ret : 0;
		if (ret < 0)
			return result(-1);
		puts("a ring");
		return 0;
	}
	if (!strcmp(how, "sqpoll"))
		params.flags = IORING_SETUP_SQPOLL;
	ret = io_uring_queue_init_params(8, &ring, &params);
	if (ret) {
		errno = -ret;
		if (errno == ENOSYS || errno == EPERM)
			absent("io_uring");
		trouble("io_uring_queue_init_params");
	}
	/* liburing enters it by the thread's index from now on */
	if (!strcmp(how, "ring_fd") && io_uring_register_ring_fd(&ring) != 1)
		trouble("io_uring_register_ring_fd");
	sqe = io_uring_get_sqe(&ring);
	if (!strcmp(how, "none")) {
		if (pipe(ends) || write(ends[1], "something", 9) != 9)
			trouble("pipe");
		io_uring_prep_read(sqe, ends[0], buf, (unsigned)n, 0);
		return done(&ring, io_uring_submit(&ring), n, buf);
	}
	if (!strcmp(how, "write"))
		io_uring_prep_write(sqe, fd, buf, (unsigned)n, (uint64_t)at);
	else if (!strcmp(how, "readv"))
		io_uring_prep_readv(sqe, fd, iov, (unsigned)count, (uint64_t)at);
	else if (!strcmp(how, "writev"))
		io_uring_prep_writev(sqe, fd, iov, (unsigned)count, (uint64_t)at);
	else if (!strcmp(how, "read_fixed") || !strcmp(how, "write_fixed")) {
		ret = io_uring_register_buffers(&ring, &whole, 1);
		if (ret) {
			errno = -ret;
			trouble("io_uring_register_buffers");
		}
		if (*how == 'r')
			io_uring_prep_read_fixed(sqe, fd, buf, (unsigned)n, (uint64_t)at, 0);
		else
			io_uring_prep_write_fixed(sqe, fd, buf, (unsigned)n, (uint64_t)at, 0);
	} else if (!strncmp(how, "registered", 10)) {
		uint64_t tag = 0;
		int none = -1;

		if (!strcmp(how, "registered"))
			ret = io_uring_register_files(&ring, &fd, 1);
		else if (!strcmp(how, "registered_tags"))
			ret = io_uring_register_files_tags(&ring, &fd, (void *)&tag, 1);
		else {
			ret = io_uring_register_files(&ring, &none, 1);
			if (!ret)
				ret = !strcmp(how, "registered_update") ? io_uring_register_files_update(&ring, 0, &fd, 1) :
					io_uring_register_files_update_tag(&ring, 0, &fd, (void *)&tag, 1);
		}
		/* refused here as well as later */
		if (ret < 0) {
			errno = -ret;
			return result(-1);
		}
		io_uring_prep_read(sqe, 0, buf, (unsigned)n, (uint64_t)at);
		sqe->flags |= IOSQE_FIXED_FILE;
	} else if (!strcmp(how, "register") || !strcmp(how, "raw_register")) {
		ret = *how == 'r' && how[1] == 'e' ?
			io_uring_register((unsigned)ring.ring_fd, IORING_REGISTER_FILES, &fd, 1) :
			(int)syscall(SYS_io_uring_register, ring.ring_fd, IORING_REGISTER_FILES, &fd, 1);
		if (ret == -1)
			ret = -errno;
		if (ret < 0) {
			errno = -ret;
			return result(-1);
		}
		io_uring_prep_read(sqe, 0, buf, (unsigned)n, (uint64_t)at);
		sqe->flags |= IOSQE_FIXED_FILE;
	} else if (!strcmp(how, "fallocate"))
		io_uring_prep_fallocate(sqe, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, (off_t)n);
	else
		io_uring_prep_read(sqe, fd, buf, (unsigned)n, (uint64_t)at);
	if (!strcmp(how, "wait"))
		ret = io_uring_submit_and_wait(&ring, 1);
	else if (!strcmp(how, "wait_timeout"))
		ret = io_uring_submit_and_wait_timeout(&ring, &cqe, 1, NULL, NULL);
	else if (!strcmp(how, "get_events"))
		ret = io_uring_submit_and_get_events(&ring);
	else if (!strncmp(how, "enter", 5) || !strcmp(how, "get_cqe") || !strcmp(how, "raw_enter")) {
		/* what io_uring_submit does by itself */
		unsigned tail = *ring.sq.ktail;

		ring.sq.array[tail & *ring.sq.kring_mask] = ring.sq.sqe_head & *ring.sq.kring_mask;
		ring.sq.sqe_head++;
		io_uring_smp_store_release(ring.sq.ktail, tail + 1);
		ret = *how == 'r' ? (int)syscall(SYS_io_uring_enter, ring.ring_fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) :
			*how == 'g' ? __io_uring_get_cqe(&ring, &cqe, 1, 1, NULL) :
			how[5] ? io_uring_enter2((unsigned)ring.ring_fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, _NSIG / 8) :
			io_uring_enter((unsigned)ring.ring_fd, 1, 1, IORING_ENTER_GETEVENTS, NULL);
	} else
		ret = io_uring_submit(&ring);
	if (ret >= 0 && !strncmp(how, "wait_cqe", 8)) {
		struct __kernel_timespec soon = { 5, 0 };
		int waited = how[8] == 's' ? io_uring_wait_cqes(&ring, &cqe, 1, &soon, NULL) :
			io_uring_wait_cqe_timeout(&ring, &cqe, &soon);

		if (waited) {
			errno = -waited;
			trouble(how);
		}
	}
	return done(&ring, ret, n, buf);
}
