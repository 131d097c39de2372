/* doctor: says beforehand if a program can be verified. */
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <blkverify/config.h>
#include <blkverify/program.h>

#include "cli.h"
#include "diagnosis.h"
#include "image.h"
#include "library.h"
#include "machine.h"
#include "options.h"
#include "treatment.h"
#include "trial.h"

enum { COVERED, NOT_COVERED, TROUBLE };

static const char usage[] =
"usage: blkverify doctor [OPTION...] PROGRAM\n"
"\n"
"Says beforehand if PROGRAM can be verified: if it can load the library, which\n"
"functions that do I/O it and its libraries call and what becomes of each, which\n"
"of them make system calls past libc, and what this machine has. PROGRAM is not\n"
"run.\n"
"\n"
"  --also LIBRARY     one that it loads later, a plugin; may be repeated\n"
"  --verbose          also which file calls each function\n"
"  --help, --version\n"
"\n"
"exit status: 0 all is covered, 1 something is not, 2 trouble\n";

/* Scripts of scripts, and env between them. */
#define DEEPEST 8

struct examination {
	const char *name;            /* as given */
	const char **also;
	unsigned alsos;
	char file[PATH_MAX];         /* the program that is begun in the end */
	const char *unfit;           /* why it cannot load the library */
	struct cli_machine machine;
	struct cli_diagnosis d;
};

/* ---- which file ---- */

static int find(const char *name, char file[PATH_MAX])
{
	char room[PATH_MAX];
	const char *found = bv_program_find(name, getenv("PATH"), room,
					    sizeof(room));

	if (!found || strlen(found) >= PATH_MAX) {
		cli_say("%s: not found", name);
		return -1;
	}
	memmove(file, found, strlen(found) + 1);
	return 0;
}

static int check_file(const char *file)
{
	struct stat st;

	if (stat(file, &st) < 0)
		cli_say("%s: %s", file, cli_why(errno));
	else if (!S_ISREG(st.st_mode))
		cli_say("%s: %s", file, S_ISDIR(st.st_mode) ?
					"is a directory" : "no regular file");
	else if (access(file, X_OK) < 0)
		cli_say("%s: cannot be executed: %s", file, cli_why(errno));
	else if (access(file, R_OK) < 0)
		cli_say("%s: cannot be read: %s", file, cli_why(errno));
	else
		return 0;
	return -1;
}

/* The word behind "#!.../env" in the first line of a script; false: there is
 * none that is a program's name. */
