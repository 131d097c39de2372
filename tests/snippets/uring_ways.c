/*
 * uring_ways WAY FILE: does things with rings on FILE, and prints what came of them, the same each time. FILE has
 * 64 KiB or more, is written to, and keeps its length.
 * uring_ways --list: every WAY, one a line.
 * build: -luring -lpthread
 */
#include "client.h"
#include <dirent.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#define FTRUNCATE 55

/* newer than Debian 12's library: there to be called, if only by those that have them */
#define NEWER(name, params) extern int newer_##name params __asm__(#name) __attribute__((weak));
NEWER(io_uring_queue_init_mem, (unsigned, struct io_uring *, struct io_uring_params *, void *, size_t))
NEWER(io_uring_submit_and_wait_min_timeout, (struct io_uring *, struct io_uring_cqe **, unsigned,
	struct __kernel_timespec *, unsigned, sigset_t *))
NEWER(io_uring_submit_and_wait_reg, (struct io_uring *, struct io_uring_cqe **, unsigned, int))
NEWER(io_uring_register_restrictions, (struct io_uring *, struct io_uring_restriction *, unsigned))

static struct io_uring ring;
static const char *path;
static int fd;
static uint64_t tag;

static const char *word(int res)
{
	static char text[2][32];
	static int turn;
	char *to = text[turn ^= 1];

	if (res < 0)
		return errno_name(-res);
	snprintf(to, sizeof(text[0]), "%d", res);
	return to;
}

static void say(const char *what, int res)
{
	printf("%s: %s\n", what, word(res));
}

static void need(const char *what, int res)
{
	if (res >= 0)
		return;
	errno = -res;
	trouble(what);
}

static void make(unsigned entries, unsigned flags)
{
	int res = io_uring_queue_init(entries, &ring, flags);

	if (res == -ENOSYS || res == -EPERM)
		absent("io_uring");
	if (res == -EINVAL)
		absent("such a ring");
	need("io_uring_queue_init", res);
	tag = 0;
}

static struct io_uring_sqe *sqe(void)
{
	struct io_uring_sqe *s = io_uring_get_sqe(&ring);

	if (!s) {
		errno = ENOSPC;
		trouble("io_uring_get_sqe");
	}
	return s;
}

/* the next request gets the next number */
static struct io_uring_sqe *numbered(struct io_uring_sqe *s)
{
	s->user_data = ++tag;
	return s;
}

static struct io_uring_sqe *reads(int from, void *buf, unsigned n, uint64_t at)
{
	struct io_uring_sqe *s = sqe();

	io_uring_prep_read(s, from, buf, n, at);
	return numbered(s);
}

static struct io_uring_sqe *writes(int to, const void *buf, unsigned n, uint64_t at)
{
	struct io_uring_sqe *s = sqe();

	io_uring_prep_write(s, to, buf, n, at);
	return numbered(s);
}

static struct io_uring_sqe *nop(void)
{
	struct io_uring_sqe *s = sqe();

	io_uring_prep_nop(s);
	return numbered(s);
}

/* waits for n completions and prints them, in order of their coming or of their numbers */
static void reap(unsigned n, int sorted)
{
	struct { uint64_t number; int res; unsigned flags; } got[256], one;

	for (unsigned i = 0; i < n; i++) {
		struct __kernel_timespec soon = { 5, 0 };
		struct io_uring_cqe *cqe;

		need("a completion", io_uring_wait_cqe_timeout(&ring, &cqe, &soon));
		got[i].number = cqe->user_data;
		got[i].res = cqe->res;
		got[i].flags = cqe->flags;
		io_uring_cqe_seen(&ring, cqe);
		for (unsigned j = i; sorted && j > 0 && got[j - 1].number > got[j].number; j--) {
			one = got[j];
			got[j] = got[j - 1];
			got[j - 1] = one;
		}
	}
	for (unsigned i = 0; i < n; i++)
		printf("  #%lld: %s flags %x\n", (long long)got[i].number, word(got[i].res), got[i].flags);
}

static void none_left(void)
{
	struct io_uring_cqe *cqe;

	usleep(20000);
	say("and then", io_uring_peek_cqe(&ring, &cqe));
}

