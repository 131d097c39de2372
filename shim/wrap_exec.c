/* wrap_exec: programs begun in place of this one, or beside it.
 *
 * Each gets an environment that makes it load the shim. One that cannot load
 * it is not let near a target without a word.
 */
#include <alloca.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <blkverify/alias.h>
#include <blkverify/disk.h>
#include <blkverify/fdmap.h>
#include <blkverify/late.h>
#include <blkverify/log.h>
#include <blkverify/memory.h>
#include <blkverify/own.h>
#include <blkverify/policy.h>
#include <blkverify/pool.h>
#include <blkverify/program.h>
#include <blkverify/text.h>
#include <blkverify/thread.h>
#include <blkverify/verify.h>

#include "../src/raw.h"
#include "environment.h"
#include "guard.h"
#include "ops.h"

/* A program about to be begun. */
struct launch {
	const char *call;
	int dirfd;
	const char *path;
	int flags;                   /* of execveat */
	bool search;                 /* in the directories of PATH */
	char *const *argv, *const *envp;
	bool moves;                  /* the child moves descriptors about
	                                before it begins */
	bool replaces;               /* it takes this process's place */
};

/* Not on the stack: exec runs on those of vfork children and small threads. */
struct scratch {
	char found[PATH_MAX];
	char interpreter[BV_INTERPRETER_ROOM];
	struct bv_text what;
};

/* ---- can the child reach a target? ---- */

/* It inherits the descriptor. */
static struct bv_disk *inherits(const struct launch *l)
{
	for (int fd = 0; fd < BV_FDMAP_ROOM; fd++) {
		int flags = raw_fcntl(fd, F_GETFD, 0);
		struct stat st;
		struct bv_disk *disk;

		if (flags < 0 || (flags & FD_CLOEXEC && !l->moves) ||
		    bv_own_has(fd) || raw_fstat(fd, &st) < 0)
			continue;
		disk = bv_disk_known(&st);
		if (!disk)
			disk = bv_alias_of(&st);
		if (disk)
			return disk;
	}
	return NULL;
}

/* An argument names it: as a path, behind a "=" or with others around it. */
static struct bv_disk *names(const char *argument)
{
	const char *value = strchr(argument, '=');
	struct bv_disk *disk = bv_alias_at(argument);

	if (!disk && value)
		disk = bv_alias_at(value + 1);
	for (unsigned i = 0; i < bv_disks && !disk; i++)
		if (strstr(argument, bv_disk[i].target))
			disk = &bv_disk[i];
	return disk;
}

static struct bv_disk *reaches(const struct launch *l)
{
	struct bv_disk *disk = inherits(l);

	for (char *const *argument = l->argv; !disk && argument && *argument;
	     argument++)
		disk = names(*argument);
	return disk;
}

/* ---- may it begin? ---- */

static void describe(struct bv_text *what, const struct launch *l,
		     const char *path, const char *reason)
{
	text_clear(what);
	text_add(what, l->call);
	text_add(what, " of ");
	text_quoted(what, path[0] ? path : "an open file");
	text_add(what, " (");
	text_add(what, reason);
	text_char(what, ')');
}

/* Its I/O will not be seen. Returns 0, or a negative errno. */
static int admit_unseen(const struct launch *l, struct scratch *scratch,
			const char *path, const char *reason)
{
	struct bv_disk *disk = reaches(l);
	int refused;

	describe(&scratch->what, l, path, reason);
	if (!disk) {
		text_add(&scratch->what, ": cannot load libblkverify, and would "
					 "not be verified if it used a target");
		bv_log_line(&scratch->what);
		return 0;
	}
	refused = bv_policy_unverified(disk, scratch->what.bytes, -EPERM);
	if (refused == 0)
		bv_change_lasting(disk, 0, INT64_MAX);
	return refused;
}

/* What is still on its way must be done before the threads that do it are
 * gone, and before the child looks. A child of vfork has its parent's threads
 * beside it, who go on. */
static void settle(void)
{
	if (raw_getpid() != bv_pid)
		return;
	bv_pool_drain(&bv_requests);
	bv_memory_flush_all("exec");
	bv_late_settle();
}

/* Valgrind's tools are static programs that do ld.so's work, preloading
 * included, for the program they carry. */
static bool is_valgrind(const struct launch *l)
{
	for (char *const *entry = l->envp; entry && *entry; entry++)
		if (!strncmp(*entry, "VALGRIND_LAUNCHER=", 18))
			return true;
	return false;
}

