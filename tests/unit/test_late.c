/* late: the shadow's part on a pool of threads. Everything that can be is handed
 * over here, however fast the shadow is. */
#include "pair.h"

static int begin(void **state)
{
	static struct bv_text why;

	(void)state;
	pair_make(PAIR_BYTES);
	pair.config.mode = BV_MODE_POOL;
	pair.config.threads = 3;
	pair.config.queue = 256 * 1024;
	bv_late_always = true;
	if (pair_start(&why) < 0)
		return -1;
	return 0;
}

static int end(void **state)
{
	int result = pair_end(state);

	bv_late_always = false;
	return result;
}

/* The shadow stands still: its descriptor's range is held by somebody else. */
static struct bv_hold table;

static void stop_shadow(void)
{
	static const struct bv_claim claim = {
		.space = BV_SPACE_TABLE, .exclusive = true, .start = 0, .end = 1,
	};

	/* What is unknown must be learnt, which needs the table. */
	bv_unknown_add(pair.disk, 0, PAIR_BYTES, false);
	assert_int_equal(bv_inflight_take(pair.disk, &claim, &table), 0);
}

static void let_shadow_go(void)
{
	bv_inflight_drop(&table);
}

static void the_caller_goes_on(void **state)
{
	(void)state;
	stop_shadow();
	assert_int_equal(pair_write_pattern(4096, 0, 7), 4096);
	assert_int_equal(pair_write_pattern(4096, 8192, 7), 4096);
	assert_int_equal(bv_late_pending, 2);
	let_shadow_go();
	bv_late_settle();
	assert_int_equal(bv_late_pending, 0);
	assert_true(pair_same());
}

static void *write_again(void *result)
{
	*(ssize_t *)result = pair_write_pattern(100, 2000, 9);
	return NULL;
}

static void what_overlaps_waits(void **state)
{
	unsigned char bytes[100];
	ssize_t result = 0;
	pthread_t thread;

	(void)state;
	stop_shadow();
	assert_int_equal(pair_write_pattern(4096, 0, 7), 4096);
	assert_int_equal(pthread_create(&thread, NULL, write_again, &result), 0);
	pair_sleep(100);
	pair_get(pair.target, bytes, 100, 2000);
	assert_true(pair_is_pattern(bytes, 100, 2000, 7));
	let_shadow_go();
	pthread_join(thread, NULL);
	assert_int_equal(result, 100);
	bv_late_settle();
	pair_get(pair.target, bytes, 100, 2000);
	assert_true(pair_is_pattern(bytes, 100, 2000, 9));
	assert_true(pair_same());
}

static void a_barrier_waits(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++)
		assert_int_equal(pair_write_pattern(4096, i * 4096, 3), 4096);
	assert_int_equal(bv_flush(pair.disk, "fsync", pair.fd, 0), 0);
	assert_int_equal(bv_late_pending, 0);
	assert_true(pair_same());
}

static void a_wrong_byte_is_found(void **state)
{
	unsigned char bytes[4096];
	char who[64];

	(void)state;
	pair_spoil(pair.shadow, 5000);
	assert_int_equal(pair_read(bytes, 4096, 0), 4096);
	bv_late_settle();
	assert_int_equal(pair_said("mismatch"), 0);
	assert_int_equal(pair_read(bytes, 4096, 4096), 4096);
	bv_late_settle();
	assert_int_equal(pair_said("read sector_num=8 nb_sectors=8 contents "
				   "mismatch in sector 9 at offset 5000\n"), 1);
	/* It is the caller's, whoever compared it. */
	snprintf(who, sizeof(who), "thread %d, call pread64", bv_thread_tid());
	assert_int_equal(pair_said(who), 1);
	assert_int_equal(pair_said("lasting"), 1);
}

static void a_closed_descriptor_is_no_excuse(void **state)
{
	unsigned char bytes[4096];
	struct bv_hold hold;
	static const struct bv_claim claim = {
		.space = BV_SPACE_TABLE, .exclusive = true, .start = 0, .end = 1,
	};
	int fd = open(pair.target, O_RDWR);

	(void)state;
	pair_spoil(pair.shadow, 5000);
	/* The first sector has to be learnt, before the rest is looked at. */
	bv_unknown_add(pair.disk, 4096, 4608, false);
	assert_int_equal(bv_inflight_take(pair.disk, &claim, &hold), 0);
	assert_int_equal(pair_transfer(false, fd, bytes, 4096, 4096, 0), 4096);
	close(fd);
	bv_inflight_drop(&hold);
	bv_late_settle();
	assert_int_equal(pair_said("mismatch in sector 9 at offset 5000\n"), 1);
}

