/* maps: where in the program's address space targets are mapped.
 *
 * Pieces of address space that show the memory of a target (memory.h). Async-
 * signal-safe; entries are the process's own, and a child's copy after fork.
 */
#ifndef BV_MAPS_H
#define BV_MAPS_H

#include <stdbool.h>
#include <stdint.h>

#include <blkverify/disk.h>

struct bv_mapped {
	uintptr_t start, end;        /* addresses: [start, end) */
	uint64_t offset;             /* bytes: of the target, at start */
	struct bv_disk *disk;
	bool shared;                 /* as opposed to private */
	bool writable;               /* shared, and it can become so */
	bool stores;                 /* and has become so */
	unsigned aside;              /* whose; maps.c alone */
};

/* Is there any? One load. */
bool bv_maps_any(void);

/* Is there room for one more mapping? Some is kept for those that are cut. */
bool bv_maps_have_room(void);

/* There is room: see above. */
void bv_maps_add(const struct bv_mapped *mapped);

/* What of [start, end) can become writable is so from now on. */
void bv_maps_unlock(uintptr_t start, uintptr_t end);

/* The first piece that reaches into [start, end), cut to it. */
bool bv_maps_next(uintptr_t start, uintptr_t end, struct bv_mapped *found);

/* Names a call that is about to take pieces out. Its own: a signal handler that
 * comes in between must not take them for its. */
unsigned bv_maps_begin(void);

/* [start, end) is about to be unmapped, or mapped anew, by that call: its
 * pieces stand aside, so that nobody takes them for what comes to be there
 * next. Returns how many there are more than before, cut off at the edges; or
 * -1, when there is no room for them. */
int bv_maps_detach(unsigned call, uintptr_t start, uintptr_t end);

/* One of those that the call has put aside, and takes it out. */
bool bv_maps_pop(unsigned call, struct bv_mapped *found);

/* The kernel refused: they are what they were. */
void bv_maps_restore(unsigned call);

/* In the child after fork. */
void bv_maps_forked(void);

#endif
