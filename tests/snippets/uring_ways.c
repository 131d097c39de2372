/*
 * uring_ways WAY FILE: how programs use rings; see uring.h.
 * build: -luring
 */
#include "uring.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

/* newer than Debian 12's library: there to be called, if only by those that have them */
#define NEWER(name, params) extern int newer_##name params __asm__(#name) __attribute__((weak));
NEWER(io_uring_queue_init_mem, (unsigned, struct io_uring *, struct io_uring_params *, void *, size_t))
NEWER(io_uring_submit_and_wait_min_timeout, (struct io_uring *, struct io_uring_cqe **, unsigned,
	struct __kernel_timespec *, unsigned, sigset_t *))
NEWER(io_uring_submit_and_wait_reg, (struct io_uring *, struct io_uring_cqe **, unsigned, int))
NEWER(io_uring_register_restrictions, (struct io_uring *, struct io_uring_restriction *, unsigned))

/* ---- waiting ---- */

static void waiting(void)
{
	struct __kernel_timespec soon = { 0, 20000000 }, later = { 5, 0 };
	struct io_uring_cqe *cqe;
	char *buf = buffer(65536, 1);
	sigset_t mask;

	sigemptyset(&mask);
	make(8, 0);
	say("peek", io_uring_peek_cqe(&ring, &cqe));
	say("wait on nothing", io_uring_wait_cqe_timeout(&ring, &cqe, &soon));
	say("submit nothing", io_uring_submit(&ring));
	say("submit nothing and wait for nothing", io_uring_submit_and_wait(&ring, 0));
	reads(fd, buf, 4096, 0);
	say("submit and wait", io_uring_submit_and_wait(&ring, 1));
	say("ready", (int)io_uring_cq_ready(&ring));
	reap(1, 1);
	reads(fd, buf, 4096, 0);
	reads(fd, buf + 4096, 4096, 0);
	cqe = NULL;
	say("submit and wait with a timeout", io_uring_submit_and_wait_timeout(&ring, &cqe, 2, &later, NULL));
	printf("cqe %d ready %u\n", cqe != NULL, io_uring_cq_ready(&ring));
	reap(2, 1);
	reads(fd, buf, 4096, 0);
	cqe = NULL;
	say("wait for one too many", io_uring_submit_and_wait_timeout(&ring, &cqe, 2, &soon, &mask));
	printf("ready %u\n", io_uring_cq_ready(&ring));
	reap(1, 1);
	reads(fd, buf, 4096, 0);
	say("submit and get events", io_uring_submit_and_get_events(&ring));
	say("wait for it", io_uring_wait_cqes(&ring, &cqe, 1, &later, NULL));
	reap(1, 1);
	reads(fd, buf, 4096, 0);
	say("submit", io_uring_submit(&ring));
	say("wait", io_uring_wait_cqe(&ring, &cqe));
	reap(1, 1);
	none_left();
	io_uring_queue_exit(&ring);
}

static uint64_t counted(int event)
{
	uint64_t count = 0;

	return read(event, &count, 8) == 8 ? count : 0;
}

static void events(void)
{
	struct epoll_event e = { .events = EPOLLIN }, got;
	int event = eventfd(0, EFD_NONBLOCK), ep = epoll_create1(0);
	char *buf = buffer(65536, 1);
	struct pollfd p;

	make(8, 0);
	need("eventfd", io_uring_register_eventfd(&ring, event));
	epoll_ctl(ep, EPOLL_CTL_ADD, ring.ring_fd, &e);
	printf("before: event %d epoll %d\n", (int)counted(event), epoll_wait(ep, &got, 1, 0));
	reads(fd, buf, 4096, 0);
	say("submitted", io_uring_submit(&ring));
	p = (struct pollfd){ .fd = event, .events = POLLIN };
	printf("eventfd: %d\n", poll(&p, 1, 5000));
	printf("epoll: %d\n", epoll_wait(ep, &got, 1, 5000));
	printf("count %d ready %u\n", (int)counted(event), io_uring_cq_ready(&ring));
	reap(1, 1);
	printf("after: event %d epoll %d\n", (int)counted(event), epoll_wait(ep, &got, 1, 0));
	p = (struct pollfd){ .fd = ring.ring_fd, .events = POLLIN };
	reads(fd, buf, 4096, 0);
	io_uring_submit(&ring);
	printf("poll: %d\n", poll(&p, 1, 5000));
	reap(1, 1);
	io_uring_unregister_eventfd(&ring);
	counted(event);
	reads(fd, buf, 4096, 0);
	go(1);
	printf("unregistered: %d\n", (int)counted(event));
	io_uring_queue_exit(&ring);
}

/* an eventfd that is told only of what completes late: one that does not wait for it must be */
static void late_events(void)
{
	int event = eventfd(0, EFD_NONBLOCK);
	struct pollfd p = { .fd = event, .events = POLLIN };
	char *buf = buffer(65536, 1);

	make(8, 0);
	need("eventfd", io_uring_register_eventfd_async(&ring, event));
	link_next(reads(fd, buf, 4096, 0), IOSQE_ASYNC);
	io_uring_submit(&ring);
	printf("eventfd: %d\n", poll(&p, 1, 5000));
	reap(1, 1);
	io_uring_queue_exit(&ring);
}

/* ---- queues ---- */

