/*
 * uring_files WAY FILE: files registered with rings by calls, or opened and closed by them; see uring.h.
 * build: -luring
 */
#include "uring.h"
#include <sys/wait.h>

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

static const struct way ways[] = {
	{ "files", files }, { "locks", locks }, { "opens", opens }, { "truncates", truncates }, { 0 },
};
static const struct way refused[] = {
	{ 0 },
};

int main(int argc, char **argv)
{
	return run_way(argc, argv, ways, refused);
}
