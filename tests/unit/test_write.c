/* write: mirrored writes. */
#include "pair.h"

static unsigned char bytes[PAIR_BYTES];

static bool shadow_is(uint64_t offset, size_t n, unsigned seed)
{
	pair_get(pair.shadow, bytes, n, offset);
	return pair_is_pattern(bytes, n, offset, seed);
}

static bool shadow_is_zero(uint64_t offset, size_t n)
{
	pair_get(pair.shadow, bytes, n, offset);
	for (size_t i = 0; i < n; i++)
		if (bytes[i])
			return false;
	return true;
}

static uint64_t size(void)
{
	return atomic_load(&pair.disk->state->size);
}

static void test_write_anywhere(void **state)
{
	static const int64_t offsets[] = { 0, 1, 511, 4096, 30001 };

	(void)state;
	for (size_t i = 0; i < sizeof(offsets) / sizeof(*offsets); i++)
		for (size_t n = 1; n <= 8192; n = n * 3 + 1) {
			unsigned seed = (unsigned)(i * 100 + n);

			assert_int_equal(pair_write_pattern(n, offsets[i], seed),
					 n);
			assert_true(shadow_is((uint64_t)offsets[i], n, seed));
			assert_true(pair_same());
		}
	assert_true(pair_read_all());
	assert_int_equal(pair_said("blkverify"), 0);
	assert_false(bv_unknown_any(pair.disk));
}

static void test_write_of_nothing(void **state)
{
	(void)state;
	assert_int_equal(pair_write(bytes, 0, 0), 0);
	assert_int_equal(pair_write(bytes, 0, PAIR_BYTES + 100), 0);
	assert_int_equal(size(), PAIR_BYTES);
	assert_true(pair_same());
}

static void test_write_in_pieces(void **state)
{
	size_t n = 3 * BV_PIECE + 777;

	(void)state;
	assert_int_equal(pair_write_pattern(n, 1000, 4), n);
	assert_int_equal(size(), n + 1000);
	assert_true(pair_same());
	assert_true(pair_read_all());
	assert_int_equal(pair_said("blkverify"), 0);
}

static void test_write_extends(void **state)
{
	(void)state;
	assert_int_equal(pair_write_pattern(1000, PAIR_BYTES - 500, 1), 1000);
	assert_int_equal(size(), PAIR_BYTES + 500);
	assert_true(pair_same());
	assert_int_equal(pair_write_pattern(1000, PAIR_BYTES + 500, 2), 1000);
	assert_int_equal(size(), PAIR_BYTES + 1500);
	assert_true(pair_same());
	assert_true(pair_read_all());
	assert_int_equal(pair_said("blkverify"), 0);
}

static void test_write_leaves_a_gap(void **state)
{
	(void)state;
	assert_int_equal(pair_write_pattern(100, PAIR_BYTES + 9000, 1), 100);
	assert_int_equal(size(), PAIR_BYTES + 9100);
	assert_true(shadow_is_zero(PAIR_BYTES, 9000));
	assert_true(pair_same());
	/* What is in it is known to be zero. */
	assert_true(pair_read_all());
	pair_spoil(pair.target, PAIR_BYTES + 5);
	assert_true(pair_read_all());
	assert_int_equal(pair_said("contents mismatch"), 1);
}

static void test_write_of_a_list(void **state)
{
	static unsigned char part[2][1000];
	struct iovec iov[] = { { part[0], 1000 }, { NULL, 0 }, { part[1], 500 },
			       { part[0], 10 } };
	struct bv_request request = {
		.call = "pwritev", .fd = pair.fd, .iov = iov, .count = 4,
		.offset = 123,
	};

	(void)state;
	pair_pattern(part[0], 1000, 123, 3);
	pair_pattern(part[1], 500, 1123, 3);
	assert_int_equal(bv_write(pair.disk, &request), 1510);
	assert_true(shadow_is(123, 1500, 3));
	assert_true(pair_same());
}

