/*
 * uring_choice WAY FILE: reads into buffers that the kernel chooses; see uring.h.
 * build: -luring
 */
#include "uring.h"
#include <sys/mman.h>
#include <sys/socket.h>

enum { GROUP = 7, SIZE = 3000, COUNT = 4 };

static char *room;

/* buffers SIZE apart, named from 10 on */
static void provide(unsigned count, unsigned size)
{
	struct io_uring_cqe *cqe;

	io_uring_prep_provide_buffers(sqe(), memset(room, 1, 65536), (int)size, (int)count, GROUP, 10);
	io_uring_submit_and_wait(&ring, 1);
	io_uring_wait_cqe(&ring, &cqe);
	need("buffers", cqe->res);
	io_uring_cqe_seen(&ring, cqe);
}

static struct io_uring_sqe *chooses(struct io_uring_sqe *s)
{
	s->flags |= IOSQE_BUFFER_SELECT;
	s->buf_group = GROUP;
	return s;
}

static void begin(void)
{
	room = buffer(65536, 1);
	make(16, 0);
}

static void provided(void)
{
	static const struct { unsigned n; uint64_t at; } reads_of[] = { { SIZE, 0 }, { 100, 500 }, { 60000, 1000 },
		{ 0, 7000 }, { SIZE, 65536 - 100 }, { SIZE, 65536 }, { 0, 65000 }, { SIZE, 100000 }, { 0, 200000 } };

	begin();
	chooses(reads(fd, NULL, SIZE, 0));
	go(1);
	for (unsigned i = 0; i < sizeof(reads_of) / sizeof(*reads_of); i++) {
		provide(1, SIZE);
		chooses(reads(fd, NULL, reads_of[i].n, reads_of[i].at));
		go(1);
		show("bytes", room, 65536);
		/* if it was taken */
		chooses(reads(fd, NULL, 10, 0));
		go(1);
	}
	io_uring_queue_exit(&ring);
}

static void several(void)
{
	struct iovec iov = { NULL, 2000 }, two[2] = { { NULL, 100 }, { NULL, 100 } };

	begin();
	provide(COUNT, SIZE);
	for (unsigned i = 0; i < COUNT + 2; i++)
		chooses(reads(fd, NULL, SIZE, i * 5000));
	go(COUNT + 2);
	show("bytes", room, 65536);
	provide(COUNT, SIZE);
	io_uring_prep_readv(chooses(numbered(sqe())), fd, &iov, 1, 400);
	chooses(&ring.sq.sqes[(ring.sq.sqe_tail - 1) & *ring.sq.kring_mask]);
	say("submitted", io_uring_submit(&ring));
	iov.iov_len = 1;
	reap(1, 1);
	show("bytes", room, 65536);
	io_uring_prep_readv(numbered(sqe()), fd, two, 2, 400);
	chooses(&ring.sq.sqes[(ring.sq.sqe_tail - 1) & *ring.sq.kring_mask]);
	go(1);
	chooses(reads(fd, NULL, 100, 0))->flags |= IOSQE_ASYNC;
	go(1);
	show("bytes", room, 65536);
	io_uring_queue_exit(&ring);
}

/* a ring of buffers, which the program fills */
static void ring_of_buffers(void)
{
	struct io_uring_buf_reg reg = { .ring_entries = 8, .bgid = GROUP };
	struct io_uring_buf_ring *br = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	begin();
	reg.ring_addr = (uint64_t)(uintptr_t)br;
	if (io_uring_register_buf_ring(&ring, &reg, 0))
		absent("rings of buffers");
	io_uring_buf_ring_init(br);
	for (int i = 0; i < 3; i++)
		io_uring_buf_ring_add(br, room + i * SIZE, SIZE, (uint16_t)(20 + i), io_uring_buf_ring_mask(8), i);
	io_uring_buf_ring_advance(br, 3);
	for (unsigned i = 0; i < 4; i++) {
		chooses(reads(fd, NULL, i == 1 ? 0 : SIZE, i == 2 ? 65000 : i * 5000));
		go(1);
	}
	show("bytes", room, 65536);
	io_uring_queue_exit(&ring);
}

static void registered(void)
{
	begin();
	provide(COUNT, SIZE);
	need("files", io_uring_register_files(&ring, &fd, 1));
	chooses(reads(0, NULL, SIZE, 1234))->flags |= IOSQE_FIXED_FILE;
	go(1);
	show("bytes", room, 65536);
	io_uring_queue_exit(&ring);
}

/* what is asked for may be odd where the buffer is not */
static void direct_io(void)
{
	int other = open(path, O_RDONLY | O_DIRECT);

	if (other == -1)
		absent("O_DIRECT");
	begin();
	provide(2, 4096);
	chooses(reads(other, NULL, 10001, 4096));
	go(1);
	chooses(reads(other, NULL, 0, 61440));
	go(1);
	show("bytes", room, 65536);
	io_uring_queue_exit(&ring);
}

/* what came through a socket */
static void show_came(int from)
{
	char *buf = buffer(4096, 1);

	printf("came %s\n", word((int)recv(from, buf, 4096, MSG_DONTWAIT) < 0 ? -errno : 0));
	show("bytes", buf, 4096);
	free(buf);
}

