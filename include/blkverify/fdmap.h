/* fdmap: which descriptor is a target.
 *
 * Numbers are reused, passed around, and closed behind our back, so a number
 * alone proves nothing. What is remembered is only what is cheap to
 * invalidate: "not a target", forgotten by every call that makes or closes a
 * descriptor. For all others the kernel is asked (statx, 0.45 us), so that
 * a stale number can neither blame nor change an innocent file.
 *
 * An entry carries a generation, so that a look-up racing with close and
 * open on the same number cannot store an old answer. A process that shares
 * our memory but not our descriptors (a vfork child) stores nothing.
 */
#ifndef BLKVERIFY_FDMAP_H
#define BLKVERIFY_FDMAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BV_FDMAP_ROOM 65536

/* Low byte: 0 not known, 1 not a target. The rest: generation. */
extern _Atomic uint32_t bv_fdmap[BV_FDMAP_ROOM];

struct bv_disk;

/* The long way: asks the kernel and remembers. NULL: not a target. A block
 * device that shares a target's storage is refused (alias.h). */
struct bv_disk *bv_fd_learn(int fd);

/* The pair fd is a target of, or NULL. One load for what is known not to be
 * one; a system call otherwise. Async-signal-safe. */
static inline struct bv_disk *bv_fd_disk(int fd)
{
	if ((uint32_t)fd < BV_FDMAP_ROOM &&
	    (atomic_load_explicit(&bv_fdmap[fd], memory_order_relaxed) & 255) == 1)
		return NULL;
	return bv_fd_learn(fd);
}

/* The number may mean another file from now on. */
void bv_fd_forget(int fd);
void bv_fd_forget_range(unsigned first, unsigned last);

/* Descriptors are made where we cannot see it (unshare(CLONE_FILES), a ring
 * that opens files): remember nothing from now on. */
void bv_fd_distrust(void);

#endif
