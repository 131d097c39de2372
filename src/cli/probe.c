/* probe: see probe.h. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "cli.h"
#include "probe.h"

/* Without the lock: the image may be in use. */
static void __attribute__((noreturn)) become_qemu_img(const char *path, int out)
{
	sigset_t none;

	dup2(out, 1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	unsetenv("LD_PRELOAD");
	execlp("qemu-img", "qemu-img", "info", "--output=json", "-U", path, NULL);
	_exit(errno == ENOENT ? 127 : 126);
}

static json_t *read_info(int in)
{
	FILE *stream = fdopen(in, "r");
	json_t *info = stream ? json_loadf(stream, 0, NULL) : NULL;

	if (stream)
		fclose(stream);
	else
		close(in);
	return info;
}

char *cli_probe(const char *path)
{
	int link[2], status = 0;
	pid_t pid;
	json_t *info;
	char *format = NULL;

	if (pipe(link) < 0 || (pid = fork()) < 0) {
		cli_say("qemu-img: %s", strerror(errno));
		return NULL;
	}
	if (pid == 0) {
		close(link[0]);
		become_qemu_img(path, link[1]);
	}
	close(link[1]);
	info = read_info(link[0]);
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		const char *name =
			json_string_value(json_object_get(info, "format"));

		format = name ? strdup(name) : NULL;
	}
	json_decref(info);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		cli_say("qemu-img: not found; it is in the Debian package "
			"qemu-utils");
	else if (!format)
		cli_say("%s: qemu-img cannot tell its format", path);
	return format;
}
