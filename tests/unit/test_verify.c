/* verify: verified reads. */
#include "pair.h"

static unsigned char bytes[PAIR_BYTES + 4096];

/* ---- reads that agree ---- */

static void test_read_anywhere(void **state)
{
	static const int64_t offsets[] = { 0, 1, 511, 512, 4095, 65000, 65535 };

	(void)state;
	for (size_t i = 0; i < sizeof(offsets) / sizeof(*offsets); i++)
		for (size_t n = 1; n <= 8192; n = n * 3 + 1) {
			size_t left = PAIR_BYTES - (size_t)offsets[i];
			size_t want = n < left ? n : left;

			memset(bytes, 0, sizeof(bytes));
			assert_int_equal(pair_read(bytes, n, offsets[i]), want);
			assert_true(pair_is_pattern(bytes, want,
						    (uint64_t)offsets[i], 0));
			assert_int_equal(bytes[want], 0);
		}
	assert_int_equal(pair_said("mismatch"), 0);
}

static void test_read_at_the_end(void **state)
{
	(void)state;
	assert_int_equal(pair_read(bytes, 512, PAIR_BYTES), 0);
	assert_int_equal(pair_read(bytes, 512, PAIR_BYTES + 12345), 0);
	assert_int_equal(pair_read(bytes, 0, 0), 0);
	assert_int_equal(pair_read(bytes, 0, PAIR_BYTES + 1), 0);
	assert_int_equal(pair_read(bytes, 4096, PAIR_BYTES - 1), 1);
	assert_int_equal(pair_said("mismatch"), 0);
}

/* Both sides anew, of n bytes; pair_restart comes next. */
static void make_large(size_t n)
{
	pair_stop();
	pair_make_file(pair.target, n);
	pair_make_file(pair.shadow, n);
}

/* Larger than a piece, and no multiple of one. */
static void test_read_in_pieces(void **state)
{
	size_t n = 3 * BV_PIECE + 777;
	unsigned char *large = malloc(n);

	(void)state;
	make_large(n);
	pair_restart();
	assert_int_equal(pair_read(large, n, 0), n);
	assert_true(pair_is_pattern(large, n, 0, 0));
	pair_spoil(pair.target, 2 * BV_PIECE + 5);
	assert_int_equal(pair_read(large, n, 0), n);
	assert_int_equal(pair_said("contents mismatch in sector 1024 at offset "
				   "524293"), 1);
	free(large);
}

static void test_read_into_a_list(void **state)
{
	unsigned char part[3][1000];
	struct iovec iov[] = {
		{ part[0], 1000 }, { part[1], 0 }, { part[1], 1 }, { part[2], 999 },
	};
	struct bv_request request = {
		.call = "preadv", .fd = pair.fd, .iov = iov, .count = 4,
		.offset = 100,
	};

	(void)state;
	assert_int_equal(bv_read(pair.disk, &request), 2000);
	assert_true(pair_is_pattern(part[0], 1000, 100, 0));
	assert_true(pair_is_pattern(part[1], 1, 1100, 0));
	assert_true(pair_is_pattern(part[2], 999, 1101, 0));
}

/* What lies in one buffer twice is compared before it is scattered. */
static void test_one_buffer_twice(void **state)
{
	struct iovec iov[] = { { bytes, 512 }, { bytes, 512 }, { bytes, 100 } };
	struct bv_request request = {
		.call = "preadv", .fd = pair.fd, .iov = iov, .count = 3,
	};

	(void)state;
	assert_int_equal(bv_read(pair.disk, &request), 1124);
	assert_true(pair_is_pattern(bytes, 100, 1024, 0));
	assert_true(pair_is_pattern(bytes + 100, 412, 612, 0));
	assert_int_equal(pair_said("mismatch"), 0);
}

static void test_read_at_the_position(void **state)
{
	(void)state;
	assert_int_equal(lseek(pair.fd, 1000, SEEK_SET), 1000);
	assert_int_equal(pair_read(bytes, 500, -1), 500);
	assert_true(pair_is_pattern(bytes, 500, 1000, 0));
	assert_int_equal(lseek(pair.fd, 0, SEEK_CUR), 1500);
	assert_int_equal(bv_seek(pair.disk, "lseek64", pair.fd, -100, SEEK_END),
			 PAIR_BYTES - 100);
	assert_int_equal(pair_read(bytes, 500, -1), 100);
	assert_int_equal(pair_read(bytes, 500, -1), 0);
	assert_int_equal(lseek(pair.fd, 0, SEEK_CUR), PAIR_BYTES);
	assert_int_equal(bv_seek(pair.disk, "lseek64", pair.fd, -1, SEEK_SET), -EINVAL);
}

static struct iovec many[1024];

/* What the kernel refuses is refused as the kernel does it, and nothing is
 * said of it. */
static void test_bad_calls(void **state)
{
	struct bv_request request = { .call = "preadv", .fd = pair.fd,
				      .iov = many, .count = 2 };
	int closed = dup(pair.fd);

	(void)state;
	many[0] = (struct iovec){ bytes, 512 };
	many[1] = (struct iovec){ bytes, (size_t)-1 };
	assert_int_equal(bv_read(pair.disk, &request), -EINVAL);
	request.iov = (struct iovec *)8;
	assert_int_equal(bv_read(pair.disk, &request), -EFAULT);
	request.iov = NULL;
	assert_int_equal(bv_read(pair.disk, &request), -EFAULT);
	request.count = 0;
	assert_int_equal(bv_read(pair.disk, &request), 0);
	assert_int_equal(pair_read(NULL, 512, 0), -EFAULT);
	assert_int_equal(pair_read(NULL, 0, 0), 0);
	assert_int_equal(pair_transfer(false, pair.fd, bytes, 512, INT64_MAX, 0),
			 -EINVAL);
	close(closed);
	assert_int_equal(pair_transfer(false, closed, bytes, 512, 0, 0), -EBADF);
	assert_int_equal(pair_said("blkverify"), 0);
}

