/* queue: transfers that the kernel has in flight. */
#include "pair.h"

#include <poll.h>

#include <blkverify/pool.h>
#include <blkverify/queue.h>

#include "../../src/raw.h"

#define ITEMS 32

static struct item {
	struct bv_job job;
	struct iovec iov[2];
	_Atomic int ended;
	ssize_t result;
} item[ITEMS];

static _Alignas(4096) unsigned char bytes[ITEMS][8192];

static int direct = -1;

static void done(struct bv_job *job, ssize_t result)
{
	struct item *i = (struct item *)(void *)job;

	i->result = result;
	atomic_fetch_add(&i->ended, 1);
}

static bool add(struct bv_batch *batch, int n, bool writes, void *at,
		size_t length, int64_t offset)
{
	struct bv_request request = {
		.call = "io_submit", .fd = direct, .iov = item[n].iov,
		.count = 1, .offset = offset,
	};

	item[n].iov[0] = (struct iovec){ at, length };
	item[n].result = -1;
	atomic_store(&item[n].ended, 0);
	return bv_queue_add(batch, pair.disk, &request, writes, &item[n].job,
			    done);
}

/* One from beginning to end; -1: not begun. */
static ssize_t one(bool writes, void *at, size_t length, int64_t offset)
{
	struct bv_batch batch = { .count = 0 };
	raw_sigset mask = raw_block_signals();
	bool begun = add(&batch, 0, writes, at, length, offset);

	bv_queue_submit(&batch);
	raw_sigmask(mask);
	if (!begun)
		return -1;
	bv_pool_drain(&bv_requests);
	assert_int_equal(atomic_load(&item[0].ended), 1);
	return item[0].result;
}

static void use_target(void)
{
	double limit = pair_now() + 20;

	direct = open(pair.target, O_RDWR | O_DIRECT);
	if (direct < 0)
		skip();
	while (one(false, bytes[0], 512, 0) < 0 && pair_now() < limit)
		pair_sleep(1);
	assert_int_equal(one(false, bytes[0], 512, 0), 512);
}

static int begin(void **state)
{
	bv_pool_start(&bv_requests, 4);
	bv_queue_start();
	bv_queue_slow = UINT32_MAX;
	return pair_begin(state);
}

static int end(void **state)
{
	close(direct);
	direct = -1;
	return pair_end(state);
}

/* ---- reads ---- */

static void read_many(void)
{
	struct bv_batch batch = { .count = 0 };
	uint64_t passed = atomic_load(&bv_queue_passed);
	raw_sigset mask = raw_block_signals();

	memset(bytes, 0, sizeof(bytes));
	for (int i = 0; i < ITEMS; i++)
		assert_true(add(&batch, i, false, bytes[i], 4096, i * 512));
	bv_queue_submit(&batch);
	raw_sigmask(mask);
	bv_pool_drain(&bv_requests);
	for (int i = 0; i < ITEMS; i++) {
		assert_int_equal(atomic_load(&item[i].ended), 1);
		assert_int_equal(item[i].result, 4096);
	}
	if (bv_queue_slow == 0)
		assert_int_equal(atomic_load(&bv_queue_passed), passed);
	else
		assert_true(atomic_load(&bv_queue_passed) > passed);
}

static void test_reads(void **state)
{
	(void)state;
	use_target();
	for (int slow = 0; slow < 2; slow++) {
		bv_queue_slow = slow ? 0 : UINT32_MAX;
		read_many();
		for (int i = 0; i < ITEMS; i++)
			assert_true(pair_is_pattern(bytes[i], 4096,
						    (uint64_t)i * 512, 0));
	}
	assert_int_equal(pair_said("mismatch"), 0);
	assert_int_equal(atomic_load(&pair.disk->count.reads), 2 * ITEMS + 2);
}

static void test_reads_of_wrong_bytes(void **state)
{
	(void)state;
	use_target();
	pair_spoil(pair.shadow, 5000);
	for (int slow = 0; slow < 2; slow++) {
		bv_queue_slow = slow ? 0 : UINT32_MAX;
		read_many();
		/* 1024 ... 4608 begin the reads that have it */
		assert_int_equal(pair_said("read sector_num"), 8);
		assert_int_equal(pair_said("at offset 5000"), 8);
		pair_hush();
	}
	pair_spoil(pair.shadow, 5000);
	pair_spoil(pair.target, 0);
	assert_int_equal(one(false, bytes[0], 512, 0), 512);
	assert_int_equal(pair_said("at offset 0"), 1);
}

