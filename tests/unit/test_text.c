/* text: lines built in fixed storage. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <blkverify/op.h>
#include <blkverify/text.h>

/* What stands behind the text shows an overrun without a sanitizer. */
static struct {
	struct bv_text text;
	char guard[64];
} box;
static struct bv_text *const t = &box.text;

static int fresh(void **state)
{
	(void)state;
	memset(&box, '#', sizeof(box));
	text_clear(t);
	return 0;
}

/* Checks that t holds exactly this, and is empty afterwards. */
static void expect(const char *string)
{
	assert_string_equal(t->bytes, string);
	assert_int_equal(t->length, strlen(string));
	assert_false(t->cut);
	text_clear(t);
}

static void test_clear(void **state)
{
	(void)state;
	expect("");
	text_add(t, "something");
	text_clear(t);
	expect("");
}

static void test_add(void **state)
{
	(void)state;
	text_add(t, "a \\ \n b");
	text_add(t, "");
	text_char(t, '!');
	text_bytes(t, "xyz", 2);
	text_bytes(t, NULL, 0);
	expect("a \\ \n b!xy");
}

static void test_decimal(void **state)
{
	(void)state;
	text_u64(t, 0);
	expect("0");
	text_u64(t, 10);
	expect("10");
	text_u64(t, UINT64_MAX);
	expect("18446744073709551615");
	text_i64(t, 0);
	expect("0");
	text_i64(t, -1);
	expect("-1");
	text_i64(t, 42);
	expect("42");
	text_i64(t, INT64_MAX);
	expect("9223372036854775807");
	text_i64(t, INT64_MIN);
	expect("-9223372036854775808");
}

static void test_hex(void **state)
{
	(void)state;
	text_hex(t, 0, 0);
	expect("0");
	text_hex(t, 0, 2);
	expect("00");
	text_hex(t, 0xabc, 10);
	expect("0000000abc");
	text_hex(t, 0x12345, 2);
	expect("12345");
	text_hex(t, UINT64_MAX, 1);
	expect("ffffffffffffffff");
	text_hex(t, 1, 99);
	expect("0000000000000001");
}

static void test_quoted(void **state)
{
	(void)state;
	text_quoted(t, "plain /path with 'marks' and \"more\"");
	expect("plain /path with 'marks' and \"more\"");
	text_quoted(t, "\n\t\\");
	expect("\\n\\t\\\\");
	text_quoted(t, "\x01\x1f \x7f~\r\x1b");
	expect("\\x01\\x1f \\x7f~\\x0d\\x1b");
	text_quoted(t, "\xc3\xa9\xff");
	expect("\xc3\xa9\xff");
	text_quoted(t, "");
	expect("");
	text_quoted_bytes(t, "a\0b\nc", 4);
	expect("a\\x00b\\n");
}

