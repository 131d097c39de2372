/* preload: see include/blkverify/preload.h. */
#include <string.h>

#include <blkverify/preload.h>

bool bv_preload_next(const char **at, const char **start, size_t *length)
{
	*start = *at + strspn(*at, " :");
	*length = strcspn(*start, " :");
	*at = *start + *length;
	return *length > 0;
}

static bool is_sanitizer(const char *start, size_t length)
{
	static const char *const names[] = {
		"libasan", "libtsan", "liblsan", "libubsan", "libhwasan",
		"libclang_rt",
	};
	const char *slash = memrchr(start, '/', length);
	const char *name = slash ? slash + 1 : start;
	size_t left = length - (size_t)(name - start);

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (left >= strlen(names[i]) &&
		    !memcmp(name, names[i], strlen(names[i])))
			return true;
	return false;
}

size_t bv_preload_room(const char *list, const char *library)
{
	const char *start;
	size_t length, room = strlen(library) + 2;

	while (bv_preload_next(&list, &start, &length))
		room += (length > strlen(library) ? length : strlen(library)) + 1;
	return room;
}

static char *append(char *to, bool first, const char *bytes, size_t n)
{
	if (!first)
		*to++ = ':';
	memcpy(to, bytes, n);
	return to + n;
}

char *bv_preload_merge(char *to, const char *list, const char *library,
		       bool (*is_us)(const char *start, size_t length))
{
	char *const begin = to;
	const char *at = list, *start;
	size_t length;
	bool named = false, leading = true;

	while (bv_preload_next(&at, &start, &length))
		named |= is_us(start, length);
	for (at = list; bv_preload_next(&at, &start, &length);) {
		leading &= is_sanitizer(start, length);
		if (!named && !leading) {
			to = append(to, to == begin, library, strlen(library));
			named = true;
		}
		if (is_us(start, length))
			to = append(to, to == begin, library, strlen(library));
		else
			to = append(to, to == begin, start, length);
	}
	if (!named)
		to = append(to, to == begin, library, strlen(library));
	*to = '\0';
	return to;
}
