/* uring: io_uring requests on targets, taken over.
 *
 * A completion becomes visible in memory that the program reads without a
 * call, so whoever completes a request must have compared it before. What
 * concerns a target is therefore taken out of the submission queue, carried
 * out by the engine on a thread of the pool, and its completion sent to the
 * program's ring by the kernel (IORING_OP_MSG_RING), which wakes whoever
 * waits and looks after overflow. Everything else the kernel gets untouched;
 * where it is linked to what concerns a target, a ring of our own carries it
 * out.
 *
 *   uring_ring.c      the program's rings
 *   uring_raw.c       those that are made by system calls
 *   uring_files.c     files registered with them
 *   uring_sqe.c       what a request is
 *   uring_place.c     what it does to tables of files
 *   uring_probe.c     what the kernel would make of one
 *   uring_job.c       requests taken over: storage and life
 *   uring_copy.c      what they point to
 *   uring_chain.c     how they are linked
 *   uring_take.c      taking them over at submission
 *   uring_dummy.c     what the kernel gets in their place
 *   uring_launch.c    beginning them afterwards
 *   uring_run.c       carrying them out, in chains:
 *   uring_request.c     those that read or change a target
 *   uring_table.c       those that change the ring's table of files
 *   uring_splice.c      those that move bytes through a pipe
 *   uring_stranger.c    those that concern no target
 *   uring_select.c    reads into buffers that the kernel chooses
 *   uring_post.c      sending completions
 *   uring_ours.c      rings of our own
 */
#ifndef BV_URING_H
#define BV_URING_H

#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <time.h>

#include <blkverify/disk.h>
#include <blkverify/pool.h>
#include <blkverify/queue.h>

#include "../src/raw.h"
#include "uring_sqe.h"

/* The name under which reports know all of it. */
#define BV_URING "io_uring"

/* The part of liburing's struct io_uring that is used here; the same from
 * 2.0 to 2.15 (liburing.h). */
struct io_uring {
	unsigned *khead, *ktail, *kring_mask, *kring_entries;
	unsigned *kflags, *kdropped, *array;
	struct io_uring_sqe *sqes;
	unsigned sqe_head, sqe_tail;
	size_t sq_ring_sz;
	void *sq_ring_ptr;
	unsigned sq_pad[4];
	unsigned *cq_khead, *cq_ktail, *cq_kring_mask, *cq_kring_entries;
	unsigned *cq_kflags, *cq_koverflow;
	void *cqes;
	size_t cq_ring_sz;
	void *cq_ring_ptr;
	unsigned cq_pad[4];
	unsigned flags;
	int ring_fd;
	unsigned features;
	int enter_ring_fd;           /* since 2.2, else 0; ring_fd, or the
	                                index of it as registered */
};

struct bv_held;

/* A submission queue, in memory that the kernel shares. */
struct bv_uring_queue {
	unsigned *khead, *ktail, *array;  /* array NULL: in order */
	unsigned mask, shift;        /* shift: 1 with SQE128 */
	struct io_uring_sqe *sqes;
};

/* Our own mappings of a queue. */
struct bv_uring_maps {
	void *ring, *sqes;           /* NULL: there is none */
	size_t ring_bytes, sqes_bytes;
};

/* A ring of the program's. */
struct bv_uring {
	_Atomic int key;             /* the program's descriptor + 1; 0: free */
	int post_fd;                 /* own.h: a copy of it, to send to; -1 */

	struct bv_uring_queue queue; /* in the program's memory or in ours */
	struct bv_uring_maps maps;
	_Atomic uint32_t entering;   /* lock: who submits by system call */

	bool raw;                    /* made by a system call */
	bool polled;                 /* the program believes that the kernel
	                                polls the queue (SQPOLL) */
	bool foreign;                /* others than us have requests of it */
	bool drained;                /* the kernel may keep some waiting */
	bool silenced;               /* and, of us, silent ones */
	bool restricted;             /* it takes only certain requests */
	bool async_event;            /* its eventfd is for late completions */
	atomic_bool leaving;         /* nothing of it waits any more */

	struct bv_held **files;      /* registered; NULL where no target is */
	unsigned file_count;

	_Atomic uint32_t inflight;   /* requests taken over; futex */
	unsigned alone;              /* requests with none of them in flight */
};

/* ---- uring_ring.c ---- */

