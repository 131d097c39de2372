/* fdmap: which descriptor is a target. */
#include "pair.h"

static uint32_t kind(int fd)
{
	return atomic_load(&bv_fdmap[(unsigned)fd % BV_FDMAP_ROOM]) & 255;
}

static int open_other(void)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/other", pair.directory);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	assert_true(fd >= 0);
	return fd;
}

static void test_target_by_any_number(void **state)
{
	char name[200];
	int copy = dup(pair.fd), again = open(pair.target, O_RDONLY), linked;

	(void)state;
	snprintf(name, sizeof(name), "%s/name", pair.directory);
	assert_int_equal(link(pair.target, name), 0);
	linked = open(name, O_RDWR);
	assert_ptr_equal(bv_fd_disk(pair.fd), pair.disk);
	assert_ptr_equal(bv_fd_disk(copy), pair.disk);
	assert_ptr_equal(bv_fd_disk(again), pair.disk);
	assert_ptr_equal(bv_fd_disk(linked), pair.disk);
	assert_ptr_equal(bv_fd_guess(linked), pair.disk);
	close(copy);
	close(again);
	close(linked);
}

static void test_what_is_not_a_target_is_remembered(void **state)
{
	int fd = open_other(), ends[2], shadow = open(pair.shadow, O_RDWR);

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_null(bv_fd_disk(fd));
	assert_int_equal(kind(fd), 1);
	assert_null(bv_fd_disk(fd));
	assert_null(bv_fd_disk(ends[0]));
	assert_int_equal(kind(ends[0]), 1);
	assert_null(bv_fd_disk(shadow));
	close(fd);
	close(ends[0]);
	close(ends[1]);
	close(shadow);
}

static void test_no_descriptor(void **state)
{
	(void)state;
	assert_null(bv_fd_disk(-1));
	assert_null(bv_fd_disk(INT_MIN));
	assert_null(bv_fd_disk(INT_MAX));
	assert_null(bv_fd_disk(BV_FDMAP_ROOM - 1));
	/* That it is closed now says nothing of later. */
	assert_int_equal(kind(BV_FDMAP_ROOM - 1), 0);
}

static void test_number_reused(void **state)
{
	int fd = open_other();

	(void)state;
	assert_null(bv_fd_disk(fd));
	dup2(pair.fd, fd);
	bv_fd_forget(fd);
	assert_ptr_equal(bv_fd_disk(fd), pair.disk);
	/* Behind our back: a target is never taken on trust. */
	close(fd);
	assert_null(bv_fd_disk(fd));
	assert_int_equal(open_other(), fd);
	assert_null(bv_fd_disk(fd));
	close(fd);
}

/* What it was is as good as what it is only to who asked for that. */
static void test_guess(void **state)
{
	int fd = dup(pair.fd);

	(void)state;
	assert_int_equal(kind(fd), 0);
	assert_ptr_equal(bv_fd_guess(fd), pair.disk);
	assert_true(kind(fd) > 1);
	close(fd);
	assert_ptr_equal(bv_fd_guess(fd), pair.disk);
	assert_int_equal(open_other(), fd);
	assert_ptr_equal(bv_fd_guess(fd), pair.disk);
	/* Until somebody finds out. */
	assert_null(bv_fd_disk(fd));
	assert_null(bv_fd_guess(fd));
	dup2(pair.fd, fd);
	bv_fd_forget(fd);
	assert_ptr_equal(bv_fd_guess(fd), pair.disk);
	bv_thread.inside = true;
	assert_null(bv_fd_guess(fd));
	bv_thread.inside = false;
	close(fd);
	assert_null(bv_fd_guess(-1));
	assert_null(bv_fd_guess(INT_MAX));
}

static void test_who_appends(void **state)
{
	int plain = open(pair.target, O_RDWR);
	int appends = open(pair.target, O_RDWR | O_APPEND);

	(void)state;
	assert_false(bv_fd_never_appends(plain, pair.disk));
	bv_fd_disk(plain);
	bv_fd_disk(appends);
	assert_true(bv_fd_never_appends(plain, pair.disk));
	assert_false(bv_fd_never_appends(plain, &bv_disk[1]));
	assert_false(bv_fd_never_appends(appends, pair.disk));
	bv_fd_forget(plain);
	assert_false(bv_fd_never_appends(plain, pair.disk));
	bv_fd_disk(plain);
	assert_true(bv_fd_never_appends(plain, pair.disk));
	atomic_store(&pair.disk->state->appending, 1);
	assert_false(bv_fd_never_appends(plain, pair.disk));
	close(plain);
	close(appends);
}

