/* library: see library.h. */
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <blkverify/preload.h>

#include "cli.h"
#include "library.h"

#define NAME "libblkverify.so"

static char path[PATH_MAX];
static struct stat file;

/* The directory that this program was started from, without a final slash. */
static int own_directory(char directory[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", directory, PATH_MAX - 1);
	char *slash;

	if (n <= 0)
		return -1;
	directory[n] = '\0';
	slash = strrchr(directory, '/');
	if (!slash)
		return -1;
	*slash = '\0';
	return 0;
}

/* Is it there? Then path names it. */
static bool is_at(const char *directory, const char *below)
{
	char name[PATH_MAX];
	int n = snprintf(name, sizeof(name), "%s%s/" NAME, directory, below);

	return n > 0 && (size_t)n < sizeof(name) && realpath(name, path) &&
	       stat(path, &file) == 0 && S_ISREG(file.st_mode);
}

/* From the programs' directory own, where it has been moved to, down to the
 * library's: as at the time of installation, if both were below the same. */
static bool is_beside(const char *own)
{
	static const char programs[] = BINDIR, libraries[] = SHIMDIR;
	const char *slash = strrchr(programs, '/');
	size_t n = slash ? (size_t)(slash - programs) + 1 : 0;
	char up[PATH_MAX];

	return n > 0 && !strncmp(programs, libraries, n) &&
	       snprintf(up, sizeof(up), "%s/../", own) < PATH_MAX &&
	       is_at(up, libraries + n);
}

const char *cli_library_find(void)
{
	char own[PATH_MAX];
	bool known = own_directory(own) == 0;

	if (!(known && is_at(own, "/shim/.libs")) &&
	    !(known && is_beside(own)) && !is_at(SHIMDIR, "")) {
		cli_say(SHIMDIR "/" NAME ": not found, and not beside this "
			"program either");
		return NULL;
	}
	if (strpbrk(path, " :")) {
		cli_say("%s: LD_PRELOAD cannot name it, there is a space or a "
			"colon in it", path);
		return NULL;
	}
	return path;
}

static bool is_us(const char *start, size_t length)
{
	char element[PATH_MAX];
	struct stat st;

	if (!memchr(start, '/', length) || length >= sizeof(element))
		return false;
	memcpy(element, start, length);
	element[length] = '\0';
	return stat(element, &st) == 0 && st.st_dev == file.st_dev &&
	       st.st_ino == file.st_ino;
}

int cli_library_preload(const char *library)
{
	const char *list = getenv("LD_PRELOAD");
	char *merged = malloc(bv_preload_room(list ? list : "", library));
	int result = -1;

	if (merged) {
		bv_preload_merge(merged, list ? list : "", library, is_us);
		result = setenv("LD_PRELOAD", merged, 1);
	}
	free(merged);
	if (result < 0)
		cli_say("LD_PRELOAD: no memory");
	return result;
}