static void test_memory_that_ends(void **state)
{
	unsigned char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_int_equal(mprotect(map + 4096, 4096, PROT_NONE), 0);
	assert_int_equal(pair_read(map + 4000, 512, 0), 96);
	assert_true(pair_is_pattern(map + 4000, 96, 0, 0));
	assert_int_equal(pair_read(map + 4096, 512, 0), -EFAULT);
	munmap(map, 8192);
}

/* O_DIRECT answers EINVAL to what is misaligned: the private buffer has to be
 * as the program's is. */
static uintptr_t alignment;

static ssize_t look_at_address(int fd, void *to, size_t n, off64_t offset)
{
	alignment = (uintptr_t)to & 4095;
	return pread64(fd, to, n, offset);
}

static void test_misaligned_as_the_program_is(void **state)
{
	static _Alignas(4096) unsigned char aligned[16384];
	static const size_t at[] = { 0, 1, 512, 513, 4095 };
	struct iovec iov[] = { { aligned, 512 }, { aligned + 1024, 1024 } };
	struct bv_request request = { .call = "preadv", .fd = pair.fd,
				      .iov = iov, .count = 2 };

	(void)state;
	pair_hook.pread = look_at_address;
	for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++) {
		assert_int_equal(pair_read(aligned + at[i], 4096, 0), 4096);
		assert_int_equal(alignment, at[i]);
		assert_true(pair_is_pattern(aligned + at[i], 4096, 0, 0));
	}
	assert_int_equal(bv_read(pair.disk, &request), 1536);
	assert_int_equal(alignment % 512, 0);
	iov[0].iov_len = 100;
	assert_int_equal(bv_read(pair.disk, &request), 1124);
	assert_int_not_equal(alignment % 512, 0);
}

static void test_counts(void **state)
{
	(void)state;
	pair_read(bytes, 1000, 0);
	pair_read(bytes, 1000, PAIR_BYTES - 100);
	assert_int_equal(atomic_load(&pair.disk->count.reads), 2);
	assert_int_equal(atomic_load(&pair.disk->count.read_bytes), 1100);
	assert_int_equal(atomic_load(&pair.disk->state->processes), 1);
	assert_int_equal(atomic_load(&pair.disk->state->first_here), 1);
	assert_int_equal(atomic_load(&pair.disk->state->reads), 2);
	assert_int_equal(atomic_load(&pair.disk->state->read_bytes), 1100);
}

static void read_and_die(void)
{
	CHECK(pair_read(bytes, 1000, 0) == 1000);
	CHECK(atomic_load(&pair.disk->count.reads) == 1);
	kill(getpid(), SIGKILL);
}

static void test_counts_what_the_killed_did(void **state)
{
	(void)state;
	pair_read(bytes, 1000, 0);
	assert_int_equal(pair_child(read_and_die), SIGKILL);
	assert_int_equal(atomic_load(&pair.disk->count.reads), 1);
	assert_int_equal(atomic_load(&pair.disk->state->processes), 2);
	assert_int_equal(atomic_load(&pair.disk->state->first_here), 2);
	assert_int_equal(atomic_load(&pair.disk->state->reads), 2);
	assert_int_equal(atomic_load(&pair.disk->state->read_bytes), 2000);
}

/* ---- reads that do not ---- */

static void test_every_byte_is_compared(void **state)
{
	(void)state;
	for (uint64_t i = 1000; i < 3000; i += 7) {
		char where[128];

		pair_spoil(pair.target, i);
		assert_int_equal(pair_read(bytes, 2000, 1000), 2000);
		snprintf(where, sizeof(where), "blkverify: read sector_num=1 "
			 "nb_sectors=5 contents mismatch in sector %u at offset "
			 "%u\n", (unsigned)i / 512, (unsigned)i);
		assert_int_equal(pair_said(where), 1);
		assert_int_equal(pair_said("contents mismatch"), 1);
		pair_spoil(pair.target, i);
		pair_hush();
	}
	assert_int_equal(pair_read(bytes, 2000, 1000), 2000);
	assert_int_equal(pair_said("blkverify"), 0);
}

/* The only runs that differ are of one byte, at first and last, or between. */
static void told(size_t first, size_t last)
{
	bool apart = last / 512 > first / 512 + 1;
	char line[128];

	snprintf(line, sizeof(line), "contents mismatch in sector %zu at offset "
		 "%zu\n", first / 512, first);
	assert_int_equal(pair_said(line), 1);
	assert_int_equal(pair_said("contents mismatch"), 1);
	assert_int_equal(pair_said("  sectors "), apart ? 2 : 1);
	snprintf(line, sizeof(line), "bytes %zu-%zu\n", first,
		 apart ? first : last);
	assert_int_equal(pair_said(line), 1);
	snprintf(line, sizeof(line), "bytes %zu-%zu\n", apart ? last : first,
		 last);
	assert_int_equal(pair_said(line), 1);
	pair_hush();
}

/* The shadow is compared in parts, and all of a piece is looked at for the
 * report. By turns in one piece and in the other, so that what a report finds in
 * the buffer is not what belongs there. */