static void test_write_at_the_position(void **state)
{
	(void)state;
	pair_pattern(bytes, 500, 1000, 6);
	lseek(pair.fd, 1000, SEEK_SET);
	assert_int_equal(pair_write(bytes, 500, -1), 500);
	assert_int_equal(lseek(pair.fd, 0, SEEK_CUR), 1500);
	assert_true(shadow_is(1000, 500, 6));
	assert_true(pair_same());
}

/* With O_APPEND the offset counts for nothing, to pwrite neither. */
static void test_append(void **state)
{
	(void)state;
	assert_int_equal(fcntl(pair.fd, F_SETFL, O_APPEND), 0);
	assert_int_equal(pair_write_pattern(100, 5, 1), 100);
	assert_int_equal(size(), PAIR_BYTES + 100);
	assert_true(pair_same());
	lseek(pair.fd, 0, SEEK_SET);
	assert_int_equal(pair_write(bytes, 1000, -1), 1000);
	assert_int_equal(lseek(pair.fd, 0, SEEK_CUR), PAIR_BYTES + 1100);
	assert_true(pair_same());
	assert_int_equal(pair_write_pattern(BV_PIECE + 10, 0, 2), BV_PIECE + 10);
	assert_true(pair_same());
	assert_int_equal(fcntl(pair.fd, F_SETFL, 0), 0);
	assert_int_equal(pair_transfer(true, pair.fd, bytes, 100, 5, RWF_APPEND),
			 100);
	assert_int_equal(size(), PAIR_BYTES + 1210 + BV_PIECE);
	assert_true(pair_same());
	assert_true(pair_read_all());
	assert_int_equal(pair_said("blkverify"), 0);
}

/* Another descriptor of the same description, in whatever process. */
static void test_appends_from_now_on(void **state)
{
	int other = dup(pair.fd);

	(void)state;
	assert_int_equal(pair_write_pattern(100, 5, 1), 100);
	assert_int_equal(size(), PAIR_BYTES);
	assert_true(bv_fd_never_appends(pair.fd, pair.disk));
	atomic_store(&pair.disk->state->appending, 1);
	assert_int_equal(fcntl(other, F_SETFL, O_APPEND), 0);
	assert_int_equal(pair_write_pattern(100, 5, 1), 100);
	assert_int_equal(size(), PAIR_BYTES + 100);
	assert_true(pair_same());
	close(other);
}

static void test_bad_calls(void **state)
{
	int reader = open(pair.target, O_RDONLY);

	(void)state;
	assert_int_equal(pair_write(NULL, 512, 0), -EFAULT);
	assert_int_equal(pair_transfer(true, pair.fd, bytes, 512, INT64_MAX, 0),
			 -EINVAL);
	assert_int_equal(pair_transfer(true, reader, bytes, 512, 0, 0), -EBADF);
	assert_int_equal(pair_transfer(true, pair.fd, bytes, 512, 0, 0x4000),
			 -EOPNOTSUPP);
	assert_true(pair_same());
	assert_int_equal(pair_said("blkverify"), 0);
	assert_false(bv_unknown_any(pair.disk));
	close(reader);
}

/* As much as could be had of it. */
static void test_memory_that_ends(void **state)
{
	unsigned char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	memset(map, 7, 4096);
	assert_int_equal(mprotect(map + 4096, 4096, PROT_NONE), 0);
	assert_int_equal(pair_write(map + 4000, 512, 100), 96);
	assert_int_equal(pair_write(map + 4096, 512, 100), -EFAULT);
	assert_true(pair_same());
	munmap(map, 8192);
}

/* ---- targets that misbehave ---- */

static int error;

static ssize_t takes_a_few(int fd, const void *from, size_t n, off64_t offset)
{
	return pwrite64(fd, from, n < 100 ? n : 100, offset);
}

