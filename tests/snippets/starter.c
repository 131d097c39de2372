/*
 * starter SYMBOL SURROUNDINGS PROGRAM [ARG...]: begins PROGRAM (a path) by that function and waits for it. SURROUNDINGS is
 * "same", "empty" (no environment), "changed" (LD_PRELOAD, and the pair, say something else), "null" (a null pointer),
 * "large" (empty but for 3000 other variables). Functions that take no environment get it as the process's own.
 * starter --list: every SYMBOL, one a line.
 */
#include "client.h"
#include <spawn.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <wordexp.h>

typedef char *const strings[];
typedef const posix_spawn_file_actions_t *actions;
typedef const posix_spawnattr_t *attributes;

CALL(execl, int, (const char *, const char *, ...))
CALL(execle, int, (const char *, const char *, ...))
CALL(execlp, int, (const char *, const char *, ...))
CALL(execv, int, (const char *, strings))
CALL(execve, int, (const char *, strings, strings))
CALL(execvp, int, (const char *, strings))
CALL(execvpe, int, (const char *, strings, strings))
CALL(fexecve, int, (int, strings, strings))
CALL(execveat, int, (int, const char *, strings, strings, int))
CALL(posix_spawn, int, (pid_t *, const char *, actions, attributes, strings, strings))
CALL(posix_spawnp, int, (pid_t *, const char *, actions, attributes, strings, strings))
CALL(pidfd_spawn, int, (int *, const char *, actions, attributes, strings, strings))
CALL(pidfd_spawnp, int, (int *, const char *, actions, attributes, strings, strings))
CALL(system, int, (const char *))
CALL(__libc_system, int, (const char *))
CALL(popen, FILE *, (const char *, const char *))
CALL(_IO_popen, FILE *, (const char *, const char *))
CALL(wordexp, int, (const char *, wordexp_t *, int))
CALL(syscall, long, (long, ...))

static char **args, **vars;
static char command[65536];

static void surround(const char *how)
{
	static char *changed[] = { "LD_PRELOAD=libm.so.6", "BLKVERIFY_TARGET=/nowhere", "BLKVERIFY_SHADOW=/dev/null", "KEPT=1", NULL };
	static char *large[3001], *empty[1];

	vars = environ;
	if (!strcmp(how, "empty"))
		vars = empty;
	else if (!strcmp(how, "changed"))
		vars = changed;
	else if (!strcmp(how, "null"))
		vars = NULL;
	else if (!strcmp(how, "large")) {
		for (int i = 0; i < 3000; i++)
			if (asprintf(&large[i], "V%d=%d", i, i) < 0)
				trouble("memory");
		vars = large;
	}
}

/* the arguments as one command of the shell */
static const char *line(void)
{
	char *at = command;

	for (char **a = args; *a; a++)
		at += sprintf(at, "'%s' ", *a);
	return command;
}

static int status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int wait_for(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		trouble("waitpid");
	return status_of(status);
}

static int read_all(FILE *(*open_pipe)(const char *, const char *))
{
	FILE *pipe = open_pipe(line(), "r");
	int c;

	if (!pipe)
		return result(-1);
	while ((c = getc(pipe)) != EOF)
		putchar(c);
	return status_of(pclose(pipe));
}

static int words(void)
{
	wordexp_t w;
	char text[65600];
	int status;

	/* its own status goes with the words */
	snprintf(text, sizeof text, "$(%s; echo status $?)", line());
	status = call_wordexp(text, &w, 0);
	if (status) {
		printf("ret=%d\n", status);
		return 1;
	}
	for (size_t i = 0; i < w.we_wordc; i++)
		printf("%s%s", w.we_wordv[i], i + 1 < w.we_wordc ? " " : "\n");
	return atoi(w.we_wordv[w.we_wordc - 1]);
}

static int spawned(int error)
{
	int status;

	errno = error;
	if (error)
		return result(-1);
	if (wait(&status) < 0)
		trouble("wait");
	return status_of(status);
}

