/* source: see source.h. */
#include <stddef.h>

#include "source.h"

int cli_source_open(struct cli_source *source, const char *path,
		    const char *format, enum cli_freshness freshness)
{
	(void)format;
	source->export = NULL;
	return cli_image_open(&source->image, path, path, freshness);
}

void cli_source_close(struct cli_source *source)
{
	cli_image_close(&source->image);
}
