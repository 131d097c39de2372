/* usermem: copying from and to the program's memory without dying of it.
 *
 * The kernel answers EFAULT, or a short transfer, to a bad pointer; a memcpy
 * would be SIGSEGV inside the shim. Each page is probed by a system call
 * that touches it and does nothing else, then copied by memcpy: 0.15 us a
 * page, a third of that where three are written to, while process_vm_readv
 * takes 1.0 and 0.3 for every further page (madvise with MADV_POPULATE_WRITE
 * 0.7 and 0.15).
 */
#ifndef BLKVERIFY_USERMEM_H
#define BLKVERIFY_USERMEM_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Copies n bytes; returns how many could be, up to the first bad page. */
size_t bv_user_copy_in(void *ours, const void *theirs, size_t n);
size_t bv_user_copy_out(void *theirs, const void *ours, size_t n);

/* A place in a list of segments (a copied iovec). */
struct bv_cursor {
	const struct iovec *iov;
	int count;
	size_t done;                 /* bytes of iov[0] already passed */
};

/* Gathers or scatters n bytes from where the cursor stands, in the order of
 * the list, and moves it. Returns bytes copied, fewer at a bad page. */
size_t bv_user_gather(void *ours, struct bv_cursor *from, size_t n);
size_t bv_user_scatter(struct bv_cursor *to, const void *ours, size_t n);

#endif
