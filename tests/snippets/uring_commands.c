/*
 * uring_commands WAY FILE: commands to FILE, a block device or not; see uring.h.
 * build: -luring
 */
#include "uring.h"

#define DISCARD 0x1200 /* BLOCK_URING_CMD_DISCARD */

static struct io_uring_sqe *commands(int to, unsigned number, uint64_t at, uint64_t n)
{
	struct io_uring_sqe *s = sqe();

	io_uring_prep_nop(s);
	s->opcode = IORING_OP_URING_CMD;
	s->fd = to;
	s->cmd_op = number;
	s->addr = at;
	s->addr3 = n;
	return numbered(s);
}

static void discards(void)
{
	int ro = open(path, O_RDONLY);

	make(16, 0);
	commands(fd, DISCARD, 8192, 4096);
	go(1);
	commands(fd, DISCARD, 512, 512);
	go(1);
	commands(fd, DISCARD, 100, 4096);
	go(1);
	commands(fd, DISCARD, 8192, 0);
	go(1);
	commands(fd, DISCARD, 1ULL << 40, 4096);
	go(1);
	commands(fd, DISCARD, -4096ULL, 8192);
	go(1);
	commands(fd, DISCARD, 8192, 4096)->len = 7;
	go(1);
	commands(ro, DISCARD, 8192, 4096);
	go(1);
	io_uring_queue_exit(&ring);
}

static void registered(void)
{
	make(16, 0);
	need("files", io_uring_register_files(&ring, &fd, 1));
	commands(0, DISCARD, 8192, 4096)->flags |= IOSQE_FIXED_FILE;
	go(1);
	io_uring_queue_exit(&ring);
}

static void chained(void)
{
	static char buf[4096];

	make(16, 0);
	link_next(writes(fd, buf, 4096, 8192), IOSQE_IO_LINK);
	link_next(commands(fd, DISCARD, 8192, 4096), IOSQE_IO_LINK);
	io_uring_prep_fsync(numbered(sqe()), fd, 0);
	go(3);
	io_uring_queue_exit(&ring);
}

/* ---- refused ---- */

static void other_command(void)
{
	make(16, 0);
	commands(fd, 0x1277, 8192, 4096);
	go(1);
	io_uring_queue_exit(&ring);
}

static const struct way ways[] = {
	{ "discards", discards }, { "registered", registered }, { "chained", chained }, { 0 },
};
static const struct way refused[] = {
	{ "other_command", other_command }, { 0 },
};

int main(int argc, char **argv)
{
	return run_way(argc, argv, ways, refused);
}
