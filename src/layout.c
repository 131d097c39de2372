/* layout: see include/blkverify/layout.h. */
#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <unistd.h>

#include <blkverify/buffer.h>
#include <blkverify/compare.h>
#include <blkverify/disk.h>
#include <blkverify/fdmap.h>
#include <blkverify/history.h>
#include <blkverify/inflight.h>
#include <blkverify/layout.h>
#include <blkverify/memory.h>
#include <blkverify/policy.h>
#include <blkverify/shadow.h>
#include <blkverify/thread.h>
#include <blkverify/unknown.h>
#include <blkverify/verify.h>

#include "failure.h"
#include "raw.h"
#include "transfer.h"

/* One question in progress. */
struct inquiry {
	struct bv_disk *disk;
	const char *call;
	int fd;
	struct bv_hold range;
};

/* Where data of the shadow begins, from start on, and ends; short holes are
 * not worth asking for. Not by SEEK_DATA: the descriptor's position is the mark
 * that it is known by. The shadow is written back first, as an answer may leave
 * out what is in the page cache alone. */
static void next_data(const struct bv_disk *disk, uint64_t *start,
		      uint64_t *data_end, uint64_t end)
{
	union {
		struct fiemap map;
		char room[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
	} q = { .map = {
		.fm_start = *start, .fm_length = end - *start,
		.fm_flags = FIEMAP_FLAG_SYNC, .fm_extent_count = 1,
	} };
	const struct fiemap_extent *e = q.map.fm_extents;

	*data_end = end;
	if (end - *start <= BV_PIECE || !bv_shadow_is_there(disk) ||
	    raw_ioctl(disk->shadow_fd, FS_IOC_FIEMAP, &q.map) < 0)
		return;
	if (q.map.fm_mapped_extents == 0) {
		*start = end;
		return;
	}
	if (e->fe_logical > *start)
		*start = e->fe_logical;
	if (e->fe_logical + e->fe_length < end)
		*data_end = e->fe_logical + e->fe_length;
}

/* [start, end), a hole of the target, is known. What the shadow calls a hole
 * is zero without being read. Returns 0 or a negative errno. */
static int compare_hole(struct inquiry *q, struct bv_buffer *buffer,
			uint64_t start, uint64_t end)
{
	struct bv_disk *disk = q->disk;
	uint64_t data_end = start;
	struct bv_mismatch m;
	size_t n = 0;
	int result;

	while (start < end) {
		if (start >= data_end)
			next_data(disk, &start, &data_end, end);
		if (start >= end)
			return 0;
		n = data_end - start < BV_PIECE ? data_end - start : BV_PIECE;
		result = bv_shadow_read(disk, buffer->shadow, n, start);
		if (result < 0)
			return bv_fail_shadow(disk, BV_OP_MAP, q->call, q->fd,
					      start, n, result);
		if (!bv_compare_zero(buffer->shadow, n))
			break;
		start += n;
	}
	if (start >= end)
		return 0;
	if (bv_inflight_disturbed(&q->range) || q->range.nested ||
	    bv_fd_learn(q->fd) != disk)
		return 0;
	if (!bv_shadow_is_there(disk))
		return bv_fail_shadow(disk, BV_OP_MAP, q->call, q->fd, start,
				      end - start, -EBADF);
	/* A hole reads as zero: as if it had been read. */
	m = (struct bv_mismatch){
		.difference = BV_DIFFERENCE_CONTENTS, .op = BV_OP_MAP,
		.call = q->call, .fd = q->fd,
		.offset = start, .length = end - start,
		.actual = buffer->target, .should = buffer->shadow,
		.data_offset = start, .data_length = n,
	};
	for (uint64_t i = 0; i < m.data_length; i++)
		buffer->target[i] = 0;
	return bv_policy_mismatch(disk, &m);
}

/* The same where some of it may be unknown. */
static int check_hole(struct inquiry *q, uint64_t start, uint64_t end)
{
	uint64_t size = atomic_load(&q->disk->state->size);
	struct bv_buffer *buffer = bv_buffer_get();
	struct bv_extent e;
	int result = 0;

	if (end > size)
		end = size;
	while (start < end && result == 0 && bv_unknown_any(q->disk) &&
	       bv_unknown_next(q->disk, start, end, &e)) {
		result = compare_hole(q, buffer, start, e.start);
		start = e.end;
	}
	if (start < end && result == 0)
		result = compare_hole(q, buffer, start, end);
	bv_buffer_put(buffer);
	return result;
}

static int begin(struct inquiry *q, uint64_t start, uint64_t end)
{
	struct bv_claim claim = {
		.space = BV_SPACE_BYTES, .op = BV_OP_MAP,
		.start = start, .end = end,
	};

	q->range.slot = -1;
	if (bv_inflight_take(q->disk, &claim, &q->range) < 0)
		return bv_transfer_stuck(q->disk, q->call);
	return 0;
}

static int64_t seek(const struct inquiry *q, int64_t offset, int whence)
{
	int64_t found = bv_target.lseek(q->fd, offset, whence);

	return found < 0 ? -errno : found;
}

/* From offset to where data begins, or to the end, there is a hole; but what is
 * stored through mappings is data. */
static int64_t find_data(struct inquiry *q, int64_t offset)
{
	int64_t found = seek(q, offset, SEEK_DATA);
	uint64_t start = (uint64_t)offset, end;
	int result = 0;

	if (found < 0 && found != -ENXIO)
		return found;
	end = found < 0 ? atomic_load(&q->disk->state->size) : (uint64_t)found;
	if (start < end && bv_memory_stored(q->disk, &start, &end))
		found = seek(q, (int64_t)start, SEEK_SET);
	if (found > offset)
		result = check_hole(q, (uint64_t)offset, (uint64_t)found);
	else if (found == -ENXIO)
		result = check_hole(q, (uint64_t)offset, BV_TO_END);
	return result < 0 ? result : found;
}

static int64_t find_hole(struct inquiry *q, int64_t offset)
{
	int64_t found = seek(q, offset, SEEK_HOLE);
	uint64_t size = atomic_load(&q->disk->state->size);

	while (found >= 0 && (uint64_t)found < size) {
		uint64_t start = (uint64_t)found, end = size;

		if (!bv_memory_stored(q->disk, &start, &end) ||
		    start > (uint64_t)found)
			break;
		found = seek(q, (int64_t)end, end < size ? SEEK_HOLE : SEEK_SET);
	}
	return found;
}

static int64_t seek_layout(struct inquiry *q, int64_t offset, int whence)
{
	int64_t result = begin(q, (uint64_t)offset, BV_TO_END);

	if (result < 0)
		return result;
	result = whence == SEEK_DATA ? find_data(q, offset) :
				       find_hole(q, offset);
	bv_inflight_drop(&q->range);
	return result;
}

static int64_t seek_position(struct inquiry *q, int64_t offset, int whence)
{
	int64_t found;
	int result;

	if (offset >= 0 && (whence == SEEK_DATA ||
			    (whence == SEEK_HOLE && bv_memory_any(q->disk))))
		return seek_layout(q, offset, whence);
	found = seek(q, offset, whence);
	if (found < 0 || whence != SEEK_END)
		return found;
	result = bv_size_check(q->disk, q->call, q->fd,
			       (uint64_t)(found - offset));
	return result < 0 ? result : found;
}

int64_t bv_seek(struct bv_disk *disk, const char *call, int fd, int64_t offset,
		int whence)
{
	static const struct bv_claim position = {
		.space = BV_SPACE_POSITION, .exclusive = true,
		.start = 0, .end = 1,
	};
	struct inquiry q = { .disk = disk, .call = call, .fd = fd };
	struct bv_hold hold;
	int64_t result;

	bv_thread_enter();
	if (bv_inflight_take(disk, &position, &hold) < 0) {
		result = bv_transfer_stuck(disk, call);
	} else {
		result = seek_position(&q, offset, whence);
		bv_inflight_drop(&hold);
	}
	bv_thread_leave();
	return result;
}

int bv_size_check(struct bv_disk *disk, const char *call, int fd, uint64_t got)
{
	struct inquiry q = { .disk = disk, .call = call, .fd = fd };
	struct bv_mismatch m = {
		.difference = BV_DIFFERENCE_SIZE, .op = BV_OP_SIZE,
		.call = call, .fd = fd,
	};
	int64_t target;
	int result;

	if (got == atomic_load(&disk->state->size))
		return 0;
	/* Somebody may have been between the two lengths: look once more with
	 * nobody there. */
	bv_thread_enter();
	result = begin(&q, 0, BV_TO_END);
	if (result == 0) {
		target = bv_disk_target_size(disk);
		m.got = target;
		m.expected = (int64_t)atomic_load(&disk->state->size);
		bv_inflight_drop(&q.range);
		if (target >= 0 && m.got != m.expected)
			result = bv_policy_mismatch(disk, &m);
	}
	bv_thread_leave();
	return result;
}

/* Stored through mappings of other processes, and not on the target yet: it
 * might be in what the answer calls a hole. A process that has mappings has
 * written all back that there was when it asked. */
static int refuse_stored(struct bv_disk *disk, const struct bv_map *map)
{
	uint64_t start = map->start, end = map->end;

	if (!bv_memory_stored(disk, &start, &end))
		return 0;
	if (!bv_memory_pin(disk, true))
		return bv_policy_unverified(disk, map->call, -EOPNOTSUPP);
	bv_memory_leave(disk);
	return 0;
}

int bv_map_check(struct bv_disk *disk, struct bv_map *map)
{
	struct inquiry q = { .disk = disk, .call = map->call, .fd = map->fd };
	uint64_t start = map->start, end = 0;
	int result;

	bv_thread_enter();
	result = begin(&q, map->start, map->end);
	if (result == 0)
		result = refuse_stored(disk, map);
	if (result == 0)
		result = map->ask(map);
	while (result == 0 && map->hole(map, &start, &end)) {
		result = check_hole(&q, start, end);
		start = end;
	}
	bv_inflight_drop(&q.range);
	bv_thread_leave();
	return result;
}
