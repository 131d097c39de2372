/* pieces: of address space that show a target, and are about to be something
 * else. Around the system call that does it:
 *
 *   call = bv_maps_begin();
 *   bv_pieces_detach(call, ...);
 *   the system call
 *   bv_maps_restore(call), where it failed, or bv_pieces_finish(call, ...)
 */
#ifndef BV_PIECES_H
#define BV_PIECES_H

#include <stddef.h>
#include <stdint.h>

#include "maps.h"

/* Where the page ends that the last of n bytes at start is in. */
uintptr_t bv_page_end(uintptr_t start, size_t n);

/* What is mapped in the n bytes at address is about to go. Nothing is done for
 * what the kernel refuses: no page, no length. Returns 0 or a negative errno,
 * after a line: there are too many pieces. */
int bv_pieces_detach(unsigned call, const void *address, size_t n);

/* One that was popped is gone: what was stored there goes to the target. name:
 * of the program's call, for reports. */
void bv_pieces_leave(const char *name, const struct bv_mapped *piece);

/* All of the call's are. */
void bv_pieces_finish(unsigned call, const char *name);

#endif
