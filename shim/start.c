/* start: see start.h. */
#include <dlfcn.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <blkverify/alias.h>
#include <blkverify/buffer.h>
#include <blkverify/config.h>
#include <blkverify/disk.h>
#include <blkverify/late.h>
#include <blkverify/log.h>
#include <blkverify/memory.h>
#include <blkverify/policy.h>
#include <blkverify/pool.h>
#include <blkverify/queue.h>
#include <blkverify/thread.h>
#include <blkverify/verify.h>

#include "../src/raw.h"
#include "environment.h"
#include "ops.h"
#include "resolve.h"
#include "stacked.h"
#include "ring.h"
#include "start.h"
#include "stream.h"
#include "wrap_dl.h"
#include "task.h"
#include "trap.h"
#include "uring.h"

/* As many as suit operations that block. */
#define REQUEST_THREADS 8

enum { NOT_STARTED, STARTING, STARTED };

static atomic_int phase;
static atomic_int starter;
static char **environment;
static struct bv_config config;
static char directory[PATH_MAX];

static bool is_at(const struct stat *st, const char *path)
{
	struct stat other;

	return path && raw_fstatat(AT_FDCWD, path, &other, 0) == 0 &&
	       other.st_dev == st->st_dev && other.st_ino == st->st_ino;
}

static bool log_is_image(void)
{
	struct stat st;
	bool image = false;

	if (bv_log_fd() < 0 || raw_fstat(bv_log_fd(), &st) < 0)
		return false;
	for (unsigned i = 0; i < BV_MAX_PAIRS; i++)
		image |= is_at(&st, config.target[i]) ||
			 is_at(&st, config.shadow[i]);
	return image;
}

/* A log that is an image, by whatever name, is not written to: the lines
 * would be the corruption. NULL: standard error. -EEXIST: it is one. */
static int open_log(const char *path)
{
	int result = bv_log_open(path);

	if (result < 0 || !log_is_image())
		return result;
	bv_log_silence();
	return -EEXIST;
}

static void __attribute__((noreturn)) fail(const struct bv_text *why)
{
	if (bv_log_fd() < 0 && config.log)
		open_log(config.log);
	if (bv_log_fd() < 0)
		open_log(NULL);
	bv_log_line(why);
	raw_exit(125);
}

static void __attribute__((noreturn)) fail_errno(const char *what, int error)
{
	static struct bv_text why;

	text_add(&why, what);
	text_add(&why, ": ");
	text_errno(&why, error);
	fail(&why);
}

static void bind_symbols(void)
{
	static struct bv_text why;
	const char *missing = bv_resolve_required();

	if (!missing)
		return;
	text_add(&why, missing);
	text_add(&why, ": not found in libc, or libblkverify is loaded twice");
	fail(&why);
}

/* Behind the arguments, where the kernel put it: a constructor that runs
 * before that of libc, which sets environ, may have come here. */
static char **find_environment(void)
{
	static char *none[] = { NULL };
	void **end = dlsym(RTLD_DEFAULT, "__libc_stack_end");
	char **start = end ? *end : NULL;

	if (__environ)
		return __environ;
	return start ? start + (long)start[0] + 2 : none;
}

static void read_environment(void)
{
	static struct bv_text why;
	long length = raw_call(SYS_getcwd, (long)directory, sizeof(directory), 0,
			       0, 0, 0);

	if (length < 0)
		directory[0] = '\0';
	if (!environment)
		environment = find_environment();
	if (bv_config_parse(&config, environment, directory, bv_pid, &why) < 0)
		fail(&why);
}

static void start_log(void)
{
	static struct bv_text why;
	int result = open_log(config.log);

	if (result == 0 || !config.log)
		return;
	text_add(&why, "BLKVERIFY_LOG=");
	text_quoted(&why, config.log);
	text_add(&why, ": ");
	if (result == -EEXIST)
		text_add(&why, "is a target or a shadow");
	else
		text_errno(&why, -result);
	config.log = NULL;
	fail(&why);
}

