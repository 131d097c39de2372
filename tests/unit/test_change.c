/* change: what alters a target without a write. */
#include "pair.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static unsigned char bytes[PAIR_BYTES * 2];

static uint64_t size(void)
{
	return atomic_load(&pair.disk->state->size);
}

static bool zero(const char *path, uint64_t offset, size_t n)
{
	pair_get(path, bytes, n, offset);
	for (size_t i = 0; i < n; i++)
		if (bytes[i])
			return false;
	return true;
}

/* Target and shadow are the same, and a read of all of it finds so. */
static void check_same(uint64_t length)
{
	assert_int_equal(size(), length);
	assert_int_equal(pair_length(pair.target), length);
	assert_true(pair_same());
	assert_true(pair_read_all());
	assert_int_equal(pair_said("blkverify"), 0);
}

static int resize(uint64_t length)
{
	return pair_change(BV_OP_RESIZE, 0, length, false);
}

/* ---- length ---- */

static void test_shrink(void **state)
{
	(void)state;
	assert_int_equal(resize(5000), 0);
	check_same(5000);
	assert_int_equal(resize(0), 0);
	check_same(0);
}

static void test_grow(void **state)
{
	(void)state;
	assert_int_equal(resize(PAIR_BYTES + 5000), 0);
	assert_true(zero(pair.shadow, PAIR_BYTES, 5000));
	check_same(PAIR_BYTES + 5000);
	/* What is new is known to be zero. */
	pair_spoil(pair.target, PAIR_BYTES + 4999);
	assert_true(pair_read_all());
	assert_int_equal(pair_said("contents mismatch"), 1);
}

/* The bytes that were cut off do not come back. */
static void test_shrink_and_grow(void **state)
{
	(void)state;
	assert_int_equal(resize(1000), 0);
	assert_int_equal(resize(PAIR_BYTES), 0);
	assert_true(zero(pair.shadow, 1000, PAIR_BYTES - 1000));
	check_same(PAIR_BYTES);
}

static void test_same_length(void **state)
{
	(void)state;
	assert_int_equal(resize(PAIR_BYTES), 0);
	check_same(PAIR_BYTES);
}

static void test_shrink_ends_what_was_unknown(void **state)
{
	(void)state;
	bv_unknown_add(pair.disk, 1000, 9000, false);
	assert_int_equal(resize(5000), 0);
	assert_true(pair_is_unknown(1000, 5000));
	assert_int_equal(resize(PAIR_BYTES), 0);
	assert_true(pair_is_known(5000, UINT64_MAX));
}

/* As fallocate does it: to that length at least. */
static void test_grows_to(void **state)
{
	(void)state;
	assert_int_equal(pair_change(BV_OP_RESIZE, PAIR_BYTES - 100, 200, true),
			 0);
	check_same(PAIR_BYTES + 100);
	assert_int_equal(pair_change(BV_OP_RESIZE, 100, 200, true), 0);
	check_same(PAIR_BYTES + 100);
	assert_int_equal(pair_change(BV_OP_RESIZE, PAIR_BYTES + 1000, 24, true),
			 0);
	check_same(PAIR_BYTES + 1024);
}

static int does_nothing(const struct bv_change *change)
{
	(void)change;
	return 0;
}

static void test_target_does_not_shrink(void **state)
{
	(void)state;
	pair_hook.apply = does_nothing;
	assert_int_equal(resize(4096), 0);
	pair_hook.apply = NULL;
	assert_int_equal(pair_read(bytes, 8192, 0), 8192);
	assert_int_equal(pair_said("return value mismatch 8192 != 4096\n"), 1);
}

/* ---- zero ---- */

static void test_zero_inside(void **state)
{
	(void)state;
	assert_int_equal(pair_change(BV_OP_ZERO, 1000, 5000, false), 0);
	assert_true(zero(pair.shadow, 1000, 5000));
	check_same(PAIR_BYTES);
	pair_get(pair.shadow, bytes, 1000, 0);
	assert_true(pair_is_pattern(bytes, 1000, 0, 0));
	pair_get(pair.shadow, bytes, 1000, 6000);
	assert_true(pair_is_pattern(bytes, 1000, 6000, 0));
}

