/* options: see options.h. */
#include <stdio.h>
#include <stdlib.h>

#include "config.h"
#include "../number.h"
#include "cli.h"
#include "options.h"

static int complain(char **argv, const char *reason)
{
	cli_say("%s: %s, see blkverify %s --help", argv[optind - 1], reason,
		argv[0]);
	return '?';
}

int cli_option(int argc, char **argv, const char *letters,
	       const struct option *list, const char *usage)
{
	int option;

	opterr = 0;
	option = getopt_long(argc, argv, letters, list, NULL);
	switch (option) {
	case 'h':
		if (!usage)
			return option;
		fputs(usage, stdout);
		return CLI_ANSWERED;
	case 'V':
		puts("blkverify " VERSION);
		return CLI_ANSWERED;
	case ':':
		return complain(argv, "needs a value");
	case '?':
		/* A long one that is known leaves its value in optopt. */
		return complain(argv, optopt && argv[optind - 1][1] == '-' ?
					      "takes no value" :
					      "no such option");
	}
	return option;
}

int cli_two_operands(int argc, char **argv, const char **first,
		     const char **second)
{
	if (argc - optind != 2) {
		cli_say("%s: TARGET and SHADOW are wanted, see blkverify %s "
			"--help", argv[0], argv[0]);
		return -1;
	}
	*first = argv[optind];
	*second = argv[optind + 1];
	return 0;
}

int cli_number(const char *option, const char *value, uint64_t *number)
{
	const char *end;

	switch (bv_number_digits(value, number, &end)) {
	case NUMBER_GOOD:
		if (*end == '\0')
			return 0;
		break;
	case NUMBER_TOO_LARGE:
		cli_say("%s=%s: too large", option, value);
		return -1;
	case NUMBER_BAD:
		break;
	}
	cli_say("%s=%s: not a number", option, value);
	return -1;
}

unsigned cli_sector_size(const char *value)
{
	const char *name = "--sector-size";
	uint64_t size;

	if (!value) {
		name = "BLKVERIFY_SECTOR_SIZE";
		value = getenv(name);
	}
	if (!value)
		return 512;
	if (cli_number(name, value, &size) < 0)
		return 0;
	if (size < 512 || size > 65536 || (size & (size - 1)) != 0) {
		cli_say("%s=%s: not a power of two from 512 to 65536", name,
			value);
		return 0;
	}
	return (unsigned)size;
}
