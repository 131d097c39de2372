/* buffer: private buffers for one piece of a transfer each.
 *
 * What was compared must be what the program gets, and what was written must
 * be what was mirrored, so no transfer works in the program's own memory.
 * Buffers come from one mapping made at start and are handed out lowest
 * first, so that a program with one request at a time keeps one of them hot.
 */
#ifndef BLKVERIFY_BUFFER_H
#define BLKVERIFY_BUFFER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Bytes of one piece. Larger requests are done piece by piece under one hold.
 * With O_DIRECT each is a request to the device, which likes them large. */
#define BV_PIECE (256u * 1024)

/* Bytes of the shadow that are read and compared at a time. The rest of its side
 * of a buffer is for reports and for stores to mappings, and takes no memory
 * before. */
#define BV_PART (64u * 1024)

struct bv_buffer {
	struct iovec iov[1024];              /* IOV_MAX of Linux */
	/* The target's bytes begin somewhere in the first page, at the
	 * program's own misalignment, so that O_DIRECT answers EINVAL to
	 * what it would refuse without us. Page-aligned itself. */
	unsigned char target[4096 + BV_PIECE];
	unsigned char shadow[BV_PIECE];
};

/* So many of them, which take memory page by page as they are used. NULL: there
 * is no address space. */
struct bv_buffer *bv_buffer_map(unsigned count);

/* Maps the pool. Returns 0 or a negative errno. Start only. */
int bv_buffer_start(void);

/* Waits for a free buffer; the caller must not wait for any hold before it
 * gives it back. Async-signal-safe. */
struct bv_buffer *bv_buffer_get(void);
void bv_buffer_put(struct bv_buffer *buffer);

/* One for a thread of ours that carries out operations of others: their callers
 * may have all those above while they wait for it. Made when it is first asked
 * for, and never given back. NULL: there is no memory. */
struct bv_buffer *bv_buffer_own(void);

/* Gives back what the calling thread has: it left by a longjmp. */
void bv_buffer_abandon(void);

/* In the child of a fork: buffers of threads that are not there are free. */
void bv_buffer_forked(void);

#endif
