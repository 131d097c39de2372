/* daemon: see daemon.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <blkverify/disk.h>

#include "cli.h"
#include "daemon.h"
#include "image.h"
#include "probe.h"

struct words {
	char **word;
	size_t count, room;
};

/* Memory that is not there is found at the end: count says what should be. */
static void __attribute__((format(printf, 2, 3)))
add(struct words *words, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	if (words->count < words->room &&
	    vasprintf(&words->word[words->count], format, list) < 0)
		words->word[words->count] = NULL;
	words->count++;
	va_end(list);
}

/* In QEMU's lists a comma ends a value, and two are one. */
static char *escape(const char *path)
{
	char *escaped = malloc(2 * strlen(path) + 1), *to = escaped;

	for (; escaped && *path; path++) {
		if (*path == ',')
			*to++ = ',';
		*to++ = *path;
	}
	if (escaped)
		*to = '\0';
	return escaped;
}

/* The absolute path, by which the image is known to the daemon. */
static char *find(const char *image, struct stat *st)
{
	char *path = realpath(image, NULL);
	const char *reason = path && stat(path, st) == 0 ? bv_disk_unfit(st) :
							   cli_why(errno);

	if (!reason)
		return path;
	cli_say("%s: %s", image, reason);
	free(path);
	return NULL;
}

/* "FMT,OPTIONS": the driver is FMT, or what is found out for "auto". */
static const char *driver(const char *format, const char *path, char **options)
{
	size_t n = strcspn(format, ",");
	char *name = strndup(format, n);

	*options = (char *)format + n;
	if (name && !strcmp(name, "auto")) {
		free(name);
		return cli_probe(path);
	}
	return name;
}

/* Its file, its format over that, and the raw file made of both. */
static int add_image(struct words *words,
		     const struct cli_export_request *request, unsigned i,
		     const char *mount)
{
	const char *only = request->read_only ? ",read-only=on" : "";
	const char *format = request->format[request->formats > 1 ? i : 0];
	char *options, *path, *file, *place;
	const char *name;
	struct stat st;

	path = find(request->image[i], &st);
	name = path ? driver(format, path, &options) : NULL;
	if (!name)
		return -1;
	file = escape(path);
	place = escape(mount);
	add(words, "--blockdev");
	add(words, "driver=%s,node-name=file%u,filename=%s,discard=unmap%s",
	    S_ISBLK(st.st_mode) ? "host_device" : "file", i,
	    file ? file : "", only);
	add(words, "--blockdev");
	add(words, "driver=%s,node-name=image%u,file=file%u,discard=unmap%s%s",
	    name, i, i, only, options);
	add(words, "--export");
	/* Only root may let others in without asking. */
	add(words, "type=fuse,id=export%u,node-name=image%u,mountpoint=%s,"
	    "writable=%s,allow-other=%s", i, i, place ? place : "",
	    request->read_only ? "off" : "on", geteuid() ? "off" : "auto");
	free(path);
	free(file);
	free(place);
	return file && place ? 0 : -1;
}

char **cli_daemon_command(const struct cli_export_request *request,
			  char *const *mount, const char *ready)
{
	size_t room = 3 + 2 * request->objects + 6 * request->images;
	struct words words = {
		.word = calloc(room + 1, sizeof(char *)), .room = room,
	};

	if (!words.word)
		words.room = 0;
	add(&words, "qemu-storage-daemon");
	add(&words, "--pidfile");
	add(&words, "%s", ready);
	for (unsigned i = 0; i < request->objects; i++) {
		add(&words, "--object");
		add(&words, "%s", request->object[i]);
	}
	for (unsigned i = 0; i < request->images; i++)
		if (add_image(&words, request, i, mount[i]) < 0)
			return NULL;
	for (size_t i = 0; i < room; i++)
		if (words.room < room || !words.word[i]) {
			cli_say("qemu-storage-daemon: no memory");
			return NULL;
		}
	return words.word;
}
