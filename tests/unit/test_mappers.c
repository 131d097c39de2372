/* mappers: processes that share the memory of a target's mappings. */
#include "pair.h"

#include "../../src/mappers.h"
#include "../../src/view.h"

#define LENGTH (2 * BV_CHUNK)

static unsigned char bytes[LENGTH];

static int turns[2][2];              /* pipes: to the child, and back */

static void give(int to)
{
	CHECK(write(turns[to][1], "", 1) == 1);
}

static void take(int from)
{
	char c;

	CHECK(read(turns[from][0], &c, 1) == 1);
}

static int begin(void **state)
{
	static struct bv_text why;

	(void)state;
	pair_make(LENGTH);
	pair.config.mmap = BV_MMAP_MEMFD;
	if (pipe(turns[0]) < 0 || pipe(turns[1]) < 0)
		return -1;
	return pair_start(&why);
}

static void leave_all(void)
{
	while (bv_memory_pin(pair.disk, false)) {
		bv_memory_leave(pair.disk);
		bv_memory_leave(pair.disk);
	}
	bv_memory_closing(pair.disk);
	if (atomic_load(&pair.disk->looks))
		bv_view_drop(pair.disk);
}

static int end(void **state)
{
	leave_all();
	for (int i = 0; i < 4; i++)
		close(turns[i / 2][i % 2]);
	return pair_end(state);
}

static unsigned char *map(void)
{
	unsigned char *p;

	if (bv_memory_join(pair.disk, "mmap", pair.fd, true, 0, LENGTH) != 0)
		return NULL;
	p = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED,
		 bv_memory_fd(pair.disk, true), 0);
	return p == MAP_FAILED ? NULL : p;
}

static uint32_t listed(void)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < BV_MAPPERS; i++)
		n += atomic_load(&pair.disk->state->mapper[i]) != 0;
	return n;
}

static uint64_t shared(void)
{
	return atomic_load(&pair.disk->state->memory_inode);
}

/* The shim's descriptor of the target must be one of the child's own. */
static void reopen(void)
{
	pair.fd = open(pair.target, O_RDWR);
	CHECK(pair.fd >= 0);
}

/* ---- two processes that come to it each on its own ---- */

static void map_and_tell(void)
{
	unsigned char *p;

	reopen();
	take(0);
	p = map();
	CHECK(p && p[5] == 'a');
	p[10] = 'b';
	CHECK(pair_write("written", 7, BV_CHUNK - 3) == 7);
	give(1);
	take(0);
	CHECK(p[20] == 'c');
	p[30] = 'd';
}

static void test_both_see_the_same(void **state)
{
	pid_t pid = pair_fork();
	unsigned char *p;

	(void)state;
	if (pid == 0) {
		map_and_tell();
		_exit(0);
	}
	p = map();
	assert_non_null(p);
	p[5] = 'a';
	give(0);
	take(1);
	assert_int_equal(listed(), 2);
	assert_int_equal(p[10], 'b');
	assert_memory_equal(p + BV_CHUNK - 3, "written", 7);
	assert_int_equal(pair_read(bytes, LENGTH, 0), LENGTH);
	assert_memory_equal(bytes, p, LENGTH);
	p[20] = 'c';
	give(0);
	assert_int_equal(pair_wait(pid), 0);
	/* It went without a word, and without writing back. */
	assert_int_equal(p[30], 'd');
	assert_int_equal(bv_memory_flush(pair.disk, "msync", 0, LENGTH), 0);
	pair_get(pair.target, bytes, LENGTH, 0);
	assert_memory_equal(bytes, p, LENGTH);
	assert_true(pair_same());
	assert_int_equal(pair_said("blkverify"), 0);
}

static void map_and_die(void)
{
	unsigned char *p;

	reopen();
	p = map();
	CHECK(p);
	p[5] = 'a';
	give(1);
	take(0);
	raise(SIGKILL);
}

static void test_a_reader_outlives_a_mapper(void **state)
{
	pid_t pid = pair_fork();

	(void)state;
	if (pid == 0)
		map_and_die();
	take(1);
	assert_int_equal(pair_read(bytes, 10, 0), 10);
	assert_int_equal(bytes[5], 'a');
	assert_true(atomic_load(&pair.disk->looks));
	give(0);
	assert_true(WIFSIGNALED(pair_wait(pid)));
	/* Nobody has it any more, and what was stored is lost; the reader keeps
	 * it alive only until it looks again. */
	assert_int_equal(pair_read(bytes, 10, 0), 10);
	assert_int_equal(pair_write_pattern(100, 0, 1), 100);
	assert_true(pair_read_all());
	assert_true(pair_same());
	assert_int_equal(pair_said("blkverify"), 0);
}

