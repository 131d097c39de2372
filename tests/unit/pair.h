/* pair: a temporary pair with the engine running on it, and a target that
 * misbehaves when told to. For the unit tests of the engine.
 *
 * The engine keeps its pairs in globals, so there is one pair at a time;
 * pair_end puts everything back for the next test. What ends the process is
 * tested in children: pair_child, and CHECK instead of cmocka's assertions,
 * which jump back into a runner that is not the child's.
 */
#ifndef TESTS_UNIT_PAIR_H
#define TESTS_UNIT_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <blkverify/buffer.h>
#include <blkverify/config.h>
#include <blkverify/disk.h>
#include <blkverify/fdmap.h>
#include <blkverify/history.h>
#include <blkverify/inflight.h>
#include <blkverify/late.h>
#include <blkverify/log.h>
#include <blkverify/memory.h>
#include <blkverify/own.h>
#include <blkverify/policy.h>
#include <blkverify/state.h>
#include <blkverify/thread.h>
#include <blkverify/unknown.h>
#include <blkverify/layout.h>
#include <blkverify/verify.h>

#define PAIR_BYTES (64 * 1024)

static struct {
	char directory[128];
	char target[160], shadow[160], state[160], log[160];
	int fd;                      /* the target, for the "program" */
	struct bv_disk *disk;
	bool guess;                  /* is only what the descriptor was */
	struct bv_config config;     /* change before pair_start */
} pair;

/* What the target does instead of the plain call; NULL: the plain call. */
static struct {
	ssize_t (*pread)(int fd, void *bytes, size_t n, off64_t offset);
	ssize_t (*pwrite)(int fd, const void *bytes, size_t n, off64_t offset);
	int (*apply)(const struct bv_change *change);
	_Atomic int calls;           /* for hooks that act once */
} pair_hook;

/* In a child: an assertion that ends it with a status of its own. */
#define PAIR_FAILED 99
#define CHECK(condition)                                                      \
	do {                                                                  \
		if (!(condition)) {                                           \
			fprintf(stderr, "# %s:%d: in child: %s\n", __FILE__,  \
				__LINE__, #condition);                        \
			_exit(PAIR_FAILED);                                   \
		}                                                             \
	} while (0)

/* ---- the target's calls ---- */

static inline ssize_t pair_pread(int fd, void *bytes, size_t n, off64_t offset)
{
	return pair_hook.pread ? pair_hook.pread(fd, bytes, n, offset)
			       : pread64(fd, bytes, n, offset);
}

static inline ssize_t pair_pwrite(int fd, const void *bytes, size_t n,
				  off64_t offset)
{
	return pair_hook.pwrite ? pair_hook.pwrite(fd, bytes, n, offset)
				: pwrite64(fd, bytes, n, offset);
}

static inline int pair_apply(const struct bv_change *change)
{
	static const int mode[] = {
		[BV_OP_ZERO] = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		[BV_OP_DISCARD] = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	};
	uint64_t end = change->offset + change->length;
	struct stat st;
	int result = fstat(change->fd, &st);

	if (result == 0 && change->op == BV_OP_RESIZE && !change->grows)
		result = ftruncate(change->fd, (off_t)change->length);
	else if (result == 0 && change->grows && (off_t)end > st.st_size)
		result = ftruncate(change->fd, (off_t)end);
	if (result == 0 && change->op != BV_OP_RESIZE)
		result = fallocate(change->fd, mode[change->op],
				   (off_t)change->offset,
				   (off_t)change->length);
	return result < 0 ? -errno : 0;
}

static inline int pair_change_hook(const struct bv_change *change)
{
	return pair_hook.apply ? pair_hook.apply(change) : pair_apply(change);
}

/* ---- files ---- */

/* Every byte tells its offset and whose it is. */
static inline unsigned char pair_byte(uint64_t offset, unsigned seed)
{
	uint64_t x = (offset + 1) * 0x9e3779b97f4a7c15u + seed * 0x85ebca6bu;

	return (unsigned char)((x >> 29) | 1);
}

static inline void pair_pattern(unsigned char *bytes, size_t n,
				uint64_t offset, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = pair_byte(offset + i, seed);
}

static inline bool pair_is_pattern(const unsigned char *bytes, size_t n,
				   uint64_t offset, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != pair_byte(offset + i, seed))
			return false;
	return true;
}

