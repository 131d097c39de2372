/* config: the environment, read once, as an immutable struct. */
#include <blkverify/config.h>

#include <string.h>

#include "number.h"
#include "value.h"

#define PREFIX BV_PREFIX
#define PREFIX_LENGTH (sizeof(PREFIX) - 1)

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
	{ "REPORT", NULL, "leave it unset" },
	{ "JOURNAL", NULL, "leave it unset" },
};

/* ---- one function per variable ---- */

#define PATH(field, expand) \
	static int take_##field(struct parse *p) \
	{ \
		return value_path(p, expand, &p->config->field); \
	}
#define BOOL(field) \
	static int take_##field(struct parse *p) \
	{ \
		return value_bool(p, &p->config->field); \
	}
#define COUNT(field, low, high) \
	static int take_##field(struct parse *p) \
	{ \
		return value_count(p, low, high, &p->config->field); \
	}
/* In the order of the enum. */
#define WORD(field, ...) \
	static int take_##field(struct parse *p) \
	{ \
		static const char *const words[] = { __VA_ARGS__, NULL }; \
		int i = value_word(p, words); \
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
	return value_list(p, p->config->target, p->config->target_given,
			 &p->targets);
}

static int take_shadow(struct parse *p)
{
	return value_list(p, p->config->shadow, p->config->shadow_given,
			 &p->shadows);
}

static int take_queue(struct parse *p)
{
	switch (bv_number_size(p->value, &p->config->queue)) {
	case NUMBER_GOOD:
		break;
	case NUMBER_BAD:
		return value_bad(p, "not a size such as 64M (digits, then K, M, "
				    "G or nothing)");
	case NUMBER_TOO_LARGE:
		return value_bad(p, "too large");
	}
	return p->config->queue ? 0 : value_bad(p, "has to be more than 0");
}

static int take_sector_size(struct parse *p)
{
	uint64_t n;

	if (bv_number_size(p->value, &n) != NUMBER_GOOD || n < 512 || n > 65536 ||
	    (n & (n - 1)))
		return value_bad(p, "not a power of two from 512 to 65536");
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
	text_quoted_bytes(why, name, n > VALUE_SHOWN ? VALUE_SHOWN : n);
	text_add(why, n > VALUE_SHOWN ? "...: unknown variable" :
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
	p->name = variables[i].name;
	p->value = value;
	if (!value)
		return 0;
	if (value[0] == '\0')
		return value_bad(p, "empty");
	return variables[i].take(p);
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
		p->name = variables[at].name;
		p->value = values[at];
		t = value_blame(p);
		text_add(t, "not in this version, ");
		text_add(t, not_yet[i].instead);
		return -1;
	}
	return 0;
}

static bool is_image(const struct parse *p, const char *path)
{
	return value_listed(p->config->target, p->targets, path) ||
	       value_listed(p->config->shadow, p->shadows, path);
}

/* By name only: who opens these files sees what they are. */
static int refuse_image(struct parse *p, const char *values[VARIABLES],
			int variable, const char *path)
{
	if (!path || !is_image(p, path))
		return 0;
	p->name = variables[variable].name;
	p->value = values[variable];
	return value_bad_path(p, path, "a target or shadow");
}

/* What one variable says of another. */
static int check_together(struct parse *p, const char *values[VARIABLES])
{
	struct bv_text *t;

	p->name = variables[JOURNAL_DATA].name;
	p->value = values[JOURNAL_DATA];
	if (p->config->journal_data && !p->config->journal)
		return value_bad(p, "needs " PREFIX "JOURNAL");
	p->name = variables[SHADOW].name;
	p->value = values[SHADOW];
	if (p->targets && !p->value)
		return value_bad(p, "not set, and " PREFIX "TARGET is");
	if (p->targets && p->shadows != p->targets) {
		t = value_blame(p);
		value_add_count(t, p->shadows, "path");
		text_add(t, ", " PREFIX "TARGET has ");
		text_u64(t, p->targets);
		return -1;
	}
	for (unsigned i = 0; i < p->shadows; i++) {
		if (value_listed(p->config->target, p->targets, p->config->shadow[i]))
			return value_bad_path(p, p->config->shadow[i], "a target");
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
