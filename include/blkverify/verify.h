/* verify: one verified operation; the heart.
 *
 * What was compared is what the program gets, and target and shadow see the
 * same operations in the same order on every byte. Each function holds its
 * range over target and shadow, works in private buffers, and returns what
 * the program's call is to return: a count, or a negative errno.
 *
 * All are async-signal-safe and never a cancellation point as long as the
 * functions in bv_target are not: the caller keeps cancellation off.
 */
#ifndef BLKVERIFY_VERIFY_H
#define BLKVERIFY_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <blkverify/op.h>

struct bv_disk;

/* How the target is reached: libc's functions, or those of a library that is
 * preloaded after us. They set errno as libc does. Set once, at start. */
struct bv_target_io {
	ssize_t (*pread)(int fd, void *bytes, size_t n, off64_t offset);
	ssize_t (*pwrite)(int fd, const void *bytes, size_t n, off64_t offset);
	ssize_t (*preadv2)(int fd, const struct iovec *iov, int count,
			   off64_t offset, int flags);
	ssize_t (*pwritev2)(int fd, const struct iovec *iov, int count,
			    off64_t offset, int flags);
	off64_t (*lseek)(int fd, off64_t offset, int whence);
};

extern struct bv_target_io bv_target;

/* A read or write as the program asked for it. */
struct bv_request {
	const char *call;            /* its name, for reports */
	int fd;
	const struct iovec *iov;     /* the program's: may be a bad pointer */
	int count;                   /* segments, 0..1024 */
	bool plain;                  /* one buffer, not a list; iov is ours */
	bool position;               /* at the file position, and moves it */
	bool guessed;                /* reads: the pair is what fd was a target of
	                                when last asked; not with position */
	int64_t offset;              /* bytes; unless position */
	int flags;                   /* RWF_ of preadv2(2) */
	bool at_once;                /* a read, without flags, that does not
	                                wait, be it for the target or for other
	                                operations: else -EAGAIN, and nothing
	                                has come of it */

	/* Writes n private bytes at the file position, and moves it, in place
	 * of bv_target.pwrite; returns the count or a negative errno. For a
	 * caller that keeps a state of its own about it. NULL: none. */
	ssize_t (*put)(const struct bv_request *request, const void *bytes,
		       size_t n);
};

/* Where the pair was guessed, and wrongly, bv_read reads the file that fd is. */
ssize_t bv_read(struct bv_disk *disk, const struct bv_request *request);
ssize_t bv_write(struct bv_disk *disk, const struct bv_request *request);

/* In the child after fork. */
void bv_verify_forked(void);

/* A change of the target other than a write. */
struct bv_change {
	const char *call;
	int fd;                      /* -1: by path */
	enum bv_op op;               /* ZERO, DISCARD, RESIZE */
	uint64_t offset, length;     /* bytes; RESIZE: length is the new one */
	bool grows;                  /* the file reaches to offset + length at
	                                least; RESIZE does nothing else then */

	/* Makes the real call. Returns 0 or a negative errno. */
	int (*apply)(const struct bv_change *change);
	const char *path;            /* for apply */
	int mode;                    /* likewise */
};

int bv_change(struct bv_disk *disk, const struct bv_change *change);

/* A change that goes through unverified (BLKVERIFY_ON_UNVERIFIED=warn): makes
 * it with everything from its offset on held, takes over the length that
 * comes of it, and makes [offset, offset + length) unknown. */
int bv_change_blindly(struct bv_disk *disk, const struct bv_change *change);

/* The same for a transfer that is only begun now, and ends we do not know
 * when: the range is never compared again. */
void bv_change_lasting(struct bv_disk *disk, uint64_t offset, uint64_t length);

/* fsync(2) and its kin: result is what the real call returned, 0 or a
 * negative errno. Only the target is flushed. In pool mode it is a barrier, and
 * may fail with what was found wrong since the last one. */
int bv_flush(struct bv_disk *disk, const char *call, int fd, int result);

#endif