static void a_call_that_is_to_fail_is_not_late(void **state)
{
	unsigned char bytes[4096];

	(void)state;
	pair_policy(BV_MISMATCH_EIO, BV_ERROR_MISMATCH, BV_UNVERIFIED_REFUSE);
	pair_spoil(pair.shadow, 5000);
	assert_int_equal(pair_read(bytes, 4096, 4096), -EIO);
	assert_int_equal(bv_late_pending, 0);
	assert_int_equal(pair_read(bytes, 4096, 8192), 4096);
}

static void a_shadow_that_fails_is_told_at_the_barrier(void **state)
{
	(void)state;
	pair_policy(BV_MISMATCH_EIO, BV_ERROR_MISMATCH, BV_UNVERIFIED_REFUSE);
	pair_replace_shadow(pair.shadow, O_RDONLY);
	assert_int_equal(pair_write_pattern(4096, 0, 7), 4096);
	assert_int_equal(bv_flush(pair.disk, "fsync", pair.fd, 0), -EIO);
	/* Once. */
	assert_int_equal(bv_flush(pair.disk, "fsync", pair.fd, 0), 0);
	assert_true(pair_is_unknown(0, 4096));
}

static void *write_much(void *seed)
{
	unsigned which = *(unsigned *)seed;

	for (int i = 0; i < 400; i++)
		if (pair_write_pattern(1000 + which, (i * 37 + which * 611) %
					       (PAIR_BYTES - 2000),
				       which + (unsigned)i) < 0)
			return seed;
	return NULL;
}

/* More than fits into the queue, from several, all over each other. */
static void room_is_waited_for(void **state)
{
	pthread_t thread[4];
	unsigned seed[4] = { 1, 2, 3, 4 };

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, write_much,
						&seed[i]), 0);
	for (int i = 0; i < 4; i++) {
		void *failed;

		pthread_join(thread[i], &failed);
		assert_null(failed);
	}
	bv_late_settle();
	assert_true(pair_same());
	assert_int_equal(pair_said("mismatch"), 0);
}

static void write_in_child(void)
{
	CHECK(bv_late_pending == 0);
	bv_late_settle();
	CHECK(pair_write_pattern(4096, 16384, 5) == 4096);
	bv_late_end();
}

static void a_child_begins_with_nothing(void **state)
{
	(void)state;
	stop_shadow();
	assert_int_equal(pair_write_pattern(4096, 0, 7), 4096);
	assert_int_equal(bv_late_pending, 1);
	let_shadow_go();
	assert_int_equal(pair_child(write_in_child), 0);
	bv_late_settle();
	assert_true(pair_same());
}

static void die_in_the_middle(void)
{
	stop_shadow();
	CHECK(pair_write_pattern(4096, 12288, 7) == 4096);
	/* Without a barrier, as after SIGKILL. */
	kill(getpid(), SIGKILL);
}

static void one_that_is_killed_leaves_its_range_unknown(void **state)
{
	(void)state;
	pair_stop();
	if (pair_fork() == 0) {
		static struct bv_text why;

		CHECK(pair_start(&why) == 0);
		die_in_the_middle();
	}
	assert_int_equal(pair_wait(-1), SIGKILL);
	pair_restart();
	assert_false(pair_is_known(12288, 16384));
	assert_true(pair_read_all());
	assert_int_equal(pair_said("mismatch"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_caller_goes_on),
		TEST(what_overlaps_waits),
		TEST(a_barrier_waits),
		TEST(a_wrong_byte_is_found),
		TEST(a_closed_descriptor_is_no_excuse),
		TEST(a_call_that_is_to_fail_is_not_late),
		TEST(a_shadow_that_fails_is_told_at_the_barrier),
		TEST(room_is_waited_for),
		TEST(a_child_begins_with_nothing),
		TEST(one_that_is_killed_leaves_its_range_unknown),
	};

	return cmocka_run_group_tests_name("late", tests, pair_limit, NULL);
}
