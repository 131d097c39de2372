/* layout: what a target says of itself: where its holes are, and how long it
 * is.
 *
 * A lost extent is a hole, and a program that skips holes never reads it: so
 * what the target calls a hole must be zero in the shadow. A lost tail is a
 * length. Both are mismatches like any other, with the operations map and
 * size.
 */
#ifndef BLKVERIFY_LAYOUT_H
#define BLKVERIFY_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

struct bv_disk;

/* lseek(2) on a target, kept apart from the reads and writes that use the
 * position. SEEK_DATA and SEEK_END are verified. Returns the position or a
 * negative errno. */
int64_t bv_seek(struct bv_disk *disk, const char *call, int fd, int64_t offset,
		int whence);

/* The program was told that the target is got bytes long. Returns 0, or the
 * negative errno that its call is to fail with. */
int bv_size_check(struct bv_disk *disk, const char *call, int fd, uint64_t got);

/* A question whose answer says where holes are (FIEMAP). */
struct bv_map {
	const char *call;
	int fd;
	uint64_t start, end;         /* bytes: what is asked about */

	/* Asks the target. Returns 0 or a negative errno. */
	int (*ask)(struct bv_map *map);
	/* The first hole of the answer at or after *start; false: none. */
	bool (*hole)(struct bv_map *map, uint64_t *start, uint64_t *end);
};

/* Asks, and compares the holes of the answer with the shadow before the
 * program sees them. Returns 0 or a negative errno. */
int bv_map_check(struct bv_disk *disk, struct bv_map *map);

#endif