static int admit(const struct launch *l)
{
	struct scratch *scratch;
	const char *path, *reason = NULL;
	int result = 0;

	if (bv_disks == 0)
		return 0;
	settle();
	if (!l->path || is_valgrind(l))
		return 0;
	scratch = raw_mmap(NULL, sizeof(*scratch), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (raw_is_error(scratch))
		return -ENOMEM;
	path = l->search ? bv_program_find(l->path, bv_environment_get("PATH"),
					   scratch->found,
					   sizeof(scratch->found)) : l->path;
	if (path)
		reason = bv_program_unfit(l->dirfd, path, l->flags,
					  scratch->interpreter);
	if (reason)
		result = admit_unseen(l, scratch, path, reason);
	raw_munmap(scratch, sizeof(*scratch));
	return result;
}

/* ---- exec ---- */

static int fail(int result)
{
	errno = -result;
	return -1;
}

/* Returns the environment for the program, or NULL with errno set. */
static char *const *prepare(struct launch *l, struct bv_healed *healed,
			    char *const envp[])
{
	static char *const none[] = { NULL };
	int error = errno, result;

	l->envp = envp;
	result = admit(l);
	if (result < 0) {
		fail(result);
		return NULL;
	}
	if (l->replaces && raw_getpid() == bv_pid)
		bv_memory_leaving();
	errno = error;
	envp = bv_environment_heal(healed, envp);
	return envp ? envp : none;
}

/* It came back: the program could not be begun. */
static int returned(struct bv_healed *healed, int result)
{
	int error = errno;

	bv_environment_done(healed);
	if (raw_getpid() == bv_pid)
		bv_memory_staying();
	errno = error;
	return result;
}

int op_exec(const char *call, const char *path, char *const argv[],
	    char *const envp[])
{
	struct launch l = {
		.call = call, .dirfd = AT_FDCWD, .path = path, .argv = argv,
		.replaces = true,
	};
	struct bv_healed healed;

	envp = prepare(&l, &healed, envp);
	return envp ? returned(&healed, real_execve(path, argv, envp)) : -1;
}

int op_execp(const char *call, const char *file, char *const argv[],
	     char *const envp[])
{
	struct launch l = {
		.call = call, .dirfd = AT_FDCWD, .path = file, .search = true,
		.argv = argv, .replaces = true,
	};
	struct bv_healed healed;

	envp = prepare(&l, &healed, envp);
	return envp ? returned(&healed, real_execvpe(file, argv, envp)) : -1;
}

int op_fexecve(const char *call, int fd, char *const argv[], char *const envp[])
{
	struct launch l = {
		.call = call, .dirfd = fd, .path = "", .argv = argv,
		.replaces = true,
	};
	struct bv_healed healed;

	/* A descriptor of ours does not exist, as far as the program knows. */
	if (bv_own_has(fd))
		return fail(-EBADF);
	/* glibc's answer to a missing environment is EINVAL. */
	if (!envp)
		return real_fexecve(fd, argv, envp);
	envp = prepare(&l, &healed, envp);
	return envp ? returned(&healed, real_fexecve(fd, argv, envp)) : -1;
}

int op_execveat(const char *call, int dirfd, const char *path,
		char *const argv[], char *const envp[], int flags)
{
	struct launch l = {
		.call = call, .dirfd = dirfd, .path = path, .argv = argv,
		.flags = flags, .replaces = true,
	};
	struct bv_healed healed;

	envp = prepare(&l, &healed, envp);
	return envp ? returned(&healed, (int)real_syscall(
				SYS_execveat, (long)dirfd, (long)path,
				(long)argv, (long)envp, (long)flags, 0L)) : -1;
}

/* The list as an array on the stack of the caller, as in glibc; execle has
 * the environment behind it. */
#define COUNT(count, first)                                                  \
	do {                                                                 \
		va_list counting;                                            \
		va_start(counting, first);                                   \
		for (count = 1; va_arg(counting, char *); count++)           \
			;                                                    \
		va_end(counting);                                            \
	} while (0)

static void collect(char **argv, const char *first, size_t count, va_list list)
{
	argv[0] = (char *)first;
	for (size_t i = 1; i <= count; i++)
		argv[i] = va_arg(list, char *);
}

#define LIST(argv, first, list)                                              \
	size_t count_;                                                       \
	char **argv;                                                         \
	va_list list;                                                        \
	if (first)                                                           \
		COUNT(count_, first);                                        \
	else                                                                 \
		count_ = 0;                                                  \
	argv = alloca((count_ + 1) * sizeof(*argv));                         \
	va_start(list, first);                                               \
	collect(argv, first, count_, list)

int shim_execl(const char *path, const char *first, ...)
{
	int result;
	LIST(argv, first, list);

	result = op_exec("execl", path, argv, environ);
	va_end(list);
	return result;
}

int shim_execlp(const char *file, const char *first, ...)
{
	int result;
	LIST(argv, first, list);

	result = op_execp("execlp", file, argv, environ);
	va_end(list);
	return result;
}

int shim_execle(const char *path, const char *first, ...)
{
	int result;
	LIST(argv, first, list);

	result = op_exec("execle", path, argv, va_arg(list, char *const *));
	va_end(list);
	return result;
}

/* ---- spawn ---- */

typedef int spawner(pid_t *pid, const char *path,
		    const posix_spawn_file_actions_t *actions,
		    const posix_spawnattr_t *attributes, char *const argv[],
		    char *const envp[]);

/* These return the error, and leave errno alone. */
int op_spawn(const char *call, spawner *real, bool search, pid_t *pid,
	     const char *path, const posix_spawn_file_actions_t *actions,
	     const posix_spawnattr_t *attributes, char *const argv[],
	     char *const envp[])
{
	struct launch l = {
		.call = call, .dirfd = AT_FDCWD, .path = path,
		.search = search, .argv = argv, .moves = actions != NULL,
	};
	struct bv_healed healed;
	int error = errno, result;

	envp = prepare(&l, &healed, envp);
	result = envp ? real(pid, path, actions, attributes, argv, envp) : errno;
	if (envp)
		bv_environment_done(&healed);
	errno = error;
	return result;
}

/* ---- children that libc begins, with the process's own environment ---- */

int op_system(const char *call, int (*real)(const char *), const char *command)
{
	int result;

	(void)call;
	settle();
	bv_environment_lend();
	result = real(command);
	bv_environment_return();
	return result;
}

FILE *op_popen(const char *call, FILE *(*real)(const char *, const char *),
	       const char *command, const char *mode)
{
	FILE *stream;

	(void)call;
	settle();
	bv_environment_lend();
	stream = real(command, mode);
	bv_environment_return();
	if (stream)
		bv_fd_forget(fileno_unlocked(stream));
	return stream;
}

int op_wordexp(const char *call, const char *words, wordexp_t *result, int flags)
{
	int status;

	(void)call;
	settle();
	bv_environment_lend();
	status = real_wordexp(words, result, flags);
	bv_environment_return();
	return status;
}
