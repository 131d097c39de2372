/* compare: bytes against bytes. Pure.
 *
 * Nearly every call finds equal bytes, so that is the case to be fast in, and
 * nothing beats libc's memcmp there. It does not say where a difference is;
 * only the chunk that has one is looked at again.
 *
 * One side may be a mapping of a file that a stranger is writing to. The
 * second look may then find nothing: go on with the next chunk, never read
 * "no difference in here" as an index.
 */
#include <blkverify/compare.h>

#include <stdint.h>
#include <string.h>

#define CHUNK 4096

static uint64_t word_at(const unsigned char *p)
{
	uint64_t word;

	/* memcpy: p has any alignment. It becomes one load. */
	memcpy(&word, p, sizeof(word));
	return word;
}

static size_t first_bytewise(const unsigned char *a, const unsigned char *b,
			     size_t n)
{
	size_t i = 0;

	while (i + 8 <= n && word_at(a + i) == word_at(b + i))
		i += 8;
	while (i < n && a[i] == b[i])
		i++;
	return i;
}

size_t bv_compare_first(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (size_t at = 0; at < n;) {
		size_t chunk = n - at < CHUNK ? n - at : CHUNK;

		if (memcmp(x + at, y + at, chunk) != 0) {
			size_t i = first_bytewise(x + at, y + at, chunk);

			if (i < chunk)
				return at + i;
		}
		at += chunk;
	}
	return n;
}

/* Is one of the eight bytes zero? */
static bool has_zero_byte(uint64_t word)
{
	return (word - 0x0101010101010101u) & ~word & 0x8080808080808080u;
}

static size_t run_of_different(const unsigned char *a, const unsigned char *b,
			       size_t n)
{
	size_t i = 0;

	while (i + 8 <= n && !has_zero_byte(word_at(a + i) ^ word_at(b + i)))
		i += 8;
	while (i < n && a[i] != b[i])
		i++;
	return i;
}

size_t bv_compare_run(const void *a, const void *b, size_t n, bool equal)
{
	if (equal)
		return bv_compare_first(a, b, n);
	return run_of_different(a, b, n);
}

bool bv_compare_zero(const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	/* The first is zero and each equals the one before it. */
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}