static void test_read_at_the_end(void **state)
{
	(void)state;
	use_target();
	assert_int_equal(one(false, bytes[0], 8192, PAIR_BYTES - 4096), 4096);
	assert_true(pair_is_pattern(bytes[0], 4096, PAIR_BYTES - 4096, 0));
	assert_int_equal(one(false, bytes[0], 512, PAIR_BYTES), 0);
	assert_int_equal(pair_said("blkverify"), 0);
	assert_int_equal(truncate(pair.target, PAIR_BYTES - 4096), 0);
	assert_int_equal(one(false, bytes[0], 8192, PAIR_BYTES - 8192), 4096);
	assert_int_equal(pair_said("mismatch"), 1);
}

/* ---- writes ---- */

static void test_writes(void **state)
{
	uint64_t passed;

	(void)state;
	use_target();
	/* Where pages are cached, it would have to wait for them. */
	fsync(direct);
	posix_fadvise(direct, 0, 0, POSIX_FADV_DONTNEED);
	passed = atomic_load(&bv_queue_passed);
	for (unsigned i = 0; i < 20; i++) {
		pair_pattern(bytes[0], 4096, i, i);
		assert_int_equal(one(true, bytes[0], 4096, i * 1024), 4096);
	}
	assert_true(pair_same());
	assert_true(atomic_load(&bv_queue_passed) > passed);
	assert_int_equal(one(false, bytes[1], 4096, 19 * 1024), 4096);
	assert_memory_equal(bytes[0], bytes[1], 4096);
	assert_int_equal(pair_said("mismatch"), 0);
	assert_int_equal(atomic_load(&pair.disk->count.writes), 20);
}

static void punch(const char *path, off_t offset, off_t length)
{
	int fd = open(path, O_RDWR);

	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
		      length) < 0)
		skip();
	close(fd);
}

/* Where there is no room on the disk yet, the kernel cannot go on at once. */
static void test_writes_into_holes(void **state)
{
	(void)state;
	use_target();
	punch(pair.target, 0, 32768);
	punch(pair.shadow, 0, 32768);
	for (unsigned i = 0; i < 8; i++) {
		pair_pattern(bytes[0], 4096, i, i + 50);
		assert_int_equal(one(true, bytes[0], 4096, i * 4096), 4096);
	}
	assert_true(pair_same());
	assert_int_equal(pair_said("blkverify"), 0);
}

static void test_write_that_is_lost(void **state)
{
	(void)state;
	use_target();
	pair_get(pair.target, bytes[1], 4096, 0);
	pair_pattern(bytes[0], 4096, 0, 3);
	assert_int_equal(one(true, bytes[0], 4096, 0), 4096);
	pair_put(pair.target, bytes[1], 4096, 0);
	assert_int_equal(one(false, bytes[0], 4096, 0), 4096);
	assert_int_equal(pair_said("contents mismatch"), 1);
}

/* The target refuses it: nothing is mirrored. */
static void test_refused(void **state)
{
	(void)state;
	use_target();
	for (unsigned i = 0; i < 8; i++) {
		/* what is there already */
		int64_t offset = i & 1 ? 3 : 0;
		unsigned char *at = bytes[0] + (i & 2 ? 1 : 0);
		size_t n = i & 4 ? 511 : 512;
		ssize_t native;

		pair_get(pair.target, at, n, (uint64_t)offset);
		native = pwrite(direct, at, n, offset);
		assert_int_equal(one(true, at, n, offset),
				 native < 0 ? -errno : native);
		native = pread(direct, at, n, offset);
		assert_int_equal(one(false, at, n, offset),
				 native < 0 ? -errno : native);
	}
	close(direct);
	direct = open(pair.target, O_RDONLY | O_DIRECT);
	assert_int_equal(one(true, bytes[0], 512, 0), -EBADF);
	assert_true(pair_same());
	assert_int_equal(pair_said("blkverify"), 0);
}

/* ---- what is left to others ---- */

