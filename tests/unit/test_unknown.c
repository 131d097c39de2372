/* unknown: the set of unknown ranges, against a map that has one entry per
 * byte. */
#include "pair.h"

#define CELLS 4096
#define FAR (UINT64_C(1) << 40)

enum { KNOWN, SETTLED, LASTING };

struct model {
	unsigned char cell[CELLS];
};

static void model_add(struct model *m, uint64_t start, uint64_t end, bool lasting)
{
	for (uint64_t i = start; i < end; i++)
		if (lasting)
			m->cell[i] = LASTING;
		else if (m->cell[i] == KNOWN)
			m->cell[i] = SETTLED;
}

static void model_remove(struct model *m, uint64_t start, uint64_t end)
{
	for (uint64_t i = start; i < end; i++)
		if (m->cell[i] == SETTLED)
			m->cell[i] = KNOWN;
}

static void model_settle(struct model *m)
{
	for (int i = 0; i < CELLS; i++)
		if (m->cell[i] == LASTING)
			m->cell[i] = SETTLED;
}

/* What the engine says of [base, base + CELLS), byte by byte. */
static void survey(struct model *m, uint64_t base)
{
	uint64_t at = base, end = base + CELLS;
	struct bv_extent e;

	memset(m, 0, sizeof(*m));
	while (at < end && bv_unknown_next(pair.disk, at, end, &e)) {
		assert_true(e.start >= at && e.start < e.end && e.end <= end);
		memset(m->cell + (e.start - base), e.lasting ? LASTING : SETTLED,
		       e.end - e.start);
		at = e.end;
	}
}

static uint64_t model_runs(const struct model *m, uint64_t *bytes)
{
	unsigned char former = KNOWN;
	uint64_t runs = 0;

	*bytes = 0;
	for (int i = 0; i < CELLS; i++) {
		if (m->cell[i] != former && m->cell[i] != KNOWN)
			runs++;
		former = m->cell[i];
		*bytes += m->cell[i] != KNOWN;
	}
	return runs;
}

static void check_equal(const struct model *m)
{
	struct model now;
	uint64_t bytes, counted, runs = model_runs(m, &bytes);

	survey(&now, 0);
	assert_memory_equal(now.cell, m->cell, CELLS);
	assert_int_equal(bv_unknown_count(pair.disk, &counted), runs);
	assert_int_equal(counted, bytes);
	assert_int_equal(bv_unknown_any(pair.disk), runs > 0);
}

static void test_nothing_at_first(void **state)
{
	struct bv_extent e;
	uint64_t bytes;

	(void)state;
	assert_false(bv_unknown_any(pair.disk));
	assert_false(bv_unknown_next(pair.disk, 0, UINT64_MAX, &e));
	assert_int_equal(bv_unknown_count(pair.disk, &bytes), 0);
	assert_int_equal(bytes, 0);
}

static void test_clipped_to_what_was_asked(void **state)
{
	struct bv_extent e;

	(void)state;
	bv_unknown_add(pair.disk, 100, 200, false);
	assert_true(bv_unknown_next(pair.disk, 150, 160, &e));
	assert_int_equal(e.start, 150);
	assert_int_equal(e.end, 160);
	assert_true(bv_unknown_next(pair.disk, 0, 1000, &e));
	assert_int_equal(e.start, 100);
	assert_int_equal(e.end, 200);
	assert_false(bv_unknown_next(pair.disk, 0, 100, &e));
	assert_false(bv_unknown_next(pair.disk, 200, 300, &e));
}

static void test_empty_ranges_do_nothing(void **state)
{
	uint32_t generation = atomic_load(&pair.disk->state->unknown_generation);

	(void)state;
	bv_unknown_add(pair.disk, 100, 100, false);
	bv_unknown_add(pair.disk, 200, 100, true);
	bv_unknown_remove(pair.disk, 0, UINT64_MAX);
	assert_int_equal(atomic_load(&pair.disk->state->unknown_generation),
			 generation);
	assert_false(bv_unknown_any(pair.disk));
}

static void test_random_against_map(void **state)
{
	static struct model m;
	uint32_t seed = 12345;

	(void)state;
	memset(&m, 0, sizeof(m));
	for (int i = 0; i < 6000; i++) {
		uint64_t start = pair_random(&seed) % CELLS;
		uint64_t length = 1 + pair_random(&seed) %
					      (pair_random(&seed) % 4 ? 40 : 600);
		uint64_t end = start + length < CELLS ? start + length : CELLS;

		/* Lasting ranges never end, so they are rare, and the map
		 * begins anew before they are everything. */
		switch (pair_random(&seed) % 8) {
		case 0: case 1: case 2: case 3:
			bv_unknown_add(pair.disk, start, end, false);
			model_add(&m, start, end, false);
			break;
		case 4:
			if (pair_random(&seed) % 8)
				break;
			bv_unknown_add(pair.disk, start, end, true);
			model_add(&m, start, end, true);
			break;
		default:
			bv_unknown_remove(pair.disk, start, end);
			model_remove(&m, start, end);
		}
		check_equal(&m);
		if (i % 500 == 499) {
			/* It outlives the run; but nobody is left who could
			 * change what was lasting. */
			pair_restart();
			model_settle(&m);
			check_equal(&m);
			unlink(pair.state);
			pair_restart();
			memset(&m, 0, sizeof(m));
		}
	}
}