static void map_and_leave(void)
{
	reopen();
	CHECK(map());
	give(1);
	take(0);
	leave_all();
	CHECK(listed() == 0 && shared() == 0);
	give(1);
	take(0);
}

static void test_a_reader_keeps_nothing(void **state)
{
	pid_t pid = pair_fork();

	(void)state;
	if (pid == 0) {
		map_and_leave();
		_exit(0);
	}
	take(1);
	assert_int_equal(pair_read(bytes, 10, 0), 10);
	assert_true(bv_memory_fd(pair.disk, true) > 0);
	give(0);
	take(1);
	assert_int_equal(pair_read(bytes, 10, 0), 10);
	assert_false(atomic_load(&pair.disk->looks));
	assert_int_equal(bv_memory_fd(pair.disk, true), 0);
	assert_false(bv_memory_any(pair.disk));
	give(0);
	assert_int_equal(pair_wait(pid), 0);
	assert_int_equal(pair_said("blkverify"), 0);
}

/* ---- children ---- */

static unsigned char *inherited;

static void store_and_exit(void)
{
	CHECK(listed() == 2);
	inherited[1]++;
}

static void test_children_inherit(void **state)
{
	uint64_t before;

	(void)state;
	inherited = map();
	assert_non_null(inherited);
	before = shared();
	inherited[1] = 0;
	assert_int_equal(pair_child(store_and_exit), 0);
	assert_int_equal(inherited[1], 1);
	/* Nobody takes himself out who ends. */
	assert_int_equal(listed(), 2);
	assert_int_equal(shared(), before);
	assert_int_equal(pair_said("blkverify"), 0);
}

static void store_once(void)
{
	inherited[1]++;
}

static void test_the_dead_make_room(void **state)
{
	uint64_t before;

	(void)state;
	inherited = map();
	assert_non_null(inherited);
	before = shared();
	inherited[1] = 0;
	for (unsigned i = 0; i < 2 * BV_MAPPERS; i++)
		assert_int_equal(pair_child(store_once), 0);
	assert_int_equal(inherited[1], 2 * BV_MAPPERS);
	assert_int_equal(shared(), before);
	assert_int_equal(pair_said("blkverify"), 0);
}

static void wait_for_the_end(void)
{
	char c;

	close(turns[0][1]);
	CHECK(read(turns[0][0], &c, 1) == 0);
}

static void test_too_many_say_so(void **state)
{
	pid_t pid[BV_MAPPERS];

	(void)state;
	inherited = map();
	assert_non_null(inherited);
	for (unsigned i = 0; i < BV_MAPPERS; i++) {
		pid[i] = pair_fork();
		if (pid[i] == 0) {
			wait_for_the_end();
			_exit(0);
		}
	}
	for (int i = 0; i < 500 && pair_said("cannot be reached") == 0; i++)
		pair_sleep(10);
	assert_int_equal(pair_said("mapped by a process whose memory cannot be "
				   "reached"), 1);
	assert_int_equal(listed(), BV_MAPPERS);
	close(turns[0][1]);
	for (unsigned i = 0; i < BV_MAPPERS; i++)
		assert_int_equal(pair_wait(pid[i]), 0);
	turns[0][1] = dup(turns[0][0]);
}

static void go_on_alone(void)
{
	take(0);
	CHECK(listed() == 1 && inherited[1] == 'p');
	inherited[2] = 'c';
	CHECK(bv_memory_flush(pair.disk, "msync", 0, LENGTH) == 0);
}

static void test_a_child_goes_on_alone(void **state)
{
	pid_t pid;

	(void)state;
	inherited = map();
	assert_non_null(inherited);
	inherited[1] = 'p';
	pid = pair_fork();
	if (pid == 0) {
		go_on_alone();
		_exit(0);
	}
	for (int i = 0; i < 500 && listed() < 2; i++)
		pair_sleep(10);
	assert_int_equal(bv_memory_flush(pair.disk, "munmap", 0, LENGTH), 0);
	leave_all();
	give(0);
	assert_int_equal(pair_wait(pid), 0);
	pair_get(pair.target, bytes, 3, 0);
	assert_memory_equal(bytes + 1, "pc", 2);
	assert_true(pair_same());
	assert_int_equal(pair_said("blkverify"), 0);
}