static void test_not_begun(void **state)
{
	static const struct bv_claim claim = {
		.space = BV_SPACE_BYTES, .op = BV_OP_READ,
		.start = 0, .end = 512, .length = 512,
	};
	struct bv_hold hold;

	(void)state;
	use_target();
	assert_int_equal(one(false, bytes[0], 0, 0), -1);
	assert_int_equal(one(false, bytes[0], BV_PIECE + 512, 0), -1);
	assert_int_equal(one(false, (void *)-4096, 512, 0), -1);
	assert_int_equal(one(true, (void *)4096, 512, 0), -1);
	/* It would lengthen the file. */
	assert_int_equal(one(true, bytes[0], 1024, PAIR_BYTES - 512), -1);
	bv_inflight_take(pair.disk, &claim, &hold);
	assert_int_equal(one(true, bytes[0], 512, 0), -1);
	assert_int_equal(one(false, bytes[0], 512, 0), 512);
	bv_inflight_drop(&hold);
	bv_unknown_add(pair.disk, 0, 512, false);
	assert_int_equal(one(false, bytes[0], 512, 0), -1);
	assert_int_equal(one(true, bytes[0], 512, 0), 512);
	assert_false(bv_unknown_any(pair.disk));
	/* As the shim's fcntl does. */
	atomic_store(&pair.disk->state->appending, 1);
	assert_int_equal(fcntl(direct, F_SETFL, O_APPEND | O_DIRECT), 0);
	assert_int_equal(one(true, bytes[0], 512, 0), -1);
	assert_int_equal(pair_said("blkverify"), 0);
}

/* More than there is room for. */
static void test_many(void **state)
{
	static struct item more[600];
	static _Alignas(4096) unsigned char room[600][8192];
	unsigned begun = 0, ended = 0;
	raw_sigset mask;

	(void)state;
	use_target();
	mask = raw_block_signals();
	for (unsigned i = 0; i < 600; i++) {
		struct bv_batch batch = { .count = 0 };
		struct bv_request request = {
			.call = "io_submit", .fd = direct, .iov = more[i].iov,
			.count = 2, .offset = 0,
		};

		more[i].iov[0] = (struct iovec){ room[i], 4096 };
		more[i].iov[1] = (struct iovec){ room[i] + 4096, 4096 };
		atomic_store(&more[i].ended, 0);
		begun += bv_queue_add(&batch, pair.disk, &request, false,
				      &more[i].job, done);
		bv_queue_submit(&batch);
	}
	raw_sigmask(mask);
	bv_pool_drain(&bv_requests);
	for (unsigned i = 0; i < 600; i++) {
		ended += (unsigned)atomic_load(&more[i].ended);
		if (!atomic_load(&more[i].ended))
			continue;
		assert_int_equal(more[i].result, 8192);
		assert_true(pair_is_pattern(room[i], 8192, 0, 0));
	}
	assert_true(begun >= 100);
	assert_int_equal(begun, ended);
}

static void overwrite(struct bv_job *job)
{
	struct item *i = (struct item *)(void *)job;

	i->result = pair_write_pattern(512, 0, 7);
	atomic_fetch_add(&i->ended, 1);
}

/* All threads of bv_requests wait for what is in flight: its end needs none of
 * them. */
static void test_waited_for(void **state)
{
	struct bv_batch batch = { .count = 0 };
	double limit = pair_now() + 20;
	raw_sigset mask;

	(void)state;
	use_target();
	bv_queue_slow = 0;
	mask = raw_block_signals();
	assert_true(add(&batch, 0, true, bytes[0], 512, 0));
	for (int i = 1; i < 9; i++) {
		item[i].job.run = overwrite;
		atomic_store(&item[i].ended, 0);
		assert_int_equal(bv_pool_submit(&bv_requests, &item[i].job), 0);
	}
	pair_sleep(100);
	bv_queue_submit(&batch);
	raw_sigmask(mask);
	while (atomic_load(&item[0].ended) == 0 && pair_now() < limit)
		pair_sleep(1);
	assert_int_equal(atomic_load(&item[0].ended), 1);
	bv_pool_drain(&bv_requests);
	for (int i = 1; i < 9; i++)
		assert_int_equal(item[i].result, 512);
	assert_true(pair_same());
}

/* ---- helped ---- */

/* As somebody who waits for item n; its result. */
static ssize_t help_with(int n, bool writes, void *at, size_t length,
			 int64_t offset)
{
	struct bv_batch batch = { .count = 0 };
	raw_sigset mask = raw_block_signals();
	bool begun = add(&batch, n, writes, at, length, offset);

	bv_queue_submit(&batch);
	while (begun && !atomic_load(&item[n].ended)) {
		struct pollfd bell = { .fd = bv_flight_bell(), .events = POLLIN };

		/* Done with by now, or by others; then nothing rings. */
		if (poll(&bell, 1, 1) == 1 || bv_flight_has_landed()) {
			bv_thread.masked = true;
			bv_flight_help(bell.revents != 0);
			bv_thread.masked = false;
		}
	}
	raw_sigmask(mask);
	return begun ? item[n].result : -1;
}