static void test_pieces_are_told_whole(void **state)
{
	size_t n = 2 * BV_PIECE - BV_PART - 777;
	unsigned char *large = malloc(n);

	(void)state;
	make_large(n);
	pair_restart();
	for (size_t turn = 0; turn < n / BV_PART + 1; turn++) {
		size_t piece = turn % 2 * BV_PIECE;
		size_t part = piece + turn / 2 * BV_PART;
		size_t last = (n < piece + BV_PIECE ? n : piece + BV_PIECE) - 1;
		size_t end = n < part + BV_PART ? n : part + BV_PART;

		pair_spoil(pair.target, last);
		for (int i = 0; i < 3; i++) {
			size_t first = i == 0 ? part :
				       i == 1 ? part + 30000 : end - 2000;

			pair_spoil(pair.target, first);
			assert_int_equal(pair_read(large, n, 0), n);
			told(first, last);
			pair_spoil(pair.target, first);
		}
		pair_spoil(pair.target, last);
		pair_spoil(pair.target, end - 1);
		assert_int_equal(pair_read(large, n, 0), n);
		told(end - 1, end - 1);
		pair_spoil(pair.target, end - 1);
	}
	assert_int_equal(pair_read(large, n, 0), n);
	assert_int_equal(pair_said("blkverify"), 0);
	free(large);
}

/* Beside what was read, nothing is. */
static void test_neighbours_are_not_compared(void **state)
{
	(void)state;
	pair_spoil(pair.target, 999);
	pair_spoil(pair.target, 3000);
	assert_int_equal(pair_read(bytes, 2000, 1000), 2000);
	assert_int_equal(pair_said("blkverify"), 0);
}

/* With the call failing, the program never sees the bytes. */
static void test_mismatch_fails_the_call(void **state)
{
	(void)state;
	pair_policy(BV_MISMATCH_EIO, BV_ERROR_MISMATCH, BV_UNVERIFIED_REFUSE);
	pair_spoil(pair.target, 700);
	memset(bytes, 0xee, sizeof(bytes));
	assert_int_equal(pair_read(bytes, 1024, 0), -EIO);
	for (int i = 0; i < 1024; i++)
		assert_int_equal(bytes[i], 0xee);
	assert_int_equal(atomic_load(&pair.disk->count.mismatches), 1);
	assert_int_equal(atomic_load(&pair.disk->state->mismatches), 1);
	/* And is not confused by it afterwards. */
	assert_int_equal(pair_read(bytes, 512, 0), 512);
	pair_spoil(pair.target, 700);
	assert_int_equal(pair_read(bytes, 1024, 0), 1024);
}

/* Who is given less than he asked for may take that for the end of the file. */
static void test_mismatch_further_on_fails_the_call(void **state)
{
	size_t n = 3 * BV_PIECE;
	unsigned char *large = malloc(n);

	(void)state;
	make_large(n);
	pair.config.on_mismatch = BV_MISMATCH_EIO;
	pair_restart();
	pair_spoil(pair.target, BV_PIECE + 700);
	assert_int_equal(pair_read(large, n, 0), -EIO);
	assert_int_equal(pair_read(large, n, -1), -EIO);
	assert_int_equal(lseek(pair.fd, 0, SEEK_CUR), 0);
	assert_int_equal(pair_said("contents mismatch"), 2);
	pair_spoil(pair.target, BV_PIECE + 700);
	assert_int_equal(pair_read(large, n, 0), n);
	/* Nor does it end where it should not. */
	assert_int_equal(truncate(pair.target, 2 * BV_PIECE), 0);
	assert_int_equal(pair_read(large, n, 0), -EIO);
	assert_int_equal(pair_said("return value mismatch"), 1);
	free(large);
}

static void test_position_stays_when_the_call_fails(void **state)
{
	(void)state;
	pair_policy(BV_MISMATCH_EIO, BV_ERROR_MISMATCH, BV_UNVERIFIED_REFUSE);
	pair_spoil(pair.target, 700);
	assert_int_equal(pair_read(bytes, 1024, -1), -EIO);
	assert_int_equal(lseek(pair.fd, 0, SEEK_CUR), 0);
}

static ssize_t one_bit_once(int fd, void *to, size_t n, off64_t offset)
{
	ssize_t got = pread64(fd, to, n, offset);

	if (got > 0 && atomic_fetch_add(&pair_hook.calls, 1) == 0)
		((unsigned char *)to)[got / 2] ^= 1;
	return got;
}

static ssize_t one_bit_always(int fd, void *to, size_t n, off64_t offset)
{
	ssize_t got = pread64(fd, to, n, offset);

	if (offset <= 5000 && 5000 < offset + got)
		((unsigned char *)to)[5000 - offset] ^= 1;
	return got;
}

static void test_transient(void **state)
{
	(void)state;
	pair_hook.pread = one_bit_once;
	assert_int_equal(pair_read(bytes, 4096, 4096), 4096);
	assert_int_equal(pair_said("contents mismatch"), 1);
	assert_int_equal(pair_said("transient"), 1);
	assert_int_equal(pair_read(bytes, 4096, 4096), 4096);
	assert_int_equal(pair_said("contents mismatch"), 1);
}

static void test_lasting(void **state)
{
	(void)state;
	pair_hook.pread = one_bit_always;
	for (int64_t offset = 4096; offset <= 5000; offset += 113) {
		assert_int_equal(pair_read(bytes, 4096, offset), 4096);
		assert_int_equal(pair_said("contents mismatch"), 1);
		assert_int_equal(pair_said("transient"), 0);
		assert_int_equal(pair_said("lasting"), 1);
		pair_hush();
	}
}

/* ---- counts that differ ---- */

static ssize_t short_once(int fd, void *to, size_t n, off64_t offset)
{
	if (atomic_fetch_add(&pair_hook.calls, 1) == 0 && n > 100)
		n = 100;
	return pread64(fd, to, n, offset);
}