static void test_to_the_end(void **state)
{
	uint64_t bytes;

	(void)state;
	bv_unknown_add(pair.disk, 1000, UINT64_MAX, false);
	assert_int_equal(bv_unknown_count(pair.disk, &bytes), 1);
	assert_int_equal(bytes, PAIR_BYTES - 1000);
	bv_unknown_add(pair.disk, 5000, 6000, true);
	bv_unknown_remove(pair.disk, 2000, UINT64_MAX);
	assert_true(pair_is_unknown(1000, 2000));
	assert_true(pair_is_known(2000, 5000));
	assert_true(pair_is_unknown(5000, 6000));
	assert_true(pair_is_known(6000, UINT64_MAX));
}

/* ---- a full table ---- */

static void fill_table(uint64_t stride)
{
	uint64_t bytes;

	for (uint64_t i = 0; i < BV_UNKNOWN_EXTENTS; i++)
		bv_unknown_add(pair.disk, i * stride, i * stride + 1, false);
	assert_int_equal(bv_unknown_count(pair.disk, &bytes),
			 BV_UNKNOWN_EXTENTS);
}

static void test_full_table_merges_the_closest(void **state)
{
	uint64_t bytes;

	(void)state;
	fill_table(10);
	bv_unknown_remove(pair.disk, 7000, 7001);
	bv_unknown_add(pair.disk, 5003, 5004, false);   /* 2 from 5000 */
	assert_int_equal(bv_unknown_count(pair.disk, &bytes),
			 BV_UNKNOWN_EXTENTS);
	bv_unknown_add(pair.disk, FAR, FAR + 1, false);
	assert_int_equal(bv_unknown_count(pair.disk, &bytes),
			 BV_UNKNOWN_EXTENTS);
	assert_true(pair_is_unknown(5000, 5004));
	assert_true(pair_is_unknown(FAR, FAR + 1));
	assert_true(pair_is_known(5004, 5010));
	assert_true(pair_is_known(7000, 7010));
}

static void test_full_table_lasting_wins(void **state)
{
	struct bv_extent e;

	(void)state;
	fill_table(10);
	bv_unknown_remove(pair.disk, 3000, 3001);
	bv_unknown_add(pair.disk, 2993, 2994, true);
	bv_unknown_add(pair.disk, FAR, FAR + 1, false);
	assert_true(bv_unknown_next(pair.disk, 2990, 3000, &e));
	assert_int_equal(e.start, 2990);
	assert_int_equal(e.end, 2994);
	assert_true(e.lasting);
}

/* Splitting takes room as well. */
static void test_full_table_removal_in_the_middle(void **state)
{
	uint64_t bytes;

	(void)state;
	bv_unknown_add(pair.disk, FAR, FAR + 1000, false);
	for (uint64_t i = 0; i + 1 < BV_UNKNOWN_EXTENTS; i++)
		bv_unknown_add(pair.disk, i * 10, i * 10 + 1, false);
	bv_unknown_remove(pair.disk, FAR + 400, FAR + 500);
	assert_true(bv_unknown_count(pair.disk, &bytes) <= BV_UNKNOWN_EXTENTS);
	assert_true(pair_is_unknown(FAR, FAR + 400));
	assert_true(pair_is_unknown(FAR + 500, FAR + 1000));
	for (uint64_t i = 0; i + 1 < BV_UNKNOWN_EXTENTS; i++)
		assert_true(pair_is_unknown(i * 10, i * 10 + 1));
}

/* Never less than the map, nor less lasting, whatever is done to it. */
static void test_full_table_never_less(void **state)
{
	static unsigned char want[3 * BV_UNKNOWN_EXTENTS];
	uint32_t seed = 99;

	(void)state;
	memset(want, 0, sizeof(want));
	for (int i = 0; i < 8000; i++) {
		uint64_t at = pair_random(&seed) % sizeof(want);
		bool lasting = pair_random(&seed) % 16 == 0;

		if (pair_random(&seed) % 8 == 0) {
			bv_unknown_remove(pair.disk, at * 7, at * 7 + 1);
			if (want[at] == SETTLED)
				want[at] = KNOWN;
		} else {
			bv_unknown_add(pair.disk, at * 7, at * 7 + 1, lasting);
			if (want[at] != LASTING)
				want[at] = lasting ? LASTING : SETTLED;
		}
	}
	for (uint64_t at = 0; at < sizeof(want); at++) {
		struct bv_extent e = { 0, 0, 0 };

		if (want[at] == KNOWN)
			continue;
		assert_true(bv_unknown_next(pair.disk, at * 7, at * 7 + 1, &e));
		assert_true(e.lasting || want[at] == SETTLED);
	}
}

