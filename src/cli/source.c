/* source: see source.h. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "export.h"
#include "probe.h"
#include "source.h"

int cli_format_option(struct cli_format *format, int option, int argc)
{
	if (option == 'f') {
		format->name = optarg;
		return 0;
	}
	if (option != 'o')
		return -1;
	if (!format->object)
		format->object = calloc((size_t)argc, sizeof(*format->object));
	if (!format->object) {
		cli_say("no memory");
		return -1;
	}
	format->object[format->objects++] = optarg;
	return 0;
}

/* "raw", found out where that is wanted: nobody has to stand between. -1 after
 * saying what is wrong. */
static int is_raw(const char *path, const struct cli_format *format)
{
	char *absolute, *found = NULL;
	int result;

	if (!format->name && format->objects) {
		cli_say("--object=%s: without a --format that refers to it",
			format->object[0]);
		return -1;
	}
	if (!format->name || !strcmp(format->name, "raw"))
		return 1;
	if (strcmp(format->name, "auto"))
		return 0;
	absolute = realpath(path, NULL);
	if (!absolute)
		cli_say("%s: %s", path, cli_why(errno));
	else
		found = cli_probe(absolute);
	result = found ? !strcmp(found, "raw") : -1;
	free(absolute);
	free(found);
	return result;
}

/* The daemon reads through the page cache. */
static void forget_pages(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return;
	fdatasync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

/* A signal ends the waiting: its handler does not restart calls. */
static struct cli_export *serve(const char *path,
				const struct cli_format *format)
{
	const struct cli_export_request request = {
		.images = 1, .image = &path,
		.formats = 1, .format = &format->name,
		.objects = format->objects, .object = format->object,
		.read_only = true, .interrupt = -1,
	};

	return cli_export_start(&request);
}

int cli_source_open(struct cli_source *source, const char *path,
		    const struct cli_format *format,
		    enum cli_freshness freshness)
{
	int raw = is_raw(path, format);
	struct cli_image container;
	int result;

	source->export = NULL;
	if (raw < 0)
		return -1;
	if (raw)
		return cli_image_open(&source->image, path, path, freshness);
	/* What is said of the container is said before it is served. */
	if (cli_image_open(&container, path, path, CLI_CACHED) < 0)
		return -1;
	cli_image_close(&container);
	if (freshness == CLI_FRESH)
		forget_pages(path);
	source->export = serve(path, format);
	if (!source->export)
		return -1;
	result = cli_image_open(&source->image,
				cli_export_path(source->export, 0), path,
				freshness);
	/* It is the container that must not be its own shadow, and whose
	 * owner may read the other. */
	source->image.st = container.st;
	if (result < 0)
		cli_export_stop(source->export);
	return result;
}

void cli_source_close(struct cli_source *source)
{
	cli_image_close(&source->image);
	cli_export_stop(source->export);
}
