/* inflight: the table of operations in flight, which is also the lock.
 *
 * Two overlapping operations on target and shadow must take effect in the
 * same order on both. So each holds its byte range over both: shared for
 * reads, exclusive for what changes bytes, to the end of the file for what
 * changes the length. The holds are slots in the shared state file; the
 * same slots tell after a SIGKILL which ranges may differ.
 *
 * The protocol is Lamport's bakery with ranges: announce (CHOOSING), take a
 * ticket, publish it (WAITING), then wait for every conflicting slot with a
 * lower ticket. There is no lock that a dying process could leave held; a
 * slot whose owner is gone is recognised by its waiters, made unknown where
 * it was writing, and freed. First come, first served. A read that finds that
 * nobody changes anything need not look at the others.
 *
 * Spaces keep unlike things apart; when several are held the order is
 * position, then bytes, then one of the others.
 */
#ifndef BLKVERIFY_INFLIGHT_H
#define BLKVERIFY_INFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include <blkverify/op.h>

enum bv_phase {
	BV_PHASE_FREE,
	BV_PHASE_CHOOSING,
	BV_PHASE_WAITING,
	BV_PHASE_HELD,
};

enum bv_space {
	BV_SPACE_BYTES,
	BV_SPACE_POSITION,   /* file positions of the target's descriptors */
	BV_SPACE_TABLE,      /* the table of unknown extents */
	BV_SPACE_MEMORY,     /* whose the memory of mappings is */
};

/* To the end of the file, however long it is. */
#define BV_TO_END UINT64_MAX

struct bv_disk;

/* What is wanted. The slot records offset and length: the bytes that may
 * differ if the owner dies now (for a hold that reaches further). */
struct bv_claim {
	enum bv_space space;
	bool exclusive;
	enum bv_op op;
	uint64_t start, end;         /* [start, end) */
	uint64_t offset, length;
};

struct bv_hold {
	struct bv_disk *disk;
	int slot;                    /* -1: nothing is held */
	uint64_t ticket;             /* tells ours from a later one in the slot */
	bool nested;                 /* inside a conflicting operation of the
	                                same thread: a signal handler */
};

/* Waits until the range is ours. Returns 0, or -EDEADLK when waiting could
 * never end: this is a signal handler that interrupted an operation of the
 * same thread, and what it wants is waited for by others through that
 * operation. A handler whose range conflicts only with the operation it
 * interrupted does get the hold, and that operation finds itself disturbed.
 * Signals are blocked while waiting. Async-signal-safe. */
int bv_inflight_take(struct bv_disk *disk, const struct bv_claim *claim,
		     struct bv_hold *hold);

/* The same without waiting: -EAGAIN when somebody has or wants the range. */
int bv_inflight_try(struct bv_disk *disk, const struct bv_claim *claim,
		    struct bv_hold *hold);

void bv_inflight_drop(struct bv_hold *hold);

/* The hold goes on in the name of thread tid of this process, which must live,
 * and then of the calling one: an operation whose caller has gone on is no
 * longer his, and what he does next waits for it. False: it is not the
 * caller's any more (see bv_inflight_abandon), or was never this process's. */
bool bv_inflight_give(struct bv_hold *hold, int tid);
void bv_inflight_own(struct bv_hold *hold);

/* Does the program go on before the operation is done? Then who finds it left by
 * the dead says that nobody has compared it; unless what is wrong with it has
 * been said by then. */
void bv_inflight_late(struct bv_hold *hold, bool late);

/* Did a signal handler of this thread work on a conflicting range while we
 * had it? Reading clears it. */
bool bv_inflight_disturbed(struct bv_hold *hold);

/* The same, and leaves it as it is. */
bool bv_inflight_is_disturbed(const struct bv_hold *hold);

/* The calling thread left its operations without finishing them, by a
 * longjmp out of a signal handler: what they were changing is unknown, and
 * their slots are free. */
void bv_inflight_abandon(void);

/* The process was replaced by exec: slots that carry its id are as those of
 * the dead. Start only. */
void bv_inflight_exec(struct bv_disk *disk);

/* Of many ranges, so many are named on the log. */
#define BV_TOLD 16

/* What was found in the table of those who died. */
struct bv_left {
	unsigned writing;            /* operations that were changing bytes */
	bool resized;                /* one of them perhaps the length */
	unsigned uncompared;         /* reads whose callers had gone on, with
	                                bytes that nobody compared */
	struct {
		uint64_t offset, length;
		int pid;
	} read[BV_TOLD];             /* the first of them */
};

/* Nobody else uses the state file: what stands in the table was left by
 * processes that died. Ranges they were writing become unknown. */
void bv_inflight_recover(struct bv_disk *disk, struct bv_left *left);

#endif
