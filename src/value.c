/* value: see value.h. */
#include <string.h>

#include "number.h"
#include "value.h"

/* ---- saying what is wrong ---- */

static void add_shown(struct bv_text *t, const char *string)
{
	size_t n = strnlen(string, VALUE_SHOWN + 1);

	text_quoted_bytes(t, string, n > VALUE_SHOWN ? VALUE_SHOWN : n);
	if (n > VALUE_SHOWN)
		text_add(t, "...");
}

struct bv_text *value_blame(struct parse *p)
{
	text_clear(p->why);
	text_add(p->why, BV_PREFIX);
	text_add(p->why, p->name);
	if (p->value) {
		text_char(p->why, '=');
		add_shown(p->why, p->value);
	}
	text_add(p->why, ": ");
	return p->why;
}

int value_bad(struct parse *p, const char *reason)
{
	text_add(value_blame(p), reason);
	return -1;
}

void value_add_count(struct bv_text *t, unsigned n, const char *noun)
{
	text_u64(t, n);
	text_char(t, ' ');
	text_add(t, noun);
	if (n != 1)
		text_char(t, 's');
}

/* ---- strings into storage ---- */

static void begin_string(struct parse *p)
{
	p->begin = p->config->used;
	p->no_room = NULL;
}

static void put(struct parse *p, const char *bytes, size_t n)
{
	struct bv_config *c = p->config;

	if (p->no_room)
		return;
	if (n >= PATH_MAX - (c->used - p->begin)) {
		p->no_room = "longer than a path can be";
	} else if (n >= sizeof(c->storage) - c->used) {
		p->no_room = "more than there is room for";
	} else {
		memcpy(c->storage + c->used, bytes, n);
		c->used += (unsigned)n;
	}
}

/* NULL with p->no_room set when it did not fit. */
static const char *end_string(struct parse *p)
{
	struct bv_config *c = p->config;

	if (p->no_room)
		return NULL;
	c->storage[c->used++] = '\0';
	return c->storage + p->begin;
}

static void put_pid(struct parse *p)
{
	unsigned left = (unsigned)p->pid;
	char digits[10];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + left % 10);
		left /= 10;
	} while (left);
	put(p, digits + at, sizeof(digits) - at);
}

/* What makes a path that begins with first absolute. The kernel's name for
 * a current directory that is gone does not begin with a slash. */
static size_t base_length(const struct parse *p)
{
	size_t n = p->cwd ? strlen(p->cwd) : 0;

	return n > 0 && p->cwd[n - 1] != '/' ? n + 1 : n;
}

static int put_base(struct parse *p, char first)
{
	size_t n;

	if (first == '/')
		return 0;
	if (!p->cwd || p->cwd[0] != '/')
		return value_bad(p, "a relative path, and the current "
				    "directory is not known");
	n = strlen(p->cwd);
	put(p, p->cwd, n);
	if (p->cwd[n - 1] != '/')
		put(p, "/", 1);
	return 0;
}

/* The value as one absolute path; %p is the process when it may be. */
int value_path(struct parse *p, bool expand, const char **path)
{
	const char *s = p->value;

	begin_string(p);
	if (put_base(p, s[0]) != 0)
		return -1;
	for (; *s && !p->no_room; s++) {
		if (expand && s[0] == '%' && s[1] == 'p') {
			put_pid(p);
			s++;
		} else {
			put(p, s, 1);
		}
	}
	*path = end_string(p);
	return *path ? 0 : value_bad(p, p->no_room);
}

/* ---- lists of paths ---- */

static int bad_element(struct parse *p, unsigned index, const char *reason)
{
	struct bv_text *t = value_blame(p);

	text_add(t, "path ");
	text_u64(t, index + 1);
	text_add(t, " is ");
	text_add(t, reason);
	return -1;
}

/* One element of the list at s as an absolute path without escapes; returns
 * where it ends, NULL when it is bad. Only \: and \\ are escapes: a
 * backslash before anything else, or at the end, stands for itself. */
static const char *take_element(struct parse *p, const char *s, unsigned index,
				const char **path)
{
	if (*s == ':' || *s == '\0') {
		bad_element(p, index, "empty");
		return NULL;
	}
	begin_string(p);
	if (put_base(p, *s) != 0)
		return NULL;
	for (; *s && *s != ':' && !p->no_room; s++) {
		if (s[0] == '\\' && (s[1] == ':' || s[1] == '\\'))
			s++;
		put(p, s, 1);
	}
	*path = end_string(p);
	if (!*path) {
		bad_element(p, index, p->no_room);
		return NULL;
	}
	return s;
}

bool value_listed(const char *const *list, unsigned n, const char *path)
{
	for (unsigned i = 0; i < n; i++) {
		if (strcmp(list[i], path) == 0)
			return true;
	}
	return false;
}

int value_bad_path(struct parse *p, const char *path, const char *reason)
{
	struct bv_text *t = value_blame(p);

	add_shown(t, path);
	text_add(t, " is ");
	text_add(t, reason);
	return -1;
}

int value_list(struct parse *p, const char **list, const char **given,
	       unsigned *count)
{
	const char *s = p->value;

	for (unsigned n = 0;; n++, s++) {
		size_t base;

		if (n == BV_MAX_PAIRS) {
			struct bv_text *t = value_blame(p);

			text_add(t, "more than ");
			value_add_count(t, BV_MAX_PAIRS, "path");
			return -1;
		}
		base = *s == '/' ? 0 : base_length(p);
		s = take_element(p, s, n, &list[n]);
		if (!s)
			return -1;
		given[n] = list[n] + base;
		/* Two pairs of one file would not know of each other. */
		if (value_listed(list, n, list[n]))
			return value_bad_path(p, list[n], "there twice");
		*count = n + 1;
		if (*s == '\0')
			return 0;
	}
}

/* ---- words and numbers ---- */

/* The index of the value in words (NULL at the end), or -1. */
int value_word(struct parse *p, const char *const *words)
{
	struct bv_text *t;

	for (int i = 0; words[i]; i++) {
		if (strcmp(p->value, words[i]) == 0)
			return i;
	}
	t = value_blame(p);
	text_add(t, "not one of ");
	for (int i = 0; words[i]; i++) {
		if (i)
			text_add(t, ", ");
		text_add(t, words[i]);
	}
	return -1;
}

int value_bool(struct parse *p, bool *out)
{
	if ((p->value[0] != '0' && p->value[0] != '1') || p->value[1])
		return value_bad(p, "not 0 or 1");
	*out = p->value[0] == '1';
	return 0;
}

int value_count(struct parse *p, unsigned low, unsigned high, unsigned *out)
{
	uint64_t value;
	const char *end;
	struct bv_text *t;

	if (bv_number_digits(p->value, &value, &end) == NUMBER_GOOD && !*end &&
	    value >= low && value <= high) {
		*out = (unsigned)value;
		return 0;
	}
	t = value_blame(p);
	text_add(t, "not a number from ");
	text_u64(t, low);
	text_add(t, " to ");
	text_u64(t, high);
	return -1;
}
