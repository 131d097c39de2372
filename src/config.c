/* config: the environment, read once, as an immutable struct. */
#include <blkverify/config.h>

#include <string.h>

#include "number.h"

#define PREFIX "BLKVERIFY_"
#define PREFIX_LENGTH (sizeof(PREFIX) - 1)

/* A value may be 128 KiB; the reason that follows it has to fit the line. */
#define SHOWN 512

struct variable;

/* One reading of the environment. */
struct parse {
	struct bv_config *config;
	const char *cwd;
	int pid;
	struct bv_text *why;

	const struct variable *variable; /* the one at hand */
	const char *value;
	size_t begin;                    /* in storage, of the string at hand */
	const char *no_room;             /* why that string does not fit */
	unsigned targets, shadows;
};

/* take reads p->value into p->config. */
struct variable {
	const char *name;
	int (*take)(struct parse *p);
};

/* What the contract promises and this version does not do yet: a verifier
 * that ignores such a request would look as if it had granted it. A value of
 * NULL stands for every value. */
static const struct {
	const char *name, *value, *instead;
} not_yet[] = {
	{ "MODE", "pool", "use sync" },
	{ "TRAP", "1", "use 0" },
	{ "REPORT", NULL, "leave it unset" },
	{ "JOURNAL", NULL, "leave it unset" },
};

/* ---- saying what is wrong ---- */

static void add_shown(struct bv_text *t, const char *string)
{
	size_t n = strnlen(string, SHOWN + 1);

	text_quoted_bytes(t, string, n > SHOWN ? SHOWN : n);
	if (n > SHOWN)
		text_add(t, "...");
}

/* The line up to the reason, which the caller adds. */
static struct bv_text *blame(struct parse *p)
{
	text_clear(p->why);
	text_add(p->why, PREFIX);
	text_add(p->why, p->variable->name);
	if (p->value) {
		text_char(p->why, '=');
		add_shown(p->why, p->value);
	}
	text_add(p->why, ": ");
	return p->why;
}

static int bad(struct parse *p, const char *reason)
{
	text_add(blame(p), reason);
	return -1;
}

static void add_count(struct bv_text *t, unsigned n, const char *noun)
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
		return bad(p, "a relative path, and the current directory is "
			      "not known");
	n = strlen(p->cwd);
	put(p, p->cwd, n);
	if (p->cwd[n - 1] != '/')
		put(p, "/", 1);
	return 0;
}

/* The value as one absolute path; %p is the process when it may be. */
static int take_path(struct parse *p, bool expand, const char **path)
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
	return *path ? 0 : bad(p, p->no_room);
}

/* ---- lists of paths ---- */

