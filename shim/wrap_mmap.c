/* wrap_mmap: mappings of a target show a verified memory of it (memory.h).
 *
 * The target itself is mapped for a moment, where nobody looks: so the kernel
 * says what is wrong with the call, and chooses the place.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include <blkverify/fdmap.h>
#include <blkverify/memory.h>
#include <blkverify/policy.h>
#include <blkverify/thread.h>
#include <blkverify/verify.h>

#include "../src/raw.h"
#include "guard.h"
#include "ops.h"
#include "passage.h"
#include "pieces.h"
#include "stacked.h"

/* Newer than some headers. */
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* A mapping as the program asked for it. */
struct wish {
	const char *call;
	struct bv_disk *disk;
	void *address;
	size_t n;
	int protection, flags, fd;
	off64_t offset;
};

static void *map(const struct wish *w, void *address, int flags, int fd)
{
	struct passage passage = passage_begin();
	void *result = real_mmap64(address, w->n, w->protection, flags, fd,
				   w->offset);

	passage_end(passage);
	return result;
}

static bool is_shared(const struct wish *w)
{
	return (w->flags & MAP_TYPE) != MAP_PRIVATE;
}

/* If not now, then after an mprotect(2). */
static bool can_be_writable(const struct wish *w)
{
	return is_shared(w) &&
	       (raw_fcntl(w->fd, F_GETFL, 0) & O_ACCMODE) == O_RDWR;
}

static bool can_store(const struct wish *w)
{
	return can_be_writable(w) && w->protection & PROT_WRITE;
}

/* In the place that the program has chosen there may be something else. */
static void *put(const struct wish *w, int fd, unsigned call)
{
	int result = w->flags & MAP_FIXED_NOREPLACE ? 0 :
		     bv_pieces_detach(call, w->address, w->n);

	if (result == 0)
		return map(w, w->address, w->flags, fd);
	errno = -result;
	return MAP_FAILED;
}

/* place shows the target itself. */
static void *replace(const struct wish *w, void *place)
{
	struct bv_mapped m = {
		.offset = (uint64_t)w->offset, .disk = w->disk,
		.shared = is_shared(w), .writable = can_be_writable(w),
		.stores = can_store(w),
	};
	int fd = bv_memory_fd(w->disk, m.writable);
	unsigned call = bv_maps_begin();
	void *result;

	if (w->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
		raw_munmap(place, w->n);
		result = put(w, fd, call);
	} else {
		result = map(w, place, w->flags | MAP_FIXED, fd);
		/* As when too much is locked. */
		if (result == MAP_FAILED)
			raw_munmap(place, w->n);
	}
	if (result == MAP_FAILED) {
		bv_maps_restore(call);
		return result;
	}
	m.start = (uintptr_t)result;
	m.end = bv_page_end(m.start, w->n);
	bv_maps_add(&m);
	bv_pieces_finish(call, w->call);
	return result;
}

/* What the program asked for itself, in a place where a target's may be. */
static void *map_over(const struct wish *w)
{
	unsigned call = bv_maps_begin();
	void *place = w->flags & MAP_FIXED ? put(w, w->fd, call) :
		      map(w, w->address, w->flags, w->fd);

	if (place == MAP_FAILED)
		bv_maps_restore(call);
	else
		bv_pieces_finish(call, w->call);
	return place;
}

/* Goes through unverified. Even one that is read-only now can be made writable
 * later. */
static void *map_unverified(const struct wish *w)
{
	if (is_shared(w))
		bv_change_lasting(w->disk, (uint64_t)w->offset, w->n);
	return map_over(w);
}

static void *map_target(const struct wish *w)
{
	const int late = MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_POPULATE |
			 MAP_LOCKED;
	void *place = map(w, w->address, w->flags & ~late, w->fd), *result;
	int joined;

	if (place == MAP_FAILED)
		return place;
	joined = bv_maps_have_room() ?
		bv_memory_join(w->disk, w->call, w->fd, can_store(w),
			       (uint64_t)w->offset,
			       (uint64_t)w->offset + bv_page_end(0, w->n)) :
		bv_policy_unverified(w->disk, "mmap of a thousand pieces", -ENODEV);
	if (joined == 0 && bv_maps_have_room()) {
		result = replace(w, place);
		if (result == MAP_FAILED)
			bv_memory_leave(w->disk);
		return result;
	}
	raw_munmap(place, w->n);
	if (joined >= 0)
		return map_unverified(w);
	errno = -joined;
	return MAP_FAILED;
}