static inline void pair_make_file(const char *path, size_t n)
{
	unsigned char *bytes = malloc(n + 1);
	int fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);

	if (fd < 0 || !bytes)
		abort();
	pair_pattern(bytes, n, 0, 0);
	if (pwrite(fd, bytes, n, 0) != (ssize_t)n)
		abort();
	close(fd);
	free(bytes);
}

static inline void pair_put(const char *path, const void *bytes, size_t n,
			    uint64_t offset)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || pwrite(fd, bytes, n, (off_t)offset) != (ssize_t)n)
		abort();
	close(fd);
}

static inline void pair_get(const char *path, void *bytes, size_t n,
			    uint64_t offset)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0 || pread(fd, bytes, n, (off_t)offset) != (ssize_t)n)
		abort();
	close(fd);
}

/* Behind the engine's back: one byte of a file becomes another. */
static inline void pair_spoil(const char *path, uint64_t offset)
{
	unsigned char byte;

	pair_get(path, &byte, 1, offset);
	byte ^= 0x40;
	pair_put(path, &byte, 1, offset);
}

static inline uint64_t pair_length(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (uint64_t)st.st_size : UINT64_MAX;
}

/* Are target and shadow the same, byte for byte? */
static inline bool pair_same(void)
{
	uint64_t n = pair_length(pair.target);
	unsigned char *a, *b;
	bool same;

	if (n != pair_length(pair.shadow))
		return false;
	a = malloc(n + 1);
	b = malloc(n + 1);
	pair_get(pair.target, a, n, 0);
	pair_get(pair.shadow, b, n, 0);
	same = memcmp(a, b, n) == 0;
	free(a);
	free(b);
	return same;
}

/* ---- the log ---- */

/* How often the text stands in the log. */
static inline int pair_said(const char *text)
{
	static char log[1 << 20];
	int fd = open(pair.log, O_RDONLY), count = 0;
	ssize_t n = fd < 0 ? 0 : read(fd, log, sizeof(log) - 1);

	if (fd >= 0)
		close(fd);
	log[n > 0 ? n : 0] = '\0';
	for (const char *at = log; (at = strstr(at, text)); at++)
		count++;
	return count;
}

static inline void pair_hush(void)
{
	if (truncate(pair.log, 0) < 0)
		abort();
}

/* ---- life ---- */

/* A directory with two equal files, and a configuration that goes on after a
 * mismatch. */
static inline void pair_make(size_t bytes)
{
	const char *base = getenv("TMPDIR");

	memset(&pair_hook, 0, sizeof(pair_hook));
	snprintf(pair.directory, sizeof(pair.directory), "%.90s/unit-XXXXXX",
		 base && *base ? base : "/tmp");
	if (!mkdtemp(pair.directory))
		abort();
	snprintf(pair.target, sizeof(pair.target), "%s/target", pair.directory);
	snprintf(pair.shadow, sizeof(pair.shadow), "%s/shadow", pair.directory);
	snprintf(pair.state, sizeof(pair.state), "%s/shadow.bvstate",
		 pair.directory);
	snprintf(pair.log, sizeof(pair.log), "%s/log", pair.directory);
	pair_make_file(pair.target, bytes);
	pair_make_file(pair.shadow, bytes);
	pair.fd = -1;
	pair.guess = false;
	pair.disk = &bv_disk[0];
	pair.config = (struct bv_config){
		.active = true, .pairs = 1,
		.target = { pair.target }, .shadow = { pair.shadow },
		.sector_size = 512, .on_mismatch = BV_MISMATCH_LOG,
		.on_error = BV_ERROR_MISMATCH,
		.on_unverified = BV_UNVERIFIED_REFUSE, .history = 64,
	};
}

