/*
 * uring_pipes WAY FILE: bytes between FILE and pipes; see uring.h. FILE.beside is made and removed.
 * build: -luring
 */
#include "uring.h"

static int far[2];

static void begin(void)
{
	make_pipe();
	need("pipe", pipe(far));
	make(16, 0);
}

static struct io_uring_sqe *splices(int in, int64_t at, int out, int64_t to, unsigned n, unsigned flags)
{
	struct io_uring_sqe *s = sqe();

	io_uring_prep_splice(s, in, at, out, to, n, flags);
	return numbered(s);
}

/* what the pipe holds */
static void drain_pipe(void)
{
	char *buf = buffer(1 << 20, 1);
	ssize_t n = 0;

	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	for (ssize_t got; n < 1 << 20 && (got = read(ends[0], buf + n, (size_t)((1 << 20) - n))) > 0;)
		n += got;
	fcntl(ends[0], F_SETFL, 0);
	printf("pipe has %zd\n", n);
	show("bytes", buf, 1 << 20);
	free(buf);
}

static void show_file(void)
{
	char *buf = buffer(1 << 17, 1);

	printf("file %zd position %lld\n", pread(fd, buf, 1 << 17, 0), (long long)lseek(fd, 0, SEEK_CUR));
	show("bytes", buf, 1 << 17);
	free(buf);
}

static void out(void)
{
	static const struct { int64_t at; unsigned n; } of[] = { { 0, 4096 }, { 100, 10 }, { 5000, 30000 }, { 0, 65536 },
		{ 0, 1 << 20 }, { 65000, 4096 }, { 65536, 100 }, { 100000, 100 }, { -1, 3000 }, { -1, 3000 }, { 10, 0 } };

	begin();
	lseek(fd, 1000, SEEK_SET);
	for (unsigned i = 0; i < sizeof(of) / sizeof(*of); i++) {
		splices(fd, of[i].at, ends[1], -1, of[i].n, i == 1 ? SPLICE_F_MOVE | SPLICE_F_MORE : 0);
		go(1);
		drain_pipe();
		printf("position %lld\n", (long long)lseek(fd, 0, SEEK_CUR));
	}
	io_uring_queue_exit(&ring);
}

static void in(void)
{
	char *buf = buffer(65536, 0x33);
	int64_t to[] = { 0, 30000, -1, -1, 100 };

	begin();
	lseek(fd, 2000, SEEK_SET);
	for (unsigned i = 0; i < 5; i++) {
		memset(buf, (int)(0x40 + i), 65536);
		write(ends[1], buf, 700 + i * 1000);
		splices(ends[0], -1, fd, to[i], i == 4 ? 65536 : 2000, 0);
		go(1);
		drain_pipe();
		show_file();
	}
	close(ends[1]);
	splices(ends[0], -1, fd, 0, 100, 0);
	go(1);
	io_uring_queue_exit(&ring);
}

static void errors(void)
{
	int ro = open(path, O_RDONLY), wo = open(path, O_WRONLY), append = open(path, O_RDWR | O_APPEND);

	begin();
	write(ends[1], "kept", 4);
	splices(wo, 0, ends[1], -1, 10, 0);
	go(1);
	splices(ends[0], -1, ro, 0, 10, 0);
	go(1);
	splices(ends[0], -1, append, 0, 10, 0);
	go(1);
	splices(ends[0], -1, fd, -5, 10, 0);
	go(1);
	splices(fd, -5, ends[1], -1, 10, 0);
	go(1);
	splices(fd, 0, ends[1], 7, 10, 0);
	go(1);
	splices(fd, 0, fd, 0, 10, 0);
	go(1);
	splices(fd, 0, open("/dev/null", O_RDWR), -1, 10, 0);
	go(1);
	splices(fd, 0, 777, -1, 10, 0);
	go(1);
	splices(777, -1, fd, 0, 10, 0);
	go(1);
	splices(fd, 0, ends[1], -1, 10, 1 << 20);
	go(1);
	splices(far[0], -1, fd, 0, 10, SPLICE_F_NONBLOCK);
	go(1);
	io_uring_prep_tee(numbered(sqe()), fd, ends[1], 10, 0);
	go(1);
	io_uring_prep_tee(numbered(sqe()), ends[0], fd, 10, 0);
	go(1);
	drain_pipe();
	show_file();
	io_uring_queue_exit(&ring);
}

