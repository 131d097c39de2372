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

#include <blkverify/verify.h>

/* Puts guards around those of io's functions that are not libc's. */
void bv_stacked_guard(struct bv_target_io *io);

#endif