static void go(unsigned n)
{
	say("submitted", io_uring_submit(&ring));
	reap(n, 1);
}

static void show(const char *what, const void *buf, size_t n)
{
	printf("%s %016llx\n", what, (unsigned long long)digest(buf, n));
}

/* ---- results ---- */

static void results(void)
{
	struct stat st;
	struct iovec iov[1100];
	char *buf = buffer(65536, 1);
	int ro = open(path, O_RDONLY), wo = open(path, O_WRONLY);

	fstat(fd, &st);
	make(64, 0);
	reads(fd, buf, 4096, 0);
	reads(fd, buf + 4096, 4096, (uint64_t)st.st_size - 100);
	reads(fd, buf + 8192, 4096, (uint64_t)st.st_size);
	reads(fd, buf + 12288, 4096, (uint64_t)st.st_size + 5000);
	reads(fd, buf, 0, 0);
	reads(fd, NULL, 512, 0);
	reads(fd, (void *)8, 4096, 0);
	reads(wo, buf, 512, 0);
	reads(fd, buf, 512, (uint64_t)-5);
	reads(777, buf, 512, 0);
	reads(-1, buf, 512, 0);
	writes(ro, buf, 512, 0);
	writes(fd, NULL, 512, 0);
	reads(fd, buf, 512, 0)->rw_flags = 0x40000000;
	go(14);
	show("bytes", buf, 65536);
	for (int i = 0; i < 1100; i++)
		iov[i] = (struct iovec){ buf + i * 50, 50 };
	tag = 100;
	io_uring_prep_readv(numbered(sqe()), fd, iov, 40, 1000);
	sqe()->user_data = 0;
	io_uring_prep_nop(&ring.sq.sqes[(ring.sq.sqe_tail - 1) & *ring.sq.kring_mask]);
	ring.sq.sqes[(ring.sq.sqe_tail - 1) & *ring.sq.kring_mask].user_data = UINT64_MAX;
	go(2);
	show("bytes", buf, 65536);
	io_uring_queue_exit(&ring);
}

/* each alone: whether the kernel stops submitting at such a request differs between versions */
static void one_by_one(void)
{
	struct iovec iov[4] = { { NULL, 0 } };
	char *buf = buffer(65536, 1);

	make(8, 0);
	io_uring_prep_readv(sqe(), fd, iov, 0, 0);
	go(1);
	io_uring_prep_readv(sqe(), fd, (void *)8, 3, 0);
	go(1);
	io_uring_prep_readv(sqe(), fd, iov, 1025, 0);
	go(1);
	iov[0] = (struct iovec){ buf, (size_t)-1 };
	io_uring_prep_readv(sqe(), fd, iov, 1, 0);
	go(1);
	iov[0] = (struct iovec){ buf, 1000 };
	iov[1] = (struct iovec){ NULL, 0 };
	iov[2] = (struct iovec){ buf, 1000 };
	io_uring_prep_readv(sqe(), fd, iov, 3, 500);
	go(1);
	show("bytes", buf, 65536);
	io_uring_prep_fsync(sqe(), fd, 0);
	go(1);
	io_uring_prep_fsync(sqe(), fd, IORING_FSYNC_DATASYNC);
	go(1);
	io_uring_prep_fsync(sqe(), fd, 77);
	go(1);
	io_uring_prep_sync_file_range(sqe(), fd, 4096, 0, SYNC_FILE_RANGE_WRITE);
	go(1);
	io_uring_prep_fallocate(sqe(), fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 4096);
	go(1);
	io_uring_prep_fallocate(sqe(), fd, FALLOC_FL_PUNCH_HOLE, 8192, 4096);
	go(1);
	io_uring_prep_fallocate(sqe(), fd, 0, 0, 0);
	go(1);
	reads(fd, buf, 65536, 0);
	go(1);
	show("bytes", buf, 65536);
	io_uring_queue_exit(&ring);
}