static int bad_element(struct parse *p, unsigned index, const char *reason)
{
	struct bv_text *t = blame(p);

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

static bool listed(const char *const *list, unsigned n, const char *path)
{
	for (unsigned i = 0; i < n; i++) {
		if (strcmp(list[i], path) == 0)
			return true;
	}
	return false;
}

static int bad_path(struct parse *p, const char *path, const char *reason)
{
	struct bv_text *t = blame(p);

	add_shown(t, path);
	text_add(t, " is ");
	text_add(t, reason);
	return -1;
}

static int take_list(struct parse *p, const char **list, const char **given,
		     unsigned *count)
{
	const char *s = p->value;

	for (unsigned n = 0;; n++, s++) {
		size_t base;

		if (n == BV_MAX_PAIRS) {
			struct bv_text *t = blame(p);

			text_add(t, "more than ");
			add_count(t, BV_MAX_PAIRS, "path");
			return -1;
		}
		base = *s == '/' ? 0 : base_length(p);
		s = take_element(p, s, n, &list[n]);
		if (!s)
			return -1;
		given[n] = list[n] + base;
		/* Two pairs of one file would not know of each other. */
		if (listed(list, n, list[n]))
			return bad_path(p, list[n], "there twice");
		*count = n + 1;
		if (*s == '\0')
			return 0;
	}
}

/* ---- words and numbers ---- */

/* The index of the value in words (NULL at the end), or -1. */
static int take_word(struct parse *p, const char *const *words)
{
	struct bv_text *t;

	for (int i = 0; words[i]; i++) {
		if (strcmp(p->value, words[i]) == 0)
			return i;
	}
	t = blame(p);
	text_add(t, "not one of ");
	for (int i = 0; words[i]; i++) {
		if (i)
			text_add(t, ", ");
		text_add(t, words[i]);
	}
	return -1;
}

static int take_bool(struct parse *p, bool *out)
{
	if ((p->value[0] != '0' && p->value[0] != '1') || p->value[1])
		return bad(p, "not 0 or 1");
	*out = p->value[0] == '1';
	return 0;
}

static int take_count(struct parse *p, unsigned low, unsigned high,
		      unsigned *out)
{
	uint64_t value;
	const char *end;
	struct bv_text *t;

	if (bv_number_digits(p->value, &value, &end) == NUMBER_GOOD && !*end &&
	    value >= low && value <= high) {
		*out = (unsigned)value;
		return 0;
	}
	t = blame(p);
	text_add(t, "not a number from ");
	text_u64(t, low);
	text_add(t, " to ");
	text_u64(t, high);
	return -1;
}

/* ---- one function per variable ---- */

#define PATH(field, expand) \
	static int take_##field(struct parse *p) \
	{ \
		return take_path(p, expand, &p->config->field); \
	}
#define BOOL(field) \
	static int take_##field(struct parse *p) \
	{ \
		return take_bool(p, &p->config->field); \
	}
#define COUNT(field, low, high) \
	static int take_##field(struct parse *p) \
	{ \
		return take_count(p, low, high, &p->config->field); \
	}
/* In the order of the enum. */
#define WORD(field, ...) \
	static int take_##field(struct parse *p) \
	{ \
		static const char *const words[] = { __VA_ARGS__, NULL }; \
		int i = take_word(p, words); \
		if (i >= 0) \
			p->config->field = i; \
		return i < 0 ? -1 : 0; \
	}

PATH(log, true)
PATH(report, true)
PATH(journal, false)
BOOL(trap)
BOOL(journal_data)
BOOL(stats)
COUNT(threads, 1, 256)
COUNT(history, 0, 1048576)
WORD(mode, "sync", "pool")
WORD(on_mismatch, "abort", "exit", "eio", "stop", "log")
WORD(on_error, "mismatch", "pass")
WORD(on_unverified, "refuse", "warn", "abort")
WORD(mmap, "memfd", "refuse")

static int take_target(struct parse *p)
{
	return take_list(p, p->config->target, p->config->target_given,
			 &p->targets);
}

static int take_shadow(struct parse *p)
{
	return take_list(p, p->config->shadow, p->config->shadow_given,
			 &p->shadows);
}

static int take_queue(struct parse *p)
{
	switch (bv_number_size(p->value, &p->config->queue)) {
	case NUMBER_GOOD:
		break;
	case NUMBER_BAD:
		return bad(p, "not a size such as 64M (digits, then K, M, G "
			      "or nothing)");
	case NUMBER_TOO_LARGE:
		return bad(p, "too large");
	}
	return p->config->queue ? 0 : bad(p, "has to be more than 0");
}

static int take_sector_size(struct parse *p)
{
	uint64_t n;

	if (bv_number_size(p->value, &n) != NUMBER_GOOD || n < 512 || n > 65536 ||
	    (n & (n - 1)))
		return bad(p, "not a power of two from 512 to 65536");
	p->config->sector_size = (unsigned)n;
	return 0;
}

/* LOG comes first: it is where the line about a bad one goes. */
#define EACH_VARIABLE(X) \
	X(LOG, log) \
	X(TARGET, target) \
	X(SHADOW, shadow) \
	X(MODE, mode) \
	X(THREADS, threads) \
	X(QUEUE, queue) \
	X(SECTOR_SIZE, sector_size) \
	X(ON_MISMATCH, on_mismatch) \
	X(ON_ERROR, on_error) \
	X(ON_UNVERIFIED, on_unverified) \
	X(REPORT, report) \
	X(MMAP, mmap) \
	X(TRAP, trap) \
	X(HISTORY, history) \
	X(JOURNAL, journal) \
	X(JOURNAL_DATA, journal_data) \
	X(STATS, stats)

#define INDEX(name, field) name,
#define ROW(name, field) { #name, take_##field },

enum { EACH_VARIABLE(INDEX) VARIABLES };
static const struct variable variables[] = { EACH_VARIABLE(ROW) };

/* ---- unknown variables ---- */

static const char *nearest(const char *given, size_t n)
{
	const char *best = NULL;
	unsigned allowed = n < 6 ? 1 : 2, found;

	for (size_t i = 0; i < VARIABLES; i++) {
		found = text_edits(given, n, variables[i].name);
		if (found <= allowed && (!best || found < allowed)) {
			best = variables[i].name;
			allowed = found;
		}
	}
	return best;
}

static void unknown(struct bv_text *why, const char *name, const char *end)
{
	size_t n = (size_t)(end - name);
	const char *near = nearest(name, n);

	text_clear(why);
	text_add(why, PREFIX);
	text_quoted_bytes(why, name, n > SHOWN ? SHOWN : n);
	text_add(why, n > SHOWN ? "...: unknown variable" :
				  ": unknown variable");
	if (near) {
		text_add(why, ", did you mean " PREFIX);
		text_add(why, near);
		text_char(why, '?');
	}
}

/* ---- all of them ---- */

/* The index of the variable with these n bytes for a name, or -1. */
static int variable_index(const char *name, size_t n)
{
	for (int i = 0; i < VARIABLES; i++) {
		if (strlen(variables[i].name) == n &&
		    memcmp(variables[i].name, name, n) == 0)
			return i;
	}
	return -1;
}

/* Points values[] at what envp gives; *misspelt at a variable that is not
 * ours. One given twice counts as it stands first, as with getenv: the
 * program's own view of its environment is the one to share. An entry
 * without "=" is no variable to getenv either. */
static void collect(char *const envp[], const char *values[VARIABLES],
		    const char **misspelt)
{
	*misspelt = NULL;
	for (; *envp; envp++) {
		const char *name = *envp + PREFIX_LENGTH, *equals;
		int i;

		if (strncmp(*envp, PREFIX, PREFIX_LENGTH) != 0)
			continue;
		equals = strchr(name, '=');
		if (!equals)
			continue;
		i = variable_index(name, (size_t)(equals - name));
		if (i >= 0 && !values[i])
			values[i] = equals + 1;
		else if (i < 0 && !*misspelt)
			*misspelt = name;
	}
}

static void set_defaults(struct bv_config *c)
{
	/* Not the storage: most programs that load us verify nothing and
	 * should not pay for 33 dirty pages. */
	memset(c, 0, offsetof(struct bv_config, storage));
	c->used = 0;
	c->mode = BV_MODE_SYNC;
	c->queue = 64u << 20;
	c->sector_size = 512;
	c->on_mismatch = BV_MISMATCH_ABORT;
	c->on_error = BV_ERROR_MISMATCH;
	c->on_unverified = BV_UNVERIFIED_REFUSE;
	c->mmap = BV_MMAP_MEMFD;
	c->history = 16384;
}

static int take_one(struct parse *p, size_t i, const char *value)
{
	p->variable = &variables[i];
	p->value = value;
	if (!value)
		return 0;
	if (value[0] == '\0')
		return bad(p, "empty");
	return p->variable->take(p);
}

static int refuse_not_yet(struct parse *p, const char *values[VARIABLES])
{
	for (size_t i = 0; i < sizeof(not_yet) / sizeof(not_yet[0]); i++) {
		const char *name = not_yet[i].name;
		int at = variable_index(name, strlen(name));
		struct bv_text *t;

		if (!values[at] || (not_yet[i].value &&
				    strcmp(values[at], not_yet[i].value) != 0))
			continue;
		p->variable = &variables[at];
		p->value = values[at];
		t = blame(p);
		text_add(t, "not in this version, ");
		text_add(t, not_yet[i].instead);
		return -1;
	}
	return 0;
}

static bool is_image(const struct parse *p, const char *path)
{
	return listed(p->config->target, p->targets, path) ||
	       listed(p->config->shadow, p->shadows, path);
}

/* By name only: who opens these files sees what they are. */
static int refuse_image(struct parse *p, const char *values[VARIABLES],
			int variable, const char *path)
{
	if (!path || !is_image(p, path))
		return 0;
	p->variable = &variables[variable];
	p->value = values[variable];
	return bad_path(p, path, "a target or shadow");
}

/* What one variable says of another. */
static int check_together(struct parse *p, const char *values[VARIABLES])
{
	struct bv_text *t;

	p->variable = &variables[JOURNAL_DATA];
	p->value = values[JOURNAL_DATA];
	if (p->config->journal_data && !p->config->journal)
		return bad(p, "needs " PREFIX "JOURNAL");
	p->variable = &variables[SHADOW];
	p->value = values[SHADOW];
	if (p->targets && !p->value)
		return bad(p, "not set, and " PREFIX "TARGET is");
	if (p->targets && p->shadows != p->targets) {
		t = blame(p);
		add_count(t, p->shadows, "path");
		text_add(t, ", " PREFIX "TARGET has ");
		text_u64(t, p->targets);
		return -1;
	}
	for (unsigned i = 0; i < p->shadows; i++) {
		if (listed(p->config->target, p->targets, p->config->shadow[i]))
			return bad_path(p, p->config->shadow[i], "a target");
	}
	return 0;
}

static int parse_all(struct parse *p, const char *values[VARIABLES],
		     const char *misspelt)
{
	const struct bv_config *c = p->config;

	for (size_t i = 0; i < VARIABLES; i++) {
		if (take_one(p, i, values[i]) != 0)
			return -1;
	}
	if (misspelt) {
		unknown(p->why, misspelt, strchr(misspelt, '='));
		return -1;
	}
	if (refuse_image(p, values, LOG, c->log) != 0 ||
	    refuse_image(p, values, REPORT, c->report) != 0 ||
	    refuse_image(p, values, JOURNAL, c->journal) != 0 ||
	    refuse_not_yet(p, values) != 0)
		return -1;
	return check_together(p, values);
}

int bv_config_parse(struct bv_config *config, char *const envp[],
		    const char *cwd, int pid, struct bv_text *why)
{
	const char *values[VARIABLES] = { NULL }, *misspelt;
	struct parse p = {
		.config = config, .cwd = cwd, .pid = pid, .why = why
	};

	set_defaults(config);
	collect(envp, values, &misspelt);
	if (parse_all(&p, values, misspelt) != 0) {
		/* A line about a bad variable, written into an image, would
		 * be the very damage we look for. */
		if (config->log && is_image(&p, config->log))
			config->log = NULL;
		return -1;
	}
	config->pairs = p.targets;
	config->active = p.targets > 0;
	return 0;
}
