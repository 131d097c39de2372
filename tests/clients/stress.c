/* Processes and threads that read and write the same bytes at the same time.  stress [OPTION...] FILE
 *   -p N  processes (1)        -t N  threads of each (4)      -s N  seconds (5)     -r N  seed (1)
 *   -l N  no byte at or past N is touched (the file's length)
 *   -f    the length stays: no ftruncate, no append           -w    writes only
 *   -x    a further thread scribbles in the buffers of the writes while they are written
 *   -b    all reads of a process go into one buffer
 *   -d    O_DIRECT, requests are aligned
 * Says how many operations it did; status 1 when one failed. What is read is not looked at: that is the shim's work. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef O_DIRECT
#define O_DIRECT 040000
#endif

enum { MOST = 65536, THREADS = 256 };

static struct {
	int processes, threads, seconds, fixed, write_only, scribble, one_buffer, direct;
	unsigned long seed;
	off_t limit;
	const char *file;
} options = { .processes = 1, .threads = 4, .seconds = 5, .seed = 1 };

/* of all processes */
static struct { atomic_long operations, failures; } *total;
static atomic_int over;
static unsigned char *write_buffers[THREADS], *shared_buffer;

static uint64_t step(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void failed(const char *what)
{
	fprintf(stderr, "stress: %s: %s\n", what, strerror(errno));
	atomic_fetch_add(&total->failures, 1);
	atomic_store(&over, 1);
}

static void *aligned(void)
{
	void *buffer;

	if (posix_memalign(&buffer, 4096, MOST)) {
		fprintf(stderr, "stress: no memory\n");
		exit(2);
	}
	memset(buffer, 0, MOST);
	return buffer;
}

/* half of the requests are small and meet in the first 64 KiB, so that they overlap all the time */
static void choose(uint64_t *state, off_t *offset, size_t *length)
{
	off_t space = options.limit;
	size_t most = step(state) % 8 ? 8192 : MOST;

	if (step(state) % 2 && space > 65536)
		space = 65536;
	*length = 1 + step(state) % most;
	if ((off_t)*length > space)
		*length = (size_t)space;
	*offset = (off_t)(step(state) % (uint64_t)(space - (off_t)*length + 1));
	if (options.direct) {
		*offset &= ~(off_t)4095;
		*length = (*length + 4095) & ~(size_t)4095;
		if (*offset + (off_t)*length > options.limit)
			*length = 4096;
	}
}

/* cut a request in up to four pieces */
static int pieces(uint64_t *state, unsigned char *buffer, size_t length, struct iovec *iov)
{
	int count = 0;

	while (count < 3 && length > 1 && step(state) % 2) {
		size_t piece = 1 + step(state) % (length - 1);

		if (options.direct)
			piece &= ~(size_t)4095;
		if (!piece || piece == length)
			break;
		iov[count].iov_base = buffer;
		iov[count++].iov_len = piece;
		buffer += piece;
		length -= piece;
	}
	iov[count].iov_base = buffer;
	iov[count++].iov_len = length;
	return count;
}

static void do_read(uint64_t *state, int fd, unsigned char *buffer, off_t offset, size_t length)
{
	struct iovec iov[4];

	if (step(state) % 2) {
		if (pread(fd, buffer, length, offset) < 0)
			failed("pread");
	} else if (preadv(fd, iov, pieces(state, buffer, length, iov), offset) < 0) {
		failed("preadv");
	}
}

static void do_write(uint64_t *state, int fd, unsigned char *buffer, off_t offset, size_t length)
{
	struct iovec iov[4];

	if (!options.scribble)
		memset(buffer, (int)step(state), length);
	if (step(state) % 2) {
		if (pwrite(fd, buffer, length, offset) != (ssize_t)length)
			failed("pwrite");
	} else if (pwritev(fd, iov, pieces(state, buffer, length, iov), offset) != (ssize_t)length) {
		failed("pwritev");
	}
}

static void do_resize(uint64_t *state, int fd, int append, unsigned char *buffer, size_t length)
{
	struct stat now;

	if (fstat(fd, &now))
		failed("fstat");
	else if (now.st_size + (off_t)length > options.limit || step(state) % 2) {
		if (ftruncate(fd, options.limit / 2 + (off_t)(step(state) % (uint64_t)(options.limit / 2 + 1))))
			failed("ftruncate");
	} else if (write(append, buffer, length) != (ssize_t)length) {
		failed("append");
	}
}

static void *work(void *argument)
{
	int number = (int)(intptr_t)argument, mode = options.direct ? O_DIRECT : 0;
	uint64_t state = (options.seed * 1000003 + (uint64_t)getpid()) * 131 + (uint64_t)number * 7919 + 1;
	int fd = open(options.file, O_RDWR | mode), append = open(options.file, O_WRONLY | O_APPEND);
	unsigned char *out = write_buffers[number], *in = options.one_buffer ? shared_buffer : aligned();

	if (fd < 0 || append < 0)
		failed("open");
	while (!atomic_load_explicit(&over, memory_order_relaxed)) {
		uint64_t what = step(&state) % 100;
		off_t offset;
		size_t length;

		choose(&state, &offset, &length);
		if (what < 45 && !options.write_only)
			do_read(&state, fd, in, offset, length);
		else if (what < 90)
			do_write(&state, fd, out, offset, length);
		else if (what < 94) {
			if (fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, offset, (off_t)length) &&
				errno != EOPNOTSUPP)
				failed("punch");
		} else if (what < 96 && !options.fixed)
			do_resize(&state, fd, append, out, length);
		else if (what == 96 && step(&state) % 16 == 0 && fsync(fd))
			failed("fsync");
		atomic_fetch_add_explicit(&total->operations, 1, memory_order_relaxed);
	}
	close(fd);
	close(append);
	if (!options.one_buffer)
		free(in);
	return NULL;
}