/* lists of segments need not outlive the call that submits them */
static void vectors(void)
{
	static const int counts[] = { 1, 3, 12, 13, 100, 1024 };
	struct iovec *iov = calloc(1024, sizeof(*iov));
	char *buf = buffer(65536, 1);

	make(16, 0);
	for (int way = 0; way < 2; way++)
		for (unsigned i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
			for (int k = 0; k < counts[i]; k++)
				iov[k] = (struct iovec){ buf + (k * 7919 + 100) % 60000, (size_t)(k % 5) * 11 };
			if (way)
				io_uring_prep_writev(numbered(sqe()), fd, iov, (unsigned)counts[i], 30000);
			else
				io_uring_prep_readv(numbered(sqe()), fd, iov, (unsigned)counts[i], 0);
			say("submitted", io_uring_submit(&ring));
			memset(iov, 0xff, 1024 * sizeof(*iov));
			reap(1, 1);
			show("bytes", buf, 65536);
		}
	io_uring_queue_exit(&ring);
}

/* an offset of -1 is the file position, which moves */
static void position(void)
{
	char *buf = buffer(65536, 1);

	make(8, 0);
	lseek(fd, 1000, SEEK_SET);
	for (int i = 0; i < 3; i++) {
		if (i == 1)
			writes(fd, "hello", 5, (uint64_t)-1);
		else
			reads(fd, buf, 3000, (uint64_t)-1);
		go(1);
		show("bytes", buf, 3000);
		printf("at %lld\n", (long long)lseek(fd, 0, SEEK_CUR));
	}
	io_uring_queue_exit(&ring);
}

static void length(void)
{
	struct stat st;
	struct io_uring_sqe *s;

	make(8, 0);
	fstat(fd, &st);
	for (int i = 0; i < 2; i++) {
		s = numbered(sqe());
		io_uring_prep_nop(s);
		s->opcode = FTRUNCATE;
		s->fd = fd;
		s->off = (uint64_t)st.st_size - (i ? 0 : 5000);
		go(1);
		if (i == 0)
			printf("length %lld\n", (long long)lseek(fd, 0, SEEK_END));
	}
	io_uring_queue_exit(&ring);
}

/* ---- chains ---- */

static void link_next(struct io_uring_sqe *s, unsigned flags)
{
	s->flags |= flags;
}

static void chain_of(const char *what, unsigned link, unsigned skip, int bad)
{
	static char buf[4][4096];
	struct stat st;

	fstat(fd, &st);
	printf("%s\n", what);
	link_next(writes(fd, "abcdefgh", 8, 512), link | skip);
	link_next(bad == 1 ? reads(fd, buf[0], 4096, (uint64_t)st.st_size - 10) :
		  bad == 2 ? reads(fd, (void *)8, 4096, 0) : reads(fd, buf[0], 4096, 0), link | skip);
	link_next(writes(fd, "ABCD", 4, 600), link);
	link_next(reads(fd, buf[1], 4096, 0), 0);
	reads(fd, buf[2], 10, 30000);
	say("submitted", io_uring_submit(&ring));
	reap(skip ? (bad ? 2 : 3) : 5, 1);
	if (!bad) {
		show("bytes", buf[0], 4096);
		show("bytes", buf[1], 4096);
	}
}

static void chains(void)
{
	make(32, 0);
	chain_of("soft", IOSQE_IO_LINK, 0, 0);
	chain_of("soft, short", IOSQE_IO_LINK, 0, 1);
	chain_of("soft, failing", IOSQE_IO_LINK, 0, 2);
	chain_of("hard", IOSQE_IO_HARDLINK, 0, 0);
	chain_of("hard, short", IOSQE_IO_HARDLINK, 0, 1);
	chain_of("hard, failing", IOSQE_IO_HARDLINK, 0, 2);
	chain_of("silent", IOSQE_IO_LINK, IOSQE_CQE_SKIP_SUCCESS, 0);
	chain_of("silent, failing", IOSQE_IO_LINK, IOSQE_CQE_SKIP_SUCCESS, 2);
	none_left();
	io_uring_queue_exit(&ring);
}