static void test_zero_over_the_end_keeps_the_length(void **state)
{
	(void)state;
	assert_int_equal(pair_change(BV_OP_ZERO, PAIR_BYTES - 100, 5000, false),
			 0);
	check_same(PAIR_BYTES);
	assert_int_equal(pair_change(BV_OP_ZERO, PAIR_BYTES + 100, 5000, false),
			 0);
	check_same(PAIR_BYTES);
}

static void test_zero_grows(void **state)
{
	(void)state;
	assert_int_equal(pair_change(BV_OP_ZERO, PAIR_BYTES - 100, 5000, true),
			 0);
	check_same(PAIR_BYTES + 4900);
	assert_int_equal(pair_change(BV_OP_ZERO, PAIR_BYTES + 9000, 1000, true),
			 0);
	check_same(PAIR_BYTES + 10000);
	assert_int_equal(pair_change(BV_OP_ZERO, 100, 10, true), 0);
	check_same(PAIR_BYTES + 10000);
}

static void test_zero_ends_unknown(void **state)
{
	(void)state;
	bv_unknown_add(pair.disk, 0, 8192, false);
	assert_int_equal(pair_change(BV_OP_ZERO, 1000, 1000, false), 0);
	assert_true(pair_is_unknown(0, 1000));
	assert_true(pair_is_known(1000, 2000));
	assert_true(pair_is_unknown(2000, 8192));
}

/* A punched range must read as zero: one that does not is a finding. */
static void test_target_does_not_zero(void **state)
{
	(void)state;
	pair_hook.apply = does_nothing;
	assert_int_equal(pair_change(BV_OP_ZERO, 4096, 512, false), 0);
	assert_int_equal(pair_read(bytes, 8192, 0), 8192);
	assert_int_equal(pair_said("contents mismatch in sector 8 at offset "
				   "4096\n"), 1);
}

/* ---- discard ---- */

static void test_discard_is_learnt(void **state)
{
	(void)state;
	assert_int_equal(pair_change(BV_OP_DISCARD, 4096, 4096, false), 0);
	assert_true(pair_is_unknown(4096, 8192));
	assert_true(pair_read_all());
	assert_false(bv_unknown_any(pair.disk));
	check_same(PAIR_BYTES);
	/* Whatever it was, it stays. */
	pair_spoil(pair.target, 5000);
	assert_true(pair_read_all());
	assert_int_equal(pair_said("at offset 5000\n"), 1);
}

static void test_discard_need_not_zero(void **state)
{
	(void)state;
	pair_hook.apply = does_nothing;
	assert_int_equal(pair_change(BV_OP_DISCARD, 4096, 4096, false), 0);
	pair_spoil(pair.target, 5000);
	assert_true(pair_read_all());
	check_same(PAIR_BYTES);
}

/* ---- failures ---- */

static int error;

static int fails(const struct bv_change *change)
{
	(void)change;
	return -error;
}

static int fails_half_done(const struct bv_change *change)
{
	struct bv_change half = *change;

	half.length /= 2;
	pair_apply(&half);
	return -error;
}

static void test_failure_is_a_mismatch(void **state)
{
	(void)state;
	pair_hook.apply = fails;
	error = EIO;
	assert_int_equal(pair_change(BV_OP_ZERO, 512, 1024, false), -EIO);
	assert_int_equal(pair_said("blkverify: zero sector_num=1 nb_sectors=2 "
				   "return value mismatch -5 != 0\n"), 1);
	assert_true(pair_is_unknown(512, 1536));
	error = ENOSPC;
	assert_int_equal(resize(PAIR_BYTES * 2), -ENOSPC);
	assert_int_equal(pair_said("blkverify: resize"), 1);
	assert_int_equal(pair_said("return value mismatch -28 != 0\n"), 1);
}

static void test_failure_is_passed_on(void **state)
{
	(void)state;
	pair_policy(BV_MISMATCH_LOG, BV_ERROR_PASS, BV_UNVERIFIED_REFUSE);
	pair_hook.apply = fails_half_done;
	error = EIO;
	assert_int_equal(pair_change(BV_OP_ZERO, 512, 1024, false), -EIO);
	assert_true(pair_is_unknown(512, 1536));
	assert_int_equal(pair_change(BV_OP_ZERO, PAIR_BYTES - 100, 1000, true),
			 -EIO);
	assert_int_equal(size(), PAIR_BYTES + 400);
	assert_true(pair_read_all());
	check_same(PAIR_BYTES + 400);
}

