/* stream: catching what a FILE reads and writes.
 *
 * Every FILE of glibc reaches the kernel through two functions that stand in
 * jump tables (vtables) of libc's RELRO segment. All words there that hold
 * their addresses are replaced by ours, once, at start. Wrapping fread and
 * its kin one by one would not do: getc_unlocked and others are inlined into
 * programs and only ever call __uflow.
 */
#ifndef BV_STREAM_H
#define BV_STREAM_H

/* Returns 0, or -1 when libc is not as expected: then nothing was changed. */
int bv_stream_start(void);

#endif
