/* memory: a target's bytes in memory, in place of mappings of the file.
 *
 * Loads and stores through a mapping pass no function, so a program that maps
 * a target gets a mapping of a memory file (memfd_create) at the same offset,
 * filled by verified reads. What it stores there is found by comparing with a
 * second memory file that has what target and memory last agreed on, and is
 * written back, mirrored, at msync, fsync, munmap, exec and exit. Until then
 * reads of the target see it laid over what they read, and writes to the
 * target go to the memory as well: within a run, mappings, reads and writes
 * agree with each other as they do for a file.
 *
 * All processes on a pair use the same two files: whoever comes later takes
 * them from one that has them, by way of /proc. So nothing is left behind,
 * however they end. Stores that a process killed by a signal had not written
 * back are lost, unless another one of the run has the target mapped.
 *
 * Memory is filled in chunks; the bitmap of those that are stands in front of
 * the second file. A chunk's bytes are ruled by its range (inflight.h): who
 * fills, writes back or follows a write has the range exclusively.
 */
#ifndef BLKVERIFY_MEMORY_H
#define BLKVERIFY_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <blkverify/disk.h>

/* Bytes that are filled together. */
#define BV_CHUNK (64u * 1024)

/* Has any process mapped the target, or have we not noticed yet that none has?
 * Two loads; true is a hint: the process may have died. */
static inline bool bv_memory_any(const struct bv_disk *disk)
{
	return atomic_load_explicit(&disk->state->mapped,
				    memory_order_acquire) ||
	       atomic_load_explicit(&disk->looks, memory_order_relaxed);
}

/* ---- memory.c: whose it is ---- */

/* The program maps [start, end) of the target that fd is. stores: shared, and
 * writable. What is there is read and compared, each time. Returns 0, with a
 * bv_memory_leave to follow; a negative errno: what the verified reads came to,
 * or a refusal, which was said; or 1: it is to go through unverified. */
int bv_memory_join(struct bv_disk *disk, const char *call, int fd, bool stores,
		   uint64_t start, uint64_t end);

/* A shared mapping becomes writable. Returns as the above. */
int bv_memory_unlock(struct bv_disk *disk, const char *call);

/* Once more, for a mapping that was cut in two, or copied. */
void bv_memory_share(struct bv_disk *disk);

/* One mapping less in this process. What it stored was written back. The
 * memory stays for a while, if it is not much. */
void bv_memory_leave(struct bv_disk *disk);

/* The descriptor to map instead of the target's, ours: for one that can become
 * writable, or open for reading alone, as the program's was. */
int bv_memory_fd(const struct bv_disk *disk, bool writable);

/* A descriptor of the target's, ours, for this process's mappings; -1: it has
 * none. Not one of the program's: those may be closed while the mapping
 * stays. */
int bv_memory_target(const struct bv_disk *disk);

/* Has this process mappings? stores: ones that it can store to. Then they, and
 * our descriptor of the target, stay until the bv_memory_leave that follows. */
bool bv_memory_pin(struct bv_disk *disk, bool stores);

/* The program is about to close a descriptor of the target's: ours may go with
 * it, since closing any drops the process's POSIX locks on the file. */
bool bv_memory_idle(void);
void bv_memory_closing(struct bv_disk *disk);

/* In the child after fork: it has the mappings too. */
void bv_memory_forked(void);

/* Before exec, which ends all mappings: whoever has this process's id from then
 * on has no memory to hand on. And after one that has failed. Neither is for a
 * child of vfork. */
void bv_memory_leaving(void);
void bv_memory_staying(void);

/* ---- contents.c, stores.c: what is in it ---- */

/* Reads and compares the chunks of [start, end), and fills those that are not
 * filled: for what is mapped now. Returns 0 or a negative errno. */
int bv_memory_fill(struct bv_disk *disk, const char *call, uint64_t start,
		   uint64_t end);

/* Writes back what was stored in [start, end), by whomever, if this process has
 * mappings that it can store to: another one may not be able to write. Returns 0
 * or a negative errno. */
int bv_memory_flush(struct bv_disk *disk, const char *call, uint64_t start,
		    uint64_t end);

/* Everything of all targets; before exec and exit. */
void bv_memory_flush_all(const char *call);

/* The target's bytes in [start, end) are not known to be those of the memory
 * any more: they are read again, and replace what the program has not stored;
 * gone given, also what it has. */
void bv_memory_refresh(struct bv_disk *disk, const char *call, int fd,
		       uint64_t start, uint64_t end, bool gone);

/* The caller has the range, for reading: n bytes that were read at offset get
 * what was stored since. */
void bv_memory_overlay(struct bv_disk *disk, void *bytes, size_t n,
		       uint64_t offset);

/* The caller has the range, for reading. The first page in it that the program
 * has stored something in that the target has not got yet: *start is where it,
 * or the range, begins, *end where such pages end. False: there is none. */
bool bv_memory_stored(struct bv_disk *disk, uint64_t *start, uint64_t *end);

/* The caller has the range exclusively, and target and shadow have been
 * changed so. bytes NULL: zeros. */
void bv_memory_wrote(struct bv_disk *disk, const void *bytes, uint64_t n,
		     uint64_t offset);

/* The caller has everything from the shorter length on; both files have the new
 * one, and so has state. */
void bv_memory_resized(struct bv_disk *disk);

#endif
