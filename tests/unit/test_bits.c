/* bits: runs of free bits, against one bit after the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../../src/bits.h"

/* The lowest place of n clear bits in a row, or -1. */
static int slowly(uint64_t taken, unsigned n)
{
	for (unsigned at = 0; at + n <= 64; at++) {
		unsigned i = 0;

		while (i < n && !(taken >> (at + i) & 1))
			i++;
		if (i == n)
			return (int)at;
	}
	return -1;
}

static void test_as_bit_by_bit(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		unsigned n = 1 + (unsigned)round % 64;
		_Atomic uint64_t word;
		uint64_t before;
		int at;

		/* Sparse and dense ones, with long runs too. */
		random = random * 6364136223846793005u + 1442695040888963407u;
		before = random & (random << 7 | random >> 9);
		if (round & 1)
			before &= before << 3 & before >> 5;
		before <<= round % 61;
		atomic_store(&word, before);
		at = bits_take(&word, n);
		assert_int_equal(at, slowly(before, n));
		assert_int_equal(atomic_load(&word),
				 at < 0 ? before : before | bits_run(n) << at);
	}
}

static void test_ends(void **state)
{
	_Atomic uint64_t word = 0;

	(void)state;
	assert_int_equal(bits_run(0), 0);
	assert_int_equal(bits_run(64), UINT64_MAX);
	assert_int_equal(bits_take(&word, 64), 0);
	assert_int_equal(atomic_load(&word), UINT64_MAX);
	assert_int_equal(bits_take(&word, 1), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_bit_by_bit),
		cmocka_unit_test(test_ends),
	};

	return cmocka_run_group_tests_name("bits", tests, NULL, NULL);
}