/* What is called on a target besides bv_target. */
static void guard_stacked(void)
{
	const void *const others[] = {
		(const void *)real_fsync, (const void *)real_fdatasync,
		(const void *)real_syncfs, (const void *)real_sync_file_range,
		(const void *)real_ftruncate64, (const void *)real_truncate64,
		(const void *)real_fallocate64,
		(const void *)real_posix_fallocate64,
		(const void *)real_openat64, (const void *)real_open64,
		(const void *)real_ioctl,
	};

	bv_stacked_guard(&bv_target, others, sizeof(others) / sizeof(*others));
}

/* Of all handlers of exit and quick_exit the last: registered before ld.so's
 * own, which runs the destructors, ours not last of them. Only libc's flushing
 * of streams comes later. */
static void end(void *unused)
{
	(void)unused;
	/* A child of vfork ends without its parent's memory ending with it. */
	if (raw_getpid() != bv_pid)
		return;
	/* The kernel would finish what was submitted to it. */
	bv_pool_drain(&bv_requests);
	/* What libc would flush would be missing from the line. */
	if (config.stats)
		fflush(NULL);
	bv_memory_flush_all("exit");
	bv_late_end();
	bv_policy_stats();
}

/* Not by atexit and at_quick_exit, which are for a library that may go. */
int __cxa_atexit(void (*function)(void *), void *argument, void *library);
int __cxa_at_quick_exit(void (*function)(void *), void *library);

static void start_engine(void)
{
	static struct bv_text why;
	int result;

	bv_target = (struct bv_target_io){
		.pread = real_pread64, .pwrite = real_pwrite64,
		.preadv2 = real_preadv64v2, .pwritev2 = real_pwritev64v2,
		.lseek = real_lseek64,
	};
	if (bv_stacked_is_libc((void *)real_pread64) &&
	    bv_stacked_is_libc((void *)real_pwrite64))
		bv_queue_start();
	guard_stacked();
	start_log();
	if (bv_environment_start(environment, directory, &why) < 0)
		fail(&why);
	result = bv_buffer_start();
	if (result < 0)
		fail_errno("private buffers", -result);
	bv_policy_start(&config);
	bv_pool_start(&bv_requests, config.threads ? config.threads : REQUEST_THREADS);
	result = bv_late_start(&config);
	if (result < 0)
		fail_errno("BLKVERIFY_QUEUE", -result);
	if (bv_disk_start(&config, &why) < 0 || bv_alias_check(&why) < 0)
		fail(&why);
	if (bv_stream_start() < 0) {
		text_clear(&why);
		text_add(&why, "stdio of this libc (");
		text_add(&why, gnu_get_libc_version());
		text_add(&why, "): its vtables are not as expected");
		fail(&why);
	}
	bv_dl_start();
	/* The parent may end at once, as in daemon(3), which libc does by
	 * itself. */
	pthread_atfork(bv_late_settle, NULL, bv_child_begun);
	__cxa_atexit(end, NULL, NULL);
	__cxa_at_quick_exit(end, NULL);
}

bool bv_has_started(void)
{
	return atomic_load(&phase) == STARTED;
}

/* A verifier that looks away from such calls must not look like one that does
 * not. */
static void start_trap(void)
{
	static struct bv_text why;
	enum bv_trap trap = bv_trap_start();

	if (trap == BV_TRAP_SET)
		return;
	text_add(&why, "BLKVERIFY_TRAP=1: ");
	text_add(&why, bv_trap_missing(trap));
	fail(&why);
}

void bv_start(void)
{
	int expected = NOT_STARTED;

	if (atomic_load(&phase) == STARTED)
		return;
	if (!atomic_compare_exchange_strong(&phase, &expected, STARTING)) {
		/* Another thread is at it; or we are, and something that was
		 * called on the way came back here. */
		while (atomic_load(&phase) == STARTING &&
		       atomic_load(&starter) != raw_gettid())
			raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
		return;
	}
	atomic_store(&starter, raw_gettid());
	bv_pid = raw_getpid();
	bind_symbols();
	read_environment();
	if (config.active)
		start_engine();
	atomic_store(&phase, STARTED);
	bv_resolve_optional();
	if (config.active && config.trap)
		start_trap();
}

/* The environment is taken from the argument: getenv is not ready when the
 * library is initialised first of all (-z initfirst). */
static void __attribute__((constructor)) construct(int argc, char **argv,
						   char **envp)
{
	int error = errno;

	(void)argc;
	(void)argv;
	environment = envp;
	bv_start();
	errno = error;
}
