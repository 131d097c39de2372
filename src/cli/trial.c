/* trial: see trial.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "library.h"
#include "machine.h"
#include "trial.h"

struct place {
	char directory[PATH_MAX];
	char target[PATH_MAX + 8], shadow[PATH_MAX + 8], state[PATH_MAX + 16];
};

static int make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int result = fd < 0 ? -1 : ftruncate(fd, 4096);

	if (fd >= 0)
		close(fd);
	return result;
}

static int make_place(struct place *place)
{
	if (snprintf(place->directory, sizeof(place->directory),
		     "%s/blkverify-doctor.XXXXXX", cli_machine_temporary()) >=
		    PATH_MAX ||
	    !mkdtemp(place->directory))
		return -1;
	sprintf(place->target, "%s/target", place->directory);
	sprintf(place->shadow, "%s/shadow", place->directory);
	sprintf(place->state, "%s/shadow.bvstate", place->directory);
	return make_file(place->target) < 0 || make_file(place->shadow) < 0 ?
		       -1 : 0;
}

static void remove_place(const struct place *place)
{
	unlink(place->target);
	unlink(place->shadow);
	unlink(place->state);
	rmdir(place->directory);
}

/* Only ours: the user's may be for a run that is to come. */
static void clear_settings(void)
{
	size_t i = 0;

	while (environ && environ[i]) {
		char name[256];
		size_t n = strcspn(environ[i], "=");

		if (strncmp(environ[i], "BLKVERIFY_", 10) || n >= sizeof(name)) {
			i++;
			continue;
		}
		memcpy(name, environ[i], n);
		name[n] = '\0';
		unsetenv(name);
	}
}

static void __attribute__((noreturn))
become_patient(const struct place *place, const char *library,
	       const sigset_t *mask)
{
	int null = open("/dev/null", O_RDWR);

	sigprocmask(SIG_SETMASK, mask, NULL);
	clear_settings();
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	if (setenv("BLKVERIFY_TARGET", place->target, 1) < 0 ||
	    setenv("BLKVERIFY_SHADOW", place->shadow, 1) < 0 ||
	    cli_library_preload(library) < 0)
		_exit(126);
	execl("/proc/self/exe", "blkverify", "--version", NULL);
	_exit(127);
}

static const char *judge(const struct place *place, int status)
{
	static char words[64];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return access(place->state, F_OK) == 0 ?
			       NULL :
			       "the dynamic linker ignores LD_PRELOAD";
	if (WIFSIGNALED(status))
		snprintf(words, sizeof(words),
			 "a program with it ends by signal %d",
			 WTERMSIG(status));
	else
		snprintf(words, sizeof(words),
			 "a program with it ends with status %d",
			 WEXITSTATUS(status));
	return words;
}

const char *cli_trial(const char *library)
{
	const char *result = "no directory to try it in; set TMPDIR";
	struct place place = { .directory = "" };
	sigset_t all, mask;
	int status = 0;
	pid_t pid;

	/* Ctrl-C ends the patient, and us when all is taken away. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &mask);
	if (make_place(&place) == 0) {
		fflush(NULL);
		pid = fork();
		if (pid == 0)
			become_patient(&place, library, &mask);
		while (pid > 0 && waitpid(pid, &status, 0) < 0 &&
		       errno == EINTR)
			;
		result = pid < 0 ? "no process to try it in" :
				   judge(&place, status);
	}
	remove_place(&place);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return result;
}
