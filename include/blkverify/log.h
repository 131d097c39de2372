/* log: lines to the user, by write(2) alone.
 *
 * The descriptor is our own duplicate of standard error, or BLKVERIFY_LOG
 * opened for appending, taken at start: programs close or redirect
 * descriptor 2 (coreutils, daemons) and chroot later. Each line goes out in
 * one write(2), so that lines of several processes do not mix.
 */
#ifndef BLKVERIFY_LOG_H
#define BLKVERIFY_LOG_H

#include <blkverify/text.h>

/* Opens path for appending (created 0600 if absent), or duplicates
 * standard error when path is NULL; standard error that is closed leaves the
 * log silent. path must stay. The descriptor is placed high (own.h) and is
 * close-on-exec.
 * Returns 0 or a negative errno. */
int bv_log_open(const char *path);

/* Lines would go into an image: no more of them. */
void bv_log_silence(void);

/* The log's descriptor, -1 before bv_log_open or when there is none. */
int bv_log_fd(void);

/* Writes "blkverify: ", the text and a newline as one write(2). Lines are
 * retried on EINTR, a full pipe is waited for, other failures are dropped.
 * SIGPIPE is held off. errno is kept. Async-signal-safe. */
void bv_log_line(const struct bv_text *t);

/* The same for a constant string. */
void bv_log_say(const char *string);

#endif