/* completions of a chain come in its order */
static void chain_order(void)
{
	static char buf[16][4096];
	struct __kernel_timespec soon = { 5, 0 };

	make(32, 0);
	for (unsigned i = 0; i < 16; i++)
		link_next(i % 4 == 2 ? nop() : reads(fd, buf[i], 4096, i * 4096), i < 15 ? IOSQE_IO_LINK : 0);
	say("submitted", io_uring_submit_and_wait(&ring, 16));
	reap(16, 0);
	link_next(reads(fd, buf[0], 4096, 0), IOSQE_IO_LINK);
	io_uring_prep_link_timeout(numbered(sqe()), &soon, 0);
	say("submitted", io_uring_submit(&ring));
	reap(2, 1);
	io_uring_queue_exit(&ring);
}

/* what was written comes back: each link reads what the one before wrote */
static void chain_data(void)
{
	static char in[8][512], out[512];
	int bad = 0;

	make(32, 0);
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 8; i++) {
			memset(out, 'a' + (round + i) % 26, sizeof(out));
			link_next(writes(fd, out, 512, 20480), IOSQE_IO_LINK);
			reads(fd, in[i], 512, 20480);
			io_uring_submit_and_wait(&ring, 2);
			for (int k = 0; k < 2; k++) {
				struct io_uring_cqe *cqe;

				io_uring_wait_cqe(&ring, &cqe);
				bad += cqe->res != 512;
				io_uring_cqe_seen(&ring, cqe);
			}
			bad += memcmp(in[i], out, 512) != 0;
		}
	}
	printf("bad %d\n", bad);
	io_uring_queue_exit(&ring);
}

static void drains(void)
{
	static char in[4096], out[8][4096];
	int bad = 0;

	for (int round = 0; round < 30; round++) {
		make(32, 0);
		for (int i = 0; i < 8; i++) {
			memset(out[i], 'a' + (i + round) % 26, 4096);
			writes(fd, out[i], 4096, (uint64_t)i * 4096);
		}
		link_next(reads(fd, in, 4096, 7 * 4096), IOSQE_IO_DRAIN);
		memset(out[7], 'z', 4096);
		io_uring_submit(&ring);
		for (int i = 0; i < 9; i++) {
			struct io_uring_cqe *cqe;

			io_uring_wait_cqe(&ring, &cqe);
			bad += cqe->res != 4096;
			/* the drained one is the last */
			bad += (cqe->user_data == 9) != (i == 8);
			io_uring_cqe_seen(&ring, cqe);
		}
		io_uring_queue_exit(&ring);
	}
	printf("bad %d\n", bad);
}

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

/* ---- files ---- */

static void fixed(unsigned slot, char *buf, unsigned n, uint64_t at)
{
	reads((int)slot, buf, n, at)->flags |= IOSQE_FIXED_FILE;
}

static void files(void)
{
	int fds[4], none = -1, other = open(path, O_RDWR), null = open("/dev/null", O_RDWR), skip = IORING_REGISTER_FILES_SKIP;
	char *buf = buffer(65536, 1);

	make(16, 0);
	fds[0] = null;
	fds[1] = other;
	fds[2] = -1;
	fds[3] = fd;
	say("register", io_uring_register_files(&ring, fds, 4));
	say("again", io_uring_register_files(&ring, fds, 4));
	for (unsigned i = 0; i < 5; i++)
		fixed(i, buf + i * 4096, 4096, i * 4096);
	go(5);
	/* the ring keeps the file */
	close(other);
	fixed(1, buf, 100, 10);
	writes(1, "registered", 10, 50000)->flags |= IOSQE_FIXED_FILE;
	go(2);
	say("take out", io_uring_register_files_update(&ring, 1, &none, 1));
	fixed(1, buf, 100, 10);
	go(1);
	say("put in", io_uring_register_files_update(&ring, 2, &fd, 1));
	say("skip", io_uring_register_files_update(&ring, 2, &skip, 1));
	say("out of range", io_uring_register_files_update(&ring, 4, &fd, 1));
	fixed(2, buf, 100, 10);
	go(1);
	say("replace", io_uring_register_files_update(&ring, 2, &null, 1));
	fixed(2, buf, 100, 10);
	go(1);
	say("unregister", io_uring_unregister_files(&ring));
	fixed(3, buf, 100, 10);
	go(1);
	say("sparse", io_uring_register_files_sparse(&ring, 8));
	fixed(7, buf, 100, 10);
	go(1);
	say("put in", io_uring_register_files_update(&ring, 7, &fd, 1));
	fixed(7, buf, 100, 10);
	go(1);
	io_uring_queue_exit(&ring);
	show("bytes", buf, 65536);
}

