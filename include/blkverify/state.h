/* state: what a pair's processes share, in a file mapped by all of them.
 *
 * SHADOW.bvstate beside the shadow, or a name made from the shadow's device
 * and inode under /dev/shm where that cannot be (read-only directory, full
 * disk, block device). It outlives the run: a process that was killed leaves
 * in it exactly which operations were in flight, and the next start makes
 * those ranges unknown. All fields have a fixed width; the layout is that of
 * BV_STATE_VERSION, and a file of another version is begun anew.
 *
 * Whoever runs under the shim on the same shadow shares the file: the table
 * in it orders operations of related and unrelated processes alike. Each
 * holds a shared flock; one that gets it exclusively is alone, and then what
 * stands in the table was left by the dead.
 */
#ifndef BLKVERIFY_STATE_H
#define BLKVERIFY_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BV_STATE_MAGIC 0x3145544154535642u   /* "BVSTATE1", little endian */
#define BV_STATE_VERSION 3

/* Operations in flight at a time, over all processes of a pair. */
#define BV_SLOTS 1024
#define BV_SLOT_WORDS (BV_SLOTS / 64)

/* Extents whose contents are not known; past it neighbours are merged. */
#define BV_UNKNOWN_EXTENTS 2048

/* One operation in flight: see inflight.h for the protocol. What there is is in
 * one cache line, and nobody else's in the next, which the processor may fetch
 * with it. */
struct bv_slot {
	_Atomic uint8_t phase;       /* enum bv_phase */
	_Atomic uint8_t space;       /* enum bv_space */
	_Atomic uint8_t exclusive;
	_Atomic uint8_t op;          /* enum bv_op */
	_Atomic uint32_t releases;   /* counts up at each release: the futex */
	_Atomic uint32_t waiters;
	_Atomic uint32_t disturbed;  /* a signal handler came in between */
	_Atomic uint64_t ticket;
	_Atomic uint64_t start, end; /* the range held: [start, end) */
	_Atomic uint64_t offset, length;  /* bytes the operation may change */
	_Atomic uint64_t owner;      /* process id << 32 | thread id */
	_Atomic uint8_t late;        /* its call has returned (late.h) */
	uint8_t pad[63];
};

/* [start, end) in bytes. Contents of a settled extent are learnt at the first
 * read; a lasting one may change at any time (a mapping or asynchronous I/O
 * that was let through) and is never compared again. */
struct bv_extent {
	uint64_t start;
	uint64_t end;
	uint64_t lasting;
};

/* As struct bv_extent; readers take no lock. */
struct bv_shared_extent {
	_Atomic uint64_t start, end, lasting;
};

struct bv_unknown_table {
	_Atomic uint64_t count;
	struct bv_shared_extent extent[BV_UNKNOWN_EXTENTS];
};

/* Processes that have the target mapped at a time; see memory.h. */
#define BV_MAPPERS 64

/* Stands for sequence while the entry is being filled. */
#define BV_PAST_FILLING UINT64_MAX

/* A past operation. sequence is written last; 0: there is none. */
struct bv_past {
	_Atomic uint64_t sequence;   /* 1, 2, ... */
	_Atomic uint64_t time;       /* nanoseconds since 1970, coarse clock */
	_Atomic uint64_t offset, length;  /* bytes */
	_Atomic int64_t result;      /* bytes moved, or a negative errno */
	_Atomic int32_t pid, tid;
	_Atomic uint32_t op;         /* enum bv_op */
	uint32_t spare[3];
};

struct bv_state {
	_Atomic uint64_t magic;      /* written last */
	uint32_t version;
	uint32_t history_room;       /* entries in history[] */
	uint64_t shadow_device, shadow_inode;
	uint64_t shadow_birth;       /* nanoseconds since 1970; 0: not told */
	_Atomic uint64_t target_device, target_inode;  /* 0: not bound yet */

	/* Length of target and shadow in bytes. Changes only under a hold
	 * that reaches to the end of the file. */
	_Atomic uint64_t size;

	/* Over all processes, since the run began. What a killed one did is in
	 * it: each counts here at once. */
	_Atomic uint64_t processes;  /* that ever did verified I/O */
	_Atomic uint64_t reads, read_bytes, writes, write_bytes;
	_Atomic uint64_t mismatches, errors, unverified;
	_Atomic uint64_t first_here; /* of the processes, those that had done
	                                none on another pair before */
	_Atomic uint64_t shadow_errors;  /* of the errors, the shadow's own */
	_Atomic uint64_t refused;    /* of what was unverified: did not happen */
	_Atomic uint64_t runs;       /* "blkverify run"s that have begun on it */
	_Atomic uint64_t served;     /* one of them serves the target, and tells
	                                when it is not served any more */

	_Atomic uint64_t tickets;
	_Atomic uint32_t words_used; /* words of used[] ever touched */
	_Atomic uint32_t unknown_generation;
	/* Slots with bytes held, or wanted, exclusively: never fewer than there
	 * are, and more after somebody died at the wrong moment. */
	_Atomic uint64_t changers;
	_Atomic uint64_t used[BV_SLOT_WORDS];
	struct bv_slot slot[BV_SLOTS];

	/* Table unknown_generation & 1 is the valid one. */
	struct bv_unknown_table unknown[2];

	/* Who has the target mapped, and the inode numbers of the memory files
	 * that they share. Changed under the memory's hold. */
	_Atomic uint32_t mapped;     /* how many */
	_Atomic uint32_t mapper[BV_MAPPERS];  /* process ids; 0: free */
	_Atomic uint32_t appending;  /* 1: somebody set O_APPEND on a descriptor
	                                of the target that was open already */
	_Atomic uint64_t memory_device, memory_inode, agreed_inode;  /* 0: none */

	_Atomic uint64_t history_next;
	struct bv_past history[];
};

/* Bytes of a state file with room for that many past operations. */
size_t bv_state_bytes(unsigned history_room);

struct bv_disk;
struct bv_text;

/* Opens or creates the state file of disk (whose shadow is open), maps it,
 * joins its lock, and, when nobody else had it, clears counters of the
 * former run. *alone tells that: the caller then recovers what the dead left
 * (bv_inflight_recover). Returns 0, or -1 with the reason in *why.
 * Start only; not signal-safe by need, but allocates nothing. */
int bv_state_attach(struct bv_disk *disk, unsigned history_room, bool *alone,
		    struct bv_text *why);

/* For a look afterwards, without taking part: a copy of the state of the shadow
 * that disk names (shadow, shadow_fd and shadow_block are set), in the private
 * memory of this process, where it may be recovered (bv_inflight_recover).
 * state_fd is the file's from then on. Returns 0, -ENOENT where there is none,
 * -EUCLEAN where it is another shadow's or another version's, or another
 * negative errno. */
int bv_state_look(struct bv_disk *disk);

#endif
