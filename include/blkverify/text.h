/* text: building one message in fixed storage.
 *
 * The shim may be inside malloc, a signal handler or a dying process when it
 * has something to say, so there is no stdio and no allocation here. Every
 * function is async-signal-safe. Text that does not fit is cut, never
 * overruns, and ends in "..." (text_cut tells).
 */
#ifndef BLKVERIFY_TEXT_H
#define BLKVERIFY_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for the longest line: a path of PATH_MAX and what is said of it. */
#define BV_TEXT_ROOM 6144

struct bv_text {
	size_t length;               /* bytes used, without a final NUL */
	bool cut;                    /* something did not fit */
	char bytes[BV_TEXT_ROOM];    /* always NUL-terminated */
};

void text_clear(struct bv_text *t);
void text_begin(struct bv_text *t, const char *string);        /* clear, add */
void text_add(struct bv_text *t, const char *string);          /* as it is */
void text_bytes(struct bv_text *t, const char *bytes, size_t n);
void text_char(struct bv_text *t, char c);
void text_u64(struct bv_text *t, uint64_t value);              /* decimal */
void text_i64(struct bv_text *t, int64_t value);               /* decimal */
void text_range(struct bv_text *t, uint64_t first, uint64_t last); /* "1-2" */
/* At least that many hexadecimal digits, at most 16, zeros in front. */
void text_hex(struct bv_text *t, uint64_t value, unsigned digits);
/* Seconds since 1970 as "2001-02-03 04:05:06 UTC". */
void text_time(struct bv_text *t, uint64_t seconds);
/* A path or value as it came from a user: bytes below 0x20, 0x7f and the
 * backslash as \n, \t, \\ or \xNN, so that one line stays one line. */
void text_quoted(struct bv_text *t, const char *string);
/* The same for the first n bytes of something longer. */
void text_quoted_bytes(struct bv_text *t, const char *bytes, size_t n);
/* The errno's symbolic name ("ENOSPC"), or its number where it has none
 * known here. error is positive. */
void text_errno(struct bv_text *t, int error);

/* How many single characters the n bytes of given have to change, gain or
 * lose to be name, which is in capitals; small letters count as capitals. For
 * "did you mean". UINT_MAX when one is longer than TEXT_LONGEST_NAME. */
#define TEXT_LONGEST_NAME 31
unsigned text_edits(const char *given, size_t n, const char *name);

#endif
