/* value: the value of one variable of the configuration, and what is wrong
 * with it. config.c has the variables.
 */
#ifndef BV_VALUE_H
#define BV_VALUE_H

#include <blkverify/config.h>

#define BV_PREFIX "BLKVERIFY_"

/* A value may be 128 KiB; the reason that follows it has to fit the line. */
#define VALUE_SHOWN 512

/* One reading of the environment. */
struct parse {
	struct bv_config *config;
	const char *cwd;
	int pid;
	struct bv_text *why;

	const char *name;                /* of the variable at hand */
	const char *value;
	size_t begin;                    /* in storage, of the string at hand */
	const char *no_room;             /* why that string does not fit */
	unsigned targets, shadows;
};

/* The line up to the reason, which the caller adds. */
struct bv_text *value_blame(struct parse *p);

/* The whole line; these return -1. */
int value_bad(struct parse *p, const char *reason);
int value_bad_path(struct parse *p, const char *path, const char *reason);

/* "1 path", "2 paths" */
void value_add_count(struct bv_text *t, unsigned n, const char *noun);

/* Is path one of the n? */
bool value_listed(const char *const *list, unsigned n, const char *path);

/* The value as what it has to be. Return 0, or -1 with the line in p->why; for
 * a word of words (which NULL ends) its index. In a path %p is the process
 * when expand is set. */
int value_path(struct parse *p, bool expand, const char **path);
int value_list(struct parse *p, const char **list, const char **given,
	       unsigned *count);
int value_word(struct parse *p, const char *const *words);
int value_bool(struct parse *p, bool *out);
int value_count(struct parse *p, unsigned low, unsigned high, unsigned *out);

#endif
