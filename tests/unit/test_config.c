/* config: the environment as an immutable struct. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <blkverify/config.h>

static struct bv_config c;
static struct bv_text why;

static int parse_env(char *const *env, const char *cwd)
{
	/* Nothing may hang on what was there before. */
	memset(&c, 0xa5, sizeof(c));
	memset(&why, 0xa5, sizeof(why));
	return bv_config_parse(&c, env, cwd, 4711, &why);
}

#define ENV(...) ((char *const[]){ __VA_ARGS__, NULL })
#define good(...) \
	assert_int_equal(parse_env(ENV(__VA_ARGS__), "/cwd"), 0)
#define bad(reason, ...) \
	do { \
		assert_int_equal(parse_env(ENV(__VA_ARGS__), "/cwd"), -1); \
		assert_string_equal(why.bytes, reason); \
		assert_int_equal(why.length, strlen(reason)); \
		assert_false(why.cut); \
		assert_false(c.active); \
	} while (0)

#define PAIR "BLKVERIFY_TARGET=/t", "BLKVERIFY_SHADOW=/s"

static void test_defaults(void **state)
{
	(void)state;
	good(PAIR);
	assert_true(c.active);
	assert_int_equal(c.pairs, 1);
	assert_string_equal(c.target[0], "/t");
	assert_string_equal(c.shadow[0], "/s");
	assert_int_equal(c.mode, BV_MODE_SYNC);
	assert_int_equal(c.threads, 0);
	assert_int_equal(c.queue, 67108864);
	assert_int_equal(c.sector_size, 512);
	assert_int_equal(c.on_mismatch, BV_MISMATCH_ABORT);
	assert_int_equal(c.on_error, BV_ERROR_MISMATCH);
	assert_int_equal(c.on_unverified, BV_UNVERIFIED_REFUSE);
	assert_null(c.log);
	assert_null(c.report);
	assert_int_equal(c.mmap, BV_MMAP_MEMFD);
	assert_false(c.trap);
	assert_int_equal(c.history, 16384);
	assert_null(c.journal);
	assert_false(c.journal_data);
	assert_false(c.stats);
}

static void test_inert(void **state)
{
	(void)state;
	assert_int_equal(parse_env((char *const[]){ NULL }, "/cwd"), 0);
	assert_false(c.active);
	assert_int_equal(c.pairs, 0);
	good("PATH=/bin", "BLKVERIFY=1", "XBLKVERIFY_TARGET=/x", "BLKVERIFY_X",
	     "BLKVERIFY_TARGET");
	assert_false(c.active);
}

static void test_inert_is_still_checked(void **state)
{
	(void)state;
	good("BLKVERIFY_SHADOW=/a:/b");
	assert_false(c.active);
	assert_int_equal(c.pairs, 0);
	bad("BLKVERIFY_TARGET=: empty", "BLKVERIFY_TARGET=",
	    "BLKVERIFY_SHADOW=/a");
	bad("BLKVERIFY_STATS=2: not 0 or 1", "BLKVERIFY_STATS=2");
	bad("BLKVERIFY_SHADOW=/a:: path 2 is empty", "BLKVERIFY_SHADOW=/a:");
	bad("BLKVERIFY_REPORT=/r: not in this version, leave it unset",
	    "BLKVERIFY_REPORT=/r");
	bad("BLKVERIFY_TARGT: unknown variable, did you mean "
	    "BLKVERIFY_TARGET?", "BLKVERIFY_TARGT=/x");
}

static void test_lists(void **state)
{
	(void)state;
	good("BLKVERIFY_TARGET=/a:/b c:/d", "BLKVERIFY_SHADOW=/1:/2:/3");
	assert_int_equal(c.pairs, 3);
	assert_string_equal(c.target[0], "/a");
	assert_string_equal(c.target[1], "/b c");
	assert_string_equal(c.target[2], "/d");
	assert_string_equal(c.shadow[0], "/1");
	assert_string_equal(c.shadow[1], "/2");
	assert_string_equal(c.shadow[2], "/3");
}

static void test_list_escapes(void **state)
{
	(void)state;
	good("BLKVERIFY_TARGET=/a\\:b:/c\\\\:/d\\e\\",
	     "BLKVERIFY_SHADOW=\\:x:/\\\\\\::\\n");
	assert_int_equal(c.pairs, 3);
	assert_string_equal(c.target[0], "/a:b");
	assert_string_equal(c.target[1], "/c\\");
	assert_string_equal(c.target[2], "/d\\e\\");
	assert_string_equal(c.shadow[0], "/cwd/:x");
	assert_string_equal(c.shadow[1], "/\\:");
	assert_string_equal(c.shadow[2], "/cwd/\\n");
}