/* ---- the list ---- */

/* A process that is there no more, or is another one by now. */
static void test_strangers_in_the_list(void **state)
{
	pid_t dead = pair_fork();
	unsigned char *p;

	(void)state;
	if (dead == 0)
		_exit(0);
	pair_wait(dead);
	for (unsigned i = 0; i < BV_MAPPERS; i++)
		atomic_store(&pair.disk->state->mapper[i],
			     i % 2 ? (uint32_t)dead : (uint32_t)getppid());
	atomic_store(&pair.disk->state->mapped, BV_MAPPERS);
	atomic_store(&pair.disk->state->memory_inode, 12345);
	/* Whoever looks finds out. */
	assert_int_equal(pair_read(bytes, 10, 0), 10);
	assert_false(bv_memory_any(pair.disk));
	assert_int_equal(listed(), 0);
	/* Full of them again when one comes in. */
	for (unsigned i = 0; i < BV_MAPPERS; i++)
		atomic_store(&pair.disk->state->mapper[i], (uint32_t)dead);
	p = map();
	assert_non_null(p);
	assert_int_equal(listed(), 1);
	assert_true(shared() != 0);
	p[5] = 'x';
	assert_int_equal(pair_read(bytes, 10, 0), 10);
	assert_int_equal(bytes[5], 'x');
	assert_int_equal(pair_said("blkverify"), 0);
}

/* Somebody died after he had made the memory, and before he was in the list. */
static void test_a_number_without_an_owner(void **state)
{
	(void)state;
	atomic_store(&pair.disk->state->memory_inode, 12345);
	assert_non_null(map());
	assert_true(shared() != 12345);
	assert_int_equal(pair_said("blkverify"), 0);
}

static void be_somebody_else(void)
{
	bv_memory_leaving();
	give(1);
	take(0);
	_exit(0);
}

static void test_exec(void **state)
{
	pid_t pid;
	uint64_t before;

	(void)state;
	inherited = map();
	assert_non_null(inherited);
	before = shared();
	pid = pair_fork();
	if (pid == 0)
		be_somebody_else();
	take(1);
	assert_int_equal(listed(), 1);
	/* One that fails, of the only process that has it. */
	bv_memory_leaving();
	assert_int_equal(listed(), 0);
	bv_memory_staying();
	assert_int_equal(listed(), 1);
	assert_int_equal(shared(), before);
	inherited[7] = 'x';
	assert_int_equal(pair_read(bytes, 10, 0), 10);
	assert_int_equal(bytes[7], 'x');
	give(0);
	assert_int_equal(pair_wait(pid), 0);
	assert_int_equal(pair_said("blkverify"), 0);
}

/* Descriptors at numbers of all sizes are found. */
static void hide_and_wait(void)
{
	struct rlimit limit = { 20000, 20000 };
	unsigned char *p;

	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	reopen();
	for (int fd = 900; fd < 6000; fd++)
		CHECK(fcntl(fd, F_GETFD) >= 0 || dup2(turns[0][0], fd) == fd);
	p = map();
	CHECK(p && bv_memory_fd(pair.disk, true) >= 6000);
	p[5] = 'a';
	give(1);
	take(0);
	_exit(0);
}

static void test_high_descriptors(void **state)
{
	struct rlimit limit;
	pid_t pid;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < 20000)
		skip();
	pid = pair_fork();
	if (pid == 0)
		hide_and_wait();
	take(1);
	assert_int_equal(pair_read(bytes, 10, 0), 10);
	assert_int_equal(bytes[5], 'a');
	assert_int_equal(listed(), 1);
	give(0);
	assert_int_equal(pair_wait(pid), 0);
	assert_int_equal(pair_said("blkverify"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_both_see_the_same),
		TEST(test_a_reader_outlives_a_mapper),
		TEST(test_a_reader_keeps_nothing),
		TEST(test_children_inherit),
		TEST(test_the_dead_make_room),
		TEST(test_too_many_say_so),
		TEST(test_a_child_goes_on_alone),
		TEST(test_strangers_in_the_list),
		TEST(test_a_number_without_an_owner),
		TEST(test_exec),
		TEST(test_high_descriptors),
	};

	return cmocka_run_group_tests_name("mappers", tests, pair_limit, NULL);
}
