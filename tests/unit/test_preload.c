/* The list in LD_PRELOAD. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <blkverify/preload.h>

#define LIBRARY "/l/libblkverify.so"

static bool is_us(const char *start, size_t length)
{
	return (length == 2 && !memcmp(start, "us", 2)) ||
	       (length == strlen(LIBRARY) && !memcmp(start, LIBRARY, length));
}

/* In just as much room as is asked for: the sanitizers see one byte more. */
static void merges(const char *list, const char *expected)
{
	char *merged = malloc(bv_preload_room(list, LIBRARY));
	char *end = bv_preload_merge(merged, list, LIBRARY, is_us);

	assert_string_equal(merged, expected);
	assert_ptr_equal(end, merged + strlen(expected));
	free(merged);
}

static void test_elements(void **state)
{
	const char *at = ": a  bc:", *start;
	size_t length;

	(void)state;
	assert_true(bv_preload_next(&at, &start, &length));
	assert_int_equal(length, 1);
	assert_int_equal(*start, 'a');
	assert_true(bv_preload_next(&at, &start, &length));
	assert_int_equal(length, 2);
	assert_int_equal(*start, 'b');
	assert_false(bv_preload_next(&at, &start, &length));
}

static void test_first_where_nothing_must_be_before_it(void **state)
{
	(void)state;
	merges("", LIBRARY);
	merges(" : ", LIBRARY);
	merges("a", LIBRARY ":a");
	merges("a b:c", LIBRARY ":a:b:c");
}

static void test_behind_sanitizers(void **state)
{
	(void)state;
	merges("libasan.so.8", "libasan.so.8:" LIBRARY);
	merges("/x/libasan.so.8:/y/libubsan.so a", "/x/libasan.so.8:/y/libubsan.so:" LIBRARY ":a");
	merges("a:libasan.so.8", LIBRARY ":a:libasan.so.8");
	merges("/libasan/a", LIBRARY ":/libasan/a");
}

static void test_stays_where_it_is(void **state)
{
	(void)state;
	merges("us", LIBRARY);
	merges("a:us:b", "a:" LIBRARY ":b");
	merges("a " LIBRARY, "a:" LIBRARY);
	merges("us:us:us:us:us", LIBRARY ":" LIBRARY ":" LIBRARY ":" LIBRARY ":" LIBRARY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_elements),
		cmocka_unit_test(test_first_where_nothing_must_be_before_it),
		cmocka_unit_test(test_behind_sanitizers),
		cmocka_unit_test(test_stays_where_it_is),
	};

	return cmocka_run_group_tests_name("preload", tests, NULL, NULL);
}