/* POSIX locks of the process stay while a registered file goes */
static void locks(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 10 };
	int status;

	make(8, 0);
	say("register", io_uring_register_files(&ring, &fd, 1));
	fcntl(fd, F_SETLK, &lock);
	say("unregister", io_uring_unregister_files(&ring));
	io_uring_queue_exit(&ring);
	fflush(stdout);
	if (fork() == 0) {
		fcntl(fd, F_GETLK, &lock);
		_exit(lock.l_type == F_WRLCK ? 3 : 4);
	}
	wait(&status);
	printf("lock %d\n", WEXITSTATUS(status));
}

static void buffers(void)
{
	char *buf = buffer(65536, 1);
	struct iovec iov = { buf, 65536 };

	make(8, 0);
	need("buffers", io_uring_register_buffers(&ring, &iov, 1));
	io_uring_prep_read_fixed(numbered(sqe()), fd, buf + 100, 5000, 300, 0);
	go(1);
	io_uring_prep_write_fixed(numbered(sqe()), fd, buf + 200, 500, 45000, 0);
	go(1);
	io_uring_prep_read_fixed(numbered(sqe()), fd, buf + 8192, 4096, 44000, 0);
	go(1);
	show("bytes", buf, 65536);
	io_uring_queue_exit(&ring);
}

/* opened and closed by the ring */
static void opens(void)
{
	char *buf = buffer(65536, 1);
	struct io_uring_cqe *cqe;
	int other;

	make(8, 0);
	io_uring_prep_openat(sqe(), AT_FDCWD, path, O_RDWR, 0);
	io_uring_submit(&ring);
	io_uring_wait_cqe(&ring, &cqe);
	other = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	printf("opened %d\n", other >= 0);
	reads(other, buf, 4096, 0);
	go(1);
	/* both hold the file from the moment they are submitted */
	reads(other, buf + 4096, 4096, 4096);
	io_uring_prep_close(numbered(sqe()), other);
	go(2);
	printf("open %d\n", fcntl(other, F_GETFD));
	show("bytes", buf, 65536);
	other = open(path, O_RDONLY);
	link_next(reads(other, buf + 8192, 4096, 4096), IOSQE_IO_LINK);
	io_uring_prep_close(numbered(sqe()), other);
	go(2);
	printf("open %d\n", fcntl(other, F_GETFD));
	other = open(path, O_RDONLY);
	for (int i = 0; i < 8; i++)
		reads(other, buf + i * 8192, 8192, (uint64_t)i * 8192);
	say("submitted", io_uring_submit(&ring));
	close(other);
	reap(8, 1);
	show("bytes", buf, 65536);
	io_uring_queue_exit(&ring);
}

static void truncates(void)
{
	struct io_uring_cqe *cqe;
	int other;

	make(8, 0);
	io_uring_prep_openat(sqe(), AT_FDCWD, path, O_RDWR | O_TRUNC, 0);
	io_uring_submit(&ring);
	io_uring_wait_cqe(&ring, &cqe);
	other = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	printf("opened %d length %lld\n", other >= 0, (long long)lseek(fd, 0, SEEK_END));
	writes(other, "new", 3, 65533);
	go(1);
	io_uring_queue_exit(&ring);
}

/* ---- threads and processes ---- */

