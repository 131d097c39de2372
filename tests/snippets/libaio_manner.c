/*
 * libaio_manner CASE FILE: what a program can see of Linux AIO on a FILE of 1 MiB at least, as text.
 * libaio_manner --list: every CASE, one a line. Without the shim and with it the text is the same.
 * build: -laio -lpthread
 */
#include "client.h"
#include <libaio.h>
#include <poll.h>
#include <sys/epoll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

struct ring {
	unsigned id, nr, head, tail, magic, compat, incompat, header;
	struct io_event event[];
};

/* exported, but no longer declared */
CALL(io_queue_wait, int, (io_context_t, struct timespec *))

static const char *path;
static io_context_t context;
static char *buf;
static int direct, buffered;

static void say(const char *what, long ret)
{
	printf("%s: %ld%s%s\n", what, ret, ret < 0 ? " " : "", ret < 0 ? errno_name((int)-ret) : "");
}

static long raw(long ret)
{
	return ret < 0 ? -errno : ret;
}

static int opened(int flags)
{
	int fd = open(path, flags);

	if (fd < 0)
		trouble("open");
	return fd;
}

static void made(int n)
{
	context = NULL;
	if (io_setup(n, &context))
		trouble("io_setup");
}

static long submit(struct iocb *cb)
{
	return io_submit(context, 1, &cb);
}

static long reaped(struct io_event *event)
{
	return io_getevents(context, 1, 1, event, NULL);
}

/* submits one and prints what becomes of it */
static void tried(const char *what, struct iocb *cb)
{
	struct io_event event = { 0 };
	long ret;

	cb->data = (void *)0x1234;
	cb->key = 77;
	ret = submit(cb);
	say(what, ret);
	if (ret != 1)
		return;
	say("  getevents", reaped(&event));
	say("  res", (long)event.res);
	printf("  res2 %ld obj %d data %p key %u\n", (long)event.res2, event.obj == cb, event.data, cb->key);
}

/* ---- the cases ---- */

static void setup(void)
{
	static const int counts[] = { 1, 31, 64, 128, 500, 1024 };
	struct ring *ring;

	for (int i = 0; i < 6; i++) {
		made(counts[i]);
		ring = (struct ring *)context;
		printf("%d: nr %u head %u tail %u magic %x compat %u incompat %u header %u\n", counts[i], ring->nr, ring->head,
			ring->tail, ring->magic, ring->compat, ring->incompat, ring->header);
		say("destroy", io_destroy(context));
		say("again", io_destroy(context));
	}
	context = NULL;
	say("none", io_setup(0, &context));
	say("far too many", io_setup(0x7fffffff, &context));
	say("negative", io_setup(-1, &context));
	context = (io_context_t)4096;
	say("not null", io_setup(8, &context));
	say("bad pointer", raw(syscall(SYS_io_setup, 8, 8)));
	say("destroy nothing", io_destroy(NULL));
	say("destroy a stranger", io_destroy((io_context_t)buf));
	made(8);
	say("queue_release", io_queue_release(context));
	say("queue_init", io_queue_init(8, &context));
	say("queue_init of none", io_queue_init(0, &context));
}

static void full(void)
{
	struct iocb cb, *list[1] = { &cb };
	struct io_event event[2];
	struct timespec at_once = { 0, 0 };
	cpu_set_t one;
	unsigned n = 0;
	long ret;

	/* the kernel sets some room aside for every processor */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	made(100);
	io_prep_pread(&cb, direct, buf, 4096, 0);
	while ((ret = io_submit(context, 1, list)) == 1 && n < 10000)
		n++;
	say("full", ret);
	printf("%s\n", n >= 100 && n < ((struct ring *)context)->nr ? "as many as asked for" : "too few or too many");
	/* the room of those that end later may be with the processor on which they do */
	while (((volatile struct ring *)context)->tail < n)
		usleep(1000);
	say("get two", io_getevents(context, 2, 2, event, NULL));
	say("one more", submit(&cb));
	say("another", submit(&cb));
	for (; n > 0; n--)
		if (io_getevents(context, 1, 1, event, NULL) != 1)
			break;
	say("left", n);
	say("empty", io_getevents(context, 0, 2, event, &at_once));
}