static void test_short_write(void **state)
{
	(void)state;
	pair_hook.pwrite = takes_a_few;
	assert_int_equal(pair_write_pattern(4096, 1000, 1), 100);
	assert_true(pair_same());
	assert_int_equal(pair_write_pattern(4096, PAIR_BYTES, 1), 100);
	assert_int_equal(size(), PAIR_BYTES + 100);
	assert_true(pair_same());
	/* Nor do further pieces follow. */
	assert_int_equal(pair_write_pattern(2 * BV_PIECE, 0, 2), 100);
	assert_true(pair_same());
	assert_int_equal(pair_said("blkverify"), 0);
}

static ssize_t writes_wrong(int fd, const void *from, size_t n, off64_t offset)
{
	unsigned char *wrong = malloc(n);
	ssize_t put;

	memcpy(wrong, from, n);
	wrong[n / 2] ^= 1;
	put = pwrite64(fd, wrong, n, offset);
	free(wrong);
	return put;
}

static void test_wrong_bytes_are_found_at_the_next_read(void **state)
{
	(void)state;
	pair_hook.pwrite = writes_wrong;
	assert_int_equal(pair_write_pattern(4096, 4096, 1), 4096);
	assert_int_equal(pair_said("blkverify"), 0);
	assert_int_equal(pair_read(bytes, 4096, 4096), 4096);
	assert_int_equal(pair_said("at offset 6144\n"), 1);
	assert_int_equal(pair_said("changed by: write offset=4096 length=4096"),
			 1);
}

static ssize_t lost(int fd, const void *from, size_t n, off64_t offset)
{
	(void)fd, (void)from, (void)offset;
	return (ssize_t)n;
}

static void test_lost_write(void **state)
{
	(void)state;
	pair_hook.pwrite = lost;
	assert_int_equal(pair_write_pattern(512, 4096, 1), 512);
	assert_int_equal(pair_read(bytes, 512, 4096), 512);
	assert_int_equal(pair_said("contents mismatch"), 1);
}

static ssize_t misplaced(int fd, const void *from, size_t n, off64_t offset)
{
	return pwrite64(fd, from, n, offset + 512);
}

static void test_misplaced_write(void **state)
{
	(void)state;
	pair_hook.pwrite = misplaced;
	assert_int_equal(pair_write_pattern(512, 4096, 1), 512);
	assert_int_equal(pair_read(bytes, 512, 4608), 512);
	assert_int_equal(pair_said("contents mismatch"), 1);
}

/* Half of it reached the target before it failed. */
static ssize_t torn(int fd, const void *from, size_t n, off64_t offset)
{
	if (pwrite64(fd, from, n / 2, offset) < 0)
		abort();
	errno = error;
	return -1;
}

static void test_failure_is_a_mismatch(void **state)
{
	(void)state;
	pair_hook.pwrite = torn;
	error = ENOSPC;
	assert_int_equal(pair_write_pattern(512, 0, 1), -ENOSPC);
	assert_int_equal(pair_said("blkverify: write sector_num=0 nb_sectors=1 "
				   "return value mismatch -28 != 512\n"), 1);
	assert_true(pair_is_unknown(0, 512));
}

static void test_failure_is_passed_on(void **state)
{
	(void)state;
	pair_policy(BV_MISMATCH_LOG, BV_ERROR_PASS, BV_UNVERIFIED_REFUSE);
	pair_hook.pwrite = torn;
	error = EIO;
	assert_int_equal(pair_write_pattern(4096, 4096, 1), -EIO);
	assert_int_equal(pair_said("blkverify"), 0);
	assert_true(pair_is_unknown(4096, 8192));
	/* A read learns it, a write ends it. */
	assert_int_equal(pair_read(bytes, 1024, 4096), 1024);
	assert_true(pair_is_unknown(5120, 8192));
	pair_hook.pwrite = NULL;
	assert_int_equal(pair_write_pattern(2048, 5120, 2), 2048);
	assert_true(pair_is_known(0, 7168));
	assert_true(pair_is_unknown(7168, 8192));
	assert_true(pair_read_all());
	assert_false(bv_unknown_any(pair.disk));
	assert_true(pair_same());
	assert_int_equal(pair_said("blkverify"), 0);
	pair_spoil(pair.target, 4100);
	pair_spoil(pair.target, 8100);
	assert_true(pair_read_all());
	assert_int_equal(pair_said("contents mismatch"), 1);
}