static void test_empty_elements(void **state)
{
	(void)state;
	bad("BLKVERIFY_TARGET=:/a: path 1 is empty",
	    "BLKVERIFY_TARGET=:/a", "BLKVERIFY_SHADOW=/b");
	bad("BLKVERIFY_TARGET=/a::/b: path 2 is empty",
	    "BLKVERIFY_TARGET=/a::/b", "BLKVERIFY_SHADOW=/b");
	bad("BLKVERIFY_TARGET=/a:/b:: path 3 is empty",
	    "BLKVERIFY_TARGET=/a:/b:", "BLKVERIFY_SHADOW=/b");
	bad("BLKVERIFY_SHADOW=:: path 1 is empty",
	    "BLKVERIFY_TARGET=/a", "BLKVERIFY_SHADOW=:");
}

static void test_unequal_lists(void **state)
{
	(void)state;
	bad("BLKVERIFY_SHADOW=/s: 1 path, BLKVERIFY_TARGET has 2",
	    "BLKVERIFY_TARGET=/a:/b", "BLKVERIFY_SHADOW=/s");
	bad("BLKVERIFY_SHADOW=/s:/r: 2 paths, BLKVERIFY_TARGET has 1",
	    "BLKVERIFY_SHADOW=/s:/r", "BLKVERIFY_TARGET=/a");
	bad("BLKVERIFY_SHADOW: not set, and BLKVERIFY_TARGET is",
	    "BLKVERIFY_TARGET=/a");
	bad("BLKVERIFY_SHADOW=: empty",
	    "BLKVERIFY_TARGET=/a", "BLKVERIFY_SHADOW=");
}

static void test_same_path_twice(void **state)
{
	(void)state;
	bad("BLKVERIFY_TARGET=/a:/b:/a: /a is there twice",
	    "BLKVERIFY_TARGET=/a:/b:/a", "BLKVERIFY_SHADOW=/1:/2:/3");
	bad("BLKVERIFY_SHADOW=x:/cwd/x: /cwd/x is there twice",
	    "BLKVERIFY_TARGET=/a:/b", "BLKVERIFY_SHADOW=x:/cwd/x");
	bad("BLKVERIFY_SHADOW=/a: /a is a target",
	    "BLKVERIFY_TARGET=/a", "BLKVERIFY_SHADOW=/a");
	bad("BLKVERIFY_SHADOW=/b:/a: /a is a target",
	    "BLKVERIFY_TARGET=/a:/c", "BLKVERIFY_SHADOW=/b:/a");
}

/* "/0:/1:...", n of them, behind the name. */
static const char *many(const char *name, unsigned n, char kind)
{
	static char buffer[2][1024];
	static unsigned turn;
	char *s = buffer[turn ^= 1], *to = s;

	for (; *name; name++)
		*to++ = *name;
	for (unsigned i = 0; i < n; i++) {
		if (i)
			*to++ = ':';
		*to++ = '/';
		*to++ = kind;
		*to++ = (char)('A' + i % 50);
		*to++ = (char)('0' + i / 50);
	}
	*to = '\0';
	return s;
}

static void test_most_pairs(void **state)
{
	(void)state;
	good((char *)many("BLKVERIFY_TARGET=", 64, 't'),
	     (char *)many("BLKVERIFY_SHADOW=", 64, 's'));
	assert_int_equal(c.pairs, 64);
	assert_string_equal(c.target[0], "/tA0");
	assert_string_equal(c.target[63], "/tN1");
	assert_string_equal(c.shadow[63], "/sN1");
	assert_int_equal(parse_env(ENV((char *)many("BLKVERIFY_TARGET=", 65,
						    't')), "/cwd"), -1);
	assert_non_null(strstr(why.bytes, ": more than 64 paths"));
	assert_string_equal(strstr(why.bytes, "/tN1"),
			    "/tN1:/tO1: more than 64 paths");
}

static void test_relative_paths(void **state)
{
	(void)state;
	good("BLKVERIFY_TARGET=a:./b:/c", "BLKVERIFY_SHADOW=../d:e/f:g",
	     "BLKVERIFY_LOG=log");
	assert_string_equal(c.target[0], "/cwd/a");
	assert_string_equal(c.target[1], "/cwd/./b");
	assert_string_equal(c.target[2], "/c");
	assert_string_equal(c.shadow[0], "/cwd/../d");
	assert_string_equal(c.shadow[1], "/cwd/e/f");
	assert_string_equal(c.shadow[2], "/cwd/g");
	assert_string_equal(c.log, "/cwd/log");
	assert_int_equal(parse_env(ENV("BLKVERIFY_LOG=log"), "/"), 0);
	assert_string_equal(c.log, "/log");
}