static void rejected(void)
{
	struct iocb cb, good, *two[2] = { &good, &cb };
	struct io_event event;
	struct iovec iov[1] = { { buf, 4096 } }, *odd = calloc(1025, sizeof(*odd));
	int reader = opened(O_RDONLY), writer = opened(O_WRONLY), nothing = opened(O_PATH), event_fd = eventfd(0, 0);
	struct iocb *fixed = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *hole = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	made(8);
#define PREAD(fd) io_prep_pread(&cb, fd, buf, 4096, 0)
#define TRIED(what, change) do { PREAD(buffered); change; tried(what, &cb); \
	PREAD(direct); change; tried(what ", direct", &cb); } while (0)
	TRIED("reserved2", ((uint64_t *)&cb)[5 + 1] = 1);
	TRIED("negative length", cb.u.c.nbytes = (unsigned long)-1);
	TRIED("negative offset", cb.u.c.offset = -1);
	TRIED("offset too large", cb.u.c.offset = INT64_MAX - 100);
	TRIED("kernel's memory", cb.u.c.buf = (void *)0xffff800000000000);
	TRIED("end of memory", cb.u.c.buf = (void *)0x7fffffffe000; cb.u.c.nbytes = 8192);
	TRIED("opcode 4", cb.aio_lio_opcode = 4);
	TRIED("opcode 6", cb.aio_lio_opcode = 6);
	TRIED("opcode 99", cb.aio_lio_opcode = 99);
	TRIED("rw_flags", cb.aio_rw_flags = 1 << 20);
	TRIED("priority", (cb.u.c.flags = 2, cb.aio_reqprio = -1));
	TRIED("eventfd -1", (cb.u.c.flags = 1, cb.u.c.resfd = -1));
	TRIED("eventfd is a file", (cb.u.c.flags = 1, cb.u.c.resfd = reader));
	TRIED("flush with a buffer", cb.aio_lio_opcode = IO_CMD_FSYNC);
	TRIED("poll of a file", io_prep_poll(&cb, cb.aio_fildes, POLLIN));
	TRIED("1025 segments", (cb.aio_lio_opcode = IO_CMD_PREADV, cb.u.c.buf = odd, cb.u.c.nbytes = 1025));
	TRIED("no segments", (cb.aio_lio_opcode = IO_CMD_PREADV, cb.u.c.buf = odd, cb.u.c.nbytes = 0));
	TRIED("1024 empty segments", (cb.aio_lio_opcode = IO_CMD_PREADV, cb.u.c.buf = odd, cb.u.c.nbytes = 1024));
	TRIED("segments nowhere", (cb.aio_lio_opcode = IO_CMD_PREADV, cb.u.c.buf = hole, cb.u.c.nbytes = 2));
	iov[0].iov_len = (size_t)-1;
	TRIED("negative segment", (cb.aio_lio_opcode = IO_CMD_PREADV, cb.u.c.buf = iov, cb.u.c.nbytes = 1));
	PREAD(-1), tried("descriptor -1", &cb);
	PREAD(999), tried("descriptor 999", &cb);
	PREAD(writer), tried("read of a writer", &cb);
	PREAD(nothing), tried("path", &cb);
	io_prep_pwrite(&cb, reader, buf, 4096, 0), tried("write to a reader", &cb);
	io_prep_fsync(&cb, reader), tried("flush of a reader", &cb);
	io_prep_pwrite(&cb, writer, buf, 0, 0), tried("write of nothing", &cb);
	PREAD(buffered), tried("good", &cb);
	io_prep_pread(&good, buffered, buf, 4096, 0);
	PREAD(-1);
	say("good, bad", io_submit(context, 2, two));
	say("its event", reaped(&event));
	two[1] = NULL;
	say("good, null", io_submit(context, 2, two));
	say("its event", reaped(&event));
	say("null", io_submit(context, 1, two + 1));
	say("nowhere", io_submit(context, 1, (struct iocb **)hole));
	say("minus one", io_submit(context, -1, two));
	say("none", io_submit(context, 0, two));
	say("no context", io_submit(NULL, 1, two));
	say("a stranger", io_submit((io_context_t)buf, 1, two));
	*fixed = good;
	mprotect(fixed, 4096, PROT_READ);
	say("request in read-only memory", submit(fixed));
	close(event_fd);
}