/* Starts the engine on it. Returns 0, or -1 with the reason in *why. */
static inline int pair_start(struct bv_text *why)
{
	static bool buffers;

	bv_target = (struct bv_target_io){
		.pread = pair_pread, .pwrite = pair_pwrite,
		.preadv2 = preadv64v2, .pwritev2 = pwritev64v2,
		.lseek = lseek64,
	};
	/* once: threads of ours may be there from the last test */
	if (bv_pid != getpid())
		bv_thread_forked();
	bv_thread.depth = 0;
	bv_policy_start(&pair.config);
	bv_policy_forked();
	if (!buffers && bv_buffer_start() < 0)
		abort();
	buffers = true;
	if (bv_log_open(pair.log) < 0)
		abort();
	bv_fd_forget_range(0, BV_FDMAP_ROOM - 1);
	text_clear(why);
	if (bv_late_start(&pair.config) < 0)
		abort();
	if (bv_disk_start(&pair.config, why) < 0)
		return -1;
	pair.fd = open(pair.target, O_RDWR);
	return pair.fd < 0 ? -1 : 0;
}

/* Forgets the engine's pair, as if the process had ended. In a child this
 * leaves the parent's alone. */
static inline void pair_stop(void)
{
	bv_late_end();
	for (unsigned i = 0; i < BV_MAX_PAIRS; i++) {
		struct bv_disk *disk = &bv_disk[i];

		if (!disk->target)
			continue;
		if (disk->state)
			munmap(disk->state,
			       bv_state_bytes(disk->state->history_room));
		for (int j = 0; j < 4; j++) {
			int fd = j == 0 ? disk->shadow_fd :
				 j == 1 ? disk->state_fd :
				 j == 2 ? disk->pin_fd : disk->parent_fd;

			if (fd >= 0)
				close(fd);
		}
		memset((void *)disk, 0, sizeof(*disk));
	}
	bv_disks = 0;
	if (bv_log_fd() >= 0)
		close(bv_log_fd());
	bv_log_silence();
	if (pair.fd >= 0)
		close(pair.fd);
	pair.fd = -1;
}

static inline void pair_remove(void)
{
	char command[200];

	if (!pair.directory[0])
		return;
	snprintf(command, sizeof(command), "rm -rf -- '%s'", pair.directory);
	if (system(command) != 0)
		abort();
	pair.directory[0] = '\0';
}

/* The usual setup and teardown. */
static inline int pair_begin(void **state)
{
	static struct bv_text why;

	(void)state;
	pair_make(PAIR_BYTES);
	if (pair_start(&why) == 0)
		return 0;
	fprintf(stderr, "# %s\n", why.bytes);
	return -1;
}

static inline int pair_end(void **state)
{
	(void)state;
	memset(&pair_hook, 0, sizeof(pair_hook));
	pair_stop();
	pair_remove();
	return 0;
}

/* The engine again, from the files as they are. */
static inline void pair_restart(void)
{
	static struct bv_text why;

	pair_stop();
	if (pair_start(&why) == 0)
		return;
	fprintf(stderr, "# %s\n", why.bytes);
	abort();
}

/* With another policy: they are read at start. */
static inline void pair_policy(enum bv_on_mismatch mismatch,
			       enum bv_on_error error,
			       enum bv_on_unverified unverified)
{
	pair.config.on_mismatch = mismatch;
	pair.config.on_error = error;
	pair.config.on_unverified = unverified;
	bv_policy_start(&pair.config);
}

/* The engine's descriptor of the shadow becomes another one, as if it had been
 * opened so from the beginning. */
static inline void pair_replace_shadow(const char *path, int flags)
{
	int fd = open(path, flags), old = pair.disk->shadow_fd;
	off_t position = lseek(old, 0, SEEK_CUR);

	if (fd < 0 || lseek(fd, position, SEEK_SET) != position ||
	    dup3(fd, old, O_CLOEXEC) < 0)
		abort();
	close(fd);
}