static void *hammer(void *argument)
{
	unsigned me = (unsigned)(uintptr_t)argument;
	struct io_uring mine;
	char *buf = buffer(65536, 0);
	uintptr_t bad = 0;

	if (io_uring_queue_init(16, &mine, 0))
		return (void *)1;
	for (unsigned round = 0; round < 60; round++) {
		for (unsigned i = 0; i < 16; i++) {
			struct io_uring_sqe *s = io_uring_get_sqe(&mine);

			/* its own 8 KiB for writing, anybody's for reading */
			if (i % 2)
				io_uring_prep_read(s, fd, buf + i * 4096, 4096, (round + i) % 16 * 4096);
			else
				io_uring_prep_write(s, fd, memset(buf + i * 4096, (int)(me + round), 1024), 1024,
					me * 8192 + i % 8 * 1024);
			s->user_data = i;
		}
		io_uring_submit(&mine);
		for (unsigned i = 0; i < 16; i++) {
			struct io_uring_cqe *cqe;

			io_uring_wait_cqe(&mine, &cqe);
			bad += cqe->res != (cqe->user_data % 2 ? 4096 : 1024);
			io_uring_cqe_seen(&mine, cqe);
		}
	}
	io_uring_queue_exit(&mine);
	free(buf);
	return (void *)bad;
}

static void threads(void)
{
	pthread_t thread[8];
	uintptr_t bad = 0;

	for (uintptr_t i = 0; i < 8; i++)
		pthread_create(&thread[i], NULL, hammer, (void *)i);
	for (int i = 0; i < 8; i++) {
		void *result;

		pthread_join(thread[i], &result);
		bad += (uintptr_t)result;
	}
	printf("bad %lu\n", (unsigned long)bad);
}

static void *posts(void *unused)
{
	char *buf = buffer(4096, 0);

	(void)unused;
	reads(fd, buf, 4096, 0);
	io_uring_submit(&ring);
	return NULL;
}

/* submitted by one thread while another waits; and the one that submitted is gone */
static void handed_over(void)
{
	struct io_uring_cqe *cqe;
	pthread_t thread;

	make(8, 0);
	pthread_create(&thread, NULL, posts, NULL);
	say("wait", io_uring_wait_cqe(&ring, &cqe));
	pthread_join(thread, NULL);
	reap(1, 1);
	pthread_create(&thread, NULL, posts, NULL);
	pthread_join(thread, NULL);
	reap(1, 1);
	io_uring_queue_exit(&ring);
}

static void forks(void)
{
	char *buf = buffer(65536, 1);
	int status;

	make(8, 0);
	reads(fd, buf, 4096, 0);
	go(1);
	fflush(stdout);
	if (fork() == 0) {
		/* a ring of its own */
		make(8, 0);
		reads(fd, buf, 4096, 4096);
		go(1);
		writes(fd, "child", 5, 12345);
		go(1);
		show("child", buf, 65536);
		fflush(stdout);
		_exit(5);
	}
	wait(&status);
	printf("child %d\n", WEXITSTATUS(status));
	fflush(stdout);
	if (fork() == 0) {
		/* the parent's */
		reads(fd, buf, 4096, 8192);
		go(1);
		show("child", buf, 65536);
		fflush(stdout);
		_exit(6);
	}
	wait(&status);
	printf("child %d\n", WEXITSTATUS(status));
	/* the queue of the parent's is out of step with its memory from here on */
	io_uring_queue_exit(&ring);
	printf("read %d\n", (int)pread(fd, buf, 16, 12340));
	show("parent", buf, 65536);
}

static int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* rings come and go, with requests in flight, under the same number */
static void reuse(void)
{
	char *buf = buffer(65536, 1);
	int before = open_files(), number = -1;

	for (int i = 0; i < 50; i++) {
		make(8, 0);
		if (number < 0)
			number = ring.ring_fd;
		printf("%s", ring.ring_fd == number ? "." : "!");
		for (int k = 0; k < 8; k++)
			reads(fd, buf + k * 8192, 8192, (uint64_t)k * 8192);
		io_uring_submit(&ring);
		if (i % 2)
			for (int k = 0; k < 8; k++) {
				struct io_uring_cqe *cqe;

				io_uring_wait_cqe(&ring, &cqe);
				io_uring_cqe_seen(&ring, cqe);
			}
		if (i % 3)
			io_uring_queue_exit(&ring);
		else
			close(ring.ring_fd);
	}
	printf("\nleft open %d\n", open_files() - before);
	show("bytes", buf, 65536);
}