/* events of every kind of request, buffered and direct */
static void events(void)
{
	struct iovec iov[5];
	struct iocb cb;
	off_t size = lseek(buffered, 0, SEEK_END);
	char *hole = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(hole + 4096, 8192, PROT_NONE);
	made(8);
	for (int i = 0; i < 2; i++) {
		int fd = i ? direct : buffered;

		puts(i ? "direct" : "buffered");
		io_prep_pread(&cb, fd, buf, 8192, 4096), tried("pread", &cb);
		printf("digest %llx\n", (unsigned long long)digest(buf, 8192));
		io_prep_pwrite(&cb, fd, buf, 8192, 16384), tried("pwrite", &cb);
		for (int j = 0; j < 5; j++)
			iov[j] = (struct iovec){ buf + j * 4096, j == 2 ? 0 : 4096 };
		io_prep_preadv(&cb, fd, iov, 5, 32768), tried("preadv", &cb);
		printf("digest %llx\n", (unsigned long long)digest(buf, 20480));
		io_prep_pwritev(&cb, fd, iov, 5, 65536), tried("pwritev", &cb);
		io_prep_fsync(&cb, fd), tried("fsync", &cb);
		io_prep_fdsync(&cb, fd), tried("fdsync", &cb);
		io_prep_pread(&cb, fd, buf, 0, 0), tried("nothing", &cb);
		io_prep_pread(&cb, fd, buf, 8192, size - 4096), tried("across the end", &cb);
		io_prep_pread(&cb, fd, buf, 4096, size), tried("at the end", &cb);
		io_prep_pread(&cb, fd, buf, 4096, size + 65536), tried("past the end", &cb);
		io_prep_pread(&cb, fd, buf + 1, 4096, 0), tried("misaligned memory", &cb);
		io_prep_pread(&cb, fd, buf, 4096, 1), tried("misaligned offset", &cb);
		io_prep_pread(&cb, fd, buf, 100, 0), tried("misaligned length", &cb);
		io_prep_pread(&cb, fd, hole + 4096, 4096, 0), tried("into nowhere", &cb);
		io_prep_pwrite(&cb, fd, hole + 4096, 4096, 0), tried("from nowhere", &cb);
		io_prep_pread(&cb, fd, buf, 4096, 0), cb.aio_rw_flags = 1, tried("high priority", &cb);
		io_prep_pwrite(&cb, fd, buf, 4096, 0), cb.aio_rw_flags = 4, tried("synchronous", &cb);
		io_prep_pwrite(&cb, fd, buf, 4096, 0), cb.aio_rw_flags = 16, tried("append", &cb);
		printf("length %lld\n", (long long)lseek(fd, 0, SEEK_END) - (long long)size);
		size = lseek(fd, 0, SEEK_END);
	}
}

/* Through the page cache: in order, and there when io_submit returns. */
static void order(void)
{
	struct ring *ring;
	struct iocb cb[8], *list[8];
	char *one = buf + 65536;

	made(8);
	ring = (struct ring *)context;
	for (int i = 0; i < 8; i++) {
		list[i] = &cb[i];
		if (i % 2)
			io_prep_pread(&cb[i], buffered, one + i * 4096, 4096, 8192);
		else
			io_prep_pwrite(&cb[i], buffered, memset(buf + i * 4096, i + 1, 4096), 4096, 8192);
		cb[i].data = (void *)(long)i;
	}
	say("submit", io_submit(context, 8, list));
	printf("tail %u\n", ring->tail);
	for (unsigned i = ring->head; i != ring->tail; i = (i + 1) % ring->nr)
		printf("%p %ld\n", ring->event[i].data, (long)ring->event[i].res);
	ring->head = ring->tail;
	for (int i = 1; i < 8; i += 2)
		printf("read %d\n", one[i * 4096]);
}