static void test_without_a_current_directory(void **state)
{
	static const char *const gone[] = { NULL, "", "(unreachable)/x" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(parse_env(ENV(PAIR), gone[i]), 0);
		assert_int_equal(parse_env(ENV("BLKVERIFY_TARGET=a"), gone[i]),
				 -1);
		assert_string_equal(why.bytes,
				    "BLKVERIFY_TARGET=a: a relative path, and "
				    "the current directory is not known");
		assert_int_equal(parse_env(ENV("BLKVERIFY_LOG=a"), gone[i]),
				 -1);
		assert_string_equal(why.bytes,
				    "BLKVERIFY_LOG=a: a relative path, and "
				    "the current directory is not known");
	}
}

static void test_log_path(void **state)
{
	(void)state;
	good(PAIR, "BLKVERIFY_LOG=/l/%p.%p%%x%");
	assert_string_equal(c.log, "/l/4711.4711%%x%");
	good(PAIR, "BLKVERIFY_LOG=%p");
	assert_string_equal(c.log, "/cwd/4711");
	good(PAIR, "BLKVERIFY_LOG=/a:b\\:c");
	assert_string_equal(c.log, "/a:b\\:c");
	assert_int_equal(bv_config_parse(&c, ENV("BLKVERIFY_LOG=/%p"), "/",
					 INT_MAX, &why), 0);
	assert_string_equal(c.log, "/2147483647");
	assert_int_equal(bv_config_parse(&c, ENV("BLKVERIFY_LOG=/%p"), "/", 1,
					 &why), 0);
	assert_string_equal(c.log, "/1");
	bad("BLKVERIFY_LOG=: empty", PAIR, "BLKVERIFY_LOG=");
}

/* The line about a bad variable has to go to the log. */
static void test_log_survives_errors(void **state)
{
	(void)state;
	bad("BLKVERIFY_STATS=x: not 0 or 1",
	    "BLKVERIFY_STATS=x", "BLKVERIFY_LOG=/log");
	assert_string_equal(c.log, "/log");
	bad("BLKVERIFY_ZZZ: unknown variable",
	    "BLKVERIFY_ZZZ=", "BLKVERIFY_LOG=/log");
	assert_string_equal(c.log, "/log");
	bad("BLKVERIFY_LOG=: empty", "BLKVERIFY_LOG=", "BLKVERIFY_STATS=x");
	assert_null(c.log);
}

/* Lines written into an image are the damage we look for. */
static void test_log_is_no_image(void **state)
{
	(void)state;
	bad("BLKVERIFY_LOG=/t: /t is a target or shadow",
	    PAIR, "BLKVERIFY_LOG=/t");
	assert_null(c.log);
	bad("BLKVERIFY_LOG=s: /cwd/s is a target or shadow",
	    "BLKVERIFY_TARGET=/t", "BLKVERIFY_SHADOW=/cwd/s",
	    "BLKVERIFY_LOG=s");
	assert_null(c.log);
	bad("BLKVERIFY_REPORT=/s: /s is a target or shadow",
	    PAIR, "BLKVERIFY_REPORT=/s");
	bad("BLKVERIFY_JOURNAL=/t: /t is a target or shadow",
	    PAIR, "BLKVERIFY_JOURNAL=/t");
	/* another error comes first, and must not be written there either */
	bad("BLKVERIFY_STATS=x: not 0 or 1",
	    PAIR, "BLKVERIFY_LOG=/t", "BLKVERIFY_STATS=x");
	assert_null(c.log);
	bad("BLKVERIFY_SHADOW=/s:: path 2 is empty",
	    "BLKVERIFY_TARGET=/t", "BLKVERIFY_SHADOW=/s:",
	    "BLKVERIFY_LOG=/s");
	assert_null(c.log);
}

#define word_is(variable, text, field, value) \
	do { \
		good(PAIR, "BLKVERIFY_" variable "=" text); \
		assert_int_equal(c.field, value); \
	} while (0)