/* The ring the program knows by this descriptor, or NULL. */
struct bv_uring *bv_uring_at(int fd);

/* A ring was made; whatever had its number is gone. NULL: there is no room to
 * remember it. */
struct bv_uring *bv_uring_made(int fd, const struct bv_uring_queue *queue);
void bv_uring_gone(int fd);

/* The queue of a struct io_uring. */
struct bv_uring_queue bv_uring_queue(const struct io_uring *ring);

/* The ring of a struct io_uring, known or not until now. Where there is no
 * room to remember it, *unknown, which takes nothing over. */
struct bv_uring *bv_uring_of(const struct io_uring *ring,
			     struct bv_uring *unknown);

/* Setup flags as the ring can be had: without those that would hide
 * submissions from us or keep others from sending it completions. What the
 * kernel would refuse stays as it is. Flags not known here: ~0u. */
unsigned bv_uring_flags(unsigned flags);

/* Waits until nothing of the ring's is in flight. */
void bv_uring_settle(struct bv_uring *ring);

/* The program is about to close these descriptors: waits for requests that
 * use them, and forgets rings. One load where rings were never used. */
void bv_uring_closing(unsigned first, unsigned last);

/* In the child after fork. */
void bv_uring_forked(void);

/* ---- uring_raw.c ---- */

/* Remembers a ring that a system call made, with params as the kernel gave
 * them back; flags are those that were asked for. Returns 0 or a negative
 * errno. */
int bv_uring_made_raw(int fd, const struct io_uring_params *params,
		      unsigned flags);

void bv_uring_unmap(struct bv_uring_maps *maps);

/* What is registered with such a ring may not be what only liburing could
 * tell us of. */
bool bv_uring_bars(const struct bv_uring *ring, unsigned code);

/* ---- uring_files.c ---- */

/* A target that is registered with rings: the kernel keeps the file though
 * the program may close its descriptor, so we keep a copy. */
struct bv_held {
	int fd;                      /* own.h; -1: free */
	int origin;                  /* the program's; -1: none, or closed */
	struct bv_disk *disk;
	_Atomic unsigned users;      /* slots of all rings, and requests */
};

/* May these files be registered? Negative errno when one is a target that
 * cannot be taken over; said already. */
int bv_files_check(const char *call, const struct bv_uring *ring,
		   const int *fds, unsigned count);

void bv_files_new(struct bv_uring *ring, const int *fds, unsigned count);
void bv_files_drop(struct bv_uring *ring);

/* Around changes of single slots: the kernel's and ours must come in the same
 * order. Signals are blocked in between. */
raw_sigset bv_files_begin(void);
void bv_files_end(raw_sigset mask);

/* In between: the kernel has put these files there (as io_uring_register(2)
 * reads them), or this one (NULL: no target). Its use passes to the slot; where
 * there is no such slot, it ends. */
#define BV_NO_SLOT (~0u)
void bv_files_update(struct bv_uring *ring, unsigned offset, const int *fds,
		     unsigned count);
void bv_files_place(struct bv_uring *ring, unsigned slot, struct bv_held *held);

/* In between: one use of the target that the program, or we alone, have open
 * as fd. NULL: no room, or no descriptor. */
struct bv_held *bv_files_hold(int fd, struct bv_disk *disk);
struct bv_held *bv_files_adopt(int fd, struct bv_disk *disk);

/* The target in that slot, or NULL; borrowed, it stays until it is returned,
 * whatever becomes of the slot. */
struct bv_held *bv_files_at(const struct bv_uring *ring, unsigned slot);
struct bv_held *bv_files_borrow(const struct bv_uring *ring, unsigned slot);
void bv_files_return(struct bv_held *held);

void bv_files_closing(unsigned first, unsigned last);
void bv_files_forked(void);

/* ---- uring_probe.c ---- */

/* Does the kernel refuse multishot reads of this file? */
bool bv_probe_never_polls(int fd);

/* Does it refuse commands on this file? */
bool bv_probe_no_commands(int fd);

/* ---- uring_job.c ---- */

#define BV_FEW_SEGMENTS 12

