/* fdmap: which descriptor is a target.
 *
 * Numbers are reused, passed around, and closed behind our back, so a number
 * alone proves nothing. What is remembered is forgotten by every call that makes
 * or closes a descriptor, but libc makes and closes some by itself. That one is
 * not a target holds all the same: no target comes that way. That one is a
 * target is a guess, for who finds out in time: a read at an offset, when it is
 * not what the shadow has. For all others the kernel is asked (statx, 0.45 us),
 * so that a stale number can neither blame nor change an innocent file.
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

/* Low byte: 0 not known, 1 not a target, from 2 on a guess at which; the last
 * bit tells that writes do not append. The rest: generation. */
extern _Atomic uint32_t bv_fdmap[BV_FDMAP_ROOM];

struct bv_disk;

/* The long way: asks the kernel and remembers. NULL: not a target. A block
 * device that shares a target's storage is refused (alias.h). */
struct bv_disk *bv_fd_learn(int fd);

/* What is remembered, or else the long way. */
struct bv_disk *bv_fd_recall(int fd);

/* The pair fd is a target of, or NULL. One load for what is known not to be
 * one; a system call otherwise. Async-signal-safe. */
static inline struct bv_disk *bv_fd_disk(int fd)
{
	if ((uint32_t)fd < BV_FDMAP_ROOM &&
	    (atomic_load_explicit(&bv_fdmap[fd], memory_order_relaxed) & 255) == 1)
		return NULL;
	return bv_fd_learn(fd);
}

/* The same, or the pair it was a target of when the kernel was last asked: one
 * load for these, too. bv_fd_learn tells for certain. */
static inline struct bv_disk *bv_fd_guess(int fd)
{
	if ((uint32_t)fd < BV_FDMAP_ROOM &&
	    (atomic_load_explicit(&bv_fdmap[fd], memory_order_relaxed) & 255) == 1)
		return NULL;
	return bv_fd_recall(fd);
}

/* fd is a guess at disk's target. Is it known to have been opened without
 * O_APPEND, and nobody has set that on any descriptor of the target since? */
bool bv_fd_never_appends(int fd, const struct bv_disk *disk);

/* The number may mean another file from now on. */
void bv_fd_forget(int fd);
void bv_fd_forget_range(unsigned first, unsigned last);

/* Descriptors are made where we cannot see it (unshare(CLONE_FILES), a ring
 * that opens files): remember nothing from now on. */
void bv_fd_distrust(void);

#endif