/* what is submitted is done, though the program ends */
static void leaves(void)
{
	static char out[32][1024];

	make(32, 0);
	for (int i = 0; i < 32; i++) {
		memset(out[i], 'A' + i, 1024);
		writes(fd, out[i], 1024, (uint64_t)i * 1024);
	}
	say("submitted", io_uring_submit(&ring));
	fflush(stdout);
	_exit(0);
}

/* other things go on in the same ring */
static void mixed(void)
{
	struct __kernel_timespec soon = { 0, 10000000 };
	char *buf = buffer(65536, 1), got[64] = "";
	int ends[2], null = open("/dev/null", O_RDWR);

	need("pipe", pipe(ends));
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

/* ---- what is refused on a target: not to be compared ---- */

static void refused(const char *what)
{
	char *buf = buffer(65536, 1);
	int ends[2];

	need("pipe", pipe(ends));
	make(8, 0);
	if (!strcmp(what, "no_mixed_drain")) {
		writes(ends[1], "x", 1, 0);
		link_next(reads(fd, buf, 4096, 0), IOSQE_IO_DRAIN);
	} else if (!strcmp(what, "no_drain_after")) {
		reads(fd, buf, 4096, 0);
		go(1);
		link_next(nop(), IOSQE_IO_DRAIN);
	}
	go(strstr(what, "mixed") ? 2 : 1);
	io_uring_queue_exit(&ring);
}

static const char *const refusals[] = { "no_mixed_drain" };

/* ---- a watcher: does anything show before it may? ---- */

static char *watched;

static void *watch(void *unused)
{
	unsigned *tail = ring.cq.ktail, before = __atomic_load_n(tail, __ATOMIC_ACQUIRE);

	(void)unused;
	for (;;) {
		if (__atomic_load_n(tail, __ATOMIC_ACQUIRE) != before && write(1, "SEEN: a completion\n", 19))
			return NULL;
		for (int i = 0; i < 65536; i += 64)
			if (*(volatile char *)(watched + i) != 1 && write(1, "SEEN: a byte\n", 13))
				return NULL;
	}
}

/* one read of all that is watched: prints nothing unless it was seen by the other thread */
static void watched_read(void)
{
	pthread_t thread;

	watched = buffer(65536, 1);
	make(8, 0);
	pthread_create(&thread, NULL, watch, NULL);
	usleep(1000);
	reads(fd, watched, 65536, 0);
	io_uring_submit(&ring);
	pthread_join(thread, NULL);
	puts("completed");
	io_uring_queue_exit(&ring);
}

static const struct {
	const char *name;
	void (*run)(void);
} ways[] = {
	{ "results", results }, { "one_by_one", one_by_one }, { "vectors", vectors },
	{ "position", position }, { "length", length },
	{ "chains", chains }, { "chain_order", chain_order }, { "chain_data", chain_data }, { "drains", drains },
	{ "waiting", waiting }, { "events", events }, { "late_events", late_events },
	{ "stops", stops }, { "overflow", overflow }, { "shared_buffer", shared_buffer }, { "mapped", mapped }, { "shapes", shapes },
	{ "files", files }, { "locks", locks }, { "buffers", buffers }, { "opens", opens }, { "truncates", truncates },
	{ "threads", threads }, { "handed_over", handed_over }, { "forks", forks }, { "reuse", reuse },
	{ "leaves", leaves }, { "mixed", mixed },
};

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
			puts(ways[i].name);
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "--refused")) {
		for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
			puts(refusals[i]);
		return 0;
	}
	if (argc != 3)
		usage("uring_ways WAY FILE");
	path = argv[2];
	fd = open(path, O_RDWR);
	if (fd == -1)
		trouble("open");
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		if (!strcmp(argv[1], ways[i].name)) {
			ways[i].run();
			return 0;
		}
	if (!strcmp(argv[1], "watch"))
		watched_read();
	else if (!strncmp(argv[1], "no_", 3))
		refused(argv[1]);
	else
		usage("uring_ways WAY FILE");
	return 0;
}