/* ---- children ---- */

/* SIGKILL in so many seconds: the engine blocks all signals while it waits,
 * so that no milder one ends a test that hangs. Not inherited by children. */
static inline void pair_expire(int seconds)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
				  .sigev_signo = SIGKILL };
	struct itimerspec when = { .it_value = { seconds, 0 } };
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0 ||
	    timer_settime(timer, 0, &when, NULL) < 0)
		abort();
}

/* Forks as the shim's wrapper of fork does. A child that hangs is killed.
 * Returns the child's id to the parent, 0 to the child. */
static inline pid_t pair_fork(void)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid != 0)
		return pid;
	bv_thread_forked();
	bv_policy_forked();
	bv_late_forked();
	bv_own_forked();
	bv_memory_forked();
	/* cmocka's handlers would report for a runner that is not here. */
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	pair_expire(30);
	return 0;
}

static inline int pair_wait(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* body in a child; its wait status. */
static inline int pair_child(void (*body)(void))
{
	pid_t pid = pair_fork();

	if (pid == 0) {
		body();
		_exit(0);
	}
	return pair_wait(pid);
}

/* ---- operations as the program makes them ---- */

static inline ssize_t pair_transfer(bool write, int fd, void *bytes, size_t n,
				    int64_t offset, int flags)
{
	struct iovec iov = { bytes, n };
	struct bv_request request = {
		.call = write ? "pwrite64" : "pread64", .fd = fd, .iov = &iov,
		.count = 1, .offset = offset, .flags = flags,
		.position = offset < 0, .plain = flags == 0,
		.guessed = pair.guess && offset >= 0,
	};

	return write ? bv_write(pair.disk, &request)
		     : bv_read(pair.disk, &request);
}

static inline ssize_t pair_read(void *bytes, size_t n, int64_t offset)
{
	return pair_transfer(false, pair.fd, bytes, n, offset, 0);
}

static inline ssize_t pair_write(const void *bytes, size_t n, int64_t offset)
{
	return pair_transfer(true, pair.fd, (void *)(uintptr_t)bytes, n, offset,
			     0);
}

/* n bytes of a pattern. */
static inline ssize_t pair_write_pattern(size_t n, int64_t offset, unsigned seed)
{
	unsigned char *bytes = malloc(n + 1);
	ssize_t result;

	pair_pattern(bytes, n, (uint64_t)offset, seed);
	result = pair_write(bytes, n, offset);
	free(bytes);
	return result;
}

/* The whole file through the engine; false when a read failed. */
static inline bool pair_read_all(void)
{
	uint64_t n = pair_length(pair.target);
	unsigned char *bytes = malloc(n + 1);
	ssize_t got = pair_read(bytes, n, 0);

	free(bytes);
	return got == (ssize_t)n;
}

static inline int pair_change(enum bv_op op, uint64_t offset, uint64_t length,
			      bool grows)
{
	struct bv_change change = {
		.call = op == BV_OP_RESIZE ? "ftruncate" : "fallocate",
		.fd = pair.fd, .op = op, .offset = offset, .length = length,
		.grows = grows, .apply = pair_change_hook,
	};

	return bv_change(pair.disk, &change);
}

static inline bool pair_is_unknown(uint64_t start, uint64_t end)
{
	struct bv_extent e;

	return bv_unknown_next(pair.disk, start, end, &e) && e.start == start &&
	       e.end == end;
}

static inline bool pair_is_known(uint64_t start, uint64_t end)
{
	struct bv_extent e;

	return !bv_unknown_next(pair.disk, start, end, &e);
}

/* ---- time ---- */

static inline double pair_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline void pair_sleep(unsigned milliseconds)
{
	struct timespec t = { milliseconds / 1000,
			      (long)(milliseconds % 1000) * 1000000 };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

/* A test program that hangs is ended by this, if by nothing else. */
static inline int pair_limit(void **state)
{
	(void)state;
	pair_expire(400);
	return 0;
}

static inline uint32_t pair_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

#endif
