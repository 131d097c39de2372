/* memory: what stands for a target where programs map it. */
#include "pair.h"

#include "../../src/view.h"

/* Four whole chunks and a part of one. */
#define LENGTH (4 * BV_CHUNK + 1000)
#define ALL ((size_t)5 * BV_CHUNK)

static unsigned char bytes[LENGTH + BV_CHUNK], other[LENGTH + BV_CHUNK];

/* ---- mappings as the program makes them ---- */

static int join(bool stores, uint64_t start, uint64_t end)
{
	return bv_memory_join(pair.disk, "mmap", pair.fd, stores, start, end);
}

static unsigned char *map(uint64_t start, size_t n)
{
	unsigned char *p;

	if (join(true, start, start + n) != 0)
		return NULL;
	p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED,
		 bv_memory_fd(pair.disk, true), (off_t)start);
	return p == MAP_FAILED ? NULL : p;
}

static int flush(uint64_t start, uint64_t end)
{
	return bv_memory_flush(pair.disk, "msync", start, end);
}

static int unmap(unsigned char *p, uint64_t start, size_t n)
{
	int result;

	munmap(p, n);
	result = bv_memory_flush(pair.disk, "munmap", start, start + n);
	bv_memory_leave(pair.disk);
	return result;
}

static uint64_t count(const _Atomic uint64_t *counter)
{
	return atomic_load(counter);
}

/* ---- setup ---- */

static int begin(void **state)
{
	static struct bv_text why;

	(void)state;
	pair_make(LENGTH);
	pair.config.mmap = BV_MMAP_MEMFD;
	return pair_start(&why);
}

static int end(void **state)
{
	/* As the program ends, or closes its last descriptor. */
	while (bv_memory_pin(pair.disk, false)) {
		bv_memory_leave(pair.disk);
		bv_memory_leave(pair.disk);
	}
	bv_memory_closing(pair.disk);
	return pair_end(state);
}

/* ---- filling ---- */

static void test_fills_chunks(void **state)
{
	unsigned char *p = map(BV_CHUNK + 4096, 8192);

	(void)state;
	assert_non_null(p);
	assert_int_equal(count(&pair.disk->count.read_bytes), BV_CHUNK);
	assert_true(pair_is_pattern(p, 8192, BV_CHUNK + 4096, 0));
	for (uint64_t c = 0; c < 5; c++)
		assert_int_equal(bv_view_has(bv_view_of(pair.disk), c), c == 1);
	assert_int_equal(unmap(p, BV_CHUNK + 4096, 8192), 0);
	assert_int_equal(pair_said("blkverify"), 0);
}

static void test_fills_past_the_end(void **state)
{
	unsigned char *p = map(0, (size_t)1 << 32);
	const struct bv_view *view = bv_view_of(pair.disk);

	(void)state;
	assert_non_null(p);
	assert_int_equal(count(&pair.disk->count.read_bytes), LENGTH);
	assert_true(pair_is_pattern(p, LENGTH, 0, 0));
	assert_true(bv_view_has(view, 4) && bv_view_has(view, 65535));
	assert_false(bv_view_has(view, 65536));
	/* The rest of the last page, and no page of its own. */
	assert_int_equal(p[LENGTH], 0);
	assert_true(bv_view_bytes(pair.disk) <= ALL);
	assert_int_equal(unmap(p, 0, (size_t)1 << 32), 0);
}

static void test_compares_what_it_fills(void **state)
{
	(void)state;
	pair_spoil(pair.shadow, 2 * BV_CHUNK + 5);
	assert_int_equal(join(true, 0, BV_CHUNK), 0);
	assert_int_equal(pair_said("blkverify"), 0);
	assert_int_equal(join(true, 2 * BV_CHUNK + 4096, 2 * BV_CHUNK + 8192), 0);
	assert_int_equal(pair_said("contents mismatch in sector 256 at offset "
				   "131077"), 1);
	assert_int_equal(pair_said("call mmap"), 1);
}

static void test_does_not_show_what_is_wrong(void **state)
{
	(void)state;
	pair_policy(BV_MISMATCH_EIO, BV_ERROR_MISMATCH, BV_UNVERIFIED_REFUSE);
	pair_spoil(pair.target, 3 * BV_CHUNK);
	assert_int_equal(join(true, 0, ALL), -EIO);
	assert_false(bv_memory_pin(pair.disk, false));
	assert_int_equal(join(true, 0, 3 * BV_CHUNK), 0);
}