static void test_errno(void **state)
{
	static const struct {
		int error;
		const char *name;
	} all[] = {
		{ EPERM, "EPERM" }, { ENOENT, "ENOENT" }, { EIO, "EIO" },
		{ EAGAIN, "EAGAIN" }, { EINVAL, "EINVAL" },
		{ ENOSPC, "ENOSPC" }, { EROFS, "EROFS" },
		{ EOPNOTSUPP, "EOPNOTSUPP" }, { EDQUOT, "EDQUOT" },
		{ ETIMEDOUT, "ETIMEDOUT" }, { ESTALE, "ESTALE" },
		{ EREMOTEIO, "EREMOTEIO" }, { ECANCELED, "ECANCELED" },
		{ EHWPOISON, "EHWPOISON" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		text_errno(t, all[i].error);
		expect(all[i].name);
	}
	text_errno(t, 0);
	expect("0");
	text_errno(t, 4095);
	expect("4095");
}

static void test_every_errno_as_libc_names_it(void **state)
{
	(void)state;
#if defined __GLIBC__ && __GLIBC_PREREQ(2, 32)
	for (int error = 1; error < 200; error++) {
		const char *name = strerrorname_np(error);

		if (!name)
			continue;
		text_errno(t, error);
		/* One number, two names; the C standard's is the other. */
		expect(error == EOPNOTSUPP ? "EOPNOTSUPP" : name);
	}
#else
	skip();
#endif
}

static void fill(size_t n)
{
	for (size_t i = 0; i < n; i++)
		text_char(t, 'x');
}

static void check_guard(void)
{
	for (size_t i = 0; i < sizeof(box.guard); i++)
		assert_int_equal(box.guard[i], '#');
}

static void test_exactly_full(void **state)
{
	(void)state;
	fill(BV_TEXT_ROOM - 1);
	assert_false(t->cut);
	assert_int_equal(t->length, BV_TEXT_ROOM - 1);
	assert_int_equal(t->bytes[BV_TEXT_ROOM - 2], 'x');
	assert_int_equal(t->bytes[BV_TEXT_ROOM - 1], '\0');
	text_add(t, "");
	assert_false(t->cut);
	check_guard();
}

static void check_cut(void)
{
	assert_true(t->cut);
	assert_int_equal(t->length, BV_TEXT_ROOM - 1);
	assert_string_equal(t->bytes + BV_TEXT_ROOM - 6, "xx...");
	check_guard();
}

static void test_one_too_many(void **state)
{
	(void)state;
	fill(BV_TEXT_ROOM);
	check_cut();
	text_add(t, "more");
	text_u64(t, 1);
	check_cut();
	text_clear(t);
	expect("");
}

static void test_cut_inside_a_string(void **state)
{
	static char large[3 * BV_TEXT_ROOM];

	(void)state;
	memset(large, 'x', sizeof(large) - 1);
	text_add(t, large);
	check_cut();
}

static void test_cut_near_the_end(void **state)
{
	(void)state;
	/* The dots take the place of bytes that had fitted. */
	fill(BV_TEXT_ROOM - 2);
	text_u64(t, 4711);
	check_cut();
}

/* What date -u says of them, and every day of 800 years by libc. */
static void test_time(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *text;
	} all[] = {
		{ 0, "1970-01-01 00:00:00 UTC" },
		{ 951782400, "2000-02-29 00:00:00 UTC" },
		{ 4107542399, "2100-02-28 23:59:59 UTC" },
		{ 4107542400, "2100-03-01 00:00:00 UTC" },
		{ 1795634155, "2026-11-25 19:15:55 UTC" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		text_time(t, all[i].seconds);
		expect(all[i].text);
	}
	for (time_t day = 0; day < 800 * 366; day++) {
		time_t seconds = day * 86400 + day % 86400;
		char expected[64];
		struct tm tm;

		strftime(expected, sizeof(expected), "%F %T UTC", gmtime_r(&seconds, &tm));
		text_time(t, (uint64_t)seconds);
		expect(expected);
	}
}

static void test_edits(void **state)
{
	(void)state;
	assert_int_equal(text_edits("TARGET", 6, "TARGET"), 0);
	assert_int_equal(text_edits("target", 6, "TARGET"), 0);
	assert_int_equal(text_edits("TARGT", 5, "TARGET"), 1);
	assert_int_equal(text_edits("TARGETS", 7, "TARGET"), 1);
	assert_int_equal(text_edits("TARGXT", 6, "TARGET"), 1);
	assert_int_equal(text_edits("TARGTE", 6, "TARGET"), 2);
	assert_int_equal(text_edits("TARGET=/x", 6, "TARGET"), 0);
	assert_int_equal(text_edits("", 0, "LOG"), 3);
	assert_int_equal(text_edits("LOG", 3, ""), 3);
	assert_int_equal(text_edits("kitten", 6, "SITTING"), 3);
	assert_int_equal(text_edits("ARGET", 5, "TARGET"), 1);
	assert_int_equal(text_edits("size", 4, "SIZE"), 0);
	/* Only the letters have a small form: '{' is no '['. */
	assert_int_equal(text_edits("{", 1, "["), 1);
	assert_int_equal(text_edits("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 31,
				    "LOG"), 31);
	assert_int_equal(text_edits("LOG", 3,
				    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), 31);
	assert_int_equal(text_edits("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 32,
				    "LOG"), UINT_MAX);
	assert_int_equal(text_edits("A", 1, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
			 UINT_MAX);
}

static void test_op_names(void **state)
{
	(void)state;
	assert_string_equal(bv_op_name(BV_OP_READ), "read");
	assert_string_equal(bv_op_name(BV_OP_WRITE), "write");
	assert_string_equal(bv_op_name(BV_OP_ZERO), "zero");
	assert_string_equal(bv_op_name(BV_OP_DISCARD), "discard");
	assert_string_equal(bv_op_name(BV_OP_RESIZE), "resize");
	assert_string_equal(bv_op_name(BV_OP_FLUSH), "flush");
	assert_string_equal(bv_op_name(BV_OP_MAP), "map");
	assert_string_equal(bv_op_name(BV_OP_SIZE), "size");
	assert_string_equal(bv_op_name(BV_OP_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_clear, fresh),
		cmocka_unit_test_setup(test_add, fresh),
		cmocka_unit_test_setup(test_decimal, fresh),
		cmocka_unit_test_setup(test_hex, fresh),
		cmocka_unit_test_setup(test_quoted, fresh),
		cmocka_unit_test_setup(test_errno, fresh),
		cmocka_unit_test_setup(test_every_errno_as_libc_names_it,
				       fresh),
		cmocka_unit_test_setup(test_exactly_full, fresh),
		cmocka_unit_test_setup(test_one_too_many, fresh),
		cmocka_unit_test_setup(test_cut_inside_a_string, fresh),
		cmocka_unit_test_setup(test_cut_near_the_end, fresh),
		cmocka_unit_test_setup(test_time, fresh),
		cmocka_unit_test(test_edits),
		cmocka_unit_test(test_op_names),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
