/*
 * uring_chains WAY FILE: requests that are linked, on FILE and on others; see uring.h. FILE.beside is made and removed.
 * build: -luring
 */
#include "uring.h"
#include <sys/stat.h>

/* ---- of one file ---- */

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

/* the kernel orders none with those that were on a target: not to be compared */
static void drained_after(void)
{
	char *buf = buffer(65536, 1);

	make(16, 0);
	writes(fd, buf, 4096, 0);
	go(1);
	link_next(nop(), IOSQE_IO_DRAIN);
	go(1);
	io_uring_queue_exit(&ring);
}

/* a request that is wrong from the start: nothing of its chain is done */
static void wrong(void)
{
	char *buf = buffer(65536, 1);

	make(16, 0);
	for (int hard = 0; hard < 2; hard++) {
		unsigned flags = hard ? IOSQE_IO_HARDLINK : IOSQE_IO_LINK;

		link_next(writes(fd, "nothing", 7, 512), flags);
		io_uring_prep_readv(numbered(sqe()), fd, (void *)8, 3, 0);
		link_next(&ring.sq.sqes[(ring.sq.sqe_tail - 1) & *ring.sq.kring_mask], flags);
		reads(fd, buf, 512, 512);
		go(3);
	}
	pread(fd, buf, 4096, 0);
	show("bytes", buf, 4096);
	io_uring_queue_exit(&ring);
}

/* ---- with other files ---- */

static char beside[4200];

static int open_beside(int flags)
{
	int other;

	snprintf(beside, sizeof(beside), "%s.beside", path);
	other = open(beside, O_RDWR | flags, 0600);
	if (other == -1)
		trouble("open beside");
	return other;
}

static void show_beside(int other)
{
	char *buf = buffer(65536, 0);
	ssize_t n = pread(other, buf, 65536, 0);

	printf("beside %zd\n", n);
	show("beside", buf, 65536);
	free(buf);
}

/* copies, as link-cp does, in both directions */
static void copies(void)
{
	char *buf = buffer(65536, 1);
	int other = open_beside(O_CREAT | O_TRUNC);

	make(32, 0);
	link_next(reads(fd, buf, 20000, 1000), IOSQE_IO_LINK);
	link_next(writes(other, buf, 20000, 0), IOSQE_IO_LINK);
	io_uring_prep_fsync(numbered(sqe()), other, 0);
	go(3);
	show_beside(other);
	for (int i = 0; i < 8; i++)
		link_next(i % 2 ? writes(fd, buf, 500, 30000 + (unsigned)i * 500) : reads(other, buf, 500, (unsigned)i * 700),
			IOSQE_IO_LINK);
	io_uring_prep_fsync(numbered(sqe()), fd, IORING_FSYNC_DATASYNC);
	say("submitted", io_uring_submit(&ring));
	reap(9, 0);
	pread(fd, buf, 65536, 0);
	show("bytes", buf, 65536);
	unlink(beside);
	io_uring_queue_exit(&ring);
}

/* lists and paths need not outlive the call that submits them */
static void consumed(void)
{
	struct iovec iov[40];
	char *buf = buffer(65536, 1), name[8192], other_name[8192];
	struct statx st;
	struct stat before;
	int other = open_beside(O_CREAT | O_TRUNC);

	make(32, 0);
	for (int i = 0; i < 40; i++)
		iov[i] = (struct iovec){ buf + i * 100, 90 };
	/* longer than what has room beside the request */
	snprintf(name, sizeof(name), "%.*s//////////////////////////////////////////////////////////////////////////////////"
		"////////////////////////////////////////////////////////////////////////////////////////%s",
		(int)(strrchr(beside, '/') - beside), beside, strrchr(beside, '/'));
	snprintf(other_name, sizeof(other_name), "%s2", beside);
	link_next(writes(fd, "consumed", 8, 100), IOSQE_IO_LINK);
	io_uring_prep_writev(numbered(sqe()), other, iov, 40, 10);
	linked(IOSQE_IO_LINK);
	io_uring_prep_statx(numbered(sqe()), AT_FDCWD, name, 0, STATX_SIZE, &st);
	linked(IOSQE_IO_LINK);
	io_uring_prep_rename(numbered(sqe()), name, other_name);
	linked(IOSQE_IO_LINK);
	link_next(reads(fd, buf, 100, 100), IOSQE_IO_LINK);
	io_uring_prep_unlink(numbered(sqe()), other_name, 0);
	say("submitted", io_uring_submit(&ring));
	memset(iov, 0xff, sizeof(iov));
	memset(name, 'x', sizeof(name));
	memset(other_name, 'x', sizeof(other_name));
	reap(6, 1);
	printf("size %llu\n", (unsigned long long)st.stx_size);
	say("gone", stat(beside, &before) ? -errno : 0);
	show_beside(other);
	show("bytes", buf, 100);
	io_uring_queue_exit(&ring);
}