static void test_compares_again(void **state)
{
	unsigned char *p = map(0, ALL);

	(void)state;
	p[10] = 'x';
	pair_spoil(pair.target, BV_CHUNK + 77);
	assert_int_equal(join(false, BV_CHUNK, 2 * BV_CHUNK), 0);
	assert_int_equal(pair_said("contents mismatch"), 1);
	/* What is stored and not written back is there still. */
	assert_int_equal(join(false, 0, BV_CHUNK), 0);
	assert_int_equal(p[10], 'x');
	assert_int_equal(pair_said("contents mismatch"), 1);
}

static void test_refuses(void **state)
{
	(void)state;
	assert_int_equal(join(true, 0, (uint64_t)17 << 40), -ENODEV);
	assert_int_equal(pair_said("mmap beyond 16 TiB refused"), 1);
	pair.disk->shadow_writable = false;
	assert_int_equal(join(true, 0, 4096), -ENODEV);
	assert_int_equal(join(false, 0, 4096), 0);
	assert_int_equal(bv_memory_unlock(pair.disk, "mprotect"), -ENODEV);
	assert_int_equal(pair_said("mprotect for writing refused"), 1);
	pair.disk->shadow_writable = true;
	pair_policy(BV_MISMATCH_LOG, BV_ERROR_MISMATCH, BV_UNVERIFIED_WARN);
	assert_int_equal(join(true, 0, (uint64_t)17 << 40), 1);
	pair.config.mmap = BV_MMAP_REFUSE;
	pair_policy(BV_MISMATCH_LOG, BV_ERROR_MISMATCH, BV_UNVERIFIED_REFUSE);
	assert_int_equal(join(false, 0, 4096), -ENODEV);
	assert_int_equal(pair_said("mmap refused"), 1);
}

