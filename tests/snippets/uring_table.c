/*
 * uring_table WAY FILE: requests that put FILE into the ring's table of files, or take it out; see uring.h.
 * build: -luring
 */
#include "uring.h"
#include <linux/openat2.h>
#include <sys/socket.h>

#define FIXED_FD_INSTALL 54

static struct io_uring other_ring;

/* reads 100 bytes by each of the slots, and says what came of it */
static void look_at(unsigned slots)
{
	char *buf = buffer(65536, 1);

	for (unsigned i = 0; i < slots; i++)
		fixed(i, buf + i * 100, 100, 1000 + i * 50);
	go(slots);
	show("bytes", buf, 65536);
	free(buf);
}

static void direct(void)
{
	struct open_how how = { .flags = O_RDWR };

	make(16, 0);
	io_uring_prep_openat_direct(numbered(sqe()), AT_FDCWD, path, O_RDONLY, 0, 0);
	go(1);
	need("files", io_uring_register_files_sparse(&ring, 4));
	io_uring_prep_openat_direct(numbered(sqe()), AT_FDCWD, path, O_RDONLY, 0, 1);
	go(1);
	io_uring_prep_openat2_direct(numbered(sqe()), AT_FDCWD, path, &how, 3);
	go(1);
	look_at(5);
	writes(3, "direct", 6, 1020)->flags |= IOSQE_FIXED_FILE;
	writes(1, "direct", 6, 1020)->flags |= IOSQE_FIXED_FILE;
	go(2);
	/* in place of it, and of another */
	io_uring_prep_openat_direct(numbered(sqe()), AT_FDCWD, "/dev/null", O_RDWR, 0, 3);
	go(1);
	io_uring_prep_openat_direct(numbered(sqe()), AT_FDCWD, path, O_RDWR, 0, 3);
	go(1);
	look_at(4);
	io_uring_prep_openat_direct(numbered(sqe()), AT_FDCWD, "/dev/null", O_RDWR, 0, 1);
	go(1);
	look_at(4);
	/* not there */
	io_uring_prep_openat_direct(numbered(sqe()), AT_FDCWD, path, O_RDONLY, 0, 4);
	go(1);
	io_uring_prep_openat_direct(numbered(sqe()), AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0, 2);
	go(1);
	io_uring_prep_openat_direct(numbered(sqe()), AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, 2);
	go(1);
	io_uring_queue_exit(&ring);
}

static void opens_anywhere(const char *what)
{
	struct io_uring_sqe *s = numbered(sqe());

	io_uring_prep_openat_direct(s, AT_FDCWD, what, O_RDONLY, 0, 0);
	s->file_index = IORING_FILE_INDEX_ALLOC;
}

/* slots of the kernel's choice */
static void chosen(void)
{
	make(16, 0);
	need("files", io_uring_register_files_sparse(&ring, 3));
	for (int i = 0; i < 4; i++) {
		opens_anywhere(i == 1 ? "/dev/null" : path);
		go(1);
	}
	look_at(3);
	io_uring_prep_close_direct(numbered(sqe()), 0);
	go(1);
	look_at(3);
	opens_anywhere(path);
	go(1);
	look_at(3);
	io_uring_queue_exit(&ring);
}

static void closes(void)
{
	int fds[3] = { fd, open("/dev/null", O_RDWR), open(path, O_RDONLY) };
	char *buf = buffer(65536, 1);

	make(16, 0);
	need("files", io_uring_register_files(&ring, fds, 3));
	close(fds[2]);
	for (unsigned i = 0; i < 3; i++) {
		io_uring_prep_close_direct(numbered(sqe()), i);
		go(1);
		look_at(3);
	}
	for (unsigned i = 2; i < 4; i++) {
		io_uring_prep_close_direct(numbered(sqe()), i);
		go(1);
	}
	need("files", io_uring_register_files_update(&ring, 0, fds, 1));
	io_uring_prep_close_direct(numbered(sqe()), 0);
	ring.sq.sqes[(ring.sq.sqe_tail - 1) & *ring.sq.kring_mask].fd = 5;
	go(1);
	io_uring_prep_close(numbered(sqe()), 777);
	go(1);
	/* those begun before have the file */
	for (unsigned i = 0; i < 8; i++)
		fixed(0, buf + i * 8192, 8192, i * 8192);
	io_uring_prep_close_direct(numbered(sqe()), 0);
	go(9);
	show("bytes", buf, 65536);
	io_uring_queue_exit(&ring);
}

