/* main: which call of the command is meant. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "cli.h"
#include "interrupt.h"

/* Bad usage; as run has it, since run is what scripts call. */
#define USAGE 125

static const struct call {
	const char *name;
	int (*function)(int argc, char **argv);
	const char *purpose;
} calls[] = {
	{ "run", cli_run, "run a program with its disk images verified" },
	{ "prepare", cli_prepare, "make the shadow of an image" },
	{ "compare", cli_compare, "compare an image with its shadow, whole" },
	{ "inspect", cli_inspect, "show sectors of both, side by side" },
	{ "doctor", cli_doctor, "say beforehand if a program can be verified" },
};

/* In one write, so that lines of several processes do not mix. */
void cli_say(const char *format, ...)
{
	char *text = NULL;
	va_list list;

	va_start(list, format);
	if (vasprintf(&text, format, list) < 0)
		text = NULL;
	va_end(list);
	fprintf(stderr, "blkverify: %s\n", text ? text : "no memory");
	free(text);
}

int cli_output_end(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	if (!cli_interrupted())
		cli_say("standard output: %s", strerror(errno));
	return -1;
}

static void help(void)
{
	puts("usage: blkverify CALL [OPTION...] ...\n\ncalls:");
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		printf("  %-9s %s\n", calls[i].name, calls[i].purpose);
	puts("\n\"blkverify CALL --help\" tells the options of each.");
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		cli_say("what to do is missing, see blkverify --help");
		return USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		help();
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("blkverify " VERSION);
		return 0;
	}
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (!strcmp(argv[1], calls[i].name))
			return calls[i].function(argc - 1, argv + 1);
	cli_say("%s: unknown, see blkverify --help", argv[1]);
	return USAGE;
}
