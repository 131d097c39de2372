/* shadow: I/O on the raw reference.
 *
 * By raw system calls on our own descriptor; whole transfers or an error.
 * The shadow holds exactly state->size bytes as far as these functions are
 * concerned. All return 0 or a negative errno and are async-signal-safe. A
 * failure here is ours, never the program's.
 */
#ifndef BLKVERIFY_SHADOW_H
#define BLKVERIFY_SHADOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bv_disk;

/* Sets the file position of the shadow's new descriptor, which nothing here
 * uses, to a value that no other file's will have by chance: the program may
 * close the descriptor by an instruction of its own and get the number for
 * another file. Comparing positions costs a third of an fstat. */
void bv_shadow_mark(struct bv_disk *disk, int fd);

/* Is the shadow's descriptor still the shadow's? */
bool bv_shadow_is_there(const struct bv_disk *disk);

/* Comparing with a mapping would be cheaper than bv_shadow_read by 0.6 us of 4 KiB
 * where the page is mapped already, and dearer where it is not. But a shadow that
 * somebody cuts short, or that its disk cannot read, would be SIGBUS then, in
 * threads that block it, in programs with handlers of their own for it: the end
 * of the program without a word. What copies from a mapping safely, in the
 * kernel, takes longer than pread.
 *
 * -EBADF: it is not; nothing was done. -ENODATA: the shadow is shorter than it was. */
int bv_shadow_read(struct bv_disk *disk, void *bytes, size_t n, uint64_t offset);
int bv_shadow_write(struct bv_disk *disk, const void *bytes, size_t n,
		    uint64_t offset);

/* Makes n bytes read as zero; extends the shadow where they lie past its
 * end. Punches a hole where it can. */
int bv_shadow_zero(struct bv_disk *disk, uint64_t offset, uint64_t n);

/* Shadow on a block device: only its own length is accepted. */
int bv_shadow_resize(struct bv_disk *disk, uint64_t length);

/* Length in bytes, or a negative errno. */
int64_t bv_shadow_size(const struct bv_disk *disk);

#endif