/* a pipe that is full, or empty: it ends when there is room, or something */
static void waits(void)
{
	char *buf = buffer(1 << 20, 0x44);

	begin();
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	while (write(ends[1], buf, 4096) > 0)
		;
	fcntl(ends[1], F_SETFL, 0);
	lseek(fd, 100, SEEK_SET);
	splices(fd, -1, ends[1], -1, 8192, SPLICE_F_NONBLOCK);
	go(1);
	printf("position %lld\n", (long long)lseek(fd, 0, SEEK_CUR));
	splices(fd, -1, ends[1], -1, 8192, 0);
	say("submitted", io_uring_submit(&ring));
	none_left();
	read(ends[0], buf, 8192);
	reap(1, 1);
	printf("position %lld\n", (long long)lseek(fd, 0, SEEK_CUR));
	drain_pipe();
	splices(far[0], -1, fd, 500, 100, 0);
	say("submitted", io_uring_submit(&ring));
	none_left();
	write(far[1], "something", 9);
	reap(1, 1);
	show_file();
	io_uring_queue_exit(&ring);
}

static void many_wait(void)
{
	enum { PIPES = 30 };
	int pipes[PIPES][2];
	char *buf = buffer(65536, 1);

	begin();
	io_uring_queue_exit(&ring);
	make(64, 0);
	for (int i = 0; i < PIPES; i++) {
		need("pipe", pipe(pipes[i]));
		splices(pipes[i][0], -1, fd, i * 100, 3, 0);
	}
	say("submitted", io_uring_submit(&ring));
	usleep(50000);
	reads(fd, buf, 4096, 40000);
	go(1);
	for (int i = 0; i < PIPES; i++)
		write(pipes[i][1], "fed", 3);
	reap(PIPES, 1);
	show_file();
	io_uring_queue_exit(&ring);
}

/* and when its ring goes, or it is cancelled */
static void ends_waiting(void)
{
	begin();
	splices(far[0], -1, fd, 500, 100, 0);
	reads(fd, buffer(4096, 1), 4096, 0);
	go(1);
	io_uring_queue_exit(&ring);
	make(16, 0);
	splices(far[0], -1, fd, 500, 100, 0);
	say("submitted", io_uring_submit(&ring));
	usleep(50000);
	io_uring_prep_cancel64(sqe(), 1, 0);
	io_uring_submit(&ring);
	for (int i = 0; i < 2; i++) {
		struct __kernel_timespec soon = { 5, 0 };
		struct io_uring_cqe *cqe;

		need("a completion", io_uring_wait_cqe_timeout(&ring, &cqe, &soon));
		if (cqe->user_data == 1)
			say("spliced", cqe->res);
		io_uring_cqe_seen(&ring, cqe);
	}
	write(far[1], "late", 4);
	usleep(50000);
	show_file();
	io_uring_queue_exit(&ring);
}

/* as file servers do it */
static void chains(void)
{
	char name[4200], *buf = buffer(65536, 1);
	int other;

	snprintf(name, sizeof(name), "%s.beside", path);
	other = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	begin();
	link_next(splices(fd, 3000, ends[1], -1, 20000, 0), IOSQE_IO_LINK);
	splices(ends[0], -1, other, 0, 20000, 0);
	go(2);
	printf("beside %zd\n", pread(other, buf, 65536, 0));
	show("bytes", buf, 65536);
	link_next(splices(other, 0, ends[1], -1, 5000, 0), IOSQE_IO_LINK);
	link_next(splices(ends[0], -1, fd, 50000, 5000, 0), IOSQE_IO_LINK);
	reads(fd, buf, 5000, 50000);
	go(3);
	show("bytes", buf, 65536);
	/* short: the chain breaks */
	link_next(splices(fd, 65000, ends[1], -1, 5000, 0), IOSQE_IO_LINK);
	splices(ends[0], -1, other, 0, 5000, 0);
	go(2);
	drain_pipe();
	show_file();
	unlink(name);
	io_uring_queue_exit(&ring);
}

static void registered(void)
{
	begin();
	need("files", io_uring_register_files(&ring, &fd, 1));
	splices(0, 100, ends[1], -1, 2000, SPLICE_F_FD_IN_FIXED);
	go(1);
	splices(ends[0], -1, 0, 40000, 2000, 0)->flags |= IOSQE_FIXED_FILE;
	go(1);
	show_file();
	io_uring_queue_exit(&ring);
}

/* ---- refused: the pipe is known to the ring alone ---- */

static void fixed_pipe(void)
{
	begin();
	need("files", io_uring_register_files(&ring, &ends[1], 1));
	splices(fd, 0, 0, -1, 100, 0)->flags |= IOSQE_FIXED_FILE;
	go(1);
	io_uring_queue_exit(&ring);
}

static const struct way ways[] = {
	{ "out", out }, { "in", in }, { "errors", errors }, { "waits", waits }, { "many_wait", many_wait },
	{ "ends_waiting", ends_waiting }, { "chains", chains }, { "registered", registered }, { 0 },
};
static const struct way refused[] = {
	{ "fixed_pipe", fixed_pipe }, { 0 },
};

int main(int argc, char **argv)
{
	return run_way(argc, argv, ways, refused);
}