/* As QEMU does it: no call but io_submit, the eventfd and the ring's memory. */
static void peeking(void)
{
	struct ring *ring;
	struct iocb cb[8], *list[8];
	int fd = eventfd(0, 0), done = 0;
	eventfd_t count, total = 0;

	made(8);
	ring = (struct ring *)context;
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 8; i++) {
			io_prep_pread(list[i] = &cb[i], direct, buf + i * 4096, 4096, i * 4096);
			io_set_eventfd(&cb[i], fd);
		}
		if (io_submit(context, 8, list) != 8)
			trouble("io_submit");
		for (int got = 0; got < 8;) {
			unsigned tail;

			eventfd_read(fd, &count);
			total += count;
			tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
			for (; ring->head != tail; got++, done++) {
				struct io_event *e = &ring->event[ring->head];
				long i = (struct iocb *)e->obj - cb;

				if (round == 0)
					memcpy(buf + 32768 + i * 4096, buf + i * 4096, 4096);
				if (e->res != 4096 || memcmp(buf + i * 4096, buf + 32768 + i * 4096, 4096))
					printf("wrong %ld\n", i);
				__atomic_store_n(&ring->head, (ring->head + 1) % ring->nr, __ATOMIC_RELEASE);
			}
			if (done > round * 8 + got)
				puts("too many");
		}
		/* the last may be counted after it was seen */
		while (total < (eventfd_t)(round + 1) * 8)
			eventfd_read(fd, &count), total += count;
	}
	printf("events %d counted %lld digest %llx\n", done, (long long)total, (unsigned long long)digest(buf, 32768));
}

/* No call at all after io_submit: what is in the ring can be seen at once. */
static void spinning(void)
{
	struct ring *ring;
	struct iocb cb;

	made(8);
	ring = (struct ring *)context;
	io_prep_pread(&cb, direct, buf, 65536, 0);
	say("submit", submit(&cb));
	while (__atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) == 0)
		;
	printf("seen %ld\n", (long)ring->event[0].res);
	fflush(stdout);
}

/* An eventfd that is gone by then: its number is somebody else's. */
static void stale(void)
{
	struct iocb cb[8], *list[8];
	struct io_event event[8];
	int fd = eventfd(0, 0), kept = dup(fd), file;
	char name[] = "/tmp/libaio_manner.XXXXXX";
	eventfd_t count = 0;

	made(8);
	for (int i = 0; i < 8; i++) {
		io_prep_pread(list[i] = &cb[i], direct, buf + i * 131072, 131072, i * 131072 % 1048576);
		io_set_eventfd(&cb[i], fd);
	}
	say("submit", io_submit(context, 8, list));
	close(fd);
	file = mkstemp(name);
	unlink(name);
	printf("same number %d\n", file == fd);
	say("getevents", io_getevents(context, 8, 8, event, NULL));
	while (count < 8) {
		eventfd_t n;

		eventfd_read(kept, &n);
		count += n;
	}
	printf("counted %lld, file has %lld bytes\n", (long long)count, (long long)lseek(file, 0, SEEK_END));
}