static ssize_t always_short(int fd, void *to, size_t n, off64_t offset)
{
	return pread64(fd, to, n < 100 ? n : 100, offset);
}

/* A signal may cut a read short; the rest is there. */
static void test_short_read_is_completed(void **state)
{
	(void)state;
	pair_hook.pread = short_once;
	assert_int_equal(pair_read(bytes, 4096, 100), 4096);
	assert_true(pair_is_pattern(bytes, 4096, 100, 0));
	atomic_store(&pair_hook.calls, 0);
	assert_int_equal(pair_read(bytes, 4096, PAIR_BYTES - 250), 250);
	assert_int_equal(pair_said("blkverify"), 0);
	pair_spoil(pair.target, 3333);
	atomic_store(&pair_hook.calls, 0);
	assert_int_equal(pair_read(bytes, 4096, 100), 4096);
	assert_int_equal(pair_said("at offset 3333\n"), 1);
}

/* One that is short each time ends there. */
static void test_short_read_is_reported(void **state)
{
	(void)state;
	pair_hook.pread = always_short;
	assert_int_equal(pair_read(bytes, 4096, 100), 100);
	assert_int_equal(pair_said("return value mismatch 100 != 4096\n"), 1);
	assert_int_equal(pair_read(bytes, 100, 100), 100);
	assert_int_equal(pair_said("mismatch"), 1);
	/* What there is of it is compared. */
	pair_spoil(pair.target, 133);
	assert_int_equal(pair_read(bytes, 4096, 100), 100);
	assert_int_equal(pair_said("at offset 133\n"), 1);
}

static ssize_t ends_at_5000(int fd, void *to, size_t n, off64_t offset)
{
	if (offset >= 5000)
		return 0;
	return pread64(fd, to, offset + (off64_t)n <= 5000 ? n
				: (size_t)(5000 - offset), offset);
}

static void test_early_end(void **state)
{
	(void)state;
	pair_hook.pread = ends_at_5000;
	assert_int_equal(pair_read(bytes, 512, 4096), 512);
	assert_int_equal(pair_said("blkverify"), 0);
	assert_int_equal(pair_read(bytes, 512, 4608), 392);
	assert_int_equal(pair_said("read sector_num=9 nb_sectors=1 "
				   "return value mismatch 392 != 512\n"), 1);
	assert_int_equal(pair_read(bytes, 512, 5120), 0);
	assert_int_equal(pair_said("return value mismatch 0 != 512\n"), 1);
	pair_policy(BV_MISMATCH_EIO, BV_ERROR_MISMATCH, BV_UNVERIFIED_REFUSE);
	assert_int_equal(pair_read(bytes, 512, 5120), -EIO);
}

static void test_target_is_longer(void **state)
{
	(void)state;
	assert_int_equal(ftruncate(pair.fd, PAIR_BYTES + 1000), 0);
	assert_int_equal(pair_read(bytes, 512, PAIR_BYTES - 100), 512);
	assert_int_equal(pair_said("return value mismatch 512 != 100\n"), 1);
	assert_int_equal(pair_read(bytes, 512, PAIR_BYTES), 512);
	assert_int_equal(pair_said("return value mismatch 512 != 0\n"), 1);
	/* What both have is compared all the same. */
	pair_spoil(pair.target, PAIR_BYTES - 50);
	pair_read(bytes, 512, PAIR_BYTES - 100);
	assert_int_equal(pair_said("contents mismatch"), 1);
}

/* ---- failures ---- */

static int error;

static ssize_t fails(int fd, void *to, size_t n, off64_t offset)
{
	(void)fd, (void)to, (void)n, (void)offset;
	errno = error;
	return -1;
}

static void test_failure_is_a_mismatch(void **state)
{
	(void)state;
	pair_hook.pread = fails;
	error = EIO;
	assert_int_equal(pair_read(bytes, 4096, 512), -EIO);
	assert_int_equal(pair_said("read sector_num=1 nb_sectors=8 return value "
				   "mismatch -5 != 4096\n"), 1);
	assert_false(bv_unknown_any(pair.disk));
	error = ENXIO;
	assert_int_equal(pair_read(bytes, 4096, 512), -ENXIO);
	assert_int_equal(pair_said("mismatch -6 != 4096\n"), 1);
}

static void test_failure_is_passed_on(void **state)
{
	(void)state;
	pair_policy(BV_MISMATCH_LOG, BV_ERROR_PASS, BV_UNVERIFIED_REFUSE);
	pair_hook.pread = fails;
	error = EIO;
	assert_int_equal(pair_read(bytes, 4096, 512), -EIO);
	assert_int_equal(pair_said("blkverify"), 0);
	assert_true(pair_is_unknown(512, 4608));
	pair_hook.pread = NULL;
	/* The first read that succeeds says what is there. */
	pair_spoil(pair.target, 1000);
	assert_int_equal(pair_read(bytes, 1024, 512), 1024);
	assert_true(pair_is_unknown(1536, 4608));
	assert_int_equal(pair_read(bytes, 8192, 0), 8192);
	assert_false(bv_unknown_any(pair.disk));
	assert_int_equal(pair_said("blkverify"), 0);
	assert_true(pair_same());
	/* And is held to it afterwards. */
	pair_spoil(pair.target, 1000);
	assert_int_equal(pair_read(bytes, 1024, 512), 1024);
	assert_int_equal(pair_said("at offset 1000\n"), 1);
}