static void stops(void)
{
	char *buf = buffer(65536, 1);

	make(8, 0);
	reads(fd, buf, 512, 0);
	nop()->opcode = 250;
	reads(fd, buf + 512, 512, 512);
	reads(fd, buf + 1024, 512, 1024);
	say("submitted", io_uring_submit(&ring));
	reap(2, 1);
	printf("left %u\n", io_uring_sq_ready(&ring));
	none_left();
	say("submitted", io_uring_submit(&ring));
	reap(2, 1);
	show("bytes", buf, 65536);
	io_uring_queue_exit(&ring);
	make(8, IORING_SETUP_SUBMIT_ALL);
	reads(fd, buf, 512, 0);
	nop()->opcode = 250;
	reads(fd, buf + 512, 512, 512);
	go(3);
	io_uring_queue_exit(&ring);
}

static void overflow(void)
{
	char *buf = buffer(65536, 1);

	make(8, 0);
	for (int round = 0; round < 8; round++) {
		for (int i = 0; i < 8; i++)
			reads(fd, buf, 512, (uint64_t)i * 512);
		say("submitted", io_uring_submit(&ring));
		/* all of them are there before the next */
		usleep(30000);
	}
	reap(64, 1);
	none_left();
	io_uring_queue_exit(&ring);
}

static void shared_buffer(void)
{
	char *buf = buffer(4096, 1);
	unsigned done = 0, bad = 0;

	make(32, 0);
	while (done < 2000) {
		struct io_uring_cqe *cqe;

		while (io_uring_sq_space_left(&ring) && tag - done < 32)
			reads(fd, buf, 4096, tag % 16 * 4096);
		io_uring_submit_and_wait(&ring, 1);
		while (!io_uring_peek_cqe(&ring, &cqe)) {
			bad += cqe->res != 4096;
			io_uring_cqe_seen(&ring, cqe);
			done++;
		}
	}
	while (done++ < tag) {
		struct io_uring_cqe *cqe;

		io_uring_wait_cqe(&ring, &cqe);
		io_uring_cqe_seen(&ring, cqe);
	}
	printf("bad %u\n", bad);
	io_uring_queue_exit(&ring);
}

/* a ring that is mapped once more */
static void mapped(void)
{
	struct io_uring_params params = { 0 };
	struct io_uring first;
	char *buf = buffer(4096, 1);

	need("ring", io_uring_queue_init_params(8, &first, &params));
	need("mapping", io_uring_queue_mmap(first.ring_fd, &params, &ring));
	reads(fd, buf, 4096, 0);
	go(1);
	show("bytes", buf, 4096);
	io_uring_queue_exit(&ring);
}

static void shape(const char *what, unsigned flags)
{
	char *buf = buffer(65536, 1);
	int res = io_uring_queue_init(8, &ring, flags);

	say(what, res);
	if (res)
		return;
	tag = 0;
	reads(fd, buf, 4096, 0);
	nop();
	writes(fd, "shape", 5, 40000);
	/* a thread of the kernel's submits when it likes, and the count says less */
	io_uring_submit(&ring);
	reap(3, 1);
	show("bytes", buf, 4096);
	io_uring_queue_exit(&ring);
}

static void shapes(void)
{
	shape("plain", 0);
	shape("cqsize", IORING_SETUP_CQSIZE);
	shape("clamp", IORING_SETUP_CLAMP);
	shape("sqpoll", IORING_SETUP_SQPOLL);
	shape("affinity alone", IORING_SETUP_SQ_AFF);
	shape("affinity", IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF);
	shape("sqe128", IORING_SETUP_SQE128);
	shape("cqe32", IORING_SETUP_CQE32);
	shape("both", IORING_SETUP_SQE128 | IORING_SETUP_CQE32);
	shape("coop", IORING_SETUP_COOP_TASKRUN);
	shape("coop and flag", IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
	shape("flag alone", IORING_SETUP_TASKRUN_FLAG);
	shape("single", IORING_SETUP_SINGLE_ISSUER);
	shape("deferred", IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	shape("deferred with flag", IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
	shape("deferred alone", IORING_SETUP_DEFER_TASKRUN);
	shape("sqpoll and coop", IORING_SETUP_SQPOLL | IORING_SETUP_COOP_TASKRUN);
	shape("from the future", 1U << 30);
}

/* other things go on in the same ring */
static void mixed(void)
{
	struct __kernel_timespec soon = { 0, 10000000 };
	char *buf = buffer(65536, 1), got[64] = "";
	int null = open("/dev/null", O_RDWR);

	make_pipe();
	make(32, 0);
	io_uring_prep_poll_add(numbered(sqe()), ends[0], POLLIN);
	reads(fd, buf, 4096, 0);
	io_uring_prep_timeout(numbered(sqe()), &soon, 0, 0);
	writes(fd, "mixed", 5, 33333);
	link_next(writes(ends[1], "through a pipe", 14, 0), IOSQE_IO_LINK);
	reads(ends[0], got, 14, 0);
	reads(null, buf + 4096, 100, 0);
	nop();
	reads(fd, buf + 8192, 4096, 30000);
	go(9);
	printf("%s\n", got);
	tag = 100;
	io_uring_prep_cancel64(numbered(sqe()), 2, 0);
	go(1);
	none_left();
	io_uring_queue_exit(&ring);
}

static const struct way ways[] = {
	{ "waiting", waiting }, { "events", events }, { "late_events", late_events }, { "stops", stops },
	{ "overflow", overflow }, { "shared_buffer", shared_buffer }, { "mapped", mapped }, { "shapes", shapes },
	{ "mixed", mixed }, { 0 },
};
static const struct way refused[] = {
	{ 0 },
};

int main(int argc, char **argv)
{
	return run_way(argc, argv, ways, refused);
}
