/*
 * uring_results WAY FILE: what single requests come to; see uring.h.
 * build: -luring
 */
#include "uring.h"
#include <linux/falloc.h>
#include <sys/stat.h>

#define FTRUNCATE 55

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

/* opcodes that no kernel has: it says so itself */
static void unknown(void)
{
	char *buf = buffer(4096, 1);

	make(8, 0);
	for (int opcode = 200; opcode < 256; opcode += 55) {
		reads(fd, buf, 4096, 0)->opcode = (uint8_t)opcode;
		go(1);
	}
	show("bytes", buf, 4096);
	io_uring_queue_exit(&ring);
}

/* ---- refused ---- */

/* protection information: where it is put, the kernel alone knows */
static void protected(void)
{
	char *buf = buffer(4096, 1);

	make(8, 0);
	((uint64_t *)(void *)reads(fd, buf, 4096, 0))[7] = 1;
	go(1);
	io_uring_queue_exit(&ring);
}

static const struct way ways[] = {
	{ "results", results }, { "one_by_one", one_by_one }, { "vectors", vectors }, { "position", position },
	{ "length", length }, { "buffers", buffers }, { "unknown", unknown }, { 0 },
};
static const struct way refused[] = {
	{ "protected", protected }, { 0 },
};

int main(int argc, char **argv)
{
	return run_way(argc, argv, ways, refused);
}