static void test_what_is_the_calls_own_fault(void **state)
{
	static const int mine[] = { EINTR, EAGAIN, EFAULT, EBADF, EINVAL, EPERM };

	(void)state;
	pair_hook.pread = fails;
	for (size_t i = 0; i < sizeof(mine) / sizeof(*mine); i++) {
		error = mine[i];
		assert_int_equal(pair_read(bytes, 4096, 512), -error);
	}
	assert_int_equal(pair_said("blkverify"), 0);
	assert_false(bv_unknown_any(pair.disk));
}

/* FUSE exports and devices fail past their end, where a file reads nothing. */
static void test_fixed_target_past_its_end(void **state)
{
	(void)state;
	pair_hook.pread = fails;
	error = EIO;
	pair.disk->fixed = true;
	assert_int_equal(pair_read(bytes, 512, PAIR_BYTES), -EIO);
	assert_int_equal(pair_said("blkverify"), 0);
	assert_int_equal(pair_read(bytes, 512, PAIR_BYTES - 512), -EIO);
	assert_int_equal(pair_said("mismatch -5 != 512\n"), 1);
	pair.disk->fixed = false;
	assert_int_equal(pair_read(bytes, 512, PAIR_BYTES), -EIO);
	assert_int_equal(pair_said("mismatch -5 != 0\n"), 1);
}

static ssize_t fails_in_the_second_piece(int fd, void *to, size_t n,
					 off64_t offset)
{
	if (offset >= BV_PIECE)
		return fails(fd, to, n, offset);
	return pread64(fd, to, n, offset);
}

static void test_failure_after_some_pieces(void **state)
{
	size_t n = 2 * BV_PIECE;
	unsigned char *large = malloc(n);

	(void)state;
	make_large(n);
	pair_restart();
	pair_hook.pread = fails_in_the_second_piece;
	error = EIO;
	assert_int_equal(pair_read(large, n, 0), BV_PIECE);
	assert_true(pair_is_pattern(large, BV_PIECE, 0, 0));
	assert_int_equal(pair_said("return value mismatch"), 1);
	free(large);
}

/* ---- failures of the shadow ---- */

static void test_shadow_is_cut(void **state)
{
	(void)state;
	assert_int_equal(truncate(pair.shadow, 1000), 0);
	assert_int_equal(pair_read(bytes, 512, 2048), 512);
	assert_int_equal(pair_said("read sector_num=4 nb_sectors=1 shadow"), 1);
	assert_int_equal(atomic_load(&pair.disk->count.errors), 1);
	assert_int_equal(atomic_load(&pair.disk->count.mismatches), 0);
	pair_policy(BV_MISMATCH_EIO, BV_ERROR_MISMATCH, BV_UNVERIFIED_REFUSE);
	assert_int_equal(pair_read(bytes, 512, 8192), -EIO);
}

static void test_shadow_cannot_be_read(void **state)
{
	(void)state;
	pair_replace_shadow(pair.shadow, O_WRONLY);
	pair_policy(BV_MISMATCH_EIO, BV_ERROR_PASS, BV_UNVERIFIED_REFUSE);
	assert_int_equal(pair_read(bytes, 512, 0), -EIO);
	assert_int_equal(atomic_load(&pair.disk->state->errors), 1);
}

/* ---- unknown ranges ---- */

static void test_known_parts_are_compared(void **state)
{
	(void)state;
	bv_unknown_add(pair.disk, 1000, 2000, false);
	bv_unknown_add(pair.disk, 3000, 4000, true);
	pair_spoil(pair.target, 1500);
	pair_spoil(pair.target, 3500);
	pair_spoil(pair.target, 2500);
	assert_int_equal(pair_read(bytes, 8192, 0), 8192);
	assert_int_equal(pair_said("contents mismatch"), 1);
	assert_int_equal(pair_said("at offset 2500\n"), 1);
	pair_spoil(pair.target, 2500);
	pair_hush();
	assert_int_equal(pair_read(bytes, 8192, 0), 8192);
	assert_int_equal(pair_said("blkverify"), 0);
	assert_true(pair_is_known(0, 3000));
	assert_true(pair_is_unknown(3000, 4000));
	pair_spoil(pair.target, 3600);
	assert_int_equal(pair_read(bytes, 8192, 0), 8192);
	assert_int_equal(pair_said("blkverify"), 0);
}

/* ---- descriptors that are not what they were ---- */

static int innocent;

static ssize_t swapped(int fd, void *to, size_t n, off64_t offset)
{
	dup2(innocent, fd);
	return pread64(fd, to, n, offset);
}

static void make_innocent(void)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/innocent", pair.directory);
	pair_make_file(path, 8192);
	pair_spoil(path, 100);
	innocent = open(path, O_RDWR);
	assert_true(innocent >= 0);
	pair_hook.pread = swapped;
}

static void test_innocent_file_is_not_blamed(void **state)
{
	(void)state;
	make_innocent();
	assert_int_equal(pair_read(bytes, 512, 0), 512);
	assert_int_equal(pair_said("blkverify"), 0);
	dup2(open(pair.target, O_RDWR), pair.fd);
	/* Nor its length. */
	assert_int_equal(pair_read(bytes, 512, 8000), 192);
	assert_int_equal(pair_said("blkverify"), 0);
	close(innocent);
}

static void test_innocent_file_is_not_learnt(void **state)
{
	(void)state;
	make_innocent();
	bv_unknown_add(pair.disk, 0, 512, false);
	assert_int_equal(pair_read(bytes, 512, 0), 512);
	assert_true(pair_is_unknown(0, 512));
	assert_true(pair_same());
	close(innocent);
}

/* Not between two system calls but long ago, and nobody has asked since. */
static void become(int fd)
{
	pair_hook.pread = NULL;
	pair.guess = true;
	bv_fd_disk(pair.fd);
	assert_true(dup2(fd, pair.fd) >= 0);
}

