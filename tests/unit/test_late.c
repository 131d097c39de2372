/* late: the shadow's part on a pool of threads. Everything that can be is handed
 * over here, however fast the shadow is. */
#include <sched.h>
#include <setjmp.h>

#include "pair.h"

/* The threads are made when they are first asked for, and on a busy machine an
 * operation does not wait for them. */
static bool await_threads(void)
{
	static const struct bv_hold some;
	double limit = pair_now() + 20;
	struct bv_late *l;

	while (!(l = bv_late_begin(&some, 1)) && pair_now() < limit)
		pair_sleep(1);
	if (l)
		bv_late_cancel(l);
	return l;
}

static int begin_with(size_t bytes, size_t queue)
{
	static struct bv_text why;

	pair_make(bytes);
	pair.config.mode = BV_MODE_POOL;
	pair.config.threads = 3;
	pair.config.queue = queue;
	bv_late_always = true;
	return pair_start(&why) < 0 || !await_threads() ? -1 : 0;
}

static int begin(void **state)
{
	(void)state;
	return begin_with(PAIR_BYTES, 256 * 1024);
}

/* For requests of several pieces. */
static int begin_large(void **state)
{
	(void)state;
	return begin_with(1024 * 1024, 8 * 1024 * 1024);
}

static int end(void **state)
{
	int result = pair_end(state);

	/* Who has done the last is still giving its room back, and the next test
	 * begins anew, which a process never does. */
	while (atomic_load(&bv_late_pending) > 0)
		sched_yield();
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

		CHECK(pair_start(&why) == 0 && await_threads());
		die_in_the_middle();
	}
	assert_int_equal(pair_wait(-1), SIGKILL);
	pair_restart();
	assert_false(pair_is_known(12288, 16384));
	assert_true(pair_read_all());
	assert_int_equal(pair_said("mismatch"), 0);
}

static void read_and_die(void)
{
	unsigned char bytes[4096];

	stop_shadow();
	CHECK(pair_read(bytes, 4096, 12288) == 4096);
	CHECK(pair_write_pattern(512, 0, 7) == 512);
	kill(getpid(), SIGKILL);
}

static void reads_left_by_the_killed_are_told(void **state)
{
	(void)state;
	pair_stop();
	if (pair_fork() == 0) {
		static struct bv_text why;

		CHECK(pair_start(&why) == 0 && await_threads());
		read_and_die();
	}
	assert_int_equal(pair_wait(-1), SIGKILL);
	pair_restart();
	assert_int_equal(pair_said("at offset 12288, length 4096, was never "
				   "compared"), 1);
	assert_int_equal(pair_said("never compared"), 1);
	pair_restart();
	assert_int_equal(pair_said("never compared"), 1);
}

/* ---- signal handlers ---- */

static sigjmp_buf way_out;

static void jump(int signal)
{
	(void)signal;
	siglongjmp(way_out, 1);
}

static ssize_t write_and_jump(int fd, const void *bytes, size_t n, off64_t offset)
{
	ssize_t put = pwrite64(fd, bytes, n, offset);

	raise(SIGUSR2);
	return put;
}

static void room_left_by_a_jump_comes_back(void **state)
{
	static unsigned char bytes[40000];
	struct sigaction action = { .sa_handler = jump };

	(void)state;
	sigaction(SIGUSR2, &action, NULL);
	pair_hook.pwrite = write_and_jump;
	for (volatile int i = 0; i < 100; i++)
		if (sigsetjmp(way_out, 1) == 0)
			pair_write(bytes, sizeof(bytes), 0);
	pair_hook.pwrite = NULL;
	/* It clears up after the last one. */
	assert_int_equal(pair_write_pattern(512, 0, 7), 512);
	bv_late_settle();
	stop_shadow();
	for (int i = 0; i < 4; i++)
		assert_int_equal(pair_write_pattern(8192, i * 8192, 7), 8192);
	assert_int_equal(bv_late_pending, 4);
	let_shadow_go();
	bv_late_settle();
	assert_true(pair_read_all());
	bv_late_settle();
	assert_true(pair_same());
}

static void write_in_between(int signal)
{
	static unsigned char bytes[40960];

	(void)signal;
	pair_write(bytes, sizeof(bytes), 240 * 1024);
}