/* Closed, and the number reused, right after io_submit. */
static void closing(void)
{
	struct iocb cb[8], *list[8];
	struct io_event event[8];
	char name[] = "/tmp/libaio_manner.XXXXXX";
	int fd = opened(O_RDWR | O_DIRECT), file;

	made(8);
	memset(buf, 0x77, 65536);
	for (int i = 0; i < 8; i++)
		io_prep_pwrite(list[i] = &cb[i], fd, buf + i * 8192, 8192, i * 8192);
	say("submit", io_submit(context, 8, list));
	close(fd);
	file = mkstemp(name);
	unlink(name);
	printf("same number %d\n", file == fd);
	say("getevents", io_getevents(context, 8, 8, event, NULL));
	for (int i = 0; i < 8; i++)
		printf("%ld\n", (long)event[i].res);
	printf("file has %lld bytes\n", (long long)lseek(file, 0, SEEK_END));
}

/* Requests and segments are the program's again when io_submit returns. */
static void clobbered(void)
{
	struct iovec iov[20];
	struct iocb cb, *list[1] = { &cb };
	struct io_event event;

	made(8);
	for (int i = 0; i < 20; i++)
		iov[i] = (struct iovec){ buf + i * 4096, 4096 };
	io_prep_preadv(&cb, direct, iov, 20, 4096);
	cb.data = (void *)5;
	say("submit", io_submit(context, 1, list));
	memset(&cb, 0xff, sizeof(cb));
	memset(iov, 0xff, sizeof(iov));
	list[0] = NULL;
	say("getevents", reaped(&event));
	printf("%ld %d %p\n", (long)event.res, event.obj == &cb, event.data);
	printf("digest %llx\n", (unsigned long long)digest(buf, 81920));
}

static void ignored(int number)
{
	(void)number;
}