static void test_wrong_guess_reads_the_other_file(void **state)
{
	size_t n = BV_PIECE + 100;
	unsigned char *large = malloc(n);

	(void)state;
	make_innocent();
	assert_int_equal(ftruncate(innocent, (off_t)n), 0);
	assert_ptr_equal(bv_fd_guess(pair.fd), pair.disk);
	become(innocent);
	bv_unknown_add(pair.disk, 4096, 8192, false);
	assert_int_equal(pair_read(bytes, 512, 0), 512);
	assert_int_equal(bytes[100], pair_byte(100, 0) ^ 0x40);
	assert_int_equal(pair_read(bytes, 512, 4096), 512);
	assert_int_equal(pair_read(large, n, 0), n);
	assert_int_equal(large[n - 1], 0);
	/* Shorter, and longer, than the target is. */
	assert_int_equal(ftruncate(innocent, 8192), 0);
	assert_int_equal(pair_read(bytes, 512, 8000), 192);
	assert_int_equal(ftruncate(innocent, PAIR_BYTES + 512), 0);
	assert_int_equal(pair_read(bytes, 512, PAIR_BYTES), 512);
	assert_int_equal(pair_said("blkverify"), 0);
	assert_true(pair_is_unknown(4096, 8192));
	assert_true(pair_same());
	assert_int_equal(atomic_load(&pair.disk->count.reads), 0);
	free(large);
	close(innocent);
}

static void test_wrong_guess_fails_as_the_other_file(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	become(ends[0]);
	assert_int_equal(pair_read(bytes, 512, 0), -ESPIPE);
	become(ends[1]);
	assert_int_equal(pair_read(bytes, 512, 0), -ESPIPE);
	close(pair.fd);
	assert_int_equal(pair_read(bytes, 512, 0), -EBADF);
	assert_int_equal(pair_said("blkverify"), 0);
	assert_true(pair_same());
	assert_false(bv_unknown_any(pair.disk));
	close(ends[0]);
	close(ends[1]);
}

/* Not a file that nobody verifies, but one that has a shadow of its own. */
static void test_wrong_guess_at_the_other_pair(void **state)
{
	struct bv_text *why = calloc(1, sizeof(*why));
	char name[2][200];
	int fd;

	(void)state;
	for (int i = 0; i < 2; i++) {
		snprintf(name[i], sizeof(name[i]), "%s/%d", pair.directory, i);
		pair_make_file(name[i], 8192);
		pair_spoil(name[i], 200);
	}
	pair_stop();
	pair.config.pairs = 2;
	pair.config.target[1] = name[0];
	pair.config.shadow[1] = name[1];
	assert_int_equal(pair_start(why), 0);
	fd = open(name[0], O_RDWR);
	assert_ptr_equal(bv_fd_guess(pair.fd), pair.disk);
	become(fd);
	assert_int_equal(pair_read(bytes, 512, 0), 512);
	assert_int_equal(pair_said("blkverify"), 0);
	assert_int_equal(atomic_load(&bv_disk[1].count.reads), 1);
	assert_int_equal(atomic_load(&bv_disk[0].count.reads), 0);
	pair_spoil(name[0], 100);
	become(fd);
	assert_int_equal(pair_read(bytes, 512, 0), 512);
	assert_int_equal(pair_said("mismatch in sector 0 at offset 100"), 1);
	assert_int_equal(atomic_load(&bv_disk[1].count.mismatches), 1);
	close(fd);
	free(why);
}

static void test_right_guess_is_verified(void **state)
{
	(void)state;
	pair.guess = true;
	assert_int_equal(pair_read(bytes, 8192, 0), 8192);
	assert_int_equal(pair_said("blkverify"), 0);
	assert_int_equal(atomic_load(&pair.disk->count.reads), 1);
	pair_spoil(pair.target, 4000);
	assert_int_equal(pair_read(bytes, 8192, 0), 8192);
	assert_int_equal(pair_said("contents mismatch in sector 7 at offset 4000"),
			 1);
	assert_int_equal(truncate(pair.target, 6000), 0);
	assert_int_equal(pair_read(bytes, 8192, 5000), 1000);
	assert_int_equal(pair_said("return value mismatch 1000 != 8192"), 1);
}

static ssize_t swapped_and_fails(int fd, void *to, size_t n, off64_t offset)
{
	dup2(innocent, fd);
	return fails(fd, to, n, offset);
}

/* The same may happen to our own descriptor. */
static void test_shadow_is_another_file(void **state)
{
	char path[200];

	(void)state;
	snprintf(path, sizeof(path), "%s/innocent", pair.directory);
	pair_make_file(path, PAIR_BYTES);
	pair_spoil(path, 100);
	assert_true(dup3(open(path, O_RDWR), pair.disk->shadow_fd, 0) >= 0);
	assert_int_equal(pair_read(bytes, 512, 0), 512);
	assert_int_equal(pair_said("contents mismatch"), 0);
	assert_int_equal(atomic_load(&pair.disk->count.errors), 1);
	assert_int_equal(pair_write_pattern(512, 512, 9), 512);
	assert_int_equal(pair_change(BV_OP_ZERO, 0, 512, false), 0);
	assert_int_equal(pair_change(BV_OP_RESIZE, 0, 512, false), 0);
	pair_get(path, bytes, 1024, 0);
	bytes[100] ^= 0x40;
	assert_true(pair_is_pattern(bytes, 1024, 0, 0));
	assert_int_equal(pair_length(path), PAIR_BYTES);
}