static void become_trusted(void)
{
	uint64_t wanted = atomic_load(&bv_flight_helped) + 50;
	double limit = pair_now() + 20;
	unsigned i = 0;

	while (atomic_load(&bv_flight_helped) < wanted && pair_now() < limit) {
		int64_t offset = i % 8 * 512;

		memset(bytes[0], 0, 4096);
		assert_int_equal(help_with(0, false, bytes[0], 4096, offset),
				 4096);
		assert_true(pair_is_pattern(bytes[0], 4096, (uint64_t)offset, 0));
		i++;
	}
	assert_true(atomic_load(&bv_flight_helped) >= wanted);
}

static void test_helped(void **state)
{
	(void)state;
	use_target();
	assert_int_equal(bv_flight_bell(), -1);
	become_trusted();
	assert_int_equal(bv_flight_bell(), -1);
	for (unsigned i = 0; i < 50; i++) {
		pair_pattern(bytes[1], 4096, i, i + 9);
		assert_int_equal(help_with(0, true, bytes[1], 4096, 0), 4096);
	}
	/* None of it is held any more. */
	item[1].job.run = overwrite;
	atomic_store(&item[1].ended, 0);
	assert_int_equal(bv_pool_submit(&bv_requests, &item[1].job), 0);
	bv_pool_drain(&bv_requests);
	assert_int_equal(item[1].result, 512);
	assert_true(pair_same());
	assert_int_equal(pair_said("blkverify"), 0);
}

static void test_helped_with_wrong_bytes(void **state)
{
	(void)state;
	use_target();
	become_trusted();
	pair_spoil(pair.shadow, 9000);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(help_with(0, false, bytes[0], 4096, 8192), 4096);
	assert_int_equal(pair_said("at offset 9000"), 20);
	bv_pool_drain(&bv_requests);
	/* Given back by whoever reported it. */
	assert_int_equal(pair_write_pattern(4096, 8192, 1), 4096);
	assert_true(pair_same());
}

/* Who helped once does not for ever. */
static void test_helped_no_more(void **state)
{
	(void)state;
	use_target();
	become_trusted();
	for (int i = 0; i < 20; i++)
		assert_int_equal(one(false, bytes[0], 4096, i * 512), 4096);
	read_many();
}

static void *helper(void *argument)
{
	int n = (int)(intptr_t)argument;
	intptr_t good = 0;

	for (int i = 0; i < 200; i++) {
		int64_t offset = n * 4096 + i % 4 * 512;
		ssize_t result = help_with(n, i % 2, bytes[n], 2048, offset);

		/* It was there already, or another one was in the way. */
		good += result == 2048 || result == -1;
	}
	return (void *)good;
}

/* Each takes what others have in flight as well. */
static void test_many_helpers(void **state)
{
	pthread_t thread[10];
	void *good;

	(void)state;
	use_target();
	for (intptr_t i = 0; i < 10; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, helper,
						(void *)i), 0);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(pthread_join(thread[i], &good), 0);
		assert_int_equal((intptr_t)good, 200);
	}
	bv_pool_drain(&bv_requests);
	assert_true(pair_same());
	assert_int_equal(pair_said("blkverify"), 0);
}

static void child(void)
{
	double limit = pair_now() + 20;

	bv_pool_forked(&bv_requests);
	bv_queue_forked();
	CHECK(one(false, bytes[0], 512, 0) == -1);
	while (one(false, bytes[0], 512, 0) == -1 && pair_now() < limit)
		pair_sleep(1);
	memset(bytes[0], 0, 512);
	CHECK(one(false, bytes[0], 512, 512) == 512);
	CHECK(pair_is_pattern(bytes[0], 512, 512, 0));
	CHECK(help_with(0, false, bytes[0], 512, 512) == 512);
}

static void test_after_fork(void **state)
{
	(void)state;
	use_target();
	become_trusted();
	assert_int_equal(pair_child(child), 0);
	read_many();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reads),
		TEST(test_reads_of_wrong_bytes),
		TEST(test_read_at_the_end),
		TEST(test_writes),
		TEST(test_writes_into_holes),
		TEST(test_write_that_is_lost),
		TEST(test_refused),
		TEST(test_not_begun),
		TEST(test_many),
		TEST(test_waited_for),
		TEST(test_helped),
		TEST(test_helped_with_wrong_bytes),
		TEST(test_helped_no_more),
		TEST(test_many_helpers),
		TEST(test_after_fork),
	};

	return cmocka_run_group_tests(tests, pair_limit, NULL);
}
