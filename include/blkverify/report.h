/* report: the text of a mismatch.
 *
 * First line as the contract fixes it, then lines that say more, each
 * written whole by log.h. The caller sees to it that one thread reports at a
 * time: report.c keeps its line in static storage. No allocation.
 */
#ifndef BLKVERIFY_REPORT_H
#define BLKVERIFY_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include <blkverify/op.h>

enum bv_difference {
	BV_DIFFERENCE_CONTENTS,
	BV_DIFFERENCE_RETURN,    /* return value mismatch got != expected */
	BV_DIFFERENCE_SIZE,      /* size mismatch got != expected */
	BV_DIFFERENCE_SHADOW,    /* the shadow itself failed: ours, not theirs */
};

/* Was the difference still there when both were read again? */
enum bv_persistence { BV_UNTOLD, BV_LASTING, BV_TRANSIENT };

/* What is to be reported. The caller owns everything pointed to; nothing is
 * kept after the call. */
struct bv_mismatch {
	enum bv_difference difference;
	enum bv_op op;
	const char *target, *shadow;  /* paths as configured */
	const char *call;             /* the function: "pread64" */
	int fd;
	int pid, tid;                 /* who made the request */
	uint64_t time;                /* when: nanoseconds since 1970; 0: now */
	uint64_t offset, length;      /* bytes, the whole request; SIZE says
	                               * the whole disk instead */
	unsigned sector_size;         /* bytes */
	/* RETURN, SIZE: what the target gave and what it should have given,
	 * a failure as -errno. SHADOW: got is the shadow's -errno; or else
	 * the bytes it took, of expected. */
	int64_t got, expected;

	/* CONTENTS only: actual and should are the bytes [data_offset,
	 * data_offset + data_length) of target and shadow. More differing
	 * pieces may follow beyond it. They may change meanwhile (a mapped
	 * file that a stranger writes to): the report then shows what it
	 * sees. */
	const unsigned char *actual, *should;
	uint64_t data_offset, data_length;
	enum bv_persistence persistence;

	/* Called once, last, to write its own lines about earlier operations
	 * there (with bv_log_line and a text of its own); may be NULL. */
	void (*history)(const struct bv_mismatch *m);
	const void *history_data;
};

/* Writes the whole report, line by line. errno is kept. */
void bv_report_mismatch(const struct bv_mismatch *m);

#endif