static void test_words(void **state)
{
	(void)state;
	word_is("MODE", "sync", mode, BV_MODE_SYNC);
	word_is("MODE", "pool", mode, BV_MODE_POOL);
	word_is("ON_MISMATCH", "abort", on_mismatch, BV_MISMATCH_ABORT);
	word_is("ON_MISMATCH", "exit", on_mismatch, BV_MISMATCH_EXIT);
	word_is("ON_MISMATCH", "eio", on_mismatch, BV_MISMATCH_EIO);
	word_is("ON_MISMATCH", "stop", on_mismatch, BV_MISMATCH_STOP);
	word_is("ON_MISMATCH", "log", on_mismatch, BV_MISMATCH_LOG);
	word_is("ON_ERROR", "mismatch", on_error, BV_ERROR_MISMATCH);
	word_is("ON_ERROR", "pass", on_error, BV_ERROR_PASS);
	word_is("ON_UNVERIFIED", "refuse", on_unverified,
		BV_UNVERIFIED_REFUSE);
	word_is("ON_UNVERIFIED", "warn", on_unverified, BV_UNVERIFIED_WARN);
	word_is("ON_UNVERIFIED", "abort", on_unverified, BV_UNVERIFIED_ABORT);
	word_is("MMAP", "memfd", mmap, BV_MMAP_MEMFD);
	word_is("MMAP", "refuse", mmap, BV_MMAP_REFUSE);
	word_is("TRAP", "0", trap, false);
	word_is("TRAP", "1", trap, true);
	word_is("STATS", "0", stats, false);
	word_is("STATS", "1", stats, true);
	word_is("JOURNAL_DATA", "0", journal_data, false);
}

static void test_bad_words(void **state)
{
	(void)state;
	bad("BLKVERIFY_MODE=Sync: not one of sync, pool",
	    PAIR, "BLKVERIFY_MODE=Sync");
	bad("BLKVERIFY_MODE=syn: not one of sync, pool",
	    PAIR, "BLKVERIFY_MODE=syn");
	bad("BLKVERIFY_MODE=sync : not one of sync, pool",
	    PAIR, "BLKVERIFY_MODE=sync ");
	bad("BLKVERIFY_ON_MISMATCH=die: not one of abort, exit, eio, stop, "
	    "log", PAIR, "BLKVERIFY_ON_MISMATCH=die");
	bad("BLKVERIFY_ON_ERROR=eio: not one of mismatch, pass",
	    PAIR, "BLKVERIFY_ON_ERROR=eio");
	bad("BLKVERIFY_ON_UNVERIFIED=1: not one of refuse, warn, abort",
	    PAIR, "BLKVERIFY_ON_UNVERIFIED=1");
	bad("BLKVERIFY_MMAP=no: not one of memfd, refuse",
	    PAIR, "BLKVERIFY_MMAP=no");
	bad("BLKVERIFY_MMAP=: empty", PAIR, "BLKVERIFY_MMAP=");
}

static void test_bad_booleans(void **state)
{
	(void)state;
	bad("BLKVERIFY_STATS=yes: not 0 or 1", PAIR, "BLKVERIFY_STATS=yes");
	bad("BLKVERIFY_STATS=01: not 0 or 1", PAIR, "BLKVERIFY_STATS=01");
	bad("BLKVERIFY_STATS=1 : not 0 or 1", PAIR, "BLKVERIFY_STATS=1 ");
	bad("BLKVERIFY_STATS=: empty", PAIR, "BLKVERIFY_STATS=");
	bad("BLKVERIFY_TRAP=2: not 0 or 1", PAIR, "BLKVERIFY_TRAP=2");
	bad("BLKVERIFY_JOURNAL_DATA=-1: not 0 or 1",
	    PAIR, "BLKVERIFY_JOURNAL_DATA=-1");
}

static void test_not_yet(void **state)
{
	(void)state;
	bad("BLKVERIFY_REPORT=/r: not in this version, leave it unset",
	    PAIR, "BLKVERIFY_REPORT=/r");
	bad("BLKVERIFY_JOURNAL=/j: not in this version, leave it unset",
	    PAIR, "BLKVERIFY_JOURNAL=/j", "BLKVERIFY_JOURNAL_DATA=1");
	bad("BLKVERIFY_JOURNAL_DATA=1: needs BLKVERIFY_JOURNAL",
	    PAIR, "BLKVERIFY_JOURNAL_DATA=1");
	bad("BLKVERIFY_REPORT=: empty", PAIR, "BLKVERIFY_REPORT=");
	bad("BLKVERIFY_JOURNAL=: empty", PAIR, "BLKVERIFY_JOURNAL=");
}

static void test_threads(void **state)
{
	(void)state;
	word_is("THREADS", "1", threads, 1);
	word_is("THREADS", "256", threads, 256);
	word_is("THREADS", "010", threads, 10);
	bad("BLKVERIFY_THREADS=0: not a number from 1 to 256",
	    PAIR, "BLKVERIFY_THREADS=0");
	bad("BLKVERIFY_THREADS=257: not a number from 1 to 256",
	    PAIR, "BLKVERIFY_THREADS=257");
	bad("BLKVERIFY_THREADS=1K: not a number from 1 to 256",
	    PAIR, "BLKVERIFY_THREADS=1K");
	bad("BLKVERIFY_THREADS=+4: not a number from 1 to 256",
	    PAIR, "BLKVERIFY_THREADS=+4");
	bad("BLKVERIFY_THREADS= 4: not a number from 1 to 256",
	    PAIR, "BLKVERIFY_THREADS= 4");
	bad("BLKVERIFY_THREADS=0x4: not a number from 1 to 256",
	    PAIR, "BLKVERIFY_THREADS=0x4");
	/* 2^32 + 1, 2^64 + 1 */
	bad("BLKVERIFY_THREADS=4294967297: not a number from 1 to 256",
	    PAIR, "BLKVERIFY_THREADS=4294967297");
	bad("BLKVERIFY_THREADS=18446744073709551617: not a number from 1 to "
	    "256", PAIR, "BLKVERIFY_THREADS=18446744073709551617");
}