/* the same of attributes */
static void attributes(void)
{
	char name[64] = "user.chain", value[64] = "value", got[64] = "", file[4200], *buf = buffer(4096, 1);
	int other = open_beside(O_CREAT | O_TRUNC);

	snprintf(file, sizeof(file), "%s", beside);
	make(16, 0);
	link_next(reads(fd, buf, 100, 0), IOSQE_IO_LINK);
	io_uring_prep_fsetxattr(numbered(sqe()), other, name, value, 0, 6);
	linked(IOSQE_IO_LINK);
	io_uring_prep_getxattr(numbered(sqe()), name, got, file, 64);
	linked(IOSQE_IO_LINK);
	writes(fd, got, 6, 200);
	say("submitted", io_uring_submit(&ring));
	memset(name, 'x', sizeof(name));
	memset(value, 'x', sizeof(value));
	memset(file, 'x', sizeof(file));
	reap(4, 1);
	printf("%s\n", got);
	unlink(beside);
	io_uring_queue_exit(&ring);
}

/* what breaks a chain, and what does not */
static void breaks_at(const char *what, int other, unsigned flags, int how)
{
	static char buf[3][4096];
	struct iovec iov = { buf[0], 4096 };

	printf("%s\n", what);
	memset(buf, 0, sizeof(buf));
	link_next(reads(fd, buf[1], 1000, 500), flags);
	switch (how) {
	case 0: reads(other, buf[0], 4096, 0); break;
	case 1: reads(other, buf[0], 4096, 60000); break;
	case 2: reads(777, buf[0], 100, 0); break;
	case 3: io_uring_prep_readv(numbered(sqe()), other, &iov, 1, 1000000); break;
	case 4: io_uring_prep_fsync(numbered(sqe()), ends[0], 0); break;
	case 5: io_uring_prep_openat(numbered(sqe()), AT_FDCWD, "/nonexistent", O_RDONLY, 0); break;
	default: io_uring_prep_fallocate(numbered(sqe()), other, 0, 0, 4096); break;
	}
	linked(flags);
	link_next(writes(fd, "behind", 6, 700), flags);
	reads(fd, buf[2], 100, 650);
	say("submitted", io_uring_submit(&ring));
	reap(flags & IOSQE_CQE_SKIP_SUCCESS ? (how == 0 || how == 6 ? 1 : 2) : 4, 1);
	show("bytes", buf, sizeof(buf));
}

static void breaks(void)
{
	static const unsigned flags[] = { IOSQE_IO_LINK, IOSQE_IO_HARDLINK, IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS };
	static const char *const names[] = { "soft", "hard", "silent" };
	int other = open_beside(O_CREAT | O_TRUNC);
	char *buf = buffer(62000, 3);

	make_pipe();
	pwrite(other, buf, 62000, 0);
	make(32, 0);
	for (int f = 0; f < 3; f++)
		for (int how = 0; how < 7; how++) {
			/* one that ends silently, with nothing behind it, is nothing to wait for */
			if (f == 2 && how != 0 && how != 6)
				continue;
			breaks_at(names[f], other, flags[f], how);
		}
	none_left();
	unlink(beside);
	io_uring_queue_exit(&ring);
}

