/* concurrency: many at once, and in the end target and shadow are the same.
 * The one that ThreadSanitizer is there for. */
#include "pair.h"

#define LENGTH (96 * 1024)
#define LARGEST 6000

static atomic_bool stop;
static _Atomic unsigned operations;

/* Now and then the target dawdles between the two sides, where it matters. */
static ssize_t slow_pwrite(int fd, const void *from, size_t n, off64_t offset)
{
	ssize_t put = pwrite64(fd, from, n, offset);

	if (atomic_fetch_add(&pair_hook.calls, 1) % 16 == 0)
		sched_yield();
	return put;
}

static ssize_t slow_pread(int fd, void *to, size_t n, off64_t offset)
{
	ssize_t got = pread64(fd, to, n, offset);

	if (atomic_fetch_add(&pair_hook.calls, 1) % 16 == 0)
		sched_yield();
	return got;
}

static int slow_apply(const struct bv_change *change)
{
	int result = pair_apply(change);

	sched_yield();
	return result;
}

static bool one_operation(uint32_t *seed, unsigned char *bytes, bool resizes)
{
	uint64_t offset = pair_random(seed) % LENGTH;
	size_t n = 1 + pair_random(seed) % LARGEST;
	uint32_t what = pair_random(seed) % 32;

	if (what < 14)
		return pair_read(bytes, n, (int64_t)offset) >= 0;
	if (what < 27) {
		memset(bytes, (int)pair_random(seed), n);
		return pair_write(bytes, n, (int64_t)offset) == (ssize_t)n;
	}
	switch (resizes ? what : 27) {
	case 28:
		return pair_change(BV_OP_RESIZE, 0, LENGTH / 2 + offset / 2,
				   false) == 0;
	case 29:
		return pair_change(BV_OP_RESIZE, offset, n, true) == 0;
	case 30:
		return pair_change(BV_OP_ZERO, offset, n, true) == 0;
	case 31:
		return pair_change(BV_OP_DISCARD, offset, n, false) == 0;
	default:
		return pair_change(BV_OP_ZERO, offset, n, false) == 0;
	}
}

static void work(uint32_t seed, bool resizes, double seconds)
{
	unsigned char bytes[LARGEST];
	double end = pair_now() + seconds;

	while (pair_now() < end && !atomic_load(&stop)) {
		if (!one_operation(&seed, bytes, resizes))
			atomic_store(&stop, true);
		atomic_fetch_add(&operations, 1);
	}
}

struct worker {
	pthread_t thread;
	uint32_t seed;
	bool resizes;
};

static void *worker(void *argument)
{
	struct worker *w = argument;

	work(w->seed, w->resizes, 3);
	return NULL;
}

static void begin(void)
{
	atomic_store(&stop, false);
	atomic_store(&operations, 0);
	pair_hook.pread = slow_pread;
	pair_hook.pwrite = slow_pwrite;
	pair_hook.apply = slow_apply;
}

static void check_end(void)
{
	assert_false(atomic_load(&stop));
	assert_int_equal(pair_said("blkverify"), 0);
	/* Discarded ranges are learnt by this; what was discarded past the
	 * end stays as it is. */
	assert_true(pair_read_all());
	assert_true(pair_is_known(0, atomic_load(&pair.disk->state->size)));
	assert_int_equal(pair_said("blkverify"), 0);
	assert_true(pair_same());
}

static void run_threads(unsigned count, bool resizes)
{
	struct worker w[8];

	begin();
	for (unsigned i = 0; i < count; i++) {
		w[i].seed = 17 * i + 1;
		w[i].resizes = resizes;
		pthread_create(&w[i].thread, NULL, worker, &w[i]);
	}
	for (unsigned i = 0; i < count; i++)
		pthread_join(w[i].thread, NULL);
	assert_true(atomic_load(&operations) > 200);
	check_end();
}

static void test_threads(void **state)
{
	(void)state;
	run_threads(4, false);
}

static void test_threads_that_resize(void **state)
{
	(void)state;
	run_threads(4, true);
}