static void alarmed(int milliseconds)
{
	struct sigaction action = { .sa_handler = ignored, .sa_flags = SA_RESTART };
	struct itimerval timer = { .it_value = { 0, milliseconds * 1000 } };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void waiting(void)
{
	struct timespec at_once = { 0, 0 }, soon = { 0, 20000000 }, wait = { 5, 0 };
	struct iocb cb;
	struct io_event event[4];
	sigset_t set;

	made(8);
	say("empty", io_getevents(context, 0, 4, event, &at_once));
	say("empty, one wanted", io_getevents(context, 1, 4, event, &at_once));
	say("after a while", io_getevents(context, 1, 4, event, &soon));
	say("least past most", io_getevents(context, 5, 4, event, &soon));
	say("negative least", io_getevents(context, -1, 4, event, &soon));
	say("negative most", io_getevents(context, 0, -1, event, &soon));
	say("odd, but empty", io_getevents(context, 5, 4, event, &at_once));
	say("the same by syscall", raw(syscall(SYS_io_getevents, context, 5L, 4L, event, &at_once)));
	say("bad timeout", raw(syscall(SYS_io_getevents, context, 1L, 4L, event, 8L)));
	say("no context", io_getevents(NULL, 1, 4, event, &soon));
	say("a stranger", raw(syscall(SYS_io_getevents, buf, 1L, 4L, event, &soon)));
	io_prep_pread(&cb, direct, buf, 4096, 0);
	say("submit", submit(&cb));
	say("bad events", io_getevents(context, 1, 4, (struct io_event *)8, NULL));
	say("still there", io_getevents(context, 1, 4, event, NULL));
	say("none wanted", io_getevents(context, 0, 0, NULL, NULL));
	alarmed(30);
	say("interrupted", io_getevents(context, 1, 4, event, NULL));
	alarmed(30);
	say("interrupted, with a timeout", io_getevents(context, 1, 4, event, &wait));
	say("submit", submit(&cb));
	alarmed(30);
	say("interrupted with one", io_getevents(context, 2, 4, event, NULL));
	sigfillset(&set);
	alarmed(10);
	say("masked", io_pgetevents(context, 1, 4, event, &soon, &set));
	alarmed(30);
	say("pgetevents", io_pgetevents(context, 1, 4, event, &wait, NULL));
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigemptyset(&set);
	alarmed(30);
	say("unmasked", io_pgetevents(context, 1, 4, event, &wait, &set));
	raise(SIGALRM);
	say("pending", io_pgetevents(context, 1, 4, event, &wait, &set));
	say("submit", submit(&cb));
	say("pgetevents", io_pgetevents(context, 1, 4, event, &wait, &set));
	say("odd mask", raw(syscall(SYS_io_pgetevents, context, 1L, 4L, event, &soon,
		(const long[2]){ (long)&set, 3 })));
}

static void cancelling(void)
{
	struct iocb cb, *list[1] = { &cb };
	struct io_event event;
	int pipes[2];

	made(8);
	io_prep_pread(&cb, direct, buf, 4096, 0);
	cb.key = 5;
	say("never submitted", io_cancel(context, &cb, &event));
	say("submit", io_submit(context, 1, list));
	say("cancel", io_cancel(context, &cb, &event));
	say("getevents", reaped(&event));
	say("cancel", io_cancel(context, &cb, &event));
	say("nowhere", io_cancel(context, (struct iocb *)8, &event));
	if (pipe(pipes))
		trouble("pipe");
	io_prep_poll(&cb, pipes[0], POLLIN);
	say("poll", io_submit(context, 1, list));
	say("cancel", io_cancel(context, &cb, &event));
	memset(&event, 0, sizeof(event));
	say("getevents", reaped(&event));
	printf("%d\n", event.obj == &cb);
	io_prep_poll(&cb, pipes[0], POLLIN);
	say("poll", io_submit(context, 1, list));
	say("destroy", io_destroy(context));
}

/* Files that are no targets, in the same context. */
static void mixed(void)
{
	struct iocb cb[4], *list[4] = { cb, cb + 1, cb + 2, cb + 3 };
	struct io_event event;
	int pipes[2], fd = eventfd(0, 0), zero = open("/dev/zero", O_RDONLY), got = 0;
	eventfd_t count;

	made(8);
	if (pipe(pipes))
		trouble("pipe");
	io_prep_poll(&cb[0], pipes[0], POLLIN);
	io_prep_pread(&cb[1], direct, buf, 4096, 0);
	io_prep_pread(&cb[2], zero, buf + 4096, 4096, 0);
	io_prep_pwrite(&cb[3], buffered, buf + 65536, 4096, 8192);
	for (int i = 0; i < 4; i++) {
		cb[i].data = (void *)(long)(100 + i);
		io_set_eventfd(&cb[i], fd);
	}
	say("submit", io_submit(context, 4, list));
	for (int i = 0; i < 3; i++) {
		say("getevents", reaped(&event));
		got |= 1 << ((struct iocb *)event.obj - cb);
		if (event.data != ((struct iocb *)event.obj)->data)
			puts("wrong data");
	}
	printf("got %x\n", got);
	say("write", write(pipes[1], "x", 1));
	say("getevents", reaped(&event));
	printf("%p %ld %ld\n", event.data, (long)event.res, (long)event.res2);
	for (count = 0; count < 4;) {
		eventfd_t n;

		eventfd_read(fd, &n);
		count += n;
	}
	printf("counted %lld\n", (long long)count);
	cb[0].aio_fildes = zero;
	io_prep_pwrite(&cb[0], zero, buf, 4096, 0);
	say("write to a reader", submit(&cb[0]));
}

static _Atomic int waiter;

static void *waits(void *unused)
{
	struct io_event event;

	waiter = gettid();
	say("waiter", io_getevents(context, 1, 1, &event, NULL));
	return unused;
}

/* libaio looks into the ring before it makes the call: one that begins after the end of the ring is no use. */
static void await_sleep_of(_Atomic int *tid)
{
	char file[64], state = 0;
	FILE *stat;

	while (state != 'S') {
		usleep(1000);
		snprintf(file, sizeof(file), "/proc/self/task/%d/stat", *tid);
		stat = *tid ? fopen(file, "r") : NULL;
		if (stat && fscanf(stat, "%*d %*s %c", &state) != 1)
			state = 0;
		if (stat)
			fclose(stat);
	}
}

static void destroying(void)
{
	struct iocb cb[8], *list[8];
	pthread_t thread;
	int fd = eventfd(0, EFD_NONBLOCK);
	eventfd_t count = 0;

	made(8);
	for (int i = 0; i < 8; i++) {
		io_prep_pread(list[i] = &cb[i], direct, buf + i * 131072, 131072, i * 131072 % 1048576);
		io_set_eventfd(&cb[i], fd);
	}
	say("submit", io_submit(context, 8, list));
	say("destroy", io_destroy(context));
	eventfd_read(fd, &count);
	printf("counted %lld\n", (long long)count);
	say("submit", io_submit(context, 8, list));
	made(8);
	pthread_create(&thread, NULL, waits, NULL);
	await_sleep_of(&waiter);
	say("destroy", io_destroy(context));
	pthread_join(thread, NULL);
}

/* A closed eventfd is in nobody's epoll set, and the next one of its number is another. */
static void notified(void)
{
	static const char *how[] = { "close", "dup2", "close_range", "dup3" };
	struct epoll_event asked = { .events = EPOLLIN }, got;
	int ep = epoll_create1(0), spare = dup(0), fd;
	struct iocb cb, *list[1] = { &cb };
	struct io_event event;
	eventfd_t count;

	made(8);
	for (unsigned i = 0; i < 8; i++) {
		fd = eventfd(0, EFD_NONBLOCK);
		if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &asked))
			trouble("epoll_ctl");
		for (int round = 0; round < 3; round++) {
			io_prep_pread(&cb, direct, buf, 4096, 0);
			io_set_eventfd(&cb, fd);
			say("submit", io_submit(context, 1, list));
			say("getevents", io_getevents(context, 1, 1, &event, NULL));
		}
		while (epoll_wait(ep, &got, 1, 1000) != 1)
			;
		/* the last one is counted a little after it can be seen */
		for (count = 0; i >= 4 && count < 3;) {
			eventfd_t more = 0;

			eventfd_read(fd, &more);
			count += more;
		}
		usleep(2000);
		printf("%s: before %d ", how[i % 4], epoll_wait(ep, &got, 1, 0));
		switch (i % 4) {
		case 0: close(fd); break;
		case 1: dup2(spare, fd); close(fd); break;
		case 2: close_range((unsigned)fd, (unsigned)fd, 0); break;
		default: dup3(spare, fd, O_CLOEXEC); close(fd);
		}
		printf("after %d\n", epoll_wait(ep, &got, 1, 0));
	}
}

