/* policy: what happens after something was found.
 *
 * The only place that knows BLKVERIFY_ON_MISMATCH, _ON_ERROR and
 * _ON_UNVERIFIED. Functions return what the program's call is to return, or
 * do not return at all.
 */
#ifndef BLKVERIFY_POLICY_H
#define BLKVERIFY_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include <blkverify/config.h>
#include <blkverify/report.h>

struct bv_disk;

void bv_policy_start(const struct bv_config *config);

/* Reports the mismatch and acts on it. Returns -EIO when the call is to
 * fail, 0 when the program goes on as if nothing had been found. m's pair,
 * ids and sector size are filled in here. Signals are blocked meanwhile; one
 * report at a time in a process. */
int bv_policy_mismatch(struct bv_disk *disk, struct bv_mismatch *m);

/* Does a mismatch fail the call that found it (BLKVERIFY_ON_MISMATCH=eio)? Such
 * a call has to wait. */
bool bv_policy_fails_calls(void);

/* Is this a failure of the target's storage, rather than of the call? error
 * is positive. */
bool bv_policy_is_io_failure(int error);

/* Does it come of the end of who serves disk's target, where the command "run"
 * has it served? Says so, once. That is no mismatch, and tells nothing of what
 * is in the image. */
bool bv_policy_unserved(struct bv_disk *disk);

/* Is any other to be reported as a mismatch (or handed on)? */
bool bv_policy_reports_errors(struct bv_disk *disk);

/* A transfer on disk's target cannot be verified. Says so, in one line that
 * names call and target. Returns refusal (a negative errno) when the call is
 * to fail with it, 0 when it is to go through; the caller then makes the
 * range unknown. */
int bv_policy_unverified(struct bv_disk *disk, const char *call, int refusal);

/* The same of what cannot be let through either: returns refusal. */
int bv_policy_impossible(struct bv_disk *disk, const char *call, int refusal);

/* Another process has disk's target mapped, and its memory cannot be had:
 * what it shows is no longer what the target has. Says so, once. */
void bv_policy_apart(struct bv_disk *disk);

/* May targets be mapped (BLKVERIFY_MMAP)? */
bool bv_policy_maps(void);

/* This process has done verified I/O on disk: counted once. */
void bv_policy_count_process(struct bv_disk *disk);

/* Counts a failure of the target's storage. */
void bv_policy_count_error(struct bv_disk *disk);

/* Counts one without a line (it was said already). */
void bv_policy_count_unverified(struct bv_disk *disk);

/* The program went on with bytes that it had read, and process pid, which was to
 * compare them, is gone: says so. */
void bv_policy_uncompared(struct bv_disk *disk, uint64_t offset, uint64_t length,
			  int pid);

/* Ends the process by SIGABRT, with nothing of the program's in between. */
void __attribute__((noreturn)) bv_policy_die(void);

/* The run cannot go on: says why and ends the process with status 125. */
struct bv_text;
void __attribute__((noreturn)) bv_policy_fatal(const struct bv_text *why);

/* In the child after fork: nobody else is saying anything, and nothing has
 * been done yet. */
void bv_policy_forked(void);

/* The stats lines, when they are wanted; once a process. */
void bv_policy_stats(void);

#endif