static ssize_t write_interrupted(int fd, const void *bytes, size_t n,
				 off64_t offset)
{
	ssize_t put = pwrite64(fd, bytes, n, offset);

	if (atomic_fetch_add(&pair_hook.calls, 1) == 1)
		raise(SIGUSR2);
	return put;
}

/* Across two pieces, both of which the target has by then. */
static void a_handler_writes_across_pieces(void **state)
{
	struct sigaction action = { .sa_handler = write_in_between };

	(void)state;
	sigaction(SIGUSR2, &action, NULL);
	pair_hook.pwrite = write_interrupted;
	assert_int_equal(pair_write_pattern(600 * 1024, 0, 7), 600 * 1024);
	assert_true(pair_hook.calls > 3);
	pair_hook.pwrite = NULL;
	bv_late_settle();
	assert_true(pair_read_all());
	bv_late_settle();
	assert_true(pair_same());
	assert_int_equal(pair_said("mismatch"), 0);
}

/* ---- room ---- */

static _Atomic int inside;
static atomic_bool may_go;

static ssize_t read_slowly(int fd, void *bytes, size_t n, off64_t offset)
{
	if (n == PAIR_BYTES)
		atomic_fetch_add(&inside, 1);
	while (n == PAIR_BYTES && !atomic_load(&may_go))
		pair_sleep(1);
	return pread64(fd, bytes, n, offset);
}

static void *read_everything(void *unused)
{
	static _Thread_local unsigned char bytes[PAIR_BYTES];

	(void)unused;
	return pair_read(bytes, PAIR_BYTES, 0) == PAIR_BYTES ? NULL : &inside;
}

/* Four have all the room, and none of them is under way: they may be waiting for
 * us. */
static void nobody_waits_for_room_that_nobody_gives(void **state)
{
	pthread_t thread[4];
	unsigned char byte;
	void *failed;

	(void)state;
	pair_hook.pread = read_slowly;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL,
						read_everything, NULL), 0);
	while (atomic_load(&inside) < 4)
		pair_sleep(1);
	assert_int_equal(pair_read(&byte, 1, 100), 1);
	assert_int_equal(bv_late_pending, 0);
	atomic_store(&may_go, true);
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], &failed);
		assert_null(failed);
	}
	bv_late_settle();
}

/* ---- all at once ---- */

static atomic_bool over;

static void *read_much(void *seed)
{
	unsigned char bytes[3000];
	uint32_t random = *(unsigned *)seed;

	while (!atomic_load(&over)) {
		size_t n = 1 + pair_random(&random) % sizeof(bytes);

		if (pair_read(bytes, n, pair_random(&random) % PAIR_BYTES) < 0)
			return seed;
	}
	return NULL;
}

static void *resize_and_flush(void *seed)
{
	uint32_t random = *(unsigned *)seed;

	while (!atomic_load(&over)) {
		uint64_t at = pair_random(&random) % (PAIR_BYTES / 2);

		if (pair_change(BV_OP_RESIZE, 0, PAIR_BYTES / 2 + at, false) ||
		    pair_change(BV_OP_ZERO, at, 5000, false) ||
		    bv_flush(pair.disk, "fsync", pair.fd, 0) < 0)
			return seed;
	}
	return NULL;
}

static void everything_at_once_is_no_mismatch(void **state)
{
	void *(*const what[])(void *) = { read_much, read_much, resize_and_flush,
					  write_much, write_much };
	enum { MANY = sizeof(what) / sizeof(*what) };
	pthread_t thread[MANY];
	unsigned seed[MANY] = { 11, 12, 13, 1, 2 };
	void *failed;

	(void)state;
	atomic_store(&over, false);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, what[i],
						&seed[i]), 0);
	for (int i = MANY - 1; i >= 0; i--) {
		if (i == 2)
			atomic_store(&over, true);
		pthread_join(thread[i], &failed);
		assert_null(failed);
	}
	bv_late_settle();
	assert_true(pair_same());
	assert_int_equal(pair_said("mismatch"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define LARGE(name) cmocka_unit_test_setup_teardown(name, begin_large, end)

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
		TEST(reads_left_by_the_killed_are_told),
		TEST(room_left_by_a_jump_comes_back),
		LARGE(a_handler_writes_across_pieces),
		TEST(nobody_waits_for_room_that_nobody_gives),
		TEST(everything_at_once_is_no_mismatch),
	};

	return cmocka_run_group_tests_name("late", tests, pair_limit, NULL);
}