static void test_failed_extension(void **state)
{
	(void)state;
	pair_policy(BV_MISMATCH_LOG, BV_ERROR_PASS, BV_UNVERIFIED_REFUSE);
	pair_hook.pwrite = torn;
	error = ENOSPC;
	assert_int_equal(pair_write_pattern(4096, PAIR_BYTES + 100, 1), -ENOSPC);
	assert_int_equal(size(), PAIR_BYTES + 100 + 2048);
	assert_int_equal(pair_length(pair.shadow), PAIR_BYTES + 100 + 2048);
	assert_true(pair_read_all());
	assert_true(pair_same());
	assert_int_equal(pair_said("blkverify"), 0);
}

static void test_what_is_the_calls_own_fault(void **state)
{
	static const int mine[] = { EINTR, EAGAIN, EBADF, EINVAL, EPERM };

	(void)state;
	pair_hook.pwrite = torn;
	for (size_t i = 0; i < sizeof(mine) / sizeof(*mine); i++) {
		error = mine[i];
		/* One byte: half of it is nothing. */
		assert_int_equal(pair_write_pattern(1, 512, 1), -error);
	}
	assert_int_equal(pair_said("blkverify"), 0);
	assert_false(bv_unknown_any(pair.disk));
	assert_true(pair_same());
}

static ssize_t no_room(int fd, const void *from, size_t n, off64_t offset)
{
	(void)fd, (void)from, (void)n, (void)offset;
	errno = error;
	return -1;
}

/* A device ends where it ends, and says so with ENOSPC. */
static void test_fixed_target_past_its_end(void **state)
{
	(void)state;
	pair_hook.pwrite = no_room;
	pair.disk->fixed = true;
	error = ENOSPC;
	assert_int_equal(pair_write_pattern(512, PAIR_BYTES, 1), -ENOSPC);
	assert_int_equal(pair_said("blkverify"), 0);
	assert_false(bv_unknown_any(pair.disk));
	assert_int_equal(pair_write_pattern(512, PAIR_BYTES - 512, 1), -ENOSPC);
	assert_int_equal(pair_said("return value mismatch -28 != 512\n"), 1);
}

static ssize_t fails_in_the_second_piece(int fd, const void *from, size_t n,
					 off64_t offset)
{
	if (offset >= BV_PIECE)
		return no_room(fd, from, n, offset);
	return pwrite64(fd, from, n, offset);
}

static void test_failure_after_some_pieces(void **state)
{
	(void)state;
	pair_policy(BV_MISMATCH_LOG, BV_ERROR_PASS, BV_UNVERIFIED_REFUSE);
	pair_hook.pwrite = fails_in_the_second_piece;
	error = ENOSPC;
	assert_int_equal(pair_write_pattern(2 * BV_PIECE, 0, 1), BV_PIECE);
	assert_int_equal(size(), BV_PIECE);
	assert_true(pair_read_all());
	assert_true(pair_same());
	assert_int_equal(pair_said("blkverify"), 0);
}

/* A guest changes its buffer while it is being written: target and shadow get
 * the same bytes all the same. */
static unsigned char unsteady[4096];

static ssize_t changes_under_way(int fd, const void *from, size_t n,
				 off64_t offset)
{
	ssize_t put = pwrite64(fd, from, n, offset);

	memset(unsteady, 0x55, sizeof(unsteady));
	return put;
}

