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
#include "maps.h"
#include "ops.h"

#define PAGE 4096u

/* Newer than some headers. */
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static uintptr_t page_end(uintptr_t start, size_t n)
{
	uintptr_t end = start + n + (PAGE - 1);

	return end < start ? UINTPTR_MAX : end & ~(uintptr_t)(PAGE - 1);
}

/* Around what goes to the next in line: an allocator's functions may be made
 * of syscall() (tcmalloc's are), and must not come back to us. */
struct passage {
	raw_sigset mask;
	bool inside;
};

static struct passage go_on(void)
{
	struct passage p = { .mask = raw_block_signals(),
			     .inside = bv_thread.inside };

	bv_thread.inside = true;
	return p;
}

static void come_back(struct passage p)
{
	bv_thread.inside = p.inside;
	raw_sigmask(p.mask);
}

static int really_munmap(void *address, size_t n)
{
	struct passage passage = go_on();
	int result = real_munmap(address, n);

	come_back(passage);
	return result;
}

static void *really_mremap(void *old, size_t n, size_t wanted, int flags,
			   void *address)
{
	struct passage passage = go_on();
	void *result = real_mremap(old, n, wanted, flags, address);

	come_back(passage);
	return result;
}

/* What is mapped there is about to go. */
static void detach(const void *address, size_t n)
{
	uintptr_t start = (uintptr_t)address, end = page_end(start, n);
	struct bv_mapped m;

	/* What is cut in two is two mappings of the same target. */
	while (bv_maps_next(start, end, &m))
		for (unsigned more = bv_maps_detach(m.start, m.end); more > 0;
		     more--)
			bv_memory_share(m.disk);
}

/* It is gone: what was stored there goes to the target. */
static void finish(const char *call)
{
	struct bv_mapped m;

	while (bv_maps_pop(&m)) {
		if (m.stores)
			bv_memory_flush(m.disk, call, m.offset,
					m.offset + (m.end - m.start));
		bv_memory_leave(m.disk);
	}
}

/* ---- mmap ---- */

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
	struct passage passage = go_on();
	void *result = real_mmap64(address, w->n, w->protection, flags, fd,
				   w->offset);

	come_back(passage);
	return result;
}

/* Goes through unverified. Even one that is read-only now can be made writable
 * later. */
static void *map_unverified(const struct wish *w)
{
	if ((w->flags & MAP_TYPE) != MAP_PRIVATE)
		bv_change_lasting(w->disk, (uint64_t)w->offset, w->n);
	return map(w, w->address, w->flags, w->fd);
}

/* Shared, from a descriptor that can be written: if not now, then after an
 * mprotect(2). */
static bool may_store(const struct wish *w)
{
	return (w->flags & MAP_TYPE) != MAP_PRIVATE &&
	       (raw_fcntl(w->fd, F_GETFL, 0) & O_ACCMODE) == O_RDWR;
}

