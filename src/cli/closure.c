/* closure: see closure.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <blkverify/disk.h>

#include "cli.h"
#include "closure.h"

static bool has(const struct cli_closure *c, const char *file)
{
	struct stat st, other;

	if (stat(file, &st) < 0)
		return false;
	for (size_t i = 0; i < c->files; i++)
		if (stat(c->file[i], &other) == 0 && bv_disk_same(&st, &other))
			return true;
	return false;
}

static int add(struct cli_closure *c, const char *file)
{
	char **more;

	if (has(c, file))
		return 0;
	more = realloc(c->file, (c->files + 1) * sizeof(*more));
	if (!more)
		return -1;
	c->file = more;
	c->file[c->files] = strdup(file);
	return c->file[c->files] ? (c->files++, 0) : -1;
}

/* A program may name whatever it likes as its linker, and that is about to be
 * run. */
static bool can_be_trusted(const char *linker)
{
	struct stat st;

	return stat(linker, &st) == 0 && S_ISREG(st.st_mode) &&
	       (st.st_uid == 0 || st.st_uid == geteuid()) &&
	       (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static void __attribute__((noreturn))
become_linker(const char *linker, const char *file, int out)
{
	char path[4096];

	/* With a slash, or it would be looked for in PATH. */
	snprintf(path, sizeof(path), "%s%s", strchr(file, '/') ? "" : "./",
		 file);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	setenv("LC_ALL", "C", 1);
	execl(linker, linker, "--list", path, NULL);
	_exit(127);
}

/* Its answer, as a stream. */
static FILE *ask(const char *linker, const char *file, pid_t *pid)
{
	FILE *answer;
	int link[2];

	if (pipe2(link, O_CLOEXEC) < 0)
		return NULL;
	answer = fdopen(link[0], "r");
	*pid = answer ? fork() : -1;
	if (*pid == 0)
		become_linker(linker, file, link[1]);
	close(link[1]);
	if (!answer)
		close(link[0]);
	if (*pid < 0 && answer)
		fclose(answer);
	return *pid < 0 ? NULL : answer;
}

/* One of
 *	NAME => PATH (ADDRESS)
 *	PATH (ADDRESS)
 * and, where the kernel is the file, NAME (ADDRESS). */
static int take_line(struct cli_closure *c, char *line)
{
	char *arrow = strstr(line, " => "), *end;
	char *path = arrow ? arrow + 4 : line + strspn(line, " \t");

	end = strstr(path, " (0x");
	if (*path != '/' || !end)
		return 0;
	*end = '\0';
	return add(c, path);
}

/* The linker's own words are in the last line where it failed. */
static int complain(const char *file, const char *last)
{
	const char *words = strstr(last, ": ");

	words = words ? words + 2 : last;
	if (!strncmp(words, "error while loading shared libraries: ", 38))
		words += 38;
	cli_say("%s: the dynamic linker cannot load it%s%.*s", file,
		*words ? ": " : "", (int)strcspn(words, "\n"), words);
	return -1;
}

int cli_closure_add(struct cli_closure *c, const char *linker, const char *file)
{
	char *line = NULL;
	size_t room = 0;
	FILE *answer;
	int status = -1, result = add(c, file);
	pid_t pid;

	if (!can_be_trusted(linker)) {
		cli_say("%s: its dynamic linker %s is not one to run", file,
			linker);
		return -1;
	}
	answer = ask(linker, file, &pid);
	if (!answer) {
		cli_say("%s: %s", linker, strerror(errno));
		return -1;
	}
	while (result == 0 && getline(&line, &room, answer) > 0)
		result = take_line(c, line);
	fclose(answer);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (result == 0 && status != 0)
		result = complain(file, line ? line : "");
	free(line);
	return result;
}

void cli_closure_free(struct cli_closure *c)
{
	for (size_t i = 0; i < c->files; i++)
		free(c->file[i]);
	free(c->file);
	*c = (struct cli_closure){ .files = 0 };
}
