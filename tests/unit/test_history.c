/* history: the ring of past operations. */
#include "pair.h"

static void add(enum bv_op op, uint64_t offset, uint64_t length, int64_t result)
{
	bv_history_add(pair.disk, op, offset, length, result);
}

static bool before(uint64_t sequence, uint64_t start, uint64_t end,
		   struct bv_past *past)
{
	return bv_history_before(pair.disk, sequence, start, end, past);
}

/* The pair anew with room for that many operations. */
static void make_room(unsigned operations)
{
	pair.config.history = operations;
	pair_restart();
}

static void test_nothing_at_first(void **state)
{
	struct bv_past past;

	(void)state;
	assert_false(before(0, 0, UINT64_MAX, &past));
}

static void test_what_is_told(void **state)
{
	struct bv_past past;

	(void)state;
	add(BV_OP_WRITE, 4096, 512, -ENOSPC);
	assert_true(before(0, 4096, 4097, &past));
	assert_int_equal(past.sequence, 1);
	assert_int_equal(past.offset, 4096);
	assert_int_equal(past.length, 512);
	assert_int_equal(past.result, -ENOSPC);
	assert_int_equal(past.op, BV_OP_WRITE);
	assert_int_equal(past.pid, getpid());
	assert_int_equal(past.tid, getpid());
	assert_true((int64_t)(past.time / 1000000000u) - time(NULL) < 2);
	assert_true((int64_t)(past.time / 1000000000u) - time(NULL) > -3);
}

static void test_newest_first(void **state)
{
	struct bv_past past;

	(void)state;
	for (uint64_t i = 1; i <= 10; i++)
		add(BV_OP_WRITE, 0, i, 0);
	past.sequence = 0;
	for (uint64_t i = 10; i >= 1; i--) {
		assert_true(before(past.sequence, 0, 1, &past));
		assert_int_equal(past.length, i);
		assert_int_equal(past.sequence, i);
	}
	assert_false(before(past.sequence, 0, 1, &past));
}

static void test_only_changes_of_these_bytes(void **state)
{
	struct bv_past past;

	(void)state;
	add(BV_OP_ZERO, 1000, 100, 0);
	add(BV_OP_DISCARD, 1100, 100, 0);
	add(BV_OP_READ, 1000, 200, 200);
	add(BV_OP_FLUSH, 0, 0, 0);
	assert_true(before(0, 1099, 1100, &past));
	assert_int_equal(past.op, BV_OP_ZERO);
	assert_true(before(0, 1100, 1101, &past));
	assert_int_equal(past.op, BV_OP_DISCARD);
	assert_false(before(0, 999, 1000, &past));
	assert_false(before(0, 1200, 1300, &past));
	/* A change of length may concern whatever lies behind it. */
	add(BV_OP_RESIZE, 0, 0, 0);
	assert_true(before(0, 5000, 5001, &past));
	assert_int_equal(past.op, BV_OP_RESIZE);
}

static void test_any_operation_on_these_bytes(void **state)
{
	struct bv_past past;

	(void)state;
	add(BV_OP_WRITE, 1000, 100, 100);
	add(BV_OP_READ, 1000, 200, 200);
	add(BV_OP_FLUSH, 0, 0, 0);
	add(BV_OP_READ, 2000, 100, 100);
	assert_true(bv_history_touching(pair.disk, 0, 1099, 1100, &past));
	assert_int_equal(past.op, BV_OP_READ);
	assert_int_equal(past.offset, 1000);
	assert_true(bv_history_touching(pair.disk, past.sequence, 1099, 1100,
					&past));
	assert_int_equal(past.op, BV_OP_WRITE);
	assert_false(bv_history_touching(pair.disk, past.sequence, 1099, 1100,
					 &past));
	assert_false(bv_history_touching(pair.disk, 0, 1200, 1300, &past));
}

static void test_ring_wraps(void **state)
{
	struct bv_past past = { 0 };
	int count = 0;

	(void)state;
	make_room(8);
	for (uint64_t i = 1; i <= 100; i++)
		add(BV_OP_WRITE, 0, i, 0);
	while (before(past.sequence, 0, 1, &past))
		assert_int_equal(past.length, 100 - count++);
	assert_int_equal(count, 8);
}

static void test_no_room_at_all(void **state)
{
	struct bv_past past;

	(void)state;
	make_room(0);
	add(BV_OP_WRITE, 0, 512, 512);
	assert_false(before(0, 0, UINT64_MAX, &past));
}

