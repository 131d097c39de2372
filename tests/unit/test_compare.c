/* compare: bytes against bytes, against a loop that is too simple to be
 * wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <blkverify/compare.h>

#define MOST 300
#define SHIFTS 9
#define LARGE 40000

static size_t naive(const unsigned char *a, const unsigned char *b, size_t n,
		    bool equal)
{
	size_t i = 0;

	while (i < n && (a[i] == b[i]) == equal)
		i++;
	return i;
}

static void fill(unsigned char *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1103515245u + 12345u;
		p[i] = (unsigned char)(seed >> 16);
	}
}

/* Exactly n bytes on the heap, so that a sanitizer sees one byte too many. */
static unsigned char *copy(const unsigned char *from, size_t n)
{
	unsigned char *p = malloc(n ? n : 1);

	assert_non_null(p);
	memcpy(p, from, n);
	return p;
}

static void test_equal_at_every_length(void **state)
{
	unsigned char from[MOST], *a, *b;

	(void)state;
	fill(from, sizeof(from), 1);
	for (size_t n = 0; n <= MOST; n++) {
		a = copy(from, n);
		b = copy(from, n);
		assert_int_equal(bv_compare_first(a, b, n), n);
		assert_int_equal(bv_compare_run(a, b, n, true), n);
		free(a);
		free(b);
	}
}

static void test_one_byte_at_every_position(void **state)
{
	unsigned char from[MOST], *a, *b;

	(void)state;
	fill(from, sizeof(from), 2);
	for (size_t n = 1; n <= MOST; n++) {
		a = copy(from, n);
		b = copy(from, n);
		for (size_t i = 0; i < n; i++) {
			b[i] ^= (unsigned char)(1u << i % 8);
			assert_int_equal(bv_compare_first(a, b, n), i);
			assert_int_equal(bv_compare_first(b, a, n), i);
			assert_int_equal(bv_compare_run(a, b, n, true), i);
			assert_int_equal(bv_compare_run(a + i, b + i, n - i,
							false), 1);
			b[i] = a[i];
		}
		free(a);
		free(b);
	}
}

static void test_the_first_of_several(void **state)
{
	unsigned char a[MOST], b[MOST];

	(void)state;
	fill(a, sizeof(a), 3);
	for (size_t i = 0; i < MOST; i++) {
		memcpy(b, a, sizeof(b));
		/* Everything from i on, but for a few. */
		for (size_t j = i; j < MOST; j++)
			b[j] ^= j > i && j % 5 == 0 ? 0 : 0x80;
		assert_int_equal(bv_compare_first(a, b, MOST), i);
	}
}

static void test_every_alignment(void **state)
{
	static unsigned char a[MOST + SHIFTS], b[MOST + SHIFTS];

	(void)state;
	for (size_t x = 0; x < SHIFTS; x++) {
		for (size_t y = 0; y < SHIFTS; y++) {
			fill(a, sizeof(a), 4);
			memset(b, 0, sizeof(b));
			memcpy(b + y, a + x, MOST);
			for (size_t i = 0; i < MOST; i++) {
				b[y + i] ^= 0xff;
				assert_int_equal(bv_compare_first(a + x, b + y,
								  MOST), i);
				b[y + i] ^= 0xff;
			}
		}
	}
}

static void test_nothing_beyond_the_end(void **state)
{
	unsigned char a[64] = { 0 }, b[64] = { 0 };

	(void)state;
	for (size_t n = 0; n < 63; n++) {
		b[n] = 1;
		assert_int_equal(bv_compare_first(a, b, n), n);
		assert_true(bv_compare_zero(b, n));
		b[n] = 0;
		memset(b, 2, n);
		assert_int_equal(bv_compare_run(a, b, n, false), n);
		memset(b, 0, n);
	}
}

