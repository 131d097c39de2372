/* history: the ring of past operations of a pair, in its state file.
 *
 * Lock-free: a writer takes the next number and fills that entry. A reader
 * may meet an entry that is being overwritten and skips it. It survives the
 * abort, for the report and for a look afterwards.
 */
#ifndef BLKVERIFY_HISTORY_H
#define BLKVERIFY_HISTORY_H

#include <stdint.h>

#include <blkverify/op.h>
#include <blkverify/state.h>

struct bv_disk;

/* Remembers one operation of the calling thread. result is the bytes moved,
 * or a negative errno. Async-signal-safe. */
void bv_history_add(struct bv_disk *disk, enum bv_op op, uint64_t offset,
		    uint64_t length, int64_t result);

/* The newest operation before sequence (0: the newest of all) that changed
 * bytes of [start, end). Returns false when none is remembered. */
bool bv_history_before(const struct bv_disk *disk, uint64_t sequence,
		       uint64_t start, uint64_t end, struct bv_past *past);

/* The same for operations of any kind. */
bool bv_history_touching(const struct bv_disk *disk, uint64_t sequence,
			 uint64_t start, uint64_t end, struct bv_past *past);

#endif