static void test_innocent_file_may_fail(void **state)
{
	(void)state;
	make_innocent();
	pair_hook.pread = swapped_and_fails;
	error = EIO;
	assert_int_equal(pair_read(bytes, 512, 0), -EIO);
	assert_int_equal(pair_said("blkverify"), 0);
	close(innocent);
}

/* ---- signal handlers ---- */

static int64_t handler_offset;
static ssize_t handler_result;
static unsigned char handler_bytes[4096];
static bool handler_writes;

static void handler(int signal)
{
	(void)signal;
	handler_result = handler_writes ?
		pair_write(handler_bytes, 4096, handler_offset) :
		pair_read(handler_bytes, 4096, handler_offset);
}

static void catch(bool writes, int64_t offset)
{
	struct sigaction action = { .sa_handler = handler };

	handler_writes = writes;
	handler_offset = offset;
	pair_pattern(handler_bytes, 4096, (uint64_t)offset, 33);
	sigaction(SIGUSR1, &action, NULL);
}

static ssize_t read_then_signal(int fd, void *to, size_t n, off64_t offset)
{
	ssize_t got = pread64(fd, to, n, offset);

	if (atomic_fetch_add(&pair_hook.calls, 1) == 0)
		raise(SIGUSR1);
	return got;
}

static ssize_t signal_then_read(int fd, void *to, size_t n, off64_t offset)
{
	if (atomic_fetch_add(&pair_hook.calls, 1) == 0)
		raise(SIGUSR1);
	return pread64(fd, to, n, offset);
}

/* A handler changed the bytes between the target's read and the comparison:
 * nobody lied. */
static void test_handler_writes_during_a_read(void **state)
{
	(void)state;
	pair_hook.pread = read_then_signal;
	catch(true, 4096);
	assert_int_equal(pair_read(bytes, 8192, 2048), 8192);
	assert_int_equal(pair_said("blkverify"), 0);
	assert_true(pair_is_pattern(bytes + 2048, 4096, 4096, 33));
	assert_true(pair_same());
}

/* Nor when it made the file longer; and the bytes are compared still. */
static ssize_t signal_then_lie(int fd, void *to, size_t n, off64_t offset)
{
	ssize_t got = signal_then_read(fd, to, n, offset);

	if (got > 10)
		((unsigned char *)to)[10] ^= 1;
	return got;
}

static void test_handler_extends_during_a_read(void **state)
{
	(void)state;
	pair_hook.pread = signal_then_read;
	catch(true, PAIR_BYTES);
	assert_int_equal(pair_read(bytes, 8192, PAIR_BYTES - 4096), 8192);
	assert_int_equal(pair_said("blkverify"), 0);
	assert_true(pair_is_pattern(bytes + 4096, 4096, PAIR_BYTES, 33));
}

static void test_handler_is_no_excuse(void **state)
{
	(void)state;
	pair_hook.pread = signal_then_lie;
	catch(true, PAIR_BYTES);
	assert_int_equal(pair_read(bytes, 8192, PAIR_BYTES - 4096), 8192);
	assert_int_equal(pair_said("contents mismatch"), 1);
}

static ssize_t write_then_signal(int fd, const void *from, size_t n,
				 off64_t offset)
{
	ssize_t put = pwrite64(fd, from, n, offset);

	if (atomic_fetch_add(&pair_hook.calls, 1) == 0)
		raise(SIGUSR1);
	return put;
}

/* The target has the bytes already and the shadow not yet. */
static void test_handler_reads_during_a_write(void **state)
{
	(void)state;
	pair_hook.pwrite = write_then_signal;
	catch(false, 4096);
	assert_int_equal(pair_write_pattern(4096, 4096, 5), 4096);
	assert_int_equal(handler_result, 4096);
	assert_int_equal(pair_said("blkverify"), 0);
	assert_true(pair_is_pattern(handler_bytes, 4096, 4096, 5));
	assert_true(pair_read_all());
	assert_int_equal(pair_said("blkverify"), 0);
	assert_true(pair_same());
}

static void test_handler_writes_during_a_write(void **state)
{
	(void)state;
	pair_hook.pwrite = write_then_signal;
	catch(true, 6000);
	assert_int_equal(pair_write_pattern(4096, 4096, 5), 4096);
	assert_int_equal(handler_result, 4096);
	/* settled before the range is given up: the same at once */
	assert_false(pair_is_unknown(4096, 8192));
	assert_true(pair_same());
	assert_true(pair_read_all());
	assert_int_equal(pair_said("blkverify"), 0);
}

/* ---- what ends the process ---- */

static enum bv_on_mismatch action;

static void meet_a_mismatch(void)
{
	struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGABRT, SIG_IGN);      /* as a program might */
	pair_policy(action, BV_ERROR_MISMATCH, BV_UNVERIFIED_REFUSE);
	pair_read(bytes, 512, 0);
}

static int mismatch_in_child(enum bv_on_mismatch what)
{
	action = what;
	pair_spoil(pair.target, 5);
	return pair_child(meet_a_mismatch);
}

static void test_mismatch_aborts(void **state)
{
	int status = mismatch_in_child(BV_MISMATCH_ABORT);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_int_equal(pair_said("contents mismatch in sector 0 at offset 5\n"),
			 1);
	assert_int_equal(atomic_load(&pair.disk->state->mismatches), 1);
}

static void test_mismatch_exits(void **state)
{
	int status = mismatch_in_child(BV_MISMATCH_EXIT);

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	assert_int_equal(pair_said("at offset 5\n"), 1);
}

static void test_mismatch_is_logged(void **state)
{
	(void)state;
	assert_int_equal(mismatch_in_child(BV_MISMATCH_LOG), 0);
	assert_int_equal(pair_said("at offset 5\n"), 1);
}

