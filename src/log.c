/* log: see include/blkverify/log.h. */
#include <errno.h>
#include <poll.h>

#include <blkverify/log.h>
#include <blkverify/own.h>

#include "raw.h"

static int log_fd = -1;
/* Apart from the descriptor, which own.c may move. */
static int silent;

/* To know it again: the program may close it by an instruction of its own,
 * and get the number for a file that must not have our lines in it. */
static dev_t log_device;
static ino_t log_inode;
static const char *log_path;

int bv_log_open(const char *path)
{
	struct stat st;
	int fd;

	silent = 0;
	log_path = path;
	if (path)
		fd = raw_openat(AT_FDCWD, path,
				O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY,
				0600);
	else
		fd = raw_fcntl(2, F_DUPFD_CLOEXEC, 3);
	if (fd == -EBADF && !path)
		return 0;
	if (fd < 0)
		return fd;
	if (raw_fstat(fd, &st) == 0) {
		log_device = st.st_dev;
		log_inode = st.st_ino;
	}
	return bv_own_adopt(fd, &log_fd);
}

static bool is_log(int fd)
{
	struct stat st;

	return fd >= 0 && raw_fstat(fd, &st) == 0 &&
	       st.st_dev == log_device && st.st_ino == log_inode;
}

/* The log where it is now: our descriptor, standard error if that is still
 * the same file, or the path opened again. */
static int find_log(void)
{
	int fd = bv_log_fd();

	if (fd < 0 || is_log(fd))
		return fd;
	if (!log_path)
		return is_log(2) ? 2 : -1;
	fd = raw_openat(AT_FDCWD, log_path,
			O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY, 0);
	if (fd >= 0)
		log_fd = fd;
	return fd;
}

void bv_log_silence(void)
{
	silent = 1;
}

int bv_log_fd(void)
{
	return silent ? -1 : log_fd;
}

/* A line goes to a pipe whose reader left: the program must not die of it.
 * A SIGPIPE that we caused is taken out of the queue again; one that was
 * pending before stays. */
static raw_sigset hold_sigpipe(void)
{
	raw_sigset block = RAW_SIGNAL(SIGPIPE), old = 0, pending = 0;

	raw_call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&block, (long)&old,
		 sizeof(block), 0, 0);
	raw_call(SYS_rt_sigpending, (long)&pending, sizeof(pending), 0, 0, 0, 0);
	return pending & block ? old | RAW_SIGNAL(SIGPIPE) : old;
}

static void drop_sigpipe(raw_sigset old)
{
	raw_sigset set = RAW_SIGNAL(SIGPIPE);
	struct timespec now = { 0, 0 };

	if (old & set)
		return;
	raw_call(SYS_rt_sigtimedwait, (long)&set, 0, (long)&now, sizeof(set), 0,
		 0);
	raw_sigmask(old);
}

static void write_whole(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n = raw_write(fd, bytes, length);

		if (n == -EAGAIN) {
			struct pollfd p = { .fd = fd, .events = POLLOUT };
			struct timespec second = { 1, 0 };

			/* ppoll: aarch64 has no poll. A reader that sleeps
			 * longer than this loses the line, not the program
			 * its life. */
			if (raw_call(SYS_ppoll, (long)&p, 1, (long)&second, 0,
				     sizeof(raw_sigset), 0) <= 0)
				return;
			continue;
		}
		if (n == -EINTR)
			continue;
		if (n <= 0)
			return;
		bytes += n;
		length -= (size_t)n;
	}
}

static void write_line(const char *bytes, size_t length)
{
	static const char prefix[] = "blkverify: ";
	char line[BV_TEXT_ROOM / 8];
	raw_sigset old;
	int fd = find_log();

	if (fd < 0)
		return;
	old = hold_sigpipe();
	if (length + sizeof(prefix) <= sizeof(line)) {
		size_t n = 0;

		for (size_t i = 0; i < sizeof(prefix) - 1; i++)
			line[n++] = prefix[i];
		for (size_t i = 0; i < length; i++)
			line[n++] = bytes[i];
		line[n++] = '\n';
		write_whole(fd, line, n);
	} else {
		/* Longer than the stack should carry: writev is one call as
		 * well, but may be cut short; then the rest follows. */
		struct iovec_raw {
			const void *base;
			size_t length;
		} part[3] = {
			{ prefix, sizeof(prefix) - 1 },
			{ bytes, length },
			{ "\n", 1 },
		};
		long n = raw_call(SYS_writev, fd, (long)part, 3, 0, 0, 0);

		for (int i = 0; i < 3 && n >= 0; i++) {
			size_t skip = (size_t)n < part[i].length ?
					      (size_t)n : part[i].length;

			n -= (long)skip;
			write_whole(fd, (const char *)part[i].base + skip,
				    part[i].length - skip);
		}
	}
	drop_sigpipe(old);
}

void bv_log_line(const struct bv_text *t)
{
	write_line(t->bytes, t->length);
}

void bv_log_say(const char *string)
{
	size_t length = 0;

	while (string[length])
		length++;
	write_line(string, length);
}