static void test_outlives_the_run(void **state)
{
	struct bv_past past;

	(void)state;
	for (int i = 0; i < 40; i++)
		add(BV_OP_WRITE, 512, 512, 512);
	pair_restart();
	assert_true(before(0, 512, 513, &past));
	add(BV_OP_WRITE, 512, 100, 100);
	assert_true(before(0, 512, 513, &past));
	assert_int_equal(past.length, 100);
	/* Of another size it is begun anew. */
	make_room(32);
	assert_false(before(0, 0, UINT64_MAX, &past));
	for (uint64_t i = 1; i <= 3; i++)
		add(BV_OP_WRITE, 512, i, 0);
	assert_true(before(0, 512, 513, &past));
	assert_int_equal(past.length, 3);
	assert_true(before(past.sequence, 512, 513, &past));
	assert_int_equal(past.length, 2);
}

/* One that is being filled, or was filled by a later lap, is passed over. */
static void test_entries_that_do_not_hold(void **state)
{
	struct bv_past past;

	(void)state;
	for (uint64_t i = 1; i <= 3; i++)
		add(BV_OP_WRITE, 0, i, 0);
	atomic_store(&pair.disk->state->history[2].sequence, BV_PAST_FILLING);
	assert_true(before(0, 0, 1, &past));
	assert_int_equal(past.length, 2);
	atomic_store(&pair.disk->state->history[1].sequence, 2 + 64);
	assert_true(before(0, 0, 1, &past));
	assert_int_equal(past.length, 1);
}

/* ---- at the same time ---- */

static atomic_bool stop;

static void *write_history(void *seed)
{
	uint32_t random = (uint32_t)(intptr_t)seed;

	while (!atomic_load(&stop)) {
		uint64_t x = pair_random(&random);

		add(BV_OP_WRITE, x, x ^ 0x5555, (int64_t)(x * 3));
	}
	return NULL;
}

/* Writers may be stopped anywhere for as long as it takes the others to go
 * round: no entry is ever told that is half of one and half of another. */
static void test_no_torn_entry(void **state)
{
	pthread_t thread[4];
	double end = pair_now() + 2;
	struct bv_past past;
	uint64_t seen = 0, torn = 0;

	(void)state;
	make_room(4);
	atomic_store(&stop, false);
	for (intptr_t i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, write_history,
			       (void *)(i + 1));
	while (pair_now() < end) {
		past.sequence = 0;
		while (before(past.sequence, 0, UINT64_MAX, &past)) {
			seen++;
			torn += past.length != (past.offset ^ 0x5555) ||
				past.result != (int64_t)(past.offset * 3);
		}
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	assert_true(seen > 100);
	assert_int_equal(torn, 0);
	/* And it goes on. */
	for (int i = 0; i < 4; i++)
		add(BV_OP_WRITE, 1, 1 ^ 0x5555, 3);
	assert_true(before(0, 1, 2, &past));
	assert_int_equal(past.offset, 1);
}

/* One who is killed while filling an entry does not spoil the ring. */
static void test_killed_while_writing(void **state)
{
	struct bv_past past;

	(void)state;
	make_room(4);
	for (int i = 0; i < 30; i++) {
		pid_t pid = pair_fork();

		if (pid == 0) {
			atomic_store(&stop, false);
			write_history((void *)(intptr_t)(i + 1));
		}
		pair_sleep(3);
		kill(pid, SIGKILL);
		pair_wait(pid);
	}
	pair_restart();
	for (uint64_t i = 1; i <= 8; i++)
		add(BV_OP_WRITE, 0, i, 0);
	past.sequence = 0;
	for (uint64_t i = 8; i > 4; i--) {
		assert_true(before(past.sequence, 0, 1, &past));
		assert_int_equal(past.length, i);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_begin, pair_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_at_first),
		TEST(test_what_is_told),
		TEST(test_newest_first),
		TEST(test_only_changes_of_these_bytes),
		TEST(test_any_operation_on_these_bytes),
		TEST(test_ring_wraps),
		TEST(test_no_room_at_all),
		TEST(test_outlives_the_run),
		TEST(test_entries_that_do_not_hold),
		TEST(test_no_torn_entry),
		TEST(test_killed_while_writing),
	};

	return cmocka_run_group_tests_name("history", tests, pair_limit, NULL);
}