static void forked(void)
{
	struct iocb cb, *list[1] = { &cb };
	struct io_event event;
	int status;

	made(8);
	io_prep_pread(&cb, direct, buf, 4096, 0);
	say("submit", io_submit(context, 1, list));
	fflush(stdout);
	if (fork() == 0) {
		say("child: submit", io_submit(context, 1, list));
		say("child: getevents", io_getevents(context, 1, 1, &event, NULL));
		say("child: destroy", io_destroy(context));
		made(8);
		say("child: submit", io_submit(context, 1, list));
		say("child: getevents", reaped(&event));
		say("child: res", (long)event.res);
		say("child: destroy", io_destroy(context));
		exit(0);
	}
	wait(&status);
	say("getevents", reaped(&event));
}

static void called_back(io_context_t c, struct iocb *cb, long res, long res2)
{
	printf("called back %d %d %ld %ld\n", c == context, cb->aio_fildes == buffered, res, res2);
}

static void queues(void)
{
	struct timespec wait = { 5, 0 };
	struct iocb cb, *list[1] = { &cb };

	say("init", io_queue_init(8, &context));
	say("run", io_queue_run(context));
	io_prep_pread(&cb, buffered, buf, 4096, 0);
	io_set_callback(&cb, called_back);
	say("submit", io_submit(context, 1, list));
	say("wait", call_io_queue_wait(context, &wait));
	say("run", io_queue_run(context));
	say("release", io_queue_release(context));
}