static void updates(void)
{
	int null = open("/dev/null", O_RDWR), third = open(path, O_RDONLY);
	int fds[5] = { fd, -1, null, third, fd }, skip[3] = { IORING_REGISTER_FILES_SKIP, fd, -1 };

	make(16, 0);
	need("files", io_uring_register_files_sparse(&ring, 5));
	io_uring_prep_files_update(numbered(sqe()), fds, 5, 0);
	go(1);
	close(third);
	look_at(5);
	io_uring_prep_files_update(numbered(sqe()), skip, 3, 2);
	go(1);
	look_at(5);
	io_uring_prep_files_update(numbered(sqe()), &null, 1, 0);
	go(1);
	look_at(5);
	io_uring_prep_files_update(numbered(sqe()), fds, 5, 3);
	go(1);
	io_uring_prep_files_update(numbered(sqe()), fds, 0, 0);
	go(1);
	look_at(5);
	io_uring_queue_exit(&ring);
}

static void updates_chosen(void)
{
	int null = open("/dev/null", O_RDWR), fds[4] = { fd, null, fd, -1 };

	make(16, 0);
	need("files", io_uring_register_files_sparse(&ring, 5));
	need("files", io_uring_register_files_update(&ring, 1, &null, 1));
	io_uring_prep_files_update(numbered(sqe()), fds, 4, (int)IORING_FILE_INDEX_ALLOC);
	go(1);
	printf("%d %d %d %d\n", fds[0], fds[1], fds[2], fds[3]);
	look_at(5);
	for (int i = 0; i < 2; i++) {
		fds[0] = fds[1] = fd;
		io_uring_prep_files_update(numbered(sqe()), fds, 2, (int)IORING_FILE_INDEX_ALLOC);
		go(1);
		printf("%d %s\n", fds[0], fds[1] == fd ? "as it was" : "placed");
	}
	look_at(5);
	io_uring_queue_exit(&ring);
}

/* opened, used and closed in one chain, without a descriptor */
static void chained(void)
{
	char *buf = buffer(65536, 1), *before = buffer(65536, 1);

	make(16, 0);
	need("files", io_uring_register_files_sparse(&ring, 4));
	for (int i = 0; i < 3; i++) {
		io_uring_prep_openat_direct(numbered(sqe()), AT_FDCWD, i == 2 ? "/nonexistent" : path, O_RDWR, 0, 2);
		linked(IOSQE_IO_LINK);
		fixed(2, buf, 5000, 300);
		linked(IOSQE_IO_LINK);
		link_next(writes(2, before, 400, 350), IOSQE_FIXED_FILE | IOSQE_IO_LINK);
		io_uring_prep_close_direct(numbered(sqe()), 2);
		go(4);
		show("bytes", buf, 65536);
	}
	look_at(4);
	/* what stands there is not what will */
	io_uring_prep_files_update(numbered(sqe()), &fd, 1, 1);
	linked(IOSQE_IO_LINK);
	fixed(1, buf, 5000, 300);
	go(2);
	show("bytes", buf, 65536);
	io_uring_queue_exit(&ring);
}

static void emptied(void)
{
	struct io_uring_sqe *s;

	make(16, 0);
	need("files", io_uring_register_files_sparse(&ring, 4));
	io_uring_prep_openat_direct(numbered(sqe()), AT_FDCWD, path, O_RDWR | O_TRUNC, 0, 1);
	go(1);
	printf("length %lld\n", (long long)lseek(fd, 0, SEEK_END));
	s = writes(1, "new", 3, 65533);
	s->flags |= IOSQE_FIXED_FILE;
	go(1);
	printf("length %lld\n", (long long)lseek(fd, 0, SEEK_END));
	look_at(2);
	io_uring_queue_exit(&ring);
}