void *op_mmap(const char *call, void *address, size_t n, int protection,
	      int flags, int fd, off64_t offset)
{
	/* Memory alone has a descriptor that is not looked at; allocators get
	 * it at once. */
	struct wish w = {
		.call = call, .address = address, .n = n,
		.disk = flags & MAP_ANONYMOUS ? NULL : bv_fd_disk(fd),
		.protection = protection, .flags = flags, .fd = fd,
		.offset = offset,
	};
	struct bv_guard guard;
	void *result;

	if (!w.disk && (!(flags & MAP_FIXED) || !bv_maps_any()))
		return real_mmap64(address, n, protection, flags, fd, offset);
	bv_guard_enter_quietly(&guard);
	result = w.disk ? map_target(&w) : map_over(&w);
	bv_guard_leave(&guard, result == MAP_FAILED ? -errno : 0);
	return result;
}

static int really_munmap(void *address, size_t n)
{
	struct passage passage = passage_begin();
	int result = real_munmap(address, n);

	passage_end(passage);
	return result;
}

int op_munmap(const char *name, void *address, size_t n)
{
	struct bv_guard guard;
	unsigned call;
	int result;

	if (!bv_maps_any())
		return real_munmap(address, n);
	bv_guard_enter_quietly(&guard);
	call = bv_maps_begin();
	result = bv_pieces_detach(call, address, n);
	if (result == 0)
		result = really_munmap(address, n) < 0 ? -errno : 0;
	if (result < 0)
		bv_maps_restore(call);
	else
		bv_pieces_finish(call, name);
	return (int)bv_guard_leave(&guard, result);
}

/* ---- mprotect ---- */

/* Pieces of a target's that can be stored to from now on. Returns 0 or a
 * negative errno. */
static int unlock(const char *call, uintptr_t start, uintptr_t end)
{
	struct bv_mapped m;

	for (uintptr_t at = start; bv_maps_next(at, end, &m); at = m.end) {
		int result = m.writable && !m.stores ?
				     bv_memory_unlock(m.disk, call) : 0;

		if (result < 0)
			return -EACCES;
		if (result > 0)
			bv_change_lasting(m.disk, m.offset, m.end - m.start);
	}
	bv_maps_unlock(start, end);
	return 0;
}

/* Before the kernel does it, as a store may come at once. */
static int before_mprotect(const char *call, void *address, size_t n,
			   int protection)
{
	uintptr_t start = (uintptr_t)address;
	struct bv_guard guard;

	if (!(protection & PROT_WRITE) || !bv_maps_any())
		return 0;
	bv_guard_enter_quietly(&guard);
	return (int)bv_guard_leave(&guard, unlock(call, start,
						  bv_page_end(start, n)));
}

int op_mprotect(const char *call, void *address, size_t n, int protection)
{
	if (before_mprotect(call, address, n, protection) < 0)
		return -1;
	return real_mprotect(address, n, protection);
}

int op_pkey_mprotect(const char *call, void *address, size_t n, int protection,
		     int key)
{
	if (before_mprotect(call, address, n, protection) < 0)
		return -1;
	return real_pkey_mprotect(address, n, protection, key);
}

/* The pages of a mapping in another order, some of which were never filled. */
int op_remap_file_pages(const char *call, void *address, size_t n, int protection,
			size_t page, int flags)
{
	uintptr_t start = (uintptr_t)address;
	struct bv_mapped m;
	int refused;

	if (!bv_maps_next(start, bv_page_end(start, n), &m))
		return real_remap_file_pages(address, n, protection, page, flags);
	refused = bv_policy_unverified(m.disk, call, -EINVAL);
	if (refused < 0) {
		errno = -refused;
		return -1;
	}
	bv_change_lasting(m.disk, 0, INT64_MAX);
	return real_remap_file_pages(address, n, protection, page, flags);
}

/* ---- msync ---- */

/* One piece of what is to be written back. */
static int sync_piece(const char *call, const struct bv_mapped *m, int flags)
{
	int result = bv_memory_flush(m->disk, call, m->offset,
				     m->offset + (m->end - m->start));
	int fd = bv_memory_target(m->disk);
	uint64_t mask;

	if (result < 0 || !(flags & MS_SYNC) || fd < 0)
		return result;
	mask = bv_stacked_enter();
	result = real_fdatasync(fd) < 0 ? -errno : 0;
	bv_stacked_leave(mask);
	return bv_flush(m->disk, call, fd, result);
}

int op_msync(const char *call, void *address, size_t n, int flags)
{
	uintptr_t at = (uintptr_t)address, end = bv_page_end(at, n);
	struct bv_guard guard;
	struct bv_mapped m;
	int result;

	if (!bv_maps_any())
		return real_msync(address, n, flags);
	bv_guard_enter(&guard);
	/* What is wrong with the call, the kernel says; of a range with holes
	 * it does what there is to do. */
	result = real_msync(address, n, flags) < 0 ? -errno : 0;
	for (; (result == 0 || result == -ENOMEM) && bv_maps_next(at, end, &m);
	     at = m.end) {
		int one = m.shared ? sync_piece(call, &m, flags) : 0;

		result = one < 0 ? one : result;
	}
	return (int)bv_guard_leave(&guard, result);
}