static void *works(void *argument)
{
	int base = *(int *)argument;
	struct iocb cb[16], *list[16];
	struct io_event event[16];

	for (int round = 0; round < 200; round++) {
		int got = 0;

		for (int i = 0; i < 16; i++)
			io_prep_pread(list[i] = &cb[i], direct, buf + (base * 16 + i) * 4096, 4096, i * 4096);
		while (got < 16)
			got += io_submit(context, 16 - got, list + got);
		io_getevents(context, 1, 16, event, NULL);
	}
	return NULL;
}

/* Threads that submit and reap side by side in one context. */
static void threads(void)
{
	pthread_t thread[4];
	int base[4] = { 0, 1, 2, 3 };
	struct timespec at_once = { 0, 0 };
	struct io_event event[64];
	long left = 0, n;

	made(15000);
	for (int i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, works, &base[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	usleep(200000);
	while ((n = io_getevents(context, 0, 64, event, &at_once)) > 0)
		left += n;
	say("last", n);
	printf("%s\n", left <= 4 * 200 * 15 ? "none twice" : "too many");
}

static void *works_apart(void *argument)
{
	int base = *(int *)argument, fd = opened(O_RDWR | O_DIRECT), wrong = 0;
	char *mine = buf + base * 262144, *read = mine + 131072;
	struct iocb cb[8], *list[8];
	struct io_event event[8];
	io_context_t own = NULL;

	if (io_setup(8, &own))
		trouble("io_setup");
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 8; i++)
			io_prep_pwrite(list[i] = &cb[i], fd, memset(mine + i * 4096, round + i, 4096), 4096,
				(base * 8 + i) * 4096);
		wrong += io_submit(own, 8, list) != 8 || io_getevents(own, 8, 8, event, NULL) != 8;
		for (int i = 0; i < 8; i++)
			io_prep_pread(&cb[i], fd, read + i * 4096, 4096, (base * 8 + i) * 4096);
		wrong += io_submit(own, 8, list) != 8 || io_getevents(own, 8, 8, event, NULL) != 8;
		for (int i = 0; i < 8; i++)
			wrong += (long)event[i].res != 4096;
		wrong += memcmp(mine, read, 32768) != 0;
	}
	wrong += io_destroy(own) != 0;
	close(fd);
	*(int *)argument = wrong;
	return NULL;
}

/* Each thread has a context and a descriptor of its own. */
static void apart(void)
{
	pthread_t thread[4];
	int wrong[4] = { 0, 1, 2, 3 };

	for (int i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, works_apart, &wrong[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	printf("wrong %d %d %d %d\n", wrong[0], wrong[1], wrong[2], wrong[3]);
}

/* In flight when the process ends: the kernel finishes it. */
static void leaving(void)
{
	struct iocb cb[8], *list[8];

	made(8);
	memset(buf, 0x5a, 65536);
	for (int i = 0; i < 8; i++)
		io_prep_pwrite(list[i] = &cb[i], direct, buf + i * 8192, 8192, i * 8192);
	say("submit", io_submit(context, 8, list));
	fflush(stdout);
	_exit(0);
}

#define CASES X(setup) X(full) X(rejected) X(events) X(order) X(peeking) X(spinning) X(stale) X(closing) X(clobbered) \
	X(waiting) X(cancelling) X(mixed) X(destroying) X(notified) X(forked) X(queues) X(threads) X(apart) X(leaving)

int main(int argc, char **argv)
{
#define X(name) #name "\n"
	if (argc == 2 && !strcmp(argv[1], "--list"))
		return fputs(CASES, stdout) == EOF;
#undef X
	if (argc != 3)
		usage("libaio_manner CASE FILE");
	path = argv[2];
	buffered = opened(O_RDWR);
	direct = open(path, O_RDWR | O_DIRECT);
	if (direct < 0)
		absent("O_DIRECT");
	buf = buffer(1 << 20, 0xee);
#define X(name) if (!strcmp(argv[1], #name)) return name(), 0;
	CASES
	usage("unknown CASE");
}