/* from one ring's table to another's */
static void sends(void)
{
	int fds[2] = { fd, open("/dev/null", O_RDWR) };

	make(16, 0);
	need("other ring", io_uring_queue_init(8, &other_ring, 0));
	need("files", io_uring_register_files(&ring, fds, 2));
	need("files", io_uring_register_files_sparse(&other_ring, 4));
	for (unsigned way = 0; way < 5; way++) {
		struct io_uring_cqe *cqe;
		struct io_uring_sqe *s = numbered(sqe());

		io_uring_prep_nop(s);
		s->opcode = IORING_OP_MSG_RING;
		s->fd = way == 4 ? ring.ring_fd : other_ring.ring_fd;
		s->addr = 1;
		s->addr3 = way == 2 ? 1 : 0;
		s->off = 1000 + way;
		s->file_index = way == 1 ? IORING_FILE_INDEX_ALLOC : way == 3 ? 9 : 2 + way;
		s->user_data = way + 1;
		go(1);
		if (!io_uring_peek_cqe(&other_ring, &cqe)) {
			printf("told %llu: %s\n", (unsigned long long)cqe->user_data, word(cqe->res));
			io_uring_cqe_seen(&other_ring, cqe);
		}
	}
	io_uring_unregister_files(&ring);
	io_uring_queue_exit(&ring);
	ring = other_ring;
	tag = 0;
	look_at(4);
	io_uring_queue_exit(&ring);
}

/* a descriptor of what stands in a slot */
static void installs(void)
{
	char *buf = buffer(65536, 1);
	int third = open(path, O_RDONLY), got;
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *s;

	lseek(third, 500, SEEK_SET);
	make(16, 0);
	need("files", io_uring_register_files(&ring, &third, 1));
	close(third);
	for (unsigned way = 0; way < 3; way++) {
		s = sqe();
		io_uring_prep_nop(s);
		s->opcode = FIXED_FD_INSTALL;
		s->fd = 0;
		s->flags |= IOSQE_FIXED_FILE;
		s->rw_flags = (int)way;
		io_uring_submit(&ring);
		io_uring_wait_cqe(&ring, &cqe);
		got = cqe->res;
		io_uring_cqe_seen(&ring, cqe);
		if (got == -EINVAL && way == 0)
			absent("such a request");
		if (got < 0) {
			say("install", got);
			continue;
		}
		printf("flags %d read %zd at %lld\n", fcntl(got, F_GETFD), read(got, buf, 4000),
			(long long)lseek(got, 0, SEEK_CUR));
		show("bytes", buf, 65536);
		close(got);
	}
	io_uring_queue_exit(&ring);
}

/* many times over: nothing is used up */
static void often(void)
{
	char *buf = buffer(65536, 1);
	int bad = 0;

	make(16, 0);
	need("files", io_uring_register_files_sparse(&ring, 4));
	for (int i = 0; i < 600; i++) {
		struct io_uring_cqe *cqe;

		io_uring_prep_openat_direct(numbered(sqe()), AT_FDCWD, path, O_RDWR, 0, (unsigned)i % 4);
		linked(IOSQE_IO_LINK);
		fixed((unsigned)i % 4, buf, 100, 0);
		io_uring_submit_and_wait(&ring, 2);
		for (int k = 0; k < 2; k++) {
			io_uring_wait_cqe(&ring, &cqe);
			bad += cqe->res < 0;
			io_uring_cqe_seen(&ring, cqe);
		}
	}
	printf("bad %d\n", bad);
	io_uring_queue_exit(&ring);
}

/* ---- refused: the kernel puts something in its place, when it likes ---- */

static void replaced(void)
{
	struct io_uring_sqe *s;

	make(16, 0);
	need("files", io_uring_register_files(&ring, &fd, 1));
	s = numbered(sqe());
	io_uring_prep_nop(s);
	s->opcode = IORING_OP_SOCKET;
	s->fd = AF_UNIX;
	s->off = SOCK_STREAM;
	s->file_index = 1;
	go(1);
	io_uring_queue_exit(&ring);
}

/* which of many it is, is not followed */
static void many_then_used(void)
{
	int fds[2] = { fd, fd };
	char *buf = buffer(4096, 1);

	make(16, 0);
	need("files", io_uring_register_files(&ring, fds, 2));
	io_uring_prep_files_update(numbered(sqe()), fds, 2, 0);
	linked(IOSQE_IO_LINK);
	fixed(0, buf, 100, 0);
	go(2);
	io_uring_queue_exit(&ring);
}

static const struct way ways[] = {
	{ "direct", direct }, { "chosen", chosen }, { "closes", closes }, { "updates", updates },
	{ "updates_chosen", updates_chosen }, { "chained", chained }, { "emptied", emptied }, { "sends", sends },
	{ "installs", installs }, { "often", often }, { 0 },
};
static const struct way refused[] = {
	{ "replaced", replaced }, { "many_then_used", many_then_used }, { 0 },
};

int main(int argc, char **argv)
{
	return run_way(argc, argv, ways, refused);
}