static bool word_for_env(const char *script, char *word, size_t room)
{
	char line[BV_INTERPRETER_ROOM];
	int fd = open(script, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	char *at;

	if (fd >= 0)
		close(fd);
	line[n > 0 ? n : 0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	at = line + strcspn(line, "/");
	at += strcspn(at, " \t");
	at += strspn(at, " \t");
	if (!strncmp(at, "-S", 2))
		at += 2 + strspn(at + 2, " \t");
	at[strcspn(at, " \t")] = '\0';
	if (!*at || *at == '-' || strchr(at, '=') || strlen(at) >= room)
		return false;
	strcpy(word, at);
	return true;
}

/* From what was named to the program that the kernel begins: the interpreter of
 * a script in its place. */
static int settle_file(struct examination *e)
{
	char interpreter[BV_INTERPRETER_ROOM], script[PATH_MAX];

	if (find(e->name, e->file) < 0)
		return -1;
	for (int depth = 0; depth < DEEPEST; depth++) {
		const char *slash;

		if (check_file(e->file) < 0)
			return -1;
		e->unfit = bv_program_unfit(AT_FDCWD, e->file, 0, interpreter);
		if (!interpreter[0])
			return 0;
		printf("%s: a script for %s\n", e->file, interpreter);
		strcpy(script, e->file);
		strcpy(e->file, interpreter);
		slash = strrchr(interpreter, '/');
		if (e->unfit || !slash || strcmp(slash, "/env"))
			return check_file(e->file);
		if (!word_for_env(script, interpreter, sizeof(interpreter)) ||
		    find(interpreter, e->file) < 0)
			return -1;
	}
	cli_say("%s: scripts for scripts without end", e->name);
	return -1;
}

/* ---- what is wrong with it ---- */

/* Such a program is begun and verifies nothing, without a word of the dynamic
 * linker's. */
static void note_unfit(struct examination *e)
{
	static const struct {
		const char *reason, *advice;
	} advice[] = {
		{ "statically linked", "link it dynamically" },
		{ "another C library", "take one that is built for glibc" },
		{ "another machine or word size",
		  "take one that is built for this machine" },
		{ "file capabilities",
		  "run it as root, or a copy, which has none" },
		{ "another user or group",
		  "run it as that user, or a copy, which is not set-id" },
	};
	struct cli_object object;
	const char *runtime = NULL, *why, *what = "";

	if (cli_object_open(&object, e->file, &why) == 0) {
		runtime = object.runtime;
		cli_object_close(&object);
	}
	for (size_t i = 0; i < sizeof(advice) / sizeof(*advice); i++)
		if (!strcmp(advice[i].reason, e->unfit))
			what = advice[i].advice;
	cli_diagnosis_note(&e->d, "%s: cannot load the library: %s%s%s%s%s%s",
			   e->file, e->unfit, runtime ? " (" : "",
			   runtime ? runtime : "", runtime ? ")" : "",
			   *what ? "; " : "", what);
}

static int read_files(struct examination *e)
{
	struct cli_object object;
	const char *why;
	int result;

	if (cli_object_open(&object, e->file, &why) < 0) {
		cli_say("%s: %s", e->file, why);
		return -1;
	}
	/* The linker itself is a program, too. */
	result = cli_closure_add(&e->d.closure, object.interpreter ?
				 object.interpreter : e->file, e->file);
	for (unsigned i = 0; i < e->alsos && result == 0; i++) {
		if (access(e->also[i], R_OK) < 0) {
			cli_say("%s: %s", e->also[i], cli_why(errno));
			result = -1;
		} else {
			result = cli_closure_add(&e->d.closure,
						 object.interpreter,
						 e->also[i]);
		}
	}
	cli_object_close(&object);
	return result < 0 ? -1 : cli_diagnosis_read(&e->d);
}

static bool calls(const struct examination *e, const char *function)
{
	size_t at = cli_treatment_find(function);

	return at < cli_treatments &&
	       memchr(e->d.calls + at * e->d.closure.files, true,
		      e->d.closure.files);
}

static void print_notes(const struct examination *e)
{
	static const char *const beginners[] = {
		"execve", "execv", "execvp", "execvpe", "execl", "execlp",
		"execle", "posix_spawn", "posix_spawnp", "system", "popen",
	};
	bool begins = false;

	for (size_t i = 0; i < sizeof(beginners) / sizeof(*beginners); i++)
		begins |= calls(e, beginners[i]);
	if (calls(e, "dlopen") || begins)
		puts("\nto keep in mind:");
	if (calls(e, "dlopen"))
		puts("  libraries that it loads later are not among these: "
		     "name them with --also");
	if (begins)
		puts("  programs that it begins load the library as well; name "
		     "them to doctor, too");
}

/* ---- the machine ---- */

static void print_fact(const char *what, const char *wrong)
{
	printf("  %s: %s\n", what, wrong ? wrong : "there");
}

/* What the library of this version does with BLKVERIFY_TRAP=1. */
static bool can_trap(void)
{
	char setting[] = "BLKVERIFY_TRAP=1";
	char *environment[] = { setting, NULL };
	static struct bv_config config;
	static struct bv_text why;

	return bv_config_parse(&config, environment, "/", 1, &why) == 0;
}

static int print_machine(struct examination *e)
{
	const char *library = cli_library_find(), *wrong;
	struct utsname kernel;

	if (!library)
		return -1;
	wrong = cli_trial(library);
	puts("\nthis machine:");
	if (uname(&kernel) == 0)
		printf("  Linux %s on %s, glibc %s\n", kernel.release,
		       kernel.machine, gnu_get_libc_version());
	printf("  %s: %s\n", library, wrong ? wrong : "takes effect");
	print_fact("FUSE, for --format", e->machine.fuse);
	print_fact("qemu-storage-daemon, for --format", e->machine.daemon);
	print_fact("io_uring", e->machine.uring);
	print_fact("io_uring: MSG_RING, for requests on targets",
		   e->machine.message);
	print_fact("io_uring: NOP with a result", e->machine.inject);
	print_fact("Syscall User Dispatch, for BLKVERIFY_TRAP=1",
		   e->machine.dispatch);
	if (wrong)
		cli_diagnosis_note(&e->d, "%s: %s", library, wrong);
	return 0;
}

/* ---- the verdict ---- */

static int give_verdict(struct examination *e, char *const *problems)
{
	fflush(e->d.problems);
	if (e->d.count == 0) {
		puts("\nverdict: all is covered");
		return COVERED;
	}
	printf("\n%s", *problems);
	if (e->d.trap && strstr(*problems, "by instructions of its own"))
		puts("BLKVERIFY_TRAP=1 catches system calls past libc, here");
	puts(e->d.count == 1 ? "verdict: one thing is not covered" :
			       "verdict: not all is covered");
	return NOT_COVERED;
}

static int examine(struct examination *e)
{
	if (settle_file(e) < 0)
		return -1;
	if (e->unfit) {
		note_unfit(e);
		return 0;
	}
	cli_machine_look(&e->machine);
	e->d.trap = can_trap() && !e->machine.dispatch;
	if (read_files(e) < 0)
		return -1;
	printf("%s: can load the library, and has %zu libraries\n", e->file,
	       e->d.closure.files - 1);
	cli_diagnosis_print(&e->d);
	print_notes(e);
	return print_machine(e);
}

static int parse(int argc, char **argv, struct examination *e)
{
	static const struct option options[] = {
		{ "also", required_argument, NULL, 'a' },
		{ "verbose", no_argument, NULL, 'v' },
		CLI_COMMON_OPTIONS
	};
	int option;

	e->also = calloc((size_t)argc, sizeof(*e->also));
	if (!e->also)
		return TROUBLE;
	while ((option = cli_option(argc, argv, CLI_LETTERS, options,
				    usage)) != -1) {
		switch (option) {
		case 'a': e->also[e->alsos++] = optarg; break;
		case 'v': e->d.verbose = true; break;
		case CLI_ANSWERED: exit(0);
		default: return TROUBLE;
		}
	}
	if (argc - optind != 1) {
		cli_say("doctor: one PROGRAM is wanted, see blkverify doctor "
			"--help");
		return TROUBLE;
	}
	e->name = argv[optind];
	return 0;
}

int cli_doctor(int argc, char **argv)
{
	struct examination e = { .alsos = 0 };
	char *problems = NULL;
	size_t length;
	int status = parse(argc, argv, &e);

	e.d.problems = open_memstream(&problems, &length);
	if (status == 0 && e.d.problems)
		status = examine(&e) < 0 ? TROUBLE : give_verdict(&e, &problems);
	if (cli_output_end() < 0)
		status = TROUBLE;
	if (e.d.problems)
		fclose(e.d.problems);
	free(problems);
	cli_diagnosis_free(&e.d);
	free(e.also);
	return status;
}
