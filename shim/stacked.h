/* stacked: another preloaded library behind us.
 *
 * Its read and write are what the engine reaches the target by. When they do
 * their work by libc's names again, those names are ours: what arrives then is
 * our own operation, and must go straight to the kernel. A signal handler that
 * came in between would look the same, so signals are held back meanwhile.
 * None of this is paid for where libc comes next.
 */
#ifndef BV_STACKED_H
#define BV_STACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <blkverify/verify.h>

/* Puts guards around io's functions when one of them, or of the others, is
 * not libc's. Start only. */
void bv_stacked_guard(struct bv_target_io *io, const void *const *others,
		      size_t count);

/* Is this function libc's, and not another library's of that name? */
bool bv_stacked_is_libc(const void *function);

/* Around any other call on a target that goes to the next in line. */
uint64_t bv_stacked_enter(void);
void bv_stacked_leave(uint64_t mask);

#endif