/* A request taken over. */
struct bv_taken {
	struct bv_job job;           /* the pool's; heads of chains only */
	struct bv_uring *ring;
	struct bv_taken *next;       /* of the chain, or of a list */
	enum bv_sqe_kind kind;
	struct bv_disk *disk;        /* NULL: it concerns no target */
	struct bv_held *held;        /* what stands in slot fd; NULL: not yet */
	int fd;                      /* a descriptor, or where registered */
	bool registered;
	bool left;                   /* the kernel has it, changed */
	bool loose;                  /* its descriptor may have been closed */
	bool over;                   /* all that is left is to say result */
	bool failed;                 /* a chain breaks at it */
	int result;
	uint32_t flags;              /* of the completion */

	struct io_uring_sqe sqe;     /* the program's, pointers to copies */
	struct io_uring_sqe original;
	struct io_uring_sqe *place;  /* where it stood */
	unsigned index;              /* which it was of those submitted */
	int standin;                 /* own.h: reads from it instead; -1 */

	uint64_t number;             /* in order of submission */
	_Atomic uint32_t uses;       /* descriptor + 1; 0: none (any more) */
	_Atomic uint64_t state;      /* of one that may be called off */
	uint32_t link;               /* of the free list */

	struct iovec *iov;           /* private copy */
	unsigned count;
	struct iovec maps[3];        /* copies that have no room here */
	size_t used;                 /* bytes of: */
	_Alignas(16) unsigned char room[BV_FEW_SEGMENTS * sizeof(struct iovec)];
};

/* By which the target is reached now: ours may move. */
static inline int bv_taken_fd(const struct bv_taken *taken)
{
	return taken->held ? taken->held->fd : taken->registered ? -1 : taken->fd;
}

/* A free one, or NULL when there is none. */
struct bv_taken *bv_taken_get(void);
void bv_taken_put(struct bv_taken *taken);

/* Between these its descriptor must stay open. */
void bv_taken_began(struct bv_taken *taken);
void bv_taken_finished(struct bv_taken *taken);

/* Waits until nothing uses a descriptor of [first, last]; with before, only
 * what was submitted to the same ring before it. */
void bv_taken_settle(unsigned first, unsigned last,
		     const struct bv_taken *before);

/* Around a wait for something that may never come: neither other requests
 * nor who closes a descriptor wait for the chain that begins with this one.
 * False: then it must not wait. */
bool bv_taken_park(struct bv_taken *taken);
void bv_taken_unpark(struct bv_taken *taken);

/* From now on it can be called off, by this program's request or because its
 * ring goes. */
void bv_taken_may_go(struct bv_taken *taken);
bool bv_taken_is_called_off(const struct bv_taken *taken);

/* Calls off what cancel, submitted to ring, would cancel. True when there was
 * something. */
bool bv_taken_call_off(const struct bv_uring *ring,
		       const struct io_uring_sqe *cancel);

/* Is cancel for all that it matches, rather than the first? */
bool bv_cancels_many(const struct io_uring_sqe *cancel);

void bv_taken_forked(void);

/* ---- uring_copy.c ---- */

/* What a request points to need not outlive its submission: it is copied, and
 * sqe made to point to the copies. Returns 0, or the negative errno that the
 * kernel would complete it with. */
int bv_copy_in(struct bv_taken *taken);

/* It was carried out: what it has changed of them, the program gets. */
void bv_copy_out(struct bv_taken *taken);

/* ---- uring_run.c ---- */

/* Hands a chain to the pool. */
void bv_chain_start(struct bv_taken *head);

/* A chain of one request came to that: says so, and ends it. */
void bv_chain_end_with(struct bv_taken *head, int64_t result);

/* Those below carry out one request, and return its result; where it is not a
 * failure and yet breaks a chain, they set failed. */
int64_t bv_request_run(struct bv_taken *taken);      /* uring_request.c */
int64_t bv_request_at_once(struct bv_taken *taken);  /* or -EAGAIN */
bool bv_request_queue(struct bv_taken *taken, struct bv_batch *batch);
int64_t bv_splice_run(struct bv_taken *taken);       /* uring_splice.c */
int64_t bv_stranger_run(struct bv_taken *taken);     /* uring_stranger.c */
int64_t bv_table_open(struct bv_taken *taken);       /* uring_table.c */
int64_t bv_table_close(struct bv_taken *taken);
int64_t bv_table_update(struct bv_taken *taken);
int64_t bv_table_send(struct bv_taken *taken);
int64_t bv_table_install(struct bv_taken *taken);

/* Carries out a request of the kernel's, which may wait for ever, until it
 * ends or taken is called off. */