/* The chunks that the comparison goes by must not show. */
static void test_large(void **state)
{
	static unsigned char a[LARGE], b[LARGE];

	(void)state;
	fill(a, LARGE, 5);
	memcpy(b, a, LARGE);
	assert_int_equal(bv_compare_first(a, b, LARGE), LARGE);
	for (size_t i = 0; i < LARGE; i += i % 512 < 500 ? 13 : 1) {
		b[i] ^= 1;
		assert_int_equal(bv_compare_first(a, b, LARGE), i);
		assert_int_equal(bv_compare_first(a, b, i), i);
		assert_int_equal(bv_compare_first(a + 1, b + 1, LARGE - 1),
				 i ? i - 1 : LARGE - 1);
		b[i] ^= 1;
	}
	b[4095] ^= 1;
	b[4096] ^= 1;
	assert_int_equal(bv_compare_first(a, b, LARGE), 4095);
	assert_int_equal(bv_compare_run(a + 4095, b + 4095, LARGE - 4095,
					false), 2);
}

static void test_runs_of_every_length(void **state)
{
	unsigned char a[MOST], b[MOST];

	(void)state;
	fill(a, sizeof(a), 6);
	for (size_t run = 0; run <= MOST; run++) {
		memcpy(b, a, sizeof(b));
		for (size_t i = 0; i < run; i++)
			b[i] ^= (unsigned char)(i % 255 + 1);
		for (size_t n = run; n <= MOST; n++)
			assert_int_equal(bv_compare_run(a, b, n, false), run);
	}
}

/* Every pair of byte values: the search for a zero byte in a word is
 * arithmetic, and borrows. */
static void test_every_value(void **state)
{
	unsigned char a[24], b[24];

	(void)state;
	for (unsigned x = 0; x < 256; x++) {
		for (unsigned y = 0; y < 256; y++) {
			memset(a, (int)x, sizeof(a));
			memset(b, (int)y, sizeof(b));
			assert_int_equal(bv_compare_first(a, b, 24),
					 x == y ? 24 : 0);
			assert_int_equal(bv_compare_run(a, b, 24, false),
					 x == y ? 0 : 24);
			b[13] = a[13];
			assert_int_equal(bv_compare_run(a, b, 24, false),
					 x == y ? 0 : 13);
		}
	}
}

/* Long walks over few values meet runs of all kinds. */
static void test_random_against_naive(void **state)
{
	static unsigned char a[LARGE], b[LARGE];
	size_t at = 0;
	bool equal = false;

	(void)state;
	fill(a, LARGE, 7);
	fill(b, LARGE, 8);
	for (size_t i = 0; i < LARGE; i++) {
		unsigned bits = i / 1000 % 3;

		a[i] &= bits ? bits : 0xf0;
		b[i] &= bits ? bits : 0xf0;
	}
	while (at < LARGE) {
		size_t n = bv_compare_run(a + at, b + at, LARGE - at, equal);

		assert_int_equal(n, naive(a + at, b + at, LARGE - at, equal));
		at += n;
		equal = !equal;
	}
}

static void test_zero(void **state)
{
	static unsigned char zero[MOST];
	unsigned char *p;

	(void)state;
	for (size_t n = 0; n <= MOST; n++) {
		p = copy(zero, n);
		assert_true(bv_compare_zero(p, n));
		for (size_t i = 0; i < n; i++) {
			p[i] = (unsigned char)(1u << i % 8);
			assert_false(bv_compare_zero(p, n));
			p[i] = 0;
		}
		free(p);
	}
}

static void test_zero_is_not_merely_alike(void **state)
{
	unsigned char p[MOST];

	(void)state;
	for (int value = 1; value < 256; value++) {
		memset(p, value, sizeof(p));
		assert_false(bv_compare_zero(p, sizeof(p)));
		assert_false(bv_compare_zero(p, 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_at_every_length),
		cmocka_unit_test(test_one_byte_at_every_position),
		cmocka_unit_test(test_the_first_of_several),
		cmocka_unit_test(test_every_alignment),
		cmocka_unit_test(test_nothing_beyond_the_end),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_runs_of_every_length),
		cmocka_unit_test(test_every_value),
		cmocka_unit_test(test_random_against_naive),
		cmocka_unit_test(test_zero),
		cmocka_unit_test(test_zero_is_not_merely_alike),
	};

	return cmocka_run_group_tests_name("compare", tests, NULL, NULL);
}