static void test_buffer_changes_during_the_write(void **state)
{
	(void)state;
	pair_pattern(unsteady, sizeof(unsteady), 0, 1);
	pair_hook.pwrite = changes_under_way;
	assert_int_equal(pair_write(unsteady, sizeof(unsteady), 4096), 4096);
	assert_true(pair_same());
}

/* ---- failures of the shadow ---- */

/* Ours, and never the program's ENOSPC. */
static void fill_shadow(void)
{
	pair_replace_shadow("/dev/full", O_RDWR);
	assert_int_equal(pair_write_pattern(4096, 4096, 1), 4096);
	assert_int_equal(pair_said("blkverify: write sector_num=8 nb_sectors=8 "
				   "shadow"), 1);
	assert_true(pair_said("ENOSPC") >= 1);
	assert_int_equal(pair_said("return value"), 0);
	assert_int_equal(atomic_load(&pair.disk->count.errors), 1);
	assert_int_equal(atomic_load(&pair.disk->state->errors), 1);
	assert_int_equal(atomic_load(&pair.disk->state->shadow_errors), 1);
	assert_int_equal(atomic_load(&pair.disk->count.mismatches), 0);
	assert_true(pair_is_unknown(4096, 8192));
	pair_policy(BV_MISMATCH_EIO, BV_ERROR_PASS, BV_UNVERIFIED_REFUSE);
	assert_int_equal(pair_write_pattern(4096, 0, 1), -EIO);
}

static void test_shadow_is_full(void **state)
{
	(void)state;
	/* /dev/full stays at position 0, whatever it is told. */
	pair.disk->shadow_mark = 0;
	lseek(pair.disk->shadow_fd, 0, SEEK_SET);
	fill_shadow();
}

static void test_shadow_cannot_be_written(void **state)
{
	(void)state;
	pair_replace_shadow(pair.shadow, O_RDONLY);
	assert_int_equal(pair_write_pattern(4096, PAIR_BYTES, 1), 4096);
	assert_int_equal(pair_said(" shadow"), 2);
	assert_int_equal(size(), PAIR_BYTES + 4096);
	assert_true(pair_is_unknown(PAIR_BYTES, PAIR_BYTES + 4096));
}

/* ---- a shadow that may only be read ---- */

static void make_read_only(enum bv_on_unverified policy)
{
	pair_policy(BV_MISMATCH_LOG, BV_ERROR_MISMATCH, policy);
	pair_replace_shadow(pair.shadow, O_RDONLY);
	pair.disk->shadow_writable = false;
}

static void test_read_only_shadow_refuses(void **state)
{
	(void)state;
	make_read_only(BV_UNVERIFIED_REFUSE);
	assert_int_equal(pair_write_pattern(512, 0, 1), -EROFS);
	assert_int_equal(pair_change(BV_OP_ZERO, 0, 512, false), -EROFS);
	assert_int_equal(pair_said("refused"), 2);
	assert_int_equal(atomic_load(&pair.disk->state->unverified), 2);
	assert_int_equal(atomic_load(&pair.disk->state->refused), 2);
	assert_int_equal(atomic_load(&pair.disk->state->processes), 0);
	assert_true(pair_same());
	assert_true(pair_read_all());
	assert_int_equal(pair_said("mismatch"), 0);
}