/* ---- at the same time ---- */

static atomic_bool stop;
static atomic_int wrong;

/* [FAR, FAR + 10) is there all the time, whatever else comes and goes. */
static void *watch(void *unused)
{
	struct bv_extent e;

	(void)unused;
	while (!atomic_load(&stop)) {
		if (!bv_unknown_any(pair.disk))
			atomic_fetch_add(&wrong, 1);
		if (!bv_unknown_next(pair.disk, FAR - 5, FAR + 20, &e) ||
		    e.start != FAR || e.end != FAR + 10 || e.lasting)
			atomic_fetch_add(&wrong, 1);
		if (bv_unknown_next(pair.disk, FAR + 10, FAR + 100, &e))
			atomic_fetch_add(&wrong, 1);
	}
	return NULL;
}

static void test_looking_while_it_changes(void **state)
{
	pthread_t thread[3];
	double end = pair_now() + 1.5;
	uint32_t seed = 7;

	(void)state;
	atomic_store(&stop, false);
	atomic_store(&wrong, 0);
	bv_unknown_add(pair.disk, FAR, FAR + 10, false);
	for (int i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, watch, NULL);
	while (pair_now() < end) {
		uint64_t at = pair_random(&seed) % CELLS;

		bv_unknown_add(pair.disk, at, at + 3, false);
		bv_unknown_remove(pair.disk, at, at + 3);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(atomic_load(&wrong), 0);
}

static void churn(struct model *m, uint64_t base, uint32_t seed, int rounds)
{
	while (rounds--) {
		uint64_t start = pair_random(&seed) % (CELLS - 64);
		uint64_t end = start + 1 + pair_random(&seed) % 63;

		if (pair_random(&seed) % 2) {
			bv_unknown_add(pair.disk, base + start, base + end,
				       false);
			model_add(m, start, end, false);
		} else {
			bv_unknown_remove(pair.disk, base + start, base + end);
			model_remove(m, start, end);
		}
	}
}

static struct model models[4];

static void *churn_thread(void *number)
{
	intptr_t i = (intptr_t)number;

	churn(&models[i], (uint64_t)i << 20, (uint32_t)i + 1, 800);
	return NULL;
}

static void test_threads_change_it(void **state)
{
	static struct model now;
	pthread_t thread[4];

	(void)state;
	memset(models, 0, sizeof(models));
	for (intptr_t i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, churn_thread, (void *)i);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	for (uint64_t i = 0; i < 4; i++) {
		survey(&now, i << 20);
		assert_memory_equal(now.cell, models[i].cell, CELLS);
	}
}

/* Killed at any moment of a change: what was there stays, and others can
 * still change it. */
static void test_killed_while_changing(void **state)
{
	static struct model m;
	uint32_t seed = 3;

	(void)state;
	bv_unknown_add(pair.disk, FAR, FAR + 10, false);
	bv_unknown_add(pair.disk, FAR + 20, FAR + 30, true);
	for (int i = 0; i < 20; i++) {
		pid_t pid = pair_fork();
		double began;

		if (pid == 0)
			for (uint32_t round = 1;; round++)
				churn(&m, 0, round, 1000);
		pair_sleep(2 + pair_random(&seed) % 8);
		kill(pid, SIGKILL);
		began = pair_now();
		bv_unknown_add(pair.disk, FAR + 100, FAR + 110, false);
		assert_true(pair_now() - began < 2);
		pair_wait(pid);
		assert_true(pair_is_unknown(FAR, FAR + 10));
		assert_true(pair_is_unknown(FAR + 20, FAR + 30));
		assert_true(pair_is_unknown(FAR + 100, FAR + 110));
		bv_unknown_remove(pair.disk, FAR + 100, FAR + 110);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_begin, pair_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_at_first),
		TEST(test_clipped_to_what_was_asked),
		TEST(test_empty_ranges_do_nothing),
		TEST(test_random_against_map),
		TEST(test_to_the_end),
		TEST(test_full_table_merges_the_closest),
		TEST(test_full_table_lasting_wins),
		TEST(test_full_table_removal_in_the_middle),
		TEST(test_full_table_never_less),
		TEST(test_looking_while_it_changes),
		TEST(test_threads_change_it),
		TEST(test_killed_while_changing),
	};

	return cmocka_run_group_tests_name("unknown", tests, pair_limit, NULL);
}
