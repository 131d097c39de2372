/* settings: see settings.h. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "options.h"
#include "settings.h"

#define PREFIX "BLKVERIFY_"

/* One for each variable: on-mismatch is BLKVERIFY_ON_MISMATCH. */
static const struct variable {
	const char *name, *values, *purpose;
	bool flag;                   /* without a value it means 1 */
} variables[] = {
	{ "mode", "sync|pool", "verify before the call returns, or beside it",
	  false },
	{ "threads", "N", "threads for asynchronous requests", false },
	{ "queue", "SIZE", "most data that mode pool may hold back", false },
	{ "sector-size", "BYTES", "unit of sector numbers", false },
	{ "on-mismatch", "abort|exit|eio|stop|log",
	  "after a mismatch was reported", false },
	{ "on-error", "mismatch|pass", "the target fails, the shadow does not",
	  false },
	{ "on-unverified", "refuse|warn|abort", "I/O that cannot be verified",
	  false },
	{ "log", "PATH", "where the program's lines go (%p: process id)", false },
	{ "report", "PATH", "a JSON report (%p: process id)", false },
	{ "mmap", "memfd|refuse", "mappings of a target", false },
	{ "trap", "0|1", "catch system calls made past libc", true },
	{ "history", "N", "past operations remembered for reports", false },
	{ "journal", "PATH", "record every operation for replay", false },
	{ "journal-data", "0|1", "with the data written", true },
	{ "stats", "0|1", "a summary at exit for every process", true },
};

enum { VARIABLES = sizeof(variables) / sizeof(*variables) };
enum { FORMAT = 256, OBJECT, READ_ONLY, FIRST_VARIABLE };

static const char usage[] =
	"usage: blkverify run -t TARGET -s SHADOW [-t ... -s ...] [OPTION...] -- PROGRAM [ARG...]\n"
	"       blkverify run --format=FMT -t IMAGE -s SHADOW ... [OPTION...] -- PROGRAM [ARG...]\n"
	"\n"
	"Runs PROGRAM, and compares all that it reads from TARGET with SHADOW, a raw copy.\n"
	"\n"
	"  -t, --target=PATH     image under test\n"
	"  -s, --shadow=PATH     its raw shadow\n"
	"\n"
	"settings, each instead of the variable of its name (--on-mismatch: BLKVERIFY_ON_MISMATCH);\n"
	"of values to choose from, the first holds unless another is given:\n";
static const char usage_rest[] =
	"\n"
	"to test the driver of an image format: IMAGE is served as a raw file, whose path\n"
	"is put in place of each {} in PROGRAM's arguments ({1}, {2} ... if there are more):\n"
	"  --format=FMT[,OPTION=VALUE...]\n"
	"                        qcow2, vmdk ... or auto; once for all images, or for each\n"
	"  --object=TYPE,OPTION=VALUE...\n"
	"                        handed to qemu-storage-daemon: secrets\n"
	"  --read-only           IMAGE is not to be written\n"
	"\n"
	"  --help, --version\n"
	"\n"
	"Exit status: PROGRAM's own, 128+N when signal N ended it; but 120: a mismatch was\n"
	"found; 121: nothing was verified; 122: I/O went through unverified; 125: bad usage or\n"
	"configuration; 126, 127: PROGRAM cannot be started, was not found.\n";

static void help(void)
{
	fputs(usage, stdout);
	for (size_t i = 0; i < VARIABLES; i++) {
		int n = printf(variables[i].flag ? "  --%s[=%s]" : "  --%s=%s",
			       variables[i].name, variables[i].values);

		if (n > 23)
			n = printf("\n") - 1;
		printf("%*s%s\n", 24 - n, "", variables[i].purpose);
	}
	fputs(usage_rest, stdout);
}

static const struct option common[] = { CLI_COMMON_OPTIONS };

