/* I/O by the word, one call each:  diskio open FILE rw read 0 4096 write 512 512 aa sync close
 *
 *   open FILE MODE     letters: r w (both: read and write), c create, t truncate, a append, d O_DIRECT, s O_SYNC
 *   fd N               go on with that inherited descriptor
 *   reopen MODE        the current descriptor's file again, through /proc/self/fd
 *   opath FILE         O_PATH only
 *   dup | dupto N      go on with a duplicate
 *   read OFF LEN | write OFF LEN HEX | expect OFF LEN HEX          by pread and pwrite
 *   get LEN | put LEN HEX | seek OFF                               at the file's position
 *   truncate LEN | punch OFF LEN | zero OFF LEN | sync | close
 *   fork | _Fork | clone               by libc, or by the system call: a child that ends, and is not waited for
 *   chdir DIR | rename A B | unlink FILE | sleep MS | say TEXT | shut N (close descriptor N)
 *
 * Says what each transfer returned; the exit status is 1 when one failed. A read prints no data. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef O_DIRECT
#define O_DIRECT 040000
#endif

static int fd = -1, failed;
static char **word;

static const char *next(void)
{
	if (!*word) {
		fprintf(stderr, "diskio: a word is missing\n");
		exit(2);
	}
	return *word++;
}

static long long number(void)
{
	return strtoll(next(), NULL, 0);
}

static int byte(void)
{
	return (int)strtol(next(), NULL, 16);
}

static int mode_flags(const char *mode)
{
	int flags = strchr(mode, 'w') ? strchr(mode, 'r') ? O_RDWR : O_WRONLY : O_RDONLY;

	return flags | (strchr(mode, 'c') ? O_CREAT : 0) | (strchr(mode, 't') ? O_TRUNC : 0) |
		(strchr(mode, 'a') ? O_APPEND : 0) | (strchr(mode, 'd') ? O_DIRECT : 0) | (strchr(mode, 's') ? O_SYNC : 0);
}

static const char *error_name(int error)
{
	const char *name = strerrorname_np(error);

	return name ? name : "?";
}

/* says what came of it, at once: what was said survives an abort in the next call */
static void result(const char *op, long long value)
{
	int error = errno;
	char line[128];
	int length;

	if (value < 0) {
		length = snprintf(line, sizeof line, "%s = -1 %s\n", op, error_name(error));
		failed = 1;
	} else {
		length = snprintf(line, sizeof line, "%s = %lld\n", op, value);
	}
	if (write(1, line, (size_t)length) < 0)
		failed = 1;
}

static void *buffer_for(size_t length, int fill)
{
	void *buffer = NULL;

	if (posix_memalign(&buffer, 4096, length ? length : 1)) {
		fprintf(stderr, "diskio: no memory\n");
		exit(2);
	}
	memset(buffer, fill, length);
	return buffer;
}

static void do_read(const char *op, int seek, int check)
{
	long long offset = seek ? number() : 0;
	size_t length = (size_t)number();
	int want = check ? byte() : 0;
	unsigned char *buffer = buffer_for(length, ~want & 0xff);
	ssize_t got = seek ? pread(fd, buffer, length, offset) : read(fd, buffer, length);

	result(op, got);
	for (ssize_t i = 0; check && i < got; i++) {
		if (buffer[i] != want) {
			printf("%s: byte %lld is %02x\n", op, offset + i, buffer[i]);
			fflush(stdout);
			failed = 1;
			break;
		}
	}
	free(buffer);
}

static void do_write(const char *op, int seek)
{
	long long offset = seek ? number() : 0;
	size_t length = (size_t)number();
	void *buffer = buffer_for(length, byte());

	result(op, seek ? pwrite(fd, buffer, length, offset) : write(fd, buffer, length));
	free(buffer);
}

static void do_open(const char *op, const char *path, int flags)
{
	fd = open(path, flags | O_CLOEXEC, 0644);
	if (fd < 0)
		result(op, fd);
}

static void do_sleep(long long ms)
{
	struct timespec pause = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&pause, NULL);
}

pid_t _Fork(void) __attribute__((weak));

static void do_fork(const char *op)
{
	pid_t pid = *op == 'f' ? fork() : *op == '_' && _Fork ? _Fork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	result(op, pid > 0 ? 0 : -1);
}

static void step(const char *op)
{
	char path[64];

	if (!strcmp(op, "open")) {
		const char *file = next();

		do_open(op, file, mode_flags(next()));
	} else if (!strcmp(op, "fd")) {
		fd = (int)number();
	} else if (!strcmp(op, "reopen")) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		do_open(op, path, mode_flags(next()));
	} else if (!strcmp(op, "opath")) {
		do_open(op, next(), O_PATH);
	} else if (!strcmp(op, "dup")) {
		fd = dup(fd);
	} else if (!strcmp(op, "dupto")) {
		fd = dup2(fd, (int)number());
	} else if (!strcmp(op, "read") || !strcmp(op, "expect")) {
		do_read(op, 1, *op == 'e');
	} else if (!strcmp(op, "write")) {
		do_write(op, 1);
	} else if (!strcmp(op, "get")) {
		do_read(op, 0, 0);
	} else if (!strcmp(op, "put")) {
		do_write(op, 0);
	} else if (!strcmp(op, "seek")) {
		result(op, lseek(fd, number(), SEEK_SET));
	} else if (!strcmp(op, "truncate")) {
		result(op, ftruncate(fd, number()));
	} else if (!strcmp(op, "punch") || !strcmp(op, "zero")) {
		off_t offset = number();

		/* KEEP_SIZE with PUNCH_HOLE or ZERO_RANGE */
		result(op, fallocate(fd, 1 | (*op == 'p' ? 2 : 16), offset, number()));
	} else if (!strcmp(op, "sync")) {
		result(op, fsync(fd));
	} else if (!strcmp(op, "close")) {
		result(op, close(fd));
	} else if (!strcmp(op, "fork") || !strcmp(op, "_Fork") || !strcmp(op, "clone")) {
		do_fork(op);
	} else if (!strcmp(op, "shut")) {
		close((int)number());
	} else if (!strcmp(op, "chdir")) {
		result(op, chdir(next()));
	} else if (!strcmp(op, "rename")) {
		const char *from = next();

		result(op, rename(from, next()));
	} else if (!strcmp(op, "unlink")) {
		result(op, unlink(next()));
	} else if (!strcmp(op, "sleep")) {
		do_sleep(number());
	} else if (!strcmp(op, "say")) {
		puts(next());
		fflush(stdout);
	} else {
		fprintf(stderr, "diskio: what is %s?\n", op);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	(void)argc;
	word = argv + 1;
	while (*word)
		step(next());
	return failed;
}
