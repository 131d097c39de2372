/* run: a program, with all that it does to its disk images verified.
 *
 * The command is a part of the run itself: it has the state files from before
 * the program begins until after it has ended, so that what one process has
 * counted is there when the next begins. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <blkverify/alias.h>
#include <blkverify/config.h>
#include <blkverify/disk.h>
#include <blkverify/log.h>
#include <blkverify/program.h>
#include <blkverify/thread.h>

#include "child.h"
#include "cli.h"
#include "export.h"
#include "library.h"
#include "settings.h"
#include "verdict.h"

#define CANNOT_BEGIN 126
#define NOT_FOUND 127

struct run {
	struct cli_settings settings;
	const char *library;
	char found[PATH_MAX];
	const char *program;         /* its file */
	struct cli_export *export;
};

/* ---- the program ---- */

static int refuse(const char *name, const char *interpreter, const char *reason)
{
	if (interpreter[0])
		cli_say("%s: cannot be verified: its interpreter %s cannot load "
			"the library: %s", name, interpreter, reason);
	else
		cli_say("%s: cannot be verified: it cannot load the library: %s",
			name, reason);
	return CANNOT_BEGIN;
}

static int find_program(struct run *run)
{
	const char *name = run->settings.program[0], *reason;
	char interpreter[BV_INTERPRETER_ROOM];

	run->program = bv_program_find(name, getenv("PATH"), run->found,
				       sizeof(run->found));
	if (!run->program || access(run->program, F_OK) < 0) {
		cli_say("%s: not found", name);
		return NOT_FOUND;
	}
	reason = bv_program_unfit(AT_FDCWD, run->program, 0, interpreter);
	return reason ? refuse(name, interpreter, reason) : 0;
}

/* ---- {} ---- */

/* The length of "{}" or "{N}" at word, and which image it means; 0: neither. */
static size_t place(const char *word, unsigned images, unsigned *index)
{
	unsigned long number = 1;
	char *end = (char *)word + 1;

	if (*word != '{')
		return 0;
	if (*end >= '1' && *end <= '9')
		number = strtoul(end, &end, 10);
	if (*end != '}' || number > images)
		return 0;
	*index = (unsigned)number - 1;
	return (size_t)(end - word) + 1;
}

/* word with the served files' paths in it; word itself where there is no place
 * for one. NULL: no memory. */
static char *fill_in(char *word, const struct run *run, bool *filled)
{
	unsigned images = run->settings.targets, index;
	char *text = NULL;
	size_t room = 0, n;
	FILE *stream;

	for (const char *c = word; ; c++) {
		if (!*c)
			return word;
		if (place(c, images, &index))
			break;
	}
	stream = open_memstream(&text, &room);
	for (const char *c = word; stream && *c; c += n ? n : 1) {
		n = place(c, images, &index);
		if (n)
			fputs(cli_export_path(run->export, index), stream);
		else
			fputc(*c, stream);
	}
	*filled = true;
	return stream && fclose(stream) == 0 ? text : NULL;
}

static bool has_place(const struct run *run)
{
	unsigned index;

	for (char **word = run->settings.program + 1; *word; word++)
		for (const char *c = *word; *c; c++)
			if (place(c, run->settings.targets, &index))
				return true;
	return false;
}

static int fill_in_all(struct run *run)
{
	bool filled = false;

	for (char **word = run->settings.program + 1; *word; word++) {
		*word = fill_in(*word, run, &filled);
		if (!*word) {
			cli_say("run: no memory");
			return -1;
		}
	}
	return 0;
}

/* ---- what is served ---- */

static int serve(struct run *run, int interrupt)
{
	const struct cli_settings *settings = &run->settings;
	const struct cli_export_request request = {
		.images = settings->targets, .image = settings->target,
		.formats = settings->formats, .format = settings->format,
		.objects = settings->objects, .object = settings->object,
		.read_only = settings->read_only, .interrupt = interrupt,
	};

	if (settings->formats == 0)
		return 0;
	if (!has_place(run)) {
		cli_say("run: none of %s's arguments has {} for the path of the "
			"served image", settings->program[0]);
		return -1;
	}
	run->export = cli_export_start(&request);
	if (!run->export || fill_in_all(run) < 0)
		return -1;
	return 0;
}