struct io_uring_cqe bv_stranger_do(struct bv_taken *taken,
				   const struct io_uring_sqe *sqe);

/* Is it a timeout for the request before it? */
static inline bool bv_is_link_timeout(const struct bv_taken *taken)
{
	return taken->sqe.opcode == IORING_OP_LINK_TIMEOUT && !taken->disk;
}

/* ---- uring_select.c ---- */

/* A read of a target, the first or only request of its chain, is given a file
 * in memory with verified bytes to read from, and left to the kernel. False:
 * there is no memory. Else *result is 0, or the negative errno that the read
 * ends with; then nothing has changed. */
bool bv_select_stand_in(struct bv_taken *taken, int *result);
void bv_select_done(struct bv_taken *taken);

/* ---- uring_ours.c ---- */

/* Can rings of our own send completions to others on this system? Asked
 * once. */
bool bv_ours_possible(void);

/* If so: has the kernel this request? */
bool bv_ours_knows(unsigned opcode);

/* Most requests at a time. */
#define BV_OURS_MOST 4

/* Hands requests to this thread's ring, which is made when there is none.
 * Each has a completion, also where it is wrong. Returns 0, or a negative
 * errno when there is no ring and none was taken. */
int bv_ours_submit(const struct io_uring_sqe *sqes, unsigned count);

/* The next completion; NULL: waits for it. False: not in that time. */
bool bv_ours_reap(struct io_uring_cqe *cqe, const struct timespec *patience);

void bv_ours_forked(void);

/* ---- uring_post.c ---- */

/* Can it be reached? Makes sure that post_fd is there. */
bool bv_post_reaches(struct bv_uring *ring);

/* Gives the program a completion. Does not return where that fails for
 * good: the program would wait for ever. */
void bv_post(struct bv_uring *ring, uint64_t user_data, int result,
	     uint32_t flags);

/* Can files be sent to the tables of rings (Linux 6.1)? */
bool bv_post_sends_files(void);

/* Puts a file into a slot of ring's table: index as sqe.file_index. Returns
 * the slot where the kernel chose it, 0, or a negative errno. */
int bv_post_file(struct bv_uring *ring, int fd, unsigned index);

/* ---- uring_dummy.c ---- */

/* Each is made of a request, in its place, and keeps its name; and its links,
 * but for the first. */
void bv_dummy_silent(struct io_uring_sqe *sqe);  /* no completion */
void bv_dummy_refused(struct io_uring_sqe *sqe); /* EBADF */

/* Where the kernel knows BV_OP_BIND: the flag is of Linux 6.10, and nothing
 * else tells of it. */
void bv_dummy_result(struct io_uring_sqe *sqe, int result);

/* ---- uring_take.c ---- */

/* The ring of liburing's whose functions the calling thread is in: a wrapper
 * has seen to its queue, and their system calls are let alone if they are
 * trapped. NULL: it is in none. */
extern __thread const struct io_uring *bv_uring_library
	__attribute__((tls_model("initial-exec")));
#define BV_LINKS (IOSQE_IO_LINK | IOSQE_IO_HARDLINK)

/* What one call submits. */
struct bv_submission {
	const struct io_uring *library;  /* bv_uring_library before it */
	struct bv_uring *ring;
	struct bv_taken *first, **last;
	unsigned head;               /* of the queue, before */
	unsigned total;              /* requests that stand in it */
	int asked, flags;            /* the descriptor last asked for them */
	bool behind;                 /* others of them come first */
};

/* Takes over what is about to be submitted: the first most requests. own:
 * with those that liburing has not handed over yet. True when there is
 * something to launch after the kernel took the rest. */
bool bv_take(struct bv_submission *s, struct bv_uring *ring,
	     const struct io_uring *own, unsigned most);

/* Does it read no more bytes than that? */
bool bv_reads_within(const struct bv_taken *taken, size_t most);

/* The flags of an open file (F_GETFL), asked once; 0: it is none. */
int bv_submission_flags(struct bv_submission *s, int fd);

/* ---- uring_launch.c ---- */

/* It stands in the queue as the program wrote it, again. */
void bv_put_back(struct bv_taken *taken);

/* The kernel has taken what it would: begins what was among it, and puts
 * the rest back where it stood. */
void bv_launch(struct bv_submission *s);

#endif