/* Let through, and never compared again; nobody's fault. */
static void test_read_only_shadow_warns(void **state)
{
	(void)state;
	make_read_only(BV_UNVERIFIED_WARN);
	assert_int_equal(pair_write_pattern(512, 512, 1), 512);
	assert_int_equal(pair_said("let through unverified"), 1);
	assert_true(pair_is_unknown(512, 1024));
	assert_int_equal(pair_change(BV_OP_ZERO, 4096, 512, false), 0);
	assert_true(pair_is_unknown(4096, 4608));
	assert_int_equal(pair_write_pattern(512, PAIR_BYTES, 1), 512);
	assert_true(pair_read_all());
	assert_int_equal(pair_said("mismatch"), 0);
	assert_int_equal(pair_said("read sector"), 0);
	assert_int_equal(pair_said("write sector"), 0);
	assert_int_equal(pair_said("zero sector"), 0);
	assert_int_equal(atomic_load(&pair.disk->count.errors), 0);
	assert_int_equal(atomic_load(&pair.disk->state->unverified), 3);
	assert_int_equal(atomic_load(&pair.disk->state->refused), 0);
	assert_int_equal(atomic_load(&pair.disk->state->writes), 0);
	pair_spoil(pair.target, 2000);
	assert_true(pair_read_all());
	assert_int_equal(pair_said("contents mismatch"), 1);
}

/* ---- descriptors that are not what they were ---- */

static int innocent;

static ssize_t swapped(int fd, const void *from, size_t n, off64_t offset)
{
	dup2(innocent, fd);
	return pwrite64(fd, from, n, offset);
}

static ssize_t swapped_and_fails(int fd, const void *from, size_t n,
				 off64_t offset)
{
	dup2(innocent, fd);
	error = EIO;
	return no_room(fd, from, n, offset);
}

static void make_innocent(void)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/innocent", pair.directory);
	pair_make_file(path, 8192);
	innocent = open(path, O_RDWR);
}

static void test_innocent_file_is_not_mirrored(void **state)
{
	(void)state;
	make_innocent();
	pair_hook.pwrite = swapped;
	assert_int_equal(pair_write_pattern(512, 512, 9), 512);
	assert_true(pair_same());
	close(innocent);
}

static void test_innocent_file_is_not_blamed(void **state)
{
	(void)state;
	make_innocent();
	pair_hook.pwrite = swapped_and_fails;
	assert_int_equal(pair_write_pattern(512, 512, 9), -EIO);
	assert_int_equal(pair_said("blkverify"), 0);
	close(innocent);
}

static void test_counts(void **state)
{
	(void)state;
	pair_write_pattern(1000, 0, 1);
	pair_write_pattern(24, 0, 1);
	assert_int_equal(atomic_load(&pair.disk->count.writes), 2);
	assert_int_equal(atomic_load(&pair.disk->count.write_bytes), 1024);
	assert_int_equal(atomic_load(&pair.disk->state->processes), 1);
	assert_int_equal(atomic_load(&pair.disk->state->writes), 2);
	assert_int_equal(atomic_load(&pair.disk->state->write_bytes), 1024);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_begin, pair_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_write_anywhere),
		TEST(test_write_of_nothing),
		TEST(test_write_in_pieces),
		TEST(test_write_extends),
		TEST(test_write_leaves_a_gap),
		TEST(test_write_of_a_list),
		TEST(test_write_at_the_position),
		TEST(test_append),
		TEST(test_appends_from_now_on),
		TEST(test_bad_calls),
		TEST(test_memory_that_ends),
		TEST(test_short_write),
		TEST(test_wrong_bytes_are_found_at_the_next_read),
		TEST(test_lost_write),
		TEST(test_misplaced_write),
		TEST(test_failure_is_a_mismatch),
		TEST(test_failure_is_passed_on),
		TEST(test_failed_extension),
		TEST(test_what_is_the_calls_own_fault),
		TEST(test_fixed_target_past_its_end),
		TEST(test_failure_after_some_pieces),
		TEST(test_buffer_changes_during_the_write),
		TEST(test_shadow_is_full),
		TEST(test_shadow_cannot_be_written),
		TEST(test_read_only_shadow_refuses),
		TEST(test_read_only_shadow_warns),
		TEST(test_innocent_file_is_not_mirrored),
		TEST(test_innocent_file_is_not_blamed),
		TEST(test_counts),
	};

	return cmocka_run_group_tests_name("write", tests, pair_limit, NULL);
}