static void test_history(void **state)
{
	(void)state;
	word_is("HISTORY", "0", history, 0);
	word_is("HISTORY", "1048576", history, 1048576);
	bad("BLKVERIFY_HISTORY=1048577: not a number from 0 to 1048576",
	    PAIR, "BLKVERIFY_HISTORY=1048577");
	bad("BLKVERIFY_HISTORY=-1: not a number from 0 to 1048576",
	    PAIR, "BLKVERIFY_HISTORY=-1");
	bad("BLKVERIFY_HISTORY=16K: not a number from 0 to 1048576",
	    PAIR, "BLKVERIFY_HISTORY=16K");
}

static void test_sector_size(void **state)
{
	(void)state;
	word_is("SECTOR_SIZE", "512", sector_size, 512);
	word_is("SECTOR_SIZE", "4096", sector_size, 4096);
	word_is("SECTOR_SIZE", "4K", sector_size, 4096);
	word_is("SECTOR_SIZE", "65536", sector_size, 65536);
	bad("BLKVERIFY_SECTOR_SIZE=100: not a power of two from 512 to 65536",
	    PAIR, "BLKVERIFY_SECTOR_SIZE=100");
	bad("BLKVERIFY_SECTOR_SIZE=256: not a power of two from 512 to 65536",
	    PAIR, "BLKVERIFY_SECTOR_SIZE=256");
	bad("BLKVERIFY_SECTOR_SIZE=131072: not a power of two from 512 to "
	    "65536", PAIR, "BLKVERIFY_SECTOR_SIZE=131072");
	bad("BLKVERIFY_SECTOR_SIZE=768: not a power of two from 512 to 65536",
	    PAIR, "BLKVERIFY_SECTOR_SIZE=768");
	bad("BLKVERIFY_SECTOR_SIZE=0: not a power of two from 512 to 65536",
	    PAIR, "BLKVERIFY_SECTOR_SIZE=0");
	bad("BLKVERIFY_SECTOR_SIZE=x: not a power of two from 512 to 65536",
	    PAIR, "BLKVERIFY_SECTOR_SIZE=x");
	/* 2^64 + 512 */
	bad("BLKVERIFY_SECTOR_SIZE=18446744073709552128: not a power of two "
	    "from 512 to 65536", PAIR,
	    "BLKVERIFY_SECTOR_SIZE=18446744073709552128");
	bad("BLKVERIFY_SECTOR_SIZE=: empty", PAIR, "BLKVERIFY_SECTOR_SIZE=");
}

static void test_queue(void **state)
{
	(void)state;
	word_is("QUEUE", "1", queue, 1);
	word_is("QUEUE", "1000", queue, 1000);
	word_is("QUEUE", "3K", queue, 3072);
	word_is("QUEUE", "2M", queue, 2097152);
	word_is("QUEUE", "5G", queue, 5368709120);
	word_is("QUEUE", "18446744073709551615", queue, UINT64_MAX);
	word_is("QUEUE", "17179869183G", queue, 18446744072635809792u);
	bad("BLKVERIFY_QUEUE=18446744073709551616: too large",
	    PAIR, "BLKVERIFY_QUEUE=18446744073709551616");
	bad("BLKVERIFY_QUEUE=99999999999999999999999: too large",
	    PAIR, "BLKVERIFY_QUEUE=99999999999999999999999");
	bad("BLKVERIFY_QUEUE=17179869184G: too large",
	    PAIR, "BLKVERIFY_QUEUE=17179869184G");
	/* 2^64 of them, 0 when it wraps around in time */
	bad("BLKVERIFY_QUEUE=18446744073709551616K: too large",
	    PAIR, "BLKVERIFY_QUEUE=18446744073709551616K");
	bad("BLKVERIFY_QUEUE=0: has to be more than 0",
	    PAIR, "BLKVERIFY_QUEUE=0");
	bad("BLKVERIFY_QUEUE=0G: has to be more than 0",
	    PAIR, "BLKVERIFY_QUEUE=0G");
}

