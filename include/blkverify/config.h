/* config: the environment, read once, as an immutable struct.
 *
 * Pure: nothing here opens a file or writes a line, so it can be tested and
 * fuzzed alone. What needs the file system (sizes, permissions, the identity
 * of target and shadow) is checked by disk.h.
 */
#ifndef BLKVERIFY_CONFIG_H
#define BLKVERIFY_CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <blkverify/text.h>

/* Most pairs in one run. */
#define BV_MAX_PAIRS 64

enum bv_mode { BV_MODE_SYNC, BV_MODE_POOL };
enum bv_on_mismatch {
	BV_MISMATCH_ABORT,
	BV_MISMATCH_EXIT,
	BV_MISMATCH_EIO,
	BV_MISMATCH_STOP,
	BV_MISMATCH_LOG,
};
enum bv_on_error { BV_ERROR_MISMATCH, BV_ERROR_PASS };
enum bv_on_unverified {
	BV_UNVERIFIED_REFUSE,
	BV_UNVERIFIED_WARN,
	BV_UNVERIFIED_ABORT,
};
enum bv_mmap { BV_MMAP_MEMFD, BV_MMAP_REFUSE };

/* One variable of the contract each; see INTERFACE. Strings point into
 * storage, or into the envp given to bv_config_parse, and live as long. */
struct bv_config {
	bool active;                 /* BLKVERIFY_TARGET is set */
	unsigned pairs;              /* 1..BV_MAX_PAIRS when active, else 0 */
	const char *target[BV_MAX_PAIRS]; /* absolute paths, escapes undone */
	const char *shadow[BV_MAX_PAIRS];
	const char *target_given[BV_MAX_PAIRS];  /* as written, for messages */
	const char *shadow_given[BV_MAX_PAIRS];
	enum bv_mode mode;
	unsigned threads;            /* 1..256; 0: not given */
	uint64_t queue;              /* bytes */
	unsigned sector_size;        /* bytes, power of two, 512..65536 */
	enum bv_on_mismatch on_mismatch;
	enum bv_on_error on_error;
	enum bv_on_unverified on_unverified;
	const char *log;             /* absolute path with %p expanded, or NULL */
	const char *report;          /* likewise */
	enum bv_mmap mmap;
	bool trap;
	unsigned history;            /* operations, 0..1048576 */
	const char *journal;         /* absolute path, or NULL */
	bool journal_data;
	bool stats;

	char storage[(2 * BV_MAX_PAIRS + 3) * 1024];  /* where strings live */
	unsigned used;               /* bytes of storage in use */
};

/* Reads every BLKVERIFY_ variable of envp (NULL-terminated "NAME=value"
 * strings) into *config. Relative paths are taken from cwd, which is
 * absolute; NULL makes them an error. pid replaces %p in BLKVERIFY_LOG and
 * BLKVERIFY_REPORT, where any other % is kept. A variable given twice counts
 * as it stands first, as with getenv.
 *
 * In the two lists \: and \\ stand for : and \; a backslash before anything
 * else, or at the end, is kept as it is. An empty element, the same path
 * twice, and a shadow that has a target's name are errors; so is a log,
 * report or journal with the name of either.
 *
 * Returns 0, or -1 with one line in *why that names the variable, the value
 * and the reason, without the "blkverify: " prefix and without newline:
 *   BLKVERIFY_SECTOR_SIZE=100: not a power of two from 512 to 65536
 * Then active is false, and config->log is set if BLKVERIFY_LOG itself was
 * good and is none of the images (by name: a link is the opener's to see), so
 * that the line can go where it belongs.
 * Values are shown as text_quoted() shows them (control bytes escaped), the
 * first 512 bytes of longer ones and "...".
 * A BLKVERIFY_ variable that is not in the contract is an error. So is a
 * value of the contract that this version cannot honour yet (mode pool,
 * report, journal): it must not look as if it were. An empty value
 * is a bad one: more likely than not, of a shell variable that was to be
 * set. When BLKVERIFY_TARGET is unset, *config is inert (active false) and
 * other variables are still checked.
 * Async-signal-safe: no allocation, no stdio, no locale. */
int bv_config_parse(struct bv_config *config, char *const envp[],
		    const char *cwd, int pid, struct bv_text *why);

#endif
