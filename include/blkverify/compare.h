/* compare: bytes against bytes. Pure. */
#ifndef BLKVERIFY_COMPARE_H
#define BLKVERIFY_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

/* Index of the first byte at which the n bytes at a and b differ; n when they
 * are equal. */
size_t bv_compare_first(const void *a, const void *b, size_t n);

/* Length of the run of equal bytes (equal true) or of differing bytes (equal
 * false) that begins at index 0. n when it reaches the end. */
size_t bv_compare_run(const void *a, const void *b, size_t n, bool equal);

/* Are all n bytes zero? */
bool bv_compare_zero(const void *bytes, size_t n);

#endif