/* Nothing is looked for where nothing can be stored. */
static void test_unlocks(void **state)
{
	unsigned char *p;

	(void)state;
	assert_int_equal(join(false, 0, ALL), 0);
	assert_true(bv_memory_pin(pair.disk, false));
	assert_false(bv_memory_pin(pair.disk, true));
	p = mmap(NULL, ALL, PROT_READ | PROT_WRITE, MAP_SHARED,
		 bv_memory_fd(pair.disk, true), 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	p[10] = 'x';
	assert_int_equal(flush(0, UINT64_MAX), 0);
	assert_int_equal(count(&pair.disk->count.writes), 0);
	assert_int_equal(bv_memory_unlock(pair.disk, "mprotect"), 0);
	assert_int_equal(flush(0, UINT64_MAX), 0);
	assert_int_equal(count(&pair.disk->count.writes), 1);
	bv_memory_leave(pair.disk);
	/* The last one takes it along. */
	bv_memory_leave(pair.disk);
	assert_int_equal(join(false, 0, ALL), 0);
	assert_false(bv_memory_pin(pair.disk, true));
}

/* ---- stores ---- */

static void test_overlay(void **state)
{
	unsigned char *p = map(0, ALL);

	(void)state;
	memset(p + BV_CHUNK - 3, 'x', 7);
	p[LENGTH - 1] = 'y';
	assert_int_equal(pair_read(bytes, LENGTH, 0), LENGTH);
	assert_memory_equal(bytes, p, LENGTH);
	assert_int_equal(pair_read(bytes, 4, BV_CHUNK - 1), 4);
	assert_memory_equal(bytes, "xxxx", 4);
	/* Nobody else has seen anything of it. */
	pair_get(pair.target, bytes, LENGTH, 0);
	assert_true(pair_is_pattern(bytes, LENGTH, 0, 0));
	assert_true(pair_same());
	assert_int_equal(pair_said("blkverify"), 0);
}

static void test_flush(void **state)
{
	unsigned char *p = map(0, ALL);

	(void)state;
	memset(p + 2 * BV_CHUNK - 3, 'x', 7);
	p[LENGTH - 1] = 'y';
	assert_int_equal(flush(0, BV_CHUNK), 0);
	assert_int_equal(count(&pair.disk->count.writes), 0);
	assert_int_equal(flush(0, UINT64_MAX), 0);
	/* Two pages that are side by side, in pieces of 256 KiB, and the last
	 * one, which is not whole. */
	assert_int_equal(count(&pair.disk->count.writes), 2);
	assert_int_equal(count(&pair.disk->count.write_bytes), 8192 + 1000);
	pair_get(pair.target, bytes, LENGTH, 0);
	assert_memory_equal(bytes, p, LENGTH);
	assert_true(pair_same());
	assert_int_equal(flush(0, UINT64_MAX), 0);
	assert_int_equal(count(&pair.disk->count.writes), 2);
	assert_int_equal(unmap(p, 0, ALL), 0);
	assert_int_equal(pair_length(pair.target), LENGTH);
	assert_int_equal(pair_said("blkverify"), 0);
}

static void test_flush_leaves_the_bytes_beside(void **state)
{
	unsigned char *p = map(0, ALL);

	(void)state;
	p[100] = 'x';
	/* Somebody who cannot reach the memory has written to both. */
	pair_put(pair.target, "others", 6, 101);
	pair_put(pair.shadow, "others", 6, 101);
	assert_int_equal(flush(0, 4096), 0);
	assert_memory_equal(p + 100, "xothers", 7);
	pair_get(pair.target, bytes, 7, 100);
	assert_memory_equal(bytes, "xothers", 7);
	assert_true(pair_same());
	assert_int_equal(pair_said("blkverify"), 0);
}

static void test_flush_compares(void **state)
{
	unsigned char *p = map(0, ALL);

	(void)state;
	pair_spoil(pair.target, 5000);
	p[4096] = 'x';
	p[20000] = 'x';
	pair_policy(BV_MISMATCH_EIO, BV_ERROR_MISMATCH, BV_UNVERIFIED_REFUSE);
	assert_int_equal(flush(0, BV_CHUNK), -EIO);
	assert_int_equal(pair_said("read sector_num=8 nb_sectors=8 contents "
				   "mismatch in sector 9 at offset 5000"), 1);
	assert_int_equal(pair_said("call msync"), 1);
	/* Not the other page: each piece stops at its first failure, and what
	 * was stored is not forgotten. */
	assert_int_equal(pair_read(bytes, 1, 4096), 1);
	assert_int_equal(bytes[0], 'x');
	pair_spoil(pair.target, 5000);
	assert_int_equal(flush(0, BV_CHUNK), 0);
	pair_get(pair.target, bytes, BV_CHUNK, 0);
	assert_memory_equal(bytes, p, BV_CHUNK);
	assert_true(pair_same());
}

static ssize_t failing_pwrite(int fd, const void *from, size_t n, off64_t offset)
{
	/* Torn: the kernel has taken some of it. */
	if (pair_hook.calls++ == 0) {
		pwrite64(fd, from, n / 2, offset);
		errno = EIO;
		return -1;
	}
	return pwrite64(fd, from, n, offset);
}

static void test_flush_fails(void **state)
{
	unsigned char *p = map(0, ALL);

	(void)state;
	pair_policy(BV_MISMATCH_ABORT, BV_ERROR_PASS, BV_UNVERIFIED_REFUSE);
	memset(p + 8192, 'x', 4096);
	pair_hook.pwrite = failing_pwrite;
	assert_int_equal(flush(0, UINT64_MAX), -EIO);
	assert_int_equal(pair_read(bytes, 4096, 8192), 4096);
	assert_memory_equal(bytes, p + 8192, 4096);
	assert_int_equal(flush(0, UINT64_MAX), 0);
	pair_get(pair.target, bytes, 4096, 8192);
	assert_memory_equal(bytes, p + 8192, 4096);
	assert_true(pair_read_all());
	assert_true(pair_same());
}

static ssize_t short_pwrite(int fd, const void *from, size_t n, off64_t offset)
{
	return pwrite64(fd, from, n > 777 ? 777 : n, offset);
}

static void test_flush_is_short(void **state)
{
	unsigned char *p = map(0, ALL);

	(void)state;
	memset(p, 'x', 4096);
	pair_hook.pwrite = short_pwrite;
	assert_int_equal(flush(0, UINT64_MAX), -EIO);
	pair_hook.pwrite = NULL;
	assert_int_equal(pair_read(bytes, 4096, 0), 4096);
	assert_memory_equal(bytes, p, 4096);
	assert_int_equal(flush(0, UINT64_MAX), 0);
	assert_true(pair_same());
	pair_get(pair.target, bytes, 4096, 0);
	assert_memory_equal(bytes, p, 4096);
}

/* ---- a store while its page is written back ---- */

static unsigned char *during;
static void (*store_during)(unsigned char *p);

/* At the moment when the stores have been copied, and are not there yet. */
static ssize_t storing_pwrite(int fd, const void *from, size_t n, off64_t offset)
{
	if (pair_hook.calls++ == 0)
		store_during(during);
	return pwrite64(fd, from, n, offset);
}

static void store_something_else(unsigned char *p)
{
	p[10] = 'z';
	p[12] = 'z';
}

static void store_what_was_there(unsigned char *p)
{
	p[10] = pair_byte(10, 0);
}

static void check_store_during(void (*store)(unsigned char *))
{
	unsigned char *p = map(0, ALL), expected[16];

	during = p;
	store_during = store;
	pair_hook.pwrite = storing_pwrite;
	p[10] = 'x';
	p[11] = 'x';
	assert_int_equal(flush(0, UINT64_MAX), 0);
	pair_pattern(expected, 16, 0, 0);
	expected[10] = 'x';
	expected[11] = 'x';
	store(expected);
	assert_memory_equal(p, expected, 16);
	assert_int_equal(pair_read(bytes, 16, 0), 16);
	assert_memory_equal(bytes, expected, 16);
	assert_int_equal(flush(0, UINT64_MAX), 0);
	pair_get(pair.target, bytes, 16, 0);
	assert_memory_equal(bytes, expected, 16);
	assert_true(pair_same());
	assert_int_equal(pair_said("blkverify"), 0);
}

static void test_stored_anew_while_written_back(void **state)
{
	(void)state;
	check_store_during(store_something_else);
}

/* To what target and memory had agreed on before both. */
static void test_stored_back_while_written_back(void **state)
{
	(void)state;
	check_store_during(store_what_was_there);
}

static atomic_bool over;

/* Its own bytes, between those that others write, to and fro. */
static void *toggle(void *argument)
{
	unsigned char *p = argument;
	uint32_t seed = 7;

	while (!atomic_load(&over)) {
		size_t at = 3 * (pair_random(&seed) % 1000);

		for (unsigned i = pair_random(&seed) % 20; i > 0; i--)
			((volatile unsigned char *)p)[at] ^= 1;
	}
	return NULL;
}

static void test_threads_store_and_write(void **state)
{
	unsigned char *p = map(0, ALL);
	double until = pair_now() + 2;
	uint32_t seed = 3;
	pthread_t thread;

	(void)state;
	pair_get(pair.target, other, LENGTH, 0);
	atomic_store(&over, false);
	pthread_create(&thread, NULL, toggle, p);
	while (pair_now() < until) {
		size_t at = 3 * (pair_random(&seed) % 1000) + 1;

		other[at]++;
		assert_int_equal(pair_write(other + at, 1, (int64_t)at), 1);
		assert_int_equal(p[at], other[at]);
		if (pair_random(&seed) % 4 == 0)
			assert_int_equal(flush(0, UINT64_MAX), 0);
		if (pair_random(&seed) % 16 == 0)
			assert_int_equal(bv_memory_fill(pair.disk, "mmap", 0, 4096),
					 0);
	}
	atomic_store(&over, true);
	pthread_join(thread, NULL);
	for (size_t i = 0; i < 3000; i++)
		if (i % 3 == 1)
			assert_int_equal(p[i], other[i]);
	memcpy(bytes, p, LENGTH);
	assert_int_equal(unmap(p, 0, ALL), 0);
	pair_get(pair.target, other, LENGTH, 0);
	assert_memory_equal(bytes, other, LENGTH);
	assert_true(pair_same());
	assert_int_equal(pair_said("blkverify"), 0);
}

/* ---- following what is done to the target ---- */

static void test_writes_are_followed(void **state)
{
	unsigned char *p = map(BV_CHUNK, BV_CHUNK);

	(void)state;
	p[0] = 'x';
	p[200] = 'x';
	/* Across both edges of what is filled. */
	assert_int_equal(pair_write_pattern(100, BV_CHUNK - 50, 1), 100);
	assert_int_equal(pair_write_pattern(100, 2 * BV_CHUNK - 50, 1), 100);
	assert_true(pair_is_pattern(p, 50, BV_CHUNK, 1));
	assert_true(pair_is_pattern(p + BV_CHUNK - 50, 50, 2 * BV_CHUNK - 50, 1));
	assert_int_equal(p[200], 'x');
	/* What was written over is not stored any more. */
	assert_int_equal(flush(BV_CHUNK, 2 * BV_CHUNK), 0);
	assert_int_equal(count(&pair.disk->count.writes), 3);
	assert_true(pair_read_all());
	assert_true(pair_same());
	assert_int_equal(unmap(p, BV_CHUNK, BV_CHUNK), 0);
}

/* The kernel has taken some of it, and failed. */
static void test_torn_writes_are_followed(void **state)
{
	unsigned char *p = map(0, ALL);

	(void)state;
	pair_policy(BV_MISMATCH_ABORT, BV_ERROR_PASS, BV_UNVERIFIED_REFUSE);
	p[5] = 'x';
	pair_hook.pwrite = failing_pwrite;
	assert_int_equal(pair_write_pattern(4096, 8192, 1), -EIO);
	assert_true(pair_is_pattern(p + 8192, 2048, 8192, 1));
	assert_true(pair_is_pattern(p + 10240, 2048, 10240, 0));
	assert_int_equal(p[5], 'x');
	assert_int_equal(flush(0, UINT64_MAX), 0);
	assert_true(pair_read_all());
	assert_true(pair_same());
}

/* A signal handler inside the call that writes. */
static bool handler_first;

static ssize_t interrupted_pwrite(int fd, const void *from, size_t n,
				  off64_t offset)
{
	ssize_t put = 0;

	if (pair_hook.calls++ > 0)
		return pwrite64(fd, from, n, offset);
	if (!handler_first)
		put = pwrite64(fd, from, n, offset);
	CHECK(pair_write("handler", 7, 8200) == 7);
	return handler_first ? pwrite64(fd, from, n, offset) : put;
}

static void check_handler(bool first)
{
	unsigned char *p = map(0, ALL);

	handler_first = first;
	pair_hook.pwrite = interrupted_pwrite;
	assert_int_equal(pair_write_pattern(100, 8192, 1), 100);
	pair_get(pair.target, bytes, LENGTH, 0);
	assert_memory_equal(p, bytes, LENGTH);
	assert_int_equal(memcmp(p + 8200, "handler", 7) == 0, !first);
	assert_true(pair_read_all());
	assert_true(pair_same());
	assert_int_equal(pair_said("blkverify"), 0);
}

static void test_a_handler_writes_before(void **state)
{
	(void)state;
	check_handler(true);
}

static void test_a_handler_writes_after(void **state)
{
	(void)state;
	check_handler(false);
}

static void test_zeros_are_followed(void **state)
{
	unsigned char *p = map(0, ALL);

	(void)state;
	p[5000] = 'x';
	p[9000] = 'x';
	assert_int_equal(pair_change(BV_OP_ZERO, 4500, 1000, false), 0);
	memset(bytes, 0, 1000);
	assert_memory_equal(p + 4500, bytes, 1000);
	assert_int_equal(p[9000], 'x');
	assert_int_equal(flush(0, UINT64_MAX), 0);
	assert_int_equal(count(&pair.disk->count.writes), 1);
	assert_true(pair_read_all());
	assert_true(pair_same());
}

/* What the target has there now, whatever it is; stores are gone with it. */
static void test_discards_are_followed(void **state)
{
	unsigned char *p = map(0, ALL);

	(void)state;
	p[5000] = 'x';
	p[4499] = 'y';
	assert_int_equal(pair_change(BV_OP_DISCARD, 4500, 1000, false), 0);
	memset(bytes, 0, 1000);
	assert_memory_equal(p + 4500, bytes, 1000);
	assert_int_equal(p[4499], 'y');
	assert_true(pair_read_all());
	assert_true(pair_same());
	assert_int_equal(pair_said("mismatch"), 0);
}

static void test_lengths_are_followed(void **state)
{
	unsigned char *p = map(0, ALL);
	struct stat st;

	(void)state;
	p[50] = 'x';
	assert_int_equal(pair_change(BV_OP_RESIZE, 0, 100, false), 0);
	fstat(bv_memory_fd(pair.disk, true), &st);
	assert_int_equal(st.st_size, 100);
	assert_int_equal(p[50], 'x');
	assert_int_equal(p[101], 0);
	assert_int_equal(pair_change(BV_OP_RESIZE, 0, LENGTH, false), 0);
	memset(bytes, 0, LENGTH);
	assert_memory_equal(p + 100, bytes, LENGTH - 100);
	p[LENGTH - 1] = 'x';
	assert_int_equal(pair_write_pattern(1000, LENGTH, 1), 1000);
	assert_true(pair_is_pattern(p + LENGTH, 1000, LENGTH, 1));
	assert_int_equal(flush(0, UINT64_MAX), 0);
	assert_true(pair_read_all());
	assert_true(pair_same());
	assert_int_equal(pair_said("blkverify"), 0);
}

/* Longer than the view has room for at first. */
static void test_longer_than_the_view(void **state)
{
	const uint64_t gib = (uint64_t)1 << 30, far = 3 * gib;
	unsigned char *p = map(0, 4096), *q;

	(void)state;
	p[0] = 'x';
	assert_true(bv_view_of(pair.disk)->room < far);
	assert_int_equal(pair_change(BV_OP_RESIZE, 0, far + 100, false), 0);
	q = map(far - BV_CHUNK, 2 * BV_CHUNK);
	assert_non_null(q);
	assert_true(bv_view_of(pair.disk)->room > far);
	q[BV_CHUNK + 99] = 'y';
	assert_int_equal(pair_read(bytes, 2, (int64_t)far + 98), 2);
	assert_memory_equal(bytes, "\0y", 2);
	assert_int_equal(unmap(q, far - BV_CHUNK, 2 * BV_CHUNK), 0);
	assert_int_equal(unmap(p, 0, 4096), 0);
	pair_get(pair.target, bytes, 1, 0);
	pair_get(pair.shadow, bytes + 1, 1, far + 99);
	assert_memory_equal(bytes, "xy", 2);
	assert_int_equal(pair_said("blkverify"), 0);
}

static void test_where_something_is_stored(void **state)
{
	unsigned char *p = map(0, ALL);
	uint64_t at = 0, stop = LENGTH;

	(void)state;
	assert_false(bv_memory_stored(pair.disk, &at, &stop));
	p[8192 + 5] = 'x';
	p[12288 + 5] = 'x';
	p[LENGTH - 1] = 'x';
	at = 100;
	stop = LENGTH;
	assert_true(bv_memory_stored(pair.disk, &at, &stop));
	assert_int_equal(at, 8192);
	assert_int_equal(stop, 16384);
	/* The page is as a whole, wherever it is asked for. */
	at = 12288 + 1000;
	stop = LENGTH;
	assert_true(bv_memory_stored(pair.disk, &at, &stop));
	assert_int_equal(at, 12288 + 1000);
	assert_int_equal(stop, 16384);
	at = stop;
	stop = LENGTH;
	assert_true(bv_memory_stored(pair.disk, &at, &stop));
	assert_int_equal(at, 4 * BV_CHUNK);
	assert_int_equal(stop, LENGTH);
	at = 16384;
	stop = 4 * BV_CHUNK;
	assert_false(bv_memory_stored(pair.disk, &at, &stop));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_fills_chunks),
		TEST(test_fills_past_the_end),
		TEST(test_compares_what_it_fills),
		TEST(test_does_not_show_what_is_wrong),
		TEST(test_compares_again),
		TEST(test_refuses),
		TEST(test_unlocks),
		TEST(test_overlay),
		TEST(test_flush),
		TEST(test_flush_leaves_the_bytes_beside),
		TEST(test_flush_compares),
		TEST(test_flush_fails),
		TEST(test_flush_is_short),
		TEST(test_stored_anew_while_written_back),
		TEST(test_stored_back_while_written_back),
		TEST(test_threads_store_and_write),
		TEST(test_writes_are_followed),
		TEST(test_torn_writes_are_followed),
		TEST(test_a_handler_writes_before),
		TEST(test_a_handler_writes_after),
		TEST(test_zeros_are_followed),
		TEST(test_discards_are_followed),
		TEST(test_lengths_are_followed),
		TEST(test_longer_than_the_view),
		TEST(test_where_something_is_stored),
	};

	return cmocka_run_group_tests_name("memory", tests, pair_limit, NULL);
}