static void list_options(struct option *list)
{
	*list++ = (struct option){ "target", required_argument, NULL, 't' };
	*list++ = (struct option){ "shadow", required_argument, NULL, 's' };
	*list++ = (struct option){ "format", required_argument, NULL, FORMAT };
	*list++ = (struct option){ "object", required_argument, NULL, OBJECT };
	*list++ = (struct option){ "read-only", no_argument, NULL, READ_ONLY };
	for (int i = 0; i < VARIABLES; i++)
		*list++ = (struct option){
			variables[i].name, variables[i].flag ?
				optional_argument : required_argument,
			NULL, FIRST_VARIABLE + i,
		};
	memcpy(list, common, sizeof(common));
}

static int set_variable(const struct variable *variable, const char *value)
{
	char name[64] = PREFIX;
	size_t n = strlen(name);

	for (const char *c = variable->name; *c && n < sizeof(name) - 1; c++)
		name[n++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
	if (setenv(name, value ? value : "1", 1) < 0) {
		cli_say("%s: no memory", name);
		return -1;
	}
	return 0;
}

static int take(struct cli_settings *settings, int option)
{
	switch (option) {
	case 't':
		settings->target[settings->targets++] = optarg;
		return 0;
	case 's':
		settings->shadow[settings->shadows++] = optarg;
		return 0;
	case FORMAT:
		settings->format[settings->formats++] = optarg;
		return 0;
	case OBJECT:
		settings->object[settings->objects++] = optarg;
		return 0;
	case READ_ONLY:
		settings->read_only = true;
		return 0;
	case 'h':
		help();
		return 1;
	case CLI_ANSWERED:
		return 1;
	case '?':
		return -1;
	default:
		return set_variable(&variables[option - FIRST_VARIABLE], optarg);
	}
}

static int unhappy(const char *option, const char *reason)
{
	cli_say("run: %s: %s, see blkverify run --help", option, reason);
	return -1;
}

/* What the options say of one another. */
static int check(const struct cli_settings *settings)
{
	if (!settings->program[0])
		return unhappy("PROGRAM", "missing");
	if (!settings->targets && !getenv(PREFIX "TARGET"))
		return unhappy("-t TARGET", "missing");
	if (!settings->shadows && !getenv(PREFIX "SHADOW"))
		return unhappy("-s SHADOW", "missing");
	if (!settings->formats && settings->objects)
		return unhappy("--object", "needs --format");
	if (!settings->formats && settings->read_only)
		return unhappy("--read-only", "needs --format");
	if (settings->formats && !settings->targets)
		return unhappy("--format", "needs -t IMAGE");
	if (settings->formats > 1 && settings->formats != settings->targets)
		return unhappy("--format", "neither once nor once for each -t");
	return 0;
}

int cli_settings_read(struct cli_settings *settings, int argc, char **argv)
{
	struct option list[VARIABLES + 8];
	const char **lists = calloc((size_t)argc * 4, sizeof(*lists));
	int option, result = lists ? 0 : -1;

	if (result < 0)
		cli_say("run: no memory");
	*settings = (struct cli_settings){
		.target = lists, .shadow = lists + argc,
		.format = lists + 2 * argc, .object = lists + 3 * argc,
	};
	list_options(list);
	/* The first word that is no option is PROGRAM, also without "--". */
	while (result == 0 && (option = cli_option(argc, argv, "+:ht:s:", list,
						   NULL)) != -1)
		result = take(settings, option);
	settings->program = argv + optind;
	return result == 0 ? check(settings) : result;
}

int cli_settings_export(const char *variable, const char *const *path,
			unsigned count)
{
	size_t room = 1;
	char *value, *to;
	int result;

	if (count == 0)
		return 0;
	for (unsigned i = 0; i < count; i++)
		room += 2 * strlen(path[i]) + 1;
	to = value = malloc(room);
	for (unsigned i = 0; value && i < count; i++) {
		if (i)
			*to++ = ':';
		for (const char *c = path[i]; *c; c++) {
			if (*c == ':' || *c == '\\')
				*to++ = '\\';
			*to++ = *c;
		}
	}
	if (value)
		*to = '\0';
	result = value ? setenv(variable, value, 1) : -1;
	free(value);
	if (result < 0)
		cli_say("%s: no memory", variable);
	return result;
}