/* replaces this process: comes back only on failure */
static int execute(const char *symbol)
{
	char **a = args;

	if (!strcmp(symbol, "execl"))
		return call_execl(a[0], a[0], a[1], a[2], a[3], a[4], a[5], a[6], NULL);
	if (!strcmp(symbol, "execlp"))
		return call_execlp(a[0], a[0], a[1], a[2], a[3], a[4], a[5], a[6], NULL);
	if (!strcmp(symbol, "execle"))
		/* the environment stands where the list ends: these have none, one or six arguments */
		return !a[1] ? call_execle(a[0], a[0], NULL, vars) :
			!a[2] ? call_execle(a[0], a[0], a[1], NULL, vars) :
			call_execle(a[0], a[0], a[1], a[2], a[3], a[4], a[5], a[6], NULL, vars);
	if (!strcmp(symbol, "execv"))
		return call_execv(a[0], a);
	if (!strcmp(symbol, "execve"))
		return call_execve(a[0], a, vars);
	if (!strcmp(symbol, "execvp"))
		return call_execvp(a[0], a);
	if (!strcmp(symbol, "execvpe"))
		return call_execvpe(a[0], a, vars);
	if (!strcmp(symbol, "fexecve"))
		return call_fexecve(open(a[0], O_RDONLY | O_CLOEXEC), a, vars);
	if (!strcmp(symbol, "execveat"))
		return call_execveat ? call_execveat(AT_FDCWD, a[0], a, vars, 0) : (absent(symbol), 0);
	if (!strcmp(symbol, "syscall-execve"))
		return (int)call_syscall(SYS_execve, a[0], a, vars);
	if (!strcmp(symbol, "syscall-execveat"))
		return (int)call_syscall(SYS_execveat, AT_FDCWD, a[0], a, vars, 0);
	if (!strcmp(symbol, "vfork")) {
		int status;
		pid_t child = vfork();

		if (!child) {
			call_execve(a[0], a, vars);
			_exit(126);
		}
		status = wait_for(child);
		fflush(stdout);
		_exit(status);
	}
	usage("unknown symbol");
}

int main(int argc, char **argv)
{
	static const char list[] = "execl\nexecle\nexeclp\nexecv\nexecve\nexecvp\nexecvpe\nfexecve\nexecveat\n"
		"posix_spawn\nposix_spawnp\npidfd_spawn\npidfd_spawnp\nsystem\n__libc_system\npopen\n_IO_popen\nwordexp\n"
		"syscall-execve\nsyscall-execveat\nvfork\n";
	const char *symbol = argv[1];
	char *padded[16] = { 0 };
	pid_t child;
	int pidfd;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		fputs(list, stdout);
		return 0;
	}
	if (argc < 4 || argc > 10)
		usage("starter SYMBOL SURROUNDINGS PROGRAM [ARG...]");
	memcpy(padded, argv + 3, (size_t)(argc - 3) * sizeof *padded);
	args = padded;
	surround(argv[2]);
	environ = vars;
	if (!strcmp(symbol, "posix_spawn"))
		return spawned(call_posix_spawn(&child, args[0], NULL, NULL, args, vars));
	if (!strcmp(symbol, "posix_spawnp"))
		return spawned(call_posix_spawnp(&child, args[0], NULL, NULL, args, vars));
	if (!strcmp(symbol, "pidfd_spawn"))
		return call_pidfd_spawn ? spawned(call_pidfd_spawn(&pidfd, args[0], NULL, NULL, args, vars)) : (absent(symbol), 0);
	if (!strcmp(symbol, "pidfd_spawnp"))
		return call_pidfd_spawnp ? spawned(call_pidfd_spawnp(&pidfd, args[0], NULL, NULL, args, vars)) : (absent(symbol), 0);
	if (!strcmp(symbol, "system"))
		return status_of(call_system(line()));
	if (!strcmp(symbol, "__libc_system"))
		return call___libc_system ? status_of(call___libc_system(line())) : (absent(symbol), 0);
	if (!strcmp(symbol, "popen"))
		return read_all(call_popen);
	if (!strcmp(symbol, "_IO_popen"))
		return call__IO_popen ? read_all(call__IO_popen) : (absent(symbol), 0);
	if (!strcmp(symbol, "wordexp"))
		return words();
	return result(execute(symbol));
}
