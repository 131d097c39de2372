/* preload: see preload.h. */
#include <dlfcn.h>
#include <string.h>

#include <blkverify/preload.h>
#include <blkverify/text.h>

#include "../src/raw.h"
#include "preload.h"

#define PRELOAD "LD_PRELOAD="

static const char *library;          /* our absolute path; NULL: not known */
static struct stat library_file;
static const char *own_element;      /* what names us at start */

static const char *base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_element(const char *start, size_t length, const char *name)
{
	return name && strlen(name) == length && !memcmp(start, name, length);
}

/* Does the element name our very file, in other words? */
static bool is_our_file(const char *start, size_t length)
{
	char path[512];
	struct stat st;

	if (!memchr(start, '/', length) || length >= sizeof(path))
		return false;
	memcpy(path, start, length);
	path[length] = '\0';
	return raw_fstatat(AT_FDCWD, path, &st, 0) == 0 &&
	       st.st_dev == library_file.st_dev &&
	       st.st_ino == library_file.st_ino;
}

static bool is_us(const char *start, size_t length)
{
	return is_element(start, length, library) ||
	       is_element(start, length, own_element) ||
	       is_our_file(start, length);
}

size_t preload_room(const char *list)
{
	return strlen(PRELOAD) + bv_preload_room(list, library);
}

char *preload_merge(char *to, const char *list)
{
	memcpy(to, PRELOAD, strlen(PRELOAD));
	return bv_preload_merge(to + strlen(PRELOAD), list, library, is_us) + 1;
}

bool preload_is_sound(const char *list)
{
	const char *start;
	size_t length;

	while (bv_preload_next(&list, &start, &length))
		if (start[0] == '/' && is_us(start, length))
			return true;
	return false;
}

/* Among the elements of LD_PRELOAD, the one that ld.so made our name of:
 * relative, looked for in its directories, or with $LIB in it. */
static const char *find_own_element(const char *list, const char *name,
				    char **storage)
{
	const char *start;
	size_t length;

	while (bv_preload_next(&list, &start, &length)) {
		char element[512];

		if (length >= sizeof(element))
			continue;
		memcpy(element, start, length);
		element[length] = '\0';
		if (!strcmp(element, name) || is_our_file(start, length) ||
		    ((!strchr(element, '/') || strchr(element, '$')) &&
		     !strcmp(base(element), base(name)))) {
			char *copy = *storage;

			*storage = mempcpy(copy, element, length + 1);
			return copy;
		}
	}
	return NULL;
}

int preload_start(const char *directory, const char *list, char **storage,
		  struct bv_text *why)
{
	Dl_info info;
	char *path = *storage, *end = path;

	if (!dladdr((void *)preload_start, &info) || !info.dli_fname)
		info.dli_fname = "";
	if (info.dli_fname[0] != '/') {
		end = stpcpy(end, directory);
		end = stpcpy(end, "/");
	}
	*storage = stpcpy(end, info.dli_fname) + 1;
	if (raw_fstatat(AT_FDCWD, path, &library_file, 0) < 0 ||
	    strpbrk(path, " :")) {
		text_clear(why);
		text_add(why, "LD_PRELOAD: children cannot load ");
		text_quoted(why, path);
		text_add(why, strpbrk(path, " :") ?
				", which has a space or a colon in it" :
				", which is not there");
		return -1;
	}
	own_element = find_own_element(list, info.dli_fname, storage);
	library = path;
	return 0;
}

bool preload_is_known(void)
{
	return library;
}
