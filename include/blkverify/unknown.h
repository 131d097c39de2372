/* unknown: ranges of a pair whose contents are not known.
 *
 * After a failed or torn write, a crash in mid-write, a discard, or I/O let
 * through unverified, target and shadow may differ without anybody having
 * lied. The first read of such a range learns it into the shadow; a write
 * ends it.
 *
 * Kept in the state file as two tables of which one is valid, so that a
 * process that dies while changing it leaves the other whole. Changing takes
 * the table's own hold; looking takes none. Adjacent extents are merged; when
 * the table is full the two closest become one (more unknown than need be,
 * never less).
 */
#ifndef BLKVERIFY_UNKNOWN_H
#define BLKVERIFY_UNKNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include <blkverify/state.h>

struct bv_disk;

/* Is there any unknown extent at all? One load. */
bool bv_unknown_any(const struct bv_disk *disk);

/* The first part of [start, end) that is unknown, clipped to it. False when
 * all of it is known. */
bool bv_unknown_next(const struct bv_disk *disk, uint64_t start, uint64_t end,
		     struct bv_extent *found);

/* Makes [start, end) unknown; lasting as struct bv_extent says. A range that
 * was lasting stays so. */
void bv_unknown_add(struct bv_disk *disk, uint64_t start, uint64_t end,
		    bool lasting);

/* Makes [start, end) known, lasting parts excepted. */
void bv_unknown_remove(struct bv_disk *disk, uint64_t start, uint64_t end);

/* Nobody is left who could still change a lasting extent: all become such as
 * the next read learns. Start only, alone. */
void bv_unknown_settle(struct bv_disk *disk);

/* Number of extents, and the bytes in them. */
uint64_t bv_unknown_count(const struct bv_disk *disk, uint64_t *bytes);

#endif