static void test_processes_that_resize(void **state)
{
	pid_t pid[4];

	(void)state;
	begin();
	for (uint32_t i = 0; i < 4; i++) {
		pid[i] = pair_fork();
		if (pid[i] == 0) {
			work(17 * i + 1, true, 3);
			_exit(atomic_load(&stop));
		}
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(pair_wait(pid[i]), 0);
	check_end();
}

/* Some of the processes are killed: what they were at is unknown, and the
 * others neither stop nor complain. */
static void test_processes_that_are_killed(void **state)
{
	pid_t steady, victim;
	uint32_t seed = 9;

	(void)state;
	begin();
	steady = pair_fork();
	if (steady == 0) {
		work(1, true, 3);
		_exit(atomic_load(&stop));
	}
	for (uint32_t i = 0; i < 40; i++) {
		victim = pair_fork();
		if (victim == 0) {
			work(i + 2, true, 60);
			_exit(0);
		}
		pair_sleep(10 + pair_random(&seed) % 50);
		kill(victim, SIGKILL);
		pair_wait(victim);
	}
	assert_int_equal(pair_wait(steady), 0);
	check_end();
}

/* Appending writers never land on one another. */
static void *append(void *argument)
{
	struct worker *w = argument;
	unsigned char bytes[300];

	for (int i = 0; i < 150; i++) {
		size_t n = 1 + pair_random(&w->seed) % sizeof(bytes);

		memset(bytes, (int)w->seed, n);
		if (pair_transfer(true, pair.fd, bytes, n,
				  i % 2 ? -1 : 0, 0) != (ssize_t)n)
			atomic_store(&stop, true);
		atomic_fetch_add(&operations, (unsigned)n);
	}
	return NULL;
}

static void test_appending(void **state)
{
	struct worker w[4];

	(void)state;
	begin();
	assert_int_equal(fcntl(pair.fd, F_SETFL, O_APPEND), 0);
	for (uint32_t i = 0; i < 4; i++) {
		w[i].seed = i + 5;
		pthread_create(&w[i].thread, NULL, append, &w[i]);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(w[i].thread, NULL);
	assert_int_equal(pair_length(pair.target),
			 PAIR_BYTES + atomic_load(&operations));
	check_end();
}

/* Readers of one position get each byte once. */
static _Atomic unsigned char seen[PAIR_BYTES / 64];

static void *read_on(void *argument)
{
	unsigned char bytes[64];
	ssize_t got;

	while ((got = pair_read(bytes, sizeof(bytes), -1)) == sizeof(bytes)) {
		uint64_t block;

		memcpy(&block, bytes, sizeof(block));
		if (block < PAIR_BYTES / 64)
			atomic_fetch_add(&seen[block], 1);
	}
	if (got != 0)
		atomic_store(&stop, true);
	return argument;
}

static void test_one_position(void **state)
{
	pthread_t thread[4];

	(void)state;
	begin();
	for (uint64_t i = 0; i < PAIR_BYTES / 64; i++)
		assert_int_equal(pair_write(&i, sizeof(i), (int64_t)i * 64),
				 sizeof(i));
	for (int i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, read_on, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < PAIR_BYTES / 64; i++)
		assert_int_equal(atomic_load(&seen[i]), 1);
	check_end();
}

/* More threads than private buffers. */
static void test_crowd(void **state)
{
	struct worker w[50];
	struct bv_claim all = { .exclusive = true, .op = BV_OP_FLUSH,
				.end = BV_TO_END };
	struct bv_hold hold;

	(void)state;
	begin();
	assert_int_equal(bv_inflight_take(pair.disk, &all, &hold), 0);
	for (uint32_t i = 0; i < 50; i++) {
		w[i].seed = i + 1;
		w[i].resizes = false;
		pthread_create(&w[i].thread, NULL, worker, &w[i]);
	}
	pair_sleep(300);
	bv_inflight_drop(&hold);
	for (int i = 0; i < 50; i++)
		pthread_join(w[i].thread, NULL);
	check_end();
}

/* ---- signal handlers ---- */

static _Atomic int had;

static void *take_all_buffers(void *unused)
{
	bv_thread_enter();
	for (;;) {
		bv_buffer_get();
		atomic_fetch_add(&had, 1);
	}
	return unused;
}

static void handler_needs_a_buffer(void)
{
	pthread_t thread;
	int before;

	pthread_create(&thread, NULL, take_all_buffers, NULL);
	do {
		before = atomic_load(&had);
		pair_sleep(200);
	} while (before != atomic_load(&had));
	CHECK(before >= 32);
	bv_thread.depth = 2;
	bv_buffer_put(bv_buffer_get());
}

/* All others may be held by threads that wait for what it interrupted. */
static void test_handler_gets_a_buffer(void **state)
{
	(void)state;
	assert_int_equal(pair_child(handler_needs_a_buffer), 0);
}

static void handler(int signal)
{
	unsigned char bytes[512];
	static _Atomic uint32_t seed = 77;
	uint32_t mine = atomic_fetch_add(&seed, 1) * 2654435761u | 1;
	int saved = errno;

	(void)signal;
	pair_random(&mine);
	memset(bytes, (int)mine, sizeof(bytes));
	if (mine & 64)
		pair_write(bytes, sizeof(bytes), mine % (PAIR_BYTES - 512));
	else
		pair_read(bytes, sizeof(bytes), mine % (PAIR_BYTES - 512));
	errno = saved;
}

/* Handlers that do I/O of their own come in the middle of operations. */
static void test_handlers(void **state)
{
	struct sigaction action = { .sa_handler = handler,
				    .sa_flags = SA_RESTART };
	double end = pair_now() + 3;
	struct worker w[3];

	(void)state;
	begin();
	sigaction(SIGUSR1, &action, NULL);
	for (uint32_t i = 0; i < 3; i++) {
		w[i].seed = i + 1;
		w[i].resizes = false;
		pthread_create(&w[i].thread, NULL, worker, &w[i]);
	}
	while (pair_now() < end - 0.5) {
		for (int i = 0; i < 3; i++)
			pthread_kill(w[i].thread, SIGUSR1);
		pair_sleep(1);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(w[i].thread, NULL);
	/* What is said is a handler's refusal at most. */
	assert_int_equal(pair_said("mismatch"), 0);
	assert_false(atomic_load(&stop));
	assert_true(pair_read_all());
	assert_int_equal(pair_said("mismatch"), 0);
	assert_true(pair_same());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_begin, pair_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_threads),
		TEST(test_threads_that_resize),
		TEST(test_processes_that_resize),
		TEST(test_processes_that_are_killed),
		TEST(test_appending),
		TEST(test_one_position),
		TEST(test_crowd),
		TEST(test_handler_gets_a_buffer),
		TEST(test_handlers),
	};

	return cmocka_run_group_tests_name("concurrency", tests, pair_limit,
					   NULL);
}