static void test_mismatch_stops(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	action = BV_MISMATCH_STOP;
	pair_spoil(pair.target, 5);
	pid = pair_fork();
	if (pid == 0) {
		meet_a_mismatch();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(WSTOPSIG(status), SIGSTOP);
	assert_int_equal(pair_said("at offset 5\n"), 1);
	kill(pid, SIGCONT);
	status = pair_wait(pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* ---- reads that do not wait ---- */

static ssize_t read_at_once(void *at, size_t n, int64_t offset)
{
	struct iovec iov = { at, n };
	struct bv_request request = {
		.call = "io_uring", .fd = pair.fd, .iov = &iov, .count = 1,
		.offset = offset, .at_once = true,
	};

	return bv_read(pair.disk, &request);
}

static void test_at_once(void **state)
{
	struct iovec iov = { bytes, 1 };

	(void)state;
	pair_read_all();
	if (preadv2(pair.fd, &iov, 1, 0, RWF_NOWAIT) < 0)
		skip();
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(read_at_once(bytes, 5000, 100), 5000);
	assert_true(pair_is_pattern(bytes, 5000, 100, 0));
	assert_int_equal(pair_said("mismatch"), 0);
	pair_spoil(pair.target, 200);
	assert_int_equal(read_at_once(bytes, 5000, 100), 5000);
	assert_int_equal(pair_said("io_uring"), 1);
	assert_int_equal(pair_said("at offset 200"), 1);
}

static ssize_t half_cached(int fd, const struct iovec *iov, int count,
			   off64_t offset, int flags)
{
	assert_int_equal(flags, RWF_NOWAIT);
	return preadv2(fd, &(struct iovec){ iov->iov_base, iov->iov_len / 2 },
		       count, offset, 0);
}

static ssize_t not_cached(int fd, const struct iovec *iov, int count,
			  off64_t offset, int flags)
{
	(void)fd, (void)iov, (void)count, (void)offset;
	assert_int_equal(flags, RWF_NOWAIT);
	errno = EAGAIN;
	return -1;
}

/* What is not whole, or not there, is left to somebody who can wait. */
static void test_not_at_once(void **state)
{
	static const struct bv_claim claim = {
		.space = BV_SPACE_BYTES, .exclusive = true, .op = BV_OP_WRITE,
		.start = 0, .end = 512, .length = 512,
	};
	struct bv_hold hold;

	(void)state;
	pair_read_all();
	assert_int_equal(read_at_once(bytes, 4096, PAIR_BYTES - 1), -EAGAIN);
	bv_inflight_take(pair.disk, &claim, &hold);
	assert_int_equal(read_at_once(bytes, 1024, 511), -EAGAIN);
	bv_inflight_drop(&hold);
	bv_unknown_add(pair.disk, 0, 512, false);
	assert_int_equal(read_at_once(bytes, 1024, 511), -EAGAIN);
	assert_true(pair_is_unknown(0, 512));
	bv_target.preadv2 = half_cached;
	assert_int_equal(read_at_once(bytes, 1024, 4096), -EAGAIN);
	bv_target.preadv2 = not_cached;
	assert_int_equal(read_at_once(bytes, 1024, 4096), -EAGAIN);
	assert_int_equal(pair_said("mismatch"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_begin, pair_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_read_anywhere),
		TEST(test_read_at_the_end),
		TEST(test_read_in_pieces),
		TEST(test_read_into_a_list),
		TEST(test_one_buffer_twice),
		TEST(test_read_at_the_position),
		TEST(test_bad_calls),
		TEST(test_memory_that_ends),
		TEST(test_misaligned_as_the_program_is),
		TEST(test_counts),
		TEST(test_counts_what_the_killed_did),
		TEST(test_every_byte_is_compared),
		TEST(test_pieces_are_told_whole),
		TEST(test_neighbours_are_not_compared),
		TEST(test_mismatch_fails_the_call),
		TEST(test_mismatch_further_on_fails_the_call),
		TEST(test_position_stays_when_the_call_fails),
		TEST(test_transient),
		TEST(test_lasting),
		TEST(test_short_read_is_completed),
		TEST(test_short_read_is_reported),
		TEST(test_early_end),
		TEST(test_target_is_longer),
		TEST(test_failure_is_a_mismatch),
		TEST(test_failure_is_passed_on),
		TEST(test_what_is_the_calls_own_fault),
		TEST(test_fixed_target_past_its_end),
		TEST(test_failure_after_some_pieces),
		TEST(test_shadow_is_cut),
		TEST(test_shadow_cannot_be_read),
		TEST(test_known_parts_are_compared),
		TEST(test_innocent_file_is_not_blamed),
		TEST(test_innocent_file_is_not_learnt),
		TEST(test_wrong_guess_reads_the_other_file),
		TEST(test_wrong_guess_fails_as_the_other_file),
		TEST(test_wrong_guess_at_the_other_pair),
		TEST(test_right_guess_is_verified),
		TEST(test_innocent_file_may_fail),
		TEST(test_shadow_is_another_file),
		TEST(test_handler_writes_during_a_read),
		TEST(test_handler_extends_during_a_read),
		TEST(test_handler_is_no_excuse),
		TEST(test_handler_reads_during_a_write),
		TEST(test_handler_writes_during_a_write),
		TEST(test_mismatch_aborts),
		TEST(test_mismatch_exits),
		TEST(test_mismatch_is_logged),
		TEST(test_mismatch_stops),
		TEST(test_at_once),
		TEST(test_not_at_once),
	};

	return cmocka_run_group_tests_name("verify", tests, pair_limit, NULL);
}