static int fails_half_way(const struct bv_change *change)
{
	if (ftruncate(change->fd, 50000) < 0)
		abort();
	return -error;
}

static void test_failed_resize_got_half_way(void **state)
{
	(void)state;
	pair_policy(BV_MISMATCH_LOG, BV_ERROR_PASS, BV_UNVERIFIED_REFUSE);
	pair_hook.apply = fails_half_way;
	error = EIO;
	assert_int_equal(resize(40000), -EIO);
	assert_int_equal(size(), 50000);
	assert_true(pair_read_all());
	check_same(50000);
}

/* These are answers, not failures of the storage. */
static void test_what_is_the_calls_own_fault(void **state)
{
	static const int mine[] = { EOPNOTSUPP, EINVAL, EPERM, EINTR, EBADF,
				    ENOSYS };

	(void)state;
	pair_hook.apply = fails;
	for (size_t i = 0; i < sizeof(mine) / sizeof(*mine); i++) {
		error = mine[i];
		assert_int_equal(pair_change(BV_OP_ZERO, 512, 512, false),
				 -error);
		assert_int_equal(resize(100), -error);
	}
	assert_false(bv_unknown_any(pair.disk));
	check_same(PAIR_BYTES);
}

static void test_bad_arguments(void **state)
{
	(void)state;
	assert_true(pair_change(BV_OP_ZERO, 512, 0, false) < 0);
	assert_true(pair_change(BV_OP_ZERO, UINT64_MAX - 10, 5, false) < 0);
	assert_true(pair_change(BV_OP_ZERO, INT64_MAX, INT64_MAX, false) < 0);
	assert_true(resize(UINT64_MAX) < 0);
	assert_false(bv_unknown_any(pair.disk));
	check_same(PAIR_BYTES);
}

/* ---- shadow ---- */

static void test_shadow_fails(void **state)
{
	(void)state;
	pair_replace_shadow(pair.shadow, O_RDONLY);
	assert_int_equal(pair_change(BV_OP_ZERO, 4096, 512, false), 0);
	assert_int_equal(pair_said("zero sector_num=8 nb_sectors=1 shadow"), 1);
	assert_true(pair_is_unknown(4096, 4608));
	assert_int_equal(resize(PAIR_BYTES - 512), 0);
	assert_int_equal(atomic_load(&pair.disk->count.errors), 2);
	assert_int_equal(size(), PAIR_BYTES - 512);
	assert_int_equal(pair_said("return value"), 0);
	pair_policy(BV_MISMATCH_EIO, BV_ERROR_PASS, BV_UNVERIFIED_REFUSE);
	assert_int_equal(pair_change(BV_OP_ZERO, 0, 512, false), -EIO);
}

/* A shadow that cannot punch holes is written with zeros. */
static int write_zeros(const struct bv_change *change)
{
	static const unsigned char zeros[PAIR_BYTES];

	return pwrite(change->fd, zeros, change->length,
		      (off_t)change->offset) < 0 ? -errno : 0;
}

static void without_fallocate(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fallocate, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, rules };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(77);
	pair_hook.apply = write_zeros;
	CHECK(pair_change(BV_OP_ZERO, 1, PAIR_BYTES - 2, false) == 0);
	CHECK(zero(pair.shadow, 1, PAIR_BYTES - 2));
	CHECK(pair_same());
}

static void test_shadow_cannot_punch(void **state)
{
	int status = pair_child(without_fallocate);

	(void)state;
	if (WEXITSTATUS(status) == 77)
		print_message("# skipped: no seccomp\n");
	else
		assert_int_equal(status, 0);
}

/* ---- blindly ---- */

static int change_blindly(uint64_t offset, uint64_t length, uint64_t grow)
{
	struct bv_change change = {
		.call = "ioctl", .fd = pair.fd, .op = BV_OP_ZERO,
		.offset = offset, .length = length, .grows = grow,
		.apply = pair_change_hook,
	};

	return bv_change_blindly(pair.disk, &change);
}