static void test_bad_sizes(void **state)
{
	static const char *const values[] = {
		"K", "64m", "64k", "64T", "64MB", "64M ", " 64M", "6 4", "-1",
		"+1", "0x40", "1.5G", "1KK", "1e6", "\t1",
	};
	char env[64];

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		strcpy(env, "BLKVERIFY_QUEUE=");
		strcat(env, values[i]);
		assert_int_equal(parse_env(ENV(PAIR, env), "/cwd"), -1);
		assert_string_equal(strstr(why.bytes, ": "),
				    ": not a size such as 64M (digits, then "
				    "K, M, G or nothing)");
	}
}

static void test_unknown(void **state)
{
	(void)state;
	bad("BLKVERIFY_TARGT: unknown variable, did you mean "
	    "BLKVERIFY_TARGET?", PAIR, "BLKVERIFY_TARGT=/x");
	bad("BLKVERIFY_target: unknown variable, did you mean "
	    "BLKVERIFY_TARGET?", PAIR, "BLKVERIFY_target=/x");
	bad("BLKVERIFY_SECTORSIZE: unknown variable, did you mean "
	    "BLKVERIFY_SECTOR_SIZE?", PAIR, "BLKVERIFY_SECTORSIZE=512");
	bad("BLKVERIFY_MAP: unknown variable, did you mean BLKVERIFY_MMAP?",
	    PAIR, "BLKVERIFY_MAP=refuse");
	bad("BLKVERIFY_ON_UNVERIFED: unknown variable, did you mean "
	    "BLKVERIFY_ON_UNVERIFIED?", PAIR, "BLKVERIFY_ON_UNVERIFED=warn");
	bad("BLKVERIFY_STATE: unknown variable, did you mean "
	    "BLKVERIFY_STATS?", PAIR, "BLKVERIFY_STATE=1");
	bad("BLKVERIFY_MDE: unknown variable, did you mean BLKVERIFY_MODE?",
	    PAIR, "BLKVERIFY_MDE=sync");
	bad("BLKVERIFY_FROBNICATE: unknown variable",
	    PAIR, "BLKVERIFY_FROBNICATE=1");
	/* a short name has few neighbours, a longer one two steps away */
	bad("BLKVERIFY_XY: unknown variable", PAIR, "BLKVERIFY_XY=1");
	bad("BLKVERIFY_LXX: unknown variable", PAIR, "BLKVERIFY_LXX=1");
	bad("BLKVERIFY_STXXS: unknown variable", PAIR, "BLKVERIFY_STXXS=1");
	bad("BLKVERIFY_LOGG: unknown variable, did you mean BLKVERIFY_LOG?",
	    PAIR, "BLKVERIFY_LOGG=/x");
	bad("BLKVERIFY_TARGTE: unknown variable, did you mean "
	    "BLKVERIFY_TARGET?", PAIR, "BLKVERIFY_TARGTE=/x");
	bad("BLKVERIFY_HISTROY: unknown variable, did you mean "
	    "BLKVERIFY_HISTORY?", PAIR, "BLKVERIFY_HISTROY=1");
	bad("BLKVERIFY_TARGXXX: unknown variable", PAIR,
	    "BLKVERIFY_TARGXXX=1");
	bad("BLKVERIFY_: unknown variable", PAIR, "BLKVERIFY_=1");
	bad("BLKVERIFY_A\\nB: unknown variable", PAIR, "BLKVERIFY_A\nB=1");
	bad("BLKVERIFY_THE_FIRST_OF_TWO: unknown variable", PAIR,
	    "BLKVERIFY_THE_FIRST_OF_TWO=1", "BLKVERIFY_SECOND=2");
}

static void test_first_of_duplicates(void **state)
{
	(void)state;
	good("BLKVERIFY_TARGET=/1", "BLKVERIFY_TARGET=/2",
	     "BLKVERIFY_SHADOW=/s", "BLKVERIFY_STATS=1", "BLKVERIFY_STATS=x");
	assert_int_equal(c.pairs, 1);
	assert_string_equal(c.target[0], "/1");
	assert_true(c.stats);
	good("BLKVERIFY_LOG=/1", "BLKVERIFY_LOG=/2");
	assert_string_equal(c.log, "/1");
	bad("BLKVERIFY_TARGET=: empty", "BLKVERIFY_TARGET=",
	    "BLKVERIFY_TARGET=/2");
}

static void test_values_are_quoted(void **state)
{
	(void)state;
	bad("BLKVERIFY_STATS=\\x1b[31m\\n: not 0 or 1",
	    PAIR, "BLKVERIFY_STATS=\x1b[31m\n");
	bad("BLKVERIFY_TARGET=/a\\t:/a\\t: /a\\t is there twice",
	    "BLKVERIFY_TARGET=/a\t:/a\t", "BLKVERIFY_SHADOW=/x:/y");
}