static void *replace(const struct wish *w, void *place)
{
	struct bv_mapped m = { .offset = (uint64_t)w->offset, .disk = w->disk,
			       .stores = may_store(w) };
	bool fixed = w->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
	int fd = bv_memory_fd(w->disk, m.stores ||
				       (w->flags & MAP_TYPE) == MAP_PRIVATE);

	/* Where the program has chosen the place, there may be something else;
	 * where the kernel has, it is ours by now. */
	if (fixed) {
		raw_munmap(place, w->n);
		if (!(w->flags & MAP_FIXED_NOREPLACE))
			detach(w->address, w->n);
		place = map(w, w->address, w->flags, fd);
	} else {
		place = map(w, place, w->flags | MAP_FIXED, fd);
	}
	if (place == MAP_FAILED) {
		bv_maps_restore();
		return place;
	}
	m.start = (uintptr_t)place;
	m.end = page_end(m.start, w->n);
	bv_maps_add(&m);
	finish(w->call);
	return place;
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
		bv_memory_join(w->disk, w->call, w->fd, may_store(w),
			       (uint64_t)w->offset,
			       (uint64_t)w->offset + page_end(0, w->n)) :
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

/* Something else, perhaps in the place of a target's. */
static void *map_other(const struct wish *w)
{
	void *place;

	if (w->flags & MAP_FIXED)
		detach(w->address, w->n);
	place = map(w, w->address, w->flags, w->fd);
	if (place == MAP_FAILED)
		bv_maps_restore();
	else
		finish(w->call);
	return place;
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

	if (!w.disk && !bv_maps_any())
		return real_mmap64(address, n, protection, flags, fd, offset);
	bv_guard_enter_quietly(&guard);
	result = w.disk ? map_target(&w) : map_other(&w);
	bv_guard_leave(&guard, result == MAP_FAILED ? -errno : 0);
	return result;
}

int op_munmap(const char *call, void *address, size_t n)
{
	struct bv_guard guard;
	int result;

	if (!bv_maps_any())
		return real_munmap(address, n);
	bv_guard_enter_quietly(&guard);
	detach(address, n);
	result = really_munmap(address, n) < 0 ? -errno : 0;
	if (result < 0)
		bv_maps_restore();
	else
		finish(call);
	return (int)bv_guard_leave(&guard, result);
}

/* ---- mremap ---- */

/* The bytes that a longer mapping shows in addition. */
static int fill_more(const char *call, const struct bv_mapped *m, size_t n,
		     size_t more)
{
	if (more <= n)
		return 0;
	return bv_memory_fill(m->disk, call, m->offset + n, m->offset + more);
}

/* m is where the old mapping begins. Of length 0, and with MREMAP_DONTUNMAP, the
 * old one stays. */
static void *remap(const char *call, struct bv_mapped m, void *old, size_t n,
		   size_t wanted, int flags, void *address)
{
	int error = bv_maps_have_room() ? fill_more(call, &m, n, wanted) : -ENOMEM;
	void *result;

	if (error < 0) {
		errno = -error;
		return MAP_FAILED;
	}
	if (n > 0 && !(flags & MREMAP_DONTUNMAP))
		detach(old, n);
	if (flags & MREMAP_FIXED)
		detach(address, wanted);
	result = really_mremap(old, n, wanted, flags, address);
	if (result == MAP_FAILED) {
		bv_maps_restore();
		return result;
	}
	/* Before the old ones leave. */
	bv_memory_share(m.disk);
	m.start = (uintptr_t)result;
	m.end = page_end(m.start, wanted);
	bv_maps_add(&m);
	finish(call);
	return result;
}

/* Something else, perhaps to the place of a target's. */
static void *remap_other(const char *call, void *old, size_t n, size_t wanted,
			 int flags, void *address)
{
	void *result;

	if (flags & MREMAP_FIXED)
		detach(address, wanted);
	result = really_mremap(old, n, wanted, flags, address);
	if (result == MAP_FAILED)
		bv_maps_restore();
	else
		finish(call);
	return result;
}

void *op_mremap(const char *call, void *old, size_t n, size_t wanted, int flags,
		void *address)
{
	uintptr_t start = (uintptr_t)old;
	struct bv_guard guard;
	struct bv_mapped m;
	void *result;

	if (!bv_maps_any())
		return real_mremap(old, n, wanted, flags, address);
	bv_guard_enter_quietly(&guard);
	result = bv_maps_next(start, start + 1, &m) ?
			 remap(call, m, old, n, wanted, flags, address) :
			 remap_other(call, old, n, wanted, flags, address);
	bv_guard_leave(&guard, result == MAP_FAILED ? -errno : 0);
	return result;
}

/* The pages of a mapping in another order, some of which were never filled. */
int op_remap_file_pages(const char *call, void *address, size_t n, int protection,
			size_t page, int flags)
{
	uintptr_t start = (uintptr_t)address;
	struct bv_mapped m;
	int refused;

	if (!bv_maps_next(start, page_end(start, n), &m))
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

	if (result < 0 || !(flags & MS_SYNC) || fd < 0)
		return result;
	result = real_fdatasync(fd) < 0 ? -errno : 0;
	return bv_flush(m->disk, call, fd, result);
}

int op_msync(const char *call, void *address, size_t n, int flags)
{
	uintptr_t at = (uintptr_t)address, end = page_end(at, n);
	struct bv_guard guard;
	struct bv_mapped m;
	int result;

	if (!bv_maps_any())
		return real_msync(address, n, flags);
	bv_guard_enter(&guard);
	/* What is wrong with the call, the kernel says. */
	result = real_msync(address, n, flags) < 0 ? -errno : 0;
	for (; result == 0 && bv_maps_next(at, end, &m); at = m.end)
		if (m.stores)
			result = sync_piece(call, &m, flags);
	return (int)bv_guard_leave(&guard, result);
}