static void test_blindly(void **state)
{
	(void)state;
	assert_int_equal(change_blindly(4096, 4096, false), 0);
	assert_true(pair_is_unknown(4096, 8192));
	assert_int_equal(change_blindly(PAIR_BYTES, 100, true), 0);
	assert_int_equal(size(), PAIR_BYTES + 100);
	assert_true(pair_read_all());
	check_same(PAIR_BYTES + 100);
}

static void test_lasting(void **state)
{
	(void)state;
	bv_change_lasting(pair.disk, 4096, 4096);
	for (int i = 0; i < 3; i++) {
		pair_spoil(pair.target, 5000 + (uint64_t)i);
		assert_true(pair_read_all());
		assert_int_equal(pair_write_pattern(8192, 0, (unsigned)i), 8192);
	}
	assert_int_equal(pair_said("blkverify"), 0);
	assert_true(pair_is_unknown(4096, 8192));
	bv_change_lasting(pair.disk, 60000, UINT64_MAX);
	assert_true(pair_is_unknown(60000, UINT64_MAX));
}

/* ---- flush ---- */

static void test_flush(void **state)
{
	(void)state;
	assert_int_equal(bv_flush(pair.disk, "fsync", pair.fd, 0), 0);
	assert_int_equal(bv_flush(pair.disk, "fsync", pair.fd, -EINTR), -EINTR);
	assert_false(bv_unknown_any(pair.disk));
	assert_int_equal(pair_said("blkverify"), 0);
}

static void test_flush_fails(void **state)
{
	(void)state;
	assert_int_equal(bv_flush(pair.disk, "fsync", pair.fd, -EIO), -EIO);
	assert_int_equal(pair_said("blkverify: flush"), 1);
	assert_int_equal(pair_said("return value mismatch -5 != 0\n"), 1);
	/* What was written may have been lost: it is learnt anew. */
	assert_true(pair_is_unknown(0, PAIR_BYTES));
	pair_spoil(pair.target, 77);
	assert_true(pair_read_all());
	assert_int_equal(pair_said("contents"), 0);
	assert_false(bv_unknown_any(pair.disk));
	pair_policy(BV_MISMATCH_LOG, BV_ERROR_PASS, BV_UNVERIFIED_REFUSE);
	pair_hush();
	assert_int_equal(bv_flush(pair.disk, "fsync", pair.fd, -ENOSPC), -ENOSPC);
	assert_int_equal(pair_said("blkverify"), 0);
}

/* ---- what the run knows of itself ---- */

/* A process that began with a change has done verified I/O as well. */
static void test_processes_are_counted(void **state)
{
	(void)state;
	assert_int_equal(resize(8192), 0);
	assert_int_equal(pair_read(bytes, 512, 0), 512);
	assert_int_equal(pair_write_pattern(512, 0, 1), 512);
	assert_int_equal(atomic_load(&pair.disk->state->processes), 1);
}

static void test_history_tells(void **state)
{
	(void)state;
	assert_int_equal(pair_change(BV_OP_ZERO, 4096, 512, false), 0);
	pair_spoil(pair.target, 4100);
	pair_read(bytes, 512, 4096);
	assert_int_equal(pair_said("changed by: zero offset=4096 length=512 "
				   "result=0"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_begin, pair_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_shrink),
		TEST(test_grow),
		TEST(test_shrink_and_grow),
		TEST(test_same_length),
		TEST(test_shrink_ends_what_was_unknown),
		TEST(test_grows_to),
		TEST(test_target_does_not_shrink),
		TEST(test_zero_inside),
		TEST(test_zero_over_the_end_keeps_the_length),
		TEST(test_zero_grows),
		TEST(test_zero_ends_unknown),
		TEST(test_target_does_not_zero),
		TEST(test_discard_is_learnt),
		TEST(test_discard_need_not_zero),
		TEST(test_failure_is_a_mismatch),
		TEST(test_failure_is_passed_on),
		TEST(test_failed_resize_got_half_way),
		TEST(test_what_is_the_calls_own_fault),
		TEST(test_bad_arguments),
		TEST(test_shadow_fails),
		TEST(test_shadow_cannot_punch),
		TEST(test_blindly),
		TEST(test_lasting),
		TEST(test_flush),
		TEST(test_flush_fails),
		TEST(test_processes_are_counted),
		TEST(test_history_tells),
	};

	return cmocka_run_group_tests_name("change", tests, pair_limit, NULL);
}