/* What the program opens: the images, or what is served in their place. */
static int export_targets(const struct run *run)
{
	const struct cli_settings *settings = &run->settings;
	const char **served;
	int result;

	if (!run->export)
		return cli_settings_export("BLKVERIFY_TARGET", settings->target,
					   settings->targets);
	served = calloc(settings->targets, sizeof(*served));
	for (unsigned i = 0; served && i < settings->targets; i++)
		served[i] = cli_export_path(run->export, i);
	result = served ? cli_settings_export("BLKVERIFY_TARGET", served,
					      settings->targets) : -1;
	free(served);
	return result;
}

static bool has_died(void *data)
{
	struct run *run = data;

	cli_export_lost(run->export);
	return false;
}

/* ---- the run ---- */

/* Who begins with this may not have made one yet. */
static int find_shadows(const struct cli_settings *settings)
{
	for (unsigned i = 0; i < settings->shadows; i++)
		if (access(settings->shadow[i], F_OK) < 0 && errno == ENOENT) {
			cli_say("%s: does not exist; blkverify prepare makes "
				"a shadow", settings->shadow[i]);
			return -1;
		}
	return 0;
}

/* As the library reads it at the start of each process: what is wrong is said
 * before there is one. */
static int begin_state(void)
{
	static struct bv_config config;
	static struct bv_text why;
	char directory[PATH_MAX];

	bv_pid = getpid();
	bv_log_open(NULL);
	if (bv_config_parse(&config, environ,
			    getcwd(directory, sizeof(directory)), bv_pid,
			    &why) == 0 &&
	    bv_disk_start(&config, &why) == 0 && bv_alias_check(&why) == 0)
		return 0;
	cli_say("%s", why.bytes);
	return -1;
}

/* What is written to such a shadow, its image shows. */
static int check_below(const struct run *run)
{
	struct stat st;

	for (unsigned i = 0; i < bv_disks; i++)
		if (fstat(bv_disk[i].shadow_fd, &st) == 0 &&
		    cli_export_has(run->export, &st)) {
			cli_say("%s: cannot be a shadow: it is what is served, "
				"or a part of it", bv_disk[i].shadow_given);
			return -1;
		}
	return 0;
}

static int begin(struct run *run)
{
	const struct cli_settings *settings = &run->settings;

	if (export_targets(run) < 0 ||
	    cli_settings_export("BLKVERIFY_SHADOW", settings->shadow,
				settings->shadows) < 0 ||
	    begin_state() < 0 || (run->export && check_below(run) < 0))
		return -1;
	cli_verdict_begin(run->export ? settings->target : NULL);
	return cli_library_preload(run->library);
}

/* Everything is prepared, or has to be taken down again. */
static int perform(struct run *run)
{
	struct cli_watch watch = {
		.fd = run->export ? cli_export_fd(run->export) : -1,
		.readable = has_died, .data = run,
	};
	int signal = cli_child_interrupted(), status;
	bool sound;

	if (signal) {
		cli_export_stop(run->export);
		return 128 + signal;
	}
	if (begin(run) < 0) {
		cli_export_stop(run->export);
		return CLI_UNUSABLE;
	}
	status = cli_child_run(run->program, run->settings.program, &watch);
	sound = cli_export_stop(run->export);
	return status < 0 ? -status : cli_verdict(status, sound);
}

int cli_run(int argc, char **argv)
{
	static struct run run;
	int result = cli_settings_read(&run.settings, argc, argv), interrupt;

	if (result != 0)
		return result < 0 ? CLI_UNUSABLE : 0;
	run.library = cli_library_find();
	if (!run.library)
		return CLI_UNUSABLE;
	result = find_program(&run);
	if (result != 0)
		return result;
	interrupt = cli_child_prepare();
	if (interrupt < 0 || find_shadows(&run.settings) < 0)
		return CLI_UNUSABLE;
	if (serve(&run, interrupt) < 0) {
		result = cli_child_interrupted();
		return result ? 128 + result : CLI_UNUSABLE;
	}
	return perform(&run);
}