/* descriptors come and go in the middle */
static void descriptors(void)
{
	char *buf = buffer(65536, 1);
	int other = open_beside(O_CREAT | O_TRUNC), third = open(path, O_RDONLY), got;
	struct io_uring_cqe *cqe;

	make(16, 0);
	link_next(reads(third, buf, 4096, 0), IOSQE_IO_LINK);
	io_uring_prep_close(numbered(sqe()), other);
	linked(IOSQE_IO_LINK);
	io_uring_prep_close(numbered(sqe()), third);
	linked(IOSQE_IO_LINK);
	reads(fd, buf + 4096, 4096, 4096);
	go(4);
	printf("open %d %d\n", fcntl(other, F_GETFD), fcntl(third, F_GETFD));
	link_next(writes(fd, "descriptor", 10, 9000), IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS);
	io_uring_prep_openat(sqe(), AT_FDCWD, beside, O_RDWR, 0);
	linked(IOSQE_IO_LINK);
	io_uring_prep_openat(sqe(), AT_FDCWD, path, O_RDWR, 0);
	io_uring_submit(&ring);
	for (int i = 0; i < 2; i++) {
		io_uring_wait_cqe(&ring, &cqe);
		got = cqe->res;
		io_uring_cqe_seen(&ring, cqe);
		printf("opened %d, %zd bytes\n", got >= 0, pread(got, buf, 4096, 8000));
		show("bytes", buf, 65536);
		close(got);
	}
	unlink(beside);
	io_uring_queue_exit(&ring);
}

/* emptied, and filled again, in its place */
static void truncates(void)
{
	char *buf = buffer(65536, 1);
	struct stat st;

	fstat(fd, &st);
	make(16, 0);
	link_next(writes(fd, "before", 6, 100), IOSQE_IO_LINK);
	link_next(reads(fd, buf, 4096, 0), IOSQE_IO_LINK);
	io_uring_prep_openat(sqe(), AT_FDCWD, path, O_WRONLY | O_TRUNC, 0);
	linked(IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS);
	link_next(writes(fd, "after", 5, 200), IOSQE_IO_LINK);
	writes(fd, "!", 1, (uint64_t)st.st_size - 1);
	go(4);
	show("bytes", buf, 65536);
	printf("%zd\n", pread(fd, buf, 65536, 0));
	show("bytes", buf, 65536);
	io_uring_queue_exit(&ring);
}

/* ---- refused: what is for the ring alone ---- */

static void fixed_stranger(void)
{
	int null = open("/dev/null", O_RDWR);

	make(16, 0);
	need("files", io_uring_register_files(&ring, &null, 1));
	link_next(writes(0, "x", 1, 0), IOSQE_IO_LINK | IOSQE_FIXED_FILE);
	writes(fd, "y", 1, 0);
	go(2);
	io_uring_queue_exit(&ring);
}

static void counting(void)
{
	struct __kernel_timespec later = { 5, 0 };

	make(16, 0);
	io_uring_prep_timeout(numbered(sqe()), &later, 1, 0);
	linked(IOSQE_IO_LINK);
	writes(fd, "y", 1, 0);
	nop();
	go(3);
	io_uring_queue_exit(&ring);
}

static void mixed_drain(void)
{
	char *buf = buffer(65536, 1);

	make(16, 0);
	make_pipe();
	writes(ends[1], "x", 1, 0);
	link_next(reads(fd, buf, 4096, 0), IOSQE_IO_DRAIN);
	go(2);
	io_uring_queue_exit(&ring);
}

static const struct way ways[] = {
	{ "chains", chains }, { "chain_order", chain_order }, { "chain_data", chain_data }, { "drains", drains },
	{ "drained_after", drained_after }, { "wrong", wrong }, { "copies", copies }, { "consumed", consumed },
	{ "attributes", attributes }, { "breaks", breaks }, { "descriptors", descriptors },
	{ "truncates", truncates }, { 0 },
};
static const struct way refused[] = {
	{ "fixed_stranger", fixed_stranger }, { "counting", counting }, { "mixed_drain", mixed_drain }, { 0 },
};

int main(int argc, char **argv)
{
	return run_way(argc, argv, ways, refused);
}