/* name, then "/" and n - 1 times c; to be freed */
static char *long_value(const char *name, size_t n, char fill)
{
	size_t length = strlen(name);
	char *env = malloc(length + n + 1);

	assert_non_null(env);
	memcpy(env, name, length);
	memset(env + length, fill, n);
	env[length] = '/';
	env[length + n] = '\0';
	return env;
}

static void test_long_paths(void **state)
{
	char *fits = long_value("BLKVERIFY_TARGET=", PATH_MAX - 1, 'x');
	char *over = long_value("BLKVERIFY_TARGET=", PATH_MAX, 'x');
	char *log = long_value("BLKVERIFY_LOG=", PATH_MAX, 'x');
	char *huge = long_value("BLKVERIFY_LOG=", 2000000, '\n');

	(void)state;
	good(fits, "BLKVERIFY_SHADOW=/s");
	assert_int_equal(strlen(c.target[0]), 4095);
	assert_int_equal(parse_env(ENV(over, "BLKVERIFY_SHADOW=/s"), "/cwd"),
			 -1);
	assert_string_equal(strstr(why.bytes, "..."),
			    "...: path 1 is longer than a path can be");
	assert_int_equal(strlen("BLKVERIFY_TARGET=") + 512,
			 strstr(why.bytes, "...") - why.bytes);
	assert_int_equal(parse_env(ENV(log), "/cwd"), -1);
	assert_string_equal(strstr(why.bytes, "..."),
			    "...: longer than a path can be");
	assert_int_equal(parse_env(ENV(huge), "/cwd"), -1);
	assert_string_equal(strstr(why.bytes, "..."),
			    "...: longer than a path can be");
	/* The current directory counts. */
	fits[strlen("BLKVERIFY_TARGET=")] = 'x';
	assert_int_equal(parse_env(ENV(fits), "/"), -1);
	assert_non_null(strstr(why.bytes, "longer than a path can be"));
	free(fits);
	free(over);
	free(log);
	free(huge);
}

/* What is short enough is shown whole. */
static void test_length_shown(void **state)
{
	char *env = long_value("BLKVERIFY_MODE=", 513, 'x');
	char *name = long_value("BLKVERIFY_", 514, 'x');

	(void)state;
	assert_int_equal(parse_env(ENV(env), "/cwd"), -1);
	assert_string_equal(strstr(why.bytes, "xx.."),
			    "xx...: not one of sync, pool");
	env[strlen(env) - 1] = '\0';
	assert_int_equal(parse_env(ENV(env), "/cwd"), -1);
	assert_string_equal(strstr(why.bytes, "x: "),
			    "x: not one of sync, pool");
	assert_int_equal(strstr(why.bytes, ": ") - why.bytes, 15 + 512);
	name[strlen(name) - 1] = '=';
	assert_int_equal(parse_env(ENV(name), "/cwd"), -1);
	assert_string_equal(strstr(why.bytes, "xx.."),
			    "xx...: unknown variable");
	name[strlen(name) - 2] = '=';
	assert_int_equal(parse_env(ENV(name), "/cwd"), -1);
	assert_string_equal(strstr(why.bytes, "x: "), "x: unknown variable");
	free(env);
	free(name);
}

static void test_every_path_has_its_length(void **state)
{
	char *fits = long_value("BLKVERIFY_SHADOW=/s:", PATH_MAX - 1, 'x');
	char *over = long_value("BLKVERIFY_SHADOW=/s:", PATH_MAX, 'x');

	(void)state;
	good("BLKVERIFY_TARGET=/t:/u", fits);
	assert_int_equal(strlen(c.shadow[1]), 4095);
	assert_int_equal(parse_env(ENV(over), "/cwd"), -1);
	assert_non_null(strstr(why.bytes,
			       "...: path 2 is longer than a path can be"));
	free(fits);
	free(over);
}

/* A current directory that does not fit must not just be left out. */
static void test_long_current_directory(void **state)
{
	char *cwd = long_value("", 5000, 'x');

	(void)state;
	assert_int_equal(parse_env(ENV("BLKVERIFY_LOG=log"), cwd), -1);
	assert_string_equal(why.bytes,
			    "BLKVERIFY_LOG=log: longer than a path can be");
	assert_null(c.log);
	assert_int_equal(parse_env(ENV("BLKVERIFY_TARGET=t"), cwd), -1);
	assert_string_equal(why.bytes, "BLKVERIFY_TARGET=t: path 1 is longer "
			    "than a path can be");
	free(cwd);
}