static void *scribble(void *unused)
{
	uint64_t state = options.seed + 77;

	(void)unused;
	while (!atomic_load_explicit(&over, memory_order_relaxed)) {
		uint64_t random = step(&state);

		write_buffers[random % (unsigned)options.threads][(random >> 8) % 8192] = (unsigned char)(random >> 32);
	}
	return NULL;
}

static void process(void)
{
	pthread_t threads[THREADS + 1];
	int count = 0;
	struct timespec whole = { options.seconds, 0 };

	shared_buffer = aligned();
	for (int i = 0; i < options.threads; i++)
		write_buffers[i] = aligned();
	for (int i = 0; i < options.threads; i++)
		if (!pthread_create(&threads[count], NULL, work, (void *)(intptr_t)i))
			count++;
	if (options.scribble && !pthread_create(&threads[count], NULL, scribble, NULL))
		count++;
	while (nanosleep(&whole, &whole) && errno == EINTR)
		;
	atomic_store(&over, 1);
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

static void parse(int argc, char **argv)
{
	struct stat now;
	int option;

	while ((option = getopt(argc, argv, "p:t:s:r:l:fwxbd")) != -1) {
		switch (option) {
		case 'p': options.processes = atoi(optarg); break;
		case 't': options.threads = atoi(optarg); break;
		case 's': options.seconds = atoi(optarg); break;
		case 'r': options.seed = strtoul(optarg, NULL, 0); break;
		case 'l': options.limit = atoll(optarg); break;
		case 'f': options.fixed = 1; break;
		case 'w': options.write_only = 1; break;
		case 'x': options.scribble = 1; break;
		case 'b': options.one_buffer = 1; break;
		case 'd': options.direct = 1; break;
		default: exit(2);
		}
	}
	options.file = argv[optind];
	if (!options.file || options.threads < 1 || options.threads > THREADS || stat(options.file, &now)) {
		fprintf(stderr, "usage: stress [-p N] [-t N] [-s N] [-r N] [-l N] [-fwxbd] FILE\n");
		exit(2);
	}
	if (!options.limit)
		options.limit = now.st_size;
}

int main(int argc, char **argv)
{
	int bad = 0, status;

	parse(argc, argv);
	total = mmap(NULL, sizeof *total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (total == MAP_FAILED)
		return 2;
	for (int i = 1; i < options.processes; i++) {
		if (!fork()) {
			process();
			exit(0);
		}
	}
	process();
	while (wait(&status) > 0)
		bad |= status;
	printf("operations %ld\n", atomic_load(&total->operations));
	return bad || atomic_load(&total->failures) ? 1 : 0;
}