static void test_forget_range(void **state)
{
	int fd[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		fd[i] = open_other();
		assert_null(bv_fd_disk(fd[i]));
	}
	bv_fd_forget_range((unsigned)fd[1], (unsigned)fd[2]);
	assert_int_equal(kind(fd[0]), 1);
	assert_int_equal(kind(fd[1]), 0);
	assert_int_equal(kind(fd[2]), 0);
	assert_int_equal(kind(fd[3]), 1);
	bv_fd_forget_range((unsigned)fd[0], UINT_MAX);
	assert_int_equal(kind(fd[3]), 0);
	bv_fd_forget(-1);
	bv_fd_forget(BV_FDMAP_ROOM);
	for (int i = 0; i < 4; i++)
		close(fd[i]);
}

/* A generation for each time, so that a look-up that began before does not
 * count. */
static void test_forgetting_is_noticed(void **state)
{
	int fd = open_other();
	uint32_t before = atomic_load(&bv_fdmap[fd]);

	(void)state;
	bv_fd_forget(fd);
	assert_int_not_equal(atomic_load(&bv_fdmap[fd]), before);
	assert_int_equal(kind(fd), 0);
	assert_null(bv_fd_disk(fd));
	before = atomic_load(&bv_fdmap[fd]);
	bv_fd_forget(fd);
	assert_int_not_equal(atomic_load(&bv_fdmap[fd]) >> 8, before >> 8);
	close(fd);
}

static atomic_bool stop;

static void *look_up(void *fd)
{
	while (!atomic_load(&stop))
		bv_fd_disk((int)(intptr_t)fd);
	return NULL;
}

/* One thread makes the number now this, now that; others look it up all the
 * while. Once it has been forgotten, no answer from before may stand. */
static void test_no_stale_answer_is_stored(void **state)
{
	int other = open_other(), fd = dup(other);
	double end = pair_now() + 1.5;
	pthread_t thread[2];
	int wrong = 0;

	(void)state;
	atomic_store(&stop, false);
	for (int i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, look_up, (void *)(intptr_t)fd);
	while (pair_now() < end) {
		dup2(other, fd);
		bv_fd_forget(fd);
		sched_yield();
		dup2(pair.fd, fd);
		bv_fd_forget(fd);
		for (int i = 0; i < 20; i++)
			wrong += bv_fd_disk(fd) != pair.disk;
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(wrong, 0);
	close(fd);
	close(other);
}

static void distrust(void)
{
	int fd = open("/dev/null", O_RDWR);

	CHECK(bv_fd_disk(fd) == NULL);
	CHECK(kind(fd) == 1);
	bv_fd_distrust();
	CHECK(kind(fd) == 0);
	CHECK(bv_fd_disk(fd) == NULL);
	CHECK(kind(fd) == 0);
	CHECK(bv_fd_disk(pair.fd) == pair.disk);
}

static void test_distrust(void **state)
{
	(void)state;
	assert_int_equal(pair_child(distrust), 0);
}

/* A process with our memory and other descriptors: what it learns is not
 * true for us. Its id is all that tells. */
static void test_vfork_child_stores_nothing(void **state)
{
	int fd = open_other();

	(void)state;
	bv_pid = getpid() + 1;
	assert_null(bv_fd_disk(fd));
	assert_int_equal(kind(fd), 0);
	assert_ptr_equal(bv_fd_disk(pair.fd), pair.disk);
	assert_int_equal(kind(pair.fd), 0);
	bv_pid = getpid();
	close(fd);
}

static void test_target_that_comes_later(void **state)
{
	char new[200];
	struct bv_text *why = calloc(1, sizeof(*why));
	int fd;

	(void)state;
	pair_stop();
	snprintf(new, sizeof(new), "%s/new", pair.directory);
	assert_int_equal(truncate(pair.shadow, 0), 0);
	pair.config.target[0] = new;
	assert_int_equal(pair_start(why), 0);
	assert_null(bv_fd_disk(pair.fd));
	fd = open(new, O_CREAT | O_RDWR, 0600);
	bv_fd_forget(fd);
	assert_ptr_equal(bv_fd_disk(fd), pair.disk);
	close(fd);
	free(why);
}

/* The name stands for another file now: that one is not the target. */
static void test_target_replaced(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(unlink(pair.target), 0);
	fd = open(pair.target, O_CREAT | O_RDWR, 0600);
	assert_null(bv_fd_disk(fd));
	assert_ptr_equal(bv_fd_disk(pair.fd), pair.disk);
	assert_int_equal(pair_said("target replaced"), 1);
	assert_int_equal(atomic_load(&pair.disk->state->unverified), 1);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_begin, pair_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_target_by_any_number),
		TEST(test_what_is_not_a_target_is_remembered),
		TEST(test_no_descriptor),
		TEST(test_number_reused),
		TEST(test_guess),
		TEST(test_who_appends),
		TEST(test_forget_range),
		TEST(test_forgetting_is_noticed),
		TEST(test_no_stale_answer_is_stored),
		TEST(test_distrust),
		TEST(test_vfork_child_stores_nothing),
		TEST(test_target_that_comes_later),
		TEST(test_target_replaced),
	};

	return cmocka_run_group_tests_name("fdmap", tests, pair_limit, NULL);
}
