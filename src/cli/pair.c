/* pair: see pair.h. */
#include <blkverify/disk.h>

#include "cli.h"
#include "pair.h"

int cli_pair_open(struct cli_pair *pair, const char *target,
		  const struct cli_format *format, const char *shadow)
{
	if (cli_image_open(&pair->shadow, shadow, shadow, CLI_CACHED) < 0)
		return -1;
	if (cli_source_open(&pair->target, target, format, CLI_FRESH) < 0) {
		cli_image_close(&pair->shadow);
		return -1;
	}
	if (bv_disk_same(&pair->target.image.st, &pair->shadow.st)) {
		cli_say("%s: is its own shadow", target);
		cli_source_close(&pair->target);
		cli_image_close(&pair->shadow);
		return -1;
	}
	cli_record_open(&pair->record, &pair->shadow, shadow);
	if (pair->record.live)
		cli_say("%s: in use by a running program: it may change "
			"meanwhile", shadow);
	return 0;
}

void cli_pair_close(struct cli_pair *pair)
{
	cli_source_close(&pair->target);
	cli_image_close(&pair->shadow);
}
