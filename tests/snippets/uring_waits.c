/*
 * uring_waits WAY FILE: requests on FILE linked to others that wait for something; see uring.h.
 * build: -luring
 */
#include "uring.h"
#include <poll.h>
#include <sys/socket.h>

/* nothing behind it is done before there is something to read */
static void waits(void)
{
	char *buf = buffer(65536, 1), got[16] = "";

	make(16, 0);
	make_pipe();
	link_next(reads(ends[0], got, 5, 0), IOSQE_IO_LINK);
	link_next(writes(fd, got, 5, 5000), IOSQE_IO_LINK);
	reads(fd, buf, 4096, 4096);
	say("submitted", io_uring_submit(&ring));
	none_left();
	reads(fd, buf + 8192, 4096, 4096);
	go(1);
	show("bytes", buf, 65536);
	write(ends[1], "hello", 5);
	reap(3, 0);
	show("bytes", buf, 65536);
	io_uring_queue_exit(&ring);
}

/* through sockets, with a list of its own each */
static void sockets(void)
{
	char *buf = buffer(65536, 1), *back = buffer(65536, 2);
	int pair[2], null = open("/dev/null", O_RDWR);

	need("sockets", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	make(16, 0);
	io_uring_prep_recv(numbered(sqe()), pair[0], buf, 3000, MSG_WAITALL);
	linked(IOSQE_IO_LINK);
	link_next(writes(fd, buf, 3000, 11000), IOSQE_IO_LINK);
	link_next(reads(fd, buf + 4096, 4096, 10000), IOSQE_IO_LINK);
	io_uring_prep_send(numbered(sqe()), pair[0], buf + 4096, 4096, 0);
	linked(IOSQE_IO_LINK);
	writes(null, buf, 100, 0);
	say("submitted", io_uring_submit(&ring));
	memset(back, 0x33, 65536);
	write(pair[1], back, 3000);
	reap(5, 1);
	printf("back %zd\n", recv(pair[1], back, 4096, MSG_WAITALL));
	show("back", back, 65536);
	io_uring_queue_exit(&ring);
}

/* with headers that need not outlive the call, one of which is written to */
static void messages(void)
{
	static char out[2][100], in[3][100], control[64];
	struct iovec parts[2] = { { out[0], 100 }, { out[1], 50 } }, places[3] = { { in[0], 60 }, { in[1], 60 }, { in[2], 60 } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	struct msghdr received = { .msg_iov = places, .msg_iovlen = 3, .msg_control = control, .msg_controllen = 64 };
	int pair[2];

	need("sockets", socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	make(16, 0);
	link_next(reads(fd, out[0], 100, 300), IOSQE_IO_LINK);
	link_next(reads(fd, out[1], 50, 600), IOSQE_IO_LINK);
	io_uring_prep_sendmsg(numbered(sqe()), pair[0], &message, 0);
	linked(IOSQE_IO_LINK);
	io_uring_prep_recvmsg(numbered(sqe()), pair[1], &received, 0);
	linked(IOSQE_IO_LINK);
	writes(fd, in[1], 60, 1000);
	say("submitted", io_uring_submit(&ring));
	memset(&message, 0xff, sizeof(message));
	memset(parts, 0xff, sizeof(parts));
	memset(places, 0xff, sizeof(places));
	reap(5, 1);
	printf("control %zu flags %d\n", received.msg_controllen, received.msg_flags);
	show("bytes", in, sizeof(in));
	io_uring_queue_exit(&ring);
}

/* each waits for what another, submitted later, brings about */
static void feeders(void)
{
	enum { CHAINS = 40 };
	static char got[CHAINS][2], buf[CHAINS][512];
	int pipes[CHAINS][2];

	make(256, 0);
	for (int i = 0; i < CHAINS; i++) {
		need("pipe", pipe(pipes[i]));
		link_next(reads(pipes[i][0], got[i], 1, 0), IOSQE_IO_LINK);
		reads(fd, buf[i], 512, (unsigned)i * 512);
	}
	say("submitted", io_uring_submit(&ring));
	for (int i = 0; i < CHAINS; i++) {
		link_next(writes(fd, "fed", 3, 40000 + (unsigned)i * 3), IOSQE_IO_LINK);
		writes(pipes[i][1], "y", 1, 0);
	}
	say("submitted", io_uring_submit(&ring));
	reap(4 * CHAINS, 1);
	show("bytes", buf, sizeof(buf));
	show("bytes", got, sizeof(got));
	io_uring_queue_exit(&ring);
}

static void timeouts(void)
{
	struct __kernel_timespec soon = { 0, 20000000 };
	char *buf = buffer(65536, 1), got[8];

	make(16, 0);
	make_pipe();
	for (int way = 0; way < 3; way++) {
		io_uring_prep_timeout(numbered(sqe()), &soon, 0, way == 1 ? IORING_TIMEOUT_ETIME_SUCCESS : 0);
		linked(way == 2 ? IOSQE_IO_HARDLINK : IOSQE_IO_LINK);
		reads(fd, buf, 4096, 0);
		io_uring_submit(&ring);
		soon.tv_sec = 100;
		reap(2, 1);
		soon.tv_sec = 0;
	}
	for (int way = 0; way < 3; way++) {
		link_next(reads(ends[0], got, 4, 0), way == 2 ? IOSQE_IO_HARDLINK : IOSQE_IO_LINK);
		io_uring_prep_link_timeout(numbered(sqe()), &soon, 0);
		linked(way == 2 ? IOSQE_IO_HARDLINK : IOSQE_IO_LINK);
		reads(fd, buf + 4096, 4096, 4096);
		if (way == 1)
			write(ends[1], "fast", 4);
		io_uring_submit(&ring);
		soon.tv_sec = 100;
		reap(3, 1);
		soon.tv_sec = 0;
	}
	show("bytes", buf, 65536);
	io_uring_queue_exit(&ring);
}

static void polls(void)
{
	char *buf = buffer(65536, 1);

	make(16, 0);
	make_pipe();
	io_uring_prep_poll_add(numbered(sqe()), ends[0], POLLIN);
	linked(IOSQE_IO_LINK);
	reads(fd, buf, 4096, 0);
	say("submitted", io_uring_submit(&ring));
	none_left();
	write(ends[1], "x", 1);
	reap(2, 1);
	show("bytes", buf, 65536);
	io_uring_queue_exit(&ring);
}

/* whether it was too late, is not the same each time */
static void cancel_with(const char *what, int how)
{
	static struct __kernel_timespec later = { 100, 0 };
	static char buf[4096], got[8];
	int last = 0;

	printf("%s\n", what);
	tag = 0;
	switch (how) {
	case 1: io_uring_prep_poll_add(numbered(sqe()), ends[0], POLLIN); break;
	case 2: io_uring_prep_timeout(numbered(sqe()), &later, 0, 0); break;
	default: reads(ends[0], got, 4, 0); break;
	}
	linked(IOSQE_IO_LINK);
	reads(fd, buf, 4096, 0);
	io_uring_submit(&ring);
	usleep(how == 4 ? 0 : 50000);
	switch (how) {
	case 1: io_uring_prep_poll_remove(sqe(), 1); break;
	case 2: io_uring_prep_timeout_remove(sqe(), 1, 0); break;
	case 3: io_uring_prep_cancel_fd(sqe(), ends[0], IORING_ASYNC_CANCEL_ALL); break;
	default: io_uring_prep_cancel64(sqe(), 1, 0); break;
	}
	ring.sq.sqes[(ring.sq.sqe_tail - 1) & *ring.sq.kring_mask].user_data = 99;
	io_uring_submit(&ring);
	for (int i = 0; i < 3; i++) {
		struct __kernel_timespec soon = { 5, 0 };
		struct io_uring_cqe *cqe;

		need("a completion", io_uring_wait_cqe_timeout(&ring, &cqe, &soon));
		if (cqe->user_data != 99)
			printf("#%llu: %s\n", (unsigned long long)cqe->user_data, word(cqe->res));
		else
			last = cqe->res;
		io_uring_cqe_seen(&ring, cqe);
	}
	if (last != 0 && last != -EALREADY && how != 3)
		say("cancelled", last);
}

static void cancels(void)
{
	make(16, 0);
	make_pipe();
	cancel_with("read", 0);
	cancel_with("poll", 1);
	cancel_with("timeout", 2);
	cancel_with("descriptor", 3);
	cancel_with("at once", 4);
	none_left();
	io_uring_queue_exit(&ring);
}

/* with the ring goes what waits */
static void ends_waiting(void)
{
	char *buf = buffer(65536, 1), got[8];

	make_pipe();
	for (int i = 0; i < 2; i++) {
		make(16, 0);
		link_next(reads(ends[0], got, 4, 0), IOSQE_IO_LINK);
		writes(fd, "never", 5, 0);
		say("submitted", io_uring_submit(&ring));
		if (i == 1)
			usleep(50000);
		io_uring_queue_exit(&ring);
	}
	write(ends[1], "late", 4);
	usleep(50000);
	printf("read %zd\n", pread(fd, buf, 4096, 0));
	show("bytes", buf, 4096);
}

/* a descriptor may be closed while what is to use it waits: who closes it does not. Whether it is still found, differs
 * between versions. */
static void closed_waiting(void)
{
	char *buf = buffer(65536, 1), got[8];
	int other = open(path, O_RDWR);

	make(16, 0);
	make_pipe();
	link_next(reads(ends[0], got, 4, 0), IOSQE_IO_LINK);
	reads(other, buf, 4096, 0);
	say("submitted", io_uring_submit(&ring));
	usleep(50000);
	close(other);
	write(ends[1], "late", 4);
	reap(1, 1);
	for (struct io_uring_cqe *cqe; !io_uring_wait_cqe(&ring, &cqe); io_uring_cqe_seen(&ring, cqe)) {
		printf("#%llu %s\n", (unsigned long long)cqe->user_data,
			cqe->res == 4096 || cqe->res == -EBADF ? "ended" : word(cqe->res));
		break;
	}
	io_uring_queue_exit(&ring);
}

/* while it waits, its number becomes one of FILE: not to be compared, since versions differ in when they look */
static void becomes(void)
{
	char *buf = buffer(65536, 1), got[8];
	int other = open("/dev/null", O_RDWR);

	make(16, 0);
	make_pipe();
	link_next(reads(ends[0], got, 4, 0), IOSQE_IO_LINK);
	/* one of FILE from the start */
	link_next(writes(fd, "known", 5, 300), IOSQE_IO_LINK);
	link_next(reads(other, buf, 4096, 0), IOSQE_IO_LINK);
	writes(other, "become", 6, 500);
	say("submitted", io_uring_submit(&ring));
	usleep(50000);
	dup2(fd, other);
	write(ends[1], "late", 4);
	reap(4, 1);
	show("bytes", buf, 65536);
	io_uring_queue_exit(&ring);
}

/* the process ends while it waits */
static void leaves_waiting(void)
{
	char got[8];

	make(16, 0);
	make_pipe();
	link_next(reads(ends[0], got, 4, 0), IOSQE_IO_LINK);
	writes(fd, "never", 5, 0);
	say("submitted", io_uring_submit(&ring));
}

static const struct way ways[] = {
	{ "waits", waits }, { "sockets", sockets }, { "messages", messages }, { "feeders", feeders },
	{ "timeouts", timeouts }, { "polls", polls }, { "cancels", cancels }, { "ends_waiting", ends_waiting },
	{ "closed_waiting", closed_waiting }, { "becomes", becomes }, { "leaves_waiting", leaves_waiting }, { 0 },
};
static const struct way refused[] = {
	{ 0 },
};

int main(int argc, char **argv)
{
	return run_way(argc, argv, ways, refused);
}