/* 32 paths of 4096 bytes with their ends, and one that takes the rest. */
static void test_storage_to_the_last_byte(void **state)
{
	size_t rest = sizeof(c.storage) - 32 * 4096;
	char *env = long_value("BLKVERIFY_TARGET=", 33 * 4096, 'x');
	char *to = env + strlen("BLKVERIFY_TARGET=");

	(void)state;
	assert_int_equal(rest, 3072);
	for (int i = 0; i < 33; i++) {
		to[i * 4096] = '/';
		to[i * 4096 + 1] = (char)('A' + i);
		to[i * 4096 + 4095] = ':';
	}
	to[32 * 4096 + rest] = '\0';
	assert_int_equal(parse_env(ENV(env), "/cwd"), -1);
	assert_non_null(strstr(why.bytes,
			       ": path 33 is more than there is room for"));
	to[32 * 4096 + rest - 1] = '\0';
	assert_int_equal(parse_env(ENV(env), "/cwd"), -1);
	assert_string_equal(why.bytes, "BLKVERIFY_SHADOW: not set, and "
			    "BLKVERIFY_TARGET is");
	assert_int_equal(c.used, sizeof(c.storage));
	assert_int_equal(strlen(c.target[32]), 3071);
	free(env);
}

/* 64 paths of up to 4095 bytes do not fit; what fits must be whole. */
static void test_full_storage(void **state)
{
	static char env[64 * 4096 + 32];
	char *to = env;

	(void)state;
	strcpy(env, "BLKVERIFY_TARGET=");
	to += strlen(env);
	for (int i = 0; i < 64; i++) {
		*to++ = '/';
		*to++ = (char)('A' + i % 50);
		*to++ = (char)('0' + i / 50);
		memset(to, 'x', 4000);
		to += 4000;
		*to++ = ':';
	}
	to[-1] = '\0';
	assert_int_equal(parse_env(ENV(env), "/cwd"), -1);
	/* 33 of 4004 bytes are 132132, one more is above 134144. */
	assert_string_equal(strstr(why.bytes, "..."),
			    "...: path 34 is more than there is room for");
	assert_int_equal(strlen(c.target[32]), 4003);
	env[strlen("BLKVERIFY_TARGET=") + 33 * 4004 - 1] = '\0';
	assert_int_equal(parse_env(ENV(env), "/cwd"), -1);
	assert_string_equal(why.bytes,
			    "BLKVERIFY_SHADOW: not set, and BLKVERIFY_TARGET "
			    "is");
}

static void test_longest_line_is_not_cut(void **state)
{
	char *same = malloc(20000), *to;

	(void)state;
	assert_non_null(same);
	to = stpcpy(same, "BLKVERIFY_TARGET=");
	for (int i = 0; i < 2; i++) {
		*to++ = '/';
		memset(to, '\x01', 3000);
		to += 3000;
		*to++ = ':';
	}
	to[-1] = '\0';
	assert_int_equal(parse_env(ENV(same), "/cwd"), -1);
	assert_false(why.cut);
	assert_string_equal(why.bytes + why.length - 18, "... is there twice");
	free(same);
	same = long_value("BLKVERIFY_", 3000, '\x01');
	same[2000] = '=';
	assert_int_equal(parse_env(ENV(same), "/cwd"), -1);
	assert_false(why.cut);
	assert_string_equal(why.bytes + why.length - 25,
			    "\\x01...: unknown variable");
	free(same);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_inert),
		cmocka_unit_test(test_inert_is_still_checked),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_list_escapes),
		cmocka_unit_test(test_empty_elements),
		cmocka_unit_test(test_unequal_lists),
		cmocka_unit_test(test_same_path_twice),
		cmocka_unit_test(test_most_pairs),
		cmocka_unit_test(test_relative_paths),
		cmocka_unit_test(test_without_a_current_directory),
		cmocka_unit_test(test_log_path),
		cmocka_unit_test(test_log_survives_errors),
		cmocka_unit_test(test_log_is_no_image),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_bad_words),
		cmocka_unit_test(test_bad_booleans),
		cmocka_unit_test(test_not_yet),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_sector_size),
		cmocka_unit_test(test_queue),
		cmocka_unit_test(test_bad_sizes),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_first_of_duplicates),
		cmocka_unit_test(test_values_are_quoted),
		cmocka_unit_test(test_long_paths),
		cmocka_unit_test(test_length_shown),
		cmocka_unit_test(test_every_path_has_its_length),
		cmocka_unit_test(test_long_current_directory),
		cmocka_unit_test(test_storage_to_the_last_byte),
		cmocka_unit_test(test_full_storage),
		cmocka_unit_test(test_longest_line_is_not_cut),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