/* it begins a chain: what follows is the kernel's */
static void heads(void)
{
	char *buf = buffer(65536, 1);
	struct iovec iov = { buf, 65536 };
	int pair[2];

	need("sockets", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	begin();
	need("files", io_uring_register_files(&ring, pair, 1));
	need("buffers", io_uring_register_buffers(&ring, &iov, 1));
	provide(COUNT, SIZE);
	link_next(chooses(reads(fd, NULL, 1000, 2000)), IOSQE_IO_LINK);
	link_next(writes(pair[0], room, 1000, 0), IOSQE_IO_LINK);
	nop();
	go(3);
	show_came(pair[1]);
	/* the same into a buffer of ours, and on by a registered file */
	for (int how = 0; how < 4; how++) {
		if (how == 3)
			io_uring_prep_read_fixed(numbered(sqe()), fd, buf + 300, 4000, 3000, 0);
		else
			reads(fd, buf, 4000, how == 1 ? 65536 - 1000 : 3000);
		linked(how == 2 ? IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS : IOSQE_IO_LINK);
		link_next(writes(0, buf, 1000, 0), IOSQE_FIXED_FILE | IOSQE_IO_LINK);
		nop();
		say("submitted", io_uring_submit(&ring));
		reap(how == 2 ? 2 : 3, 1);
		show_came(pair[1]);
		show("bytes", buf, 65536);
	}
	none_left();
	io_uring_queue_exit(&ring);
}

/* what fails, fails the chain in its place */
static void fail_head(int from, void *buf, unsigned flags, unsigned said)
{
	link_next(reads(from, buf, 4000, 0), flags);
	link_next(writes(0, buffer(1000, 1), 1000, 0), IOSQE_FIXED_FILE | IOSQE_IO_LINK);
	nop();
	go(said);
}

static void failing_heads(void)
{
	int wo = open(path, O_WRONLY), null = open("/dev/null", O_RDWR);

	begin();
	need("files", io_uring_register_files(&ring, &null, 1));
	fail_head(wo, buffer(4096, 1), IOSQE_IO_LINK, 3);
	fail_head(fd, (void *)8, IOSQE_IO_LINK, 3);
	fail_head(wo, buffer(4096, 1), IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS, 1);
	none_left();
	io_uring_queue_exit(&ring);
}

/* and goes on, if it is to */
static void hard_heads(void)
{
	int wo = open(path, O_WRONLY), null = open("/dev/null", O_RDWR);
	struct io_uring_probe *probe = io_uring_get_probe();
	char *buf = buffer(4096, 1);

	/* as old as what it takes */
	if (!probe || !io_uring_opcode_supported(probe, 56))
		absent("requests that fail as they are told");
	begin();
	need("files", io_uring_register_files(&ring, &null, 1));
	fail_head(wo, buf, IOSQE_IO_HARDLINK, 3);
	link_next(reads(fd, buf, 4000, 65536 - 1000), IOSQE_IO_HARDLINK);
	link_next(writes(0, buf, 1000, 0), IOSQE_FIXED_FILE | IOSQE_IO_LINK);
	nop();
	go(3);
	show("bytes", buf, 4096);
	io_uring_queue_exit(&ring);
}

/* only reads may leave the choice to the kernel, which says so */
static void others(void)
{
	begin();
	provide(COUNT, SIZE);
	chooses(writes(fd, "never", 5, 0));
	go(1);
	io_uring_prep_fsync(chooses(numbered(sqe())), fd, 0);
	chooses(&ring.sq.sqes[(ring.sq.sqe_tail - 1) & *ring.sq.kring_mask]);
	go(1);
	show("bytes", room, 65536);
	io_uring_queue_exit(&ring);
}

/* reads for as long as there is something: not of files */
static void multishot(void)
{
	begin();
	provide(COUNT, SIZE);
	chooses(reads(fd, NULL, 0, 0))->opcode = 49;
	say("submitted", io_uring_submit(&ring));
	reap(1, 1);
	need("files", io_uring_register_files(&ring, &fd, 1));
	chooses(reads(0, NULL, 0, 0))->flags |= IOSQE_FIXED_FILE;
	ring.sq.sqes[(ring.sq.sqe_tail - 1) & *ring.sq.kring_mask].opcode = 49;
	say("submitted", io_uring_submit(&ring));
	reap(1, 1);
	show("bytes", room, 65536);
	io_uring_queue_exit(&ring);
}

/* ---- refused ---- */

/* it has to be made before what it is to follow */
static void behind(void)
{
	begin();
	provide(COUNT, SIZE);
	link_next(nop(), IOSQE_IO_LINK);
	chooses(reads(fd, NULL, 100, 0));
	go(2);
	io_uring_queue_exit(&ring);
}

/* how far the position is to move, the kernel alone knows */
static void at_position(void)
{
	begin();
	provide(COUNT, SIZE);
	chooses(reads(fd, NULL, 100, (uint64_t)-1));
	go(1);
	io_uring_queue_exit(&ring);
}

static const struct way ways[] = {
	{ "provided", provided }, { "several", several }, { "ring_of_buffers", ring_of_buffers },
	{ "registered", registered }, { "direct_io", direct_io },
	{ "heads", heads }, { "failing_heads", failing_heads }, { "hard_heads", hard_heads },
	{ "others", others },
	{ "multishot", multishot }, { 0 },
};
static const struct way refused[] = {
	{ "behind", behind }, { "at_position", at_position }, { 0 },
};

int main(int argc, char **argv)
{
	return run_way(argc, argv, ways, refused);
}
