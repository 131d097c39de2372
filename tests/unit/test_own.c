/* own: our own descriptors, out of the program's way. */
#include "pair.h"

/* The table is never emptied, and lives as long as the process: each test has
 * a process of its own. */
#define IN_CHILD(name)                                                        \
	static void name(void);                                               \
	static void test_##name(void **state)                                 \
	{                                                                     \
		(void)state;                                                  \
		assert_int_equal(pair_child(name), 0);                        \
	}                                                                     \
	static void name(void)

static int null_fd(void)
{
	int fd = open("/dev/null", O_RDWR);

	CHECK(fd >= 0);
	return fd;
}

static void limit_files(rlim_t soft)
{
	struct rlimit limit;

	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	CHECK(limit.rlim_max >= soft);
	limit.rlim_cur = soft;
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

IN_CHILD(moved_high)
{
	int fd = null_fd(), slot = -2;

	limit_files(4096);
	CHECK(!bv_own_has(fd));
	CHECK(bv_own_next(0) == -1);
	CHECK(bv_own_adopt(fd, &slot) == 0);
	CHECK(slot >= 900);
	CHECK(fcntl(slot, F_GETFD) == FD_CLOEXEC);
	CHECK(fcntl(fd, F_GETFD) == -1 && errno == EBADF);
	CHECK(bv_own_has(slot));
	CHECK(!bv_own_has(fd));
	CHECK(!bv_own_has(slot + 1));
	CHECK(!bv_own_has(-1));
}

IN_CHILD(ranges_around_them)
{
	int slot[3];

	limit_files(4096);
	for (int i = 0; i < 3; i++)
		CHECK(bv_own_adopt(null_fd(), &slot[i]) == 0);
	CHECK(slot[0] < slot[1] && slot[1] < slot[2]);
	CHECK(bv_own_next(0) == slot[0]);
	CHECK(bv_own_next((unsigned)slot[0]) == slot[0]);
	CHECK(bv_own_next((unsigned)slot[0] + 1) == slot[1]);
	CHECK(bv_own_next((unsigned)slot[2]) == slot[2]);
	CHECK(bv_own_next((unsigned)slot[2] + 1) == -1);
	CHECK(bv_own_next(UINT32_MAX) == -1);
}

IN_CHILD(moves_away)
{
	int slot, other, former;
	struct stat before, after;

	limit_files(4096);
	CHECK(bv_own_adopt(open("/proc/self/stat", O_RDONLY), &slot) == 0);
	CHECK(bv_own_adopt(null_fd(), &other) == 0);
	former = slot;
	CHECK(fstat(former, &before) == 0);
	CHECK(bv_own_yield(former) == 0);
	CHECK(slot != former && slot >= 900);
	CHECK(fcntl(former, F_GETFD) == -1);
	CHECK(fcntl(slot, F_GETFD) == FD_CLOEXEC);
	CHECK(fstat(slot, &after) == 0 && after.st_ino == before.st_ino);
	CHECK(bv_own_has(slot) && !bv_own_has(former) && bv_own_has(other));
	/* What is not ours is none of our business. */
	CHECK(bv_own_yield(former) == 0);
	CHECK(bv_own_yield(0) == 0 && fcntl(0, F_GETFD) >= 0);
}

/* As many as the most pairs need: two files, a state file and a pin each,
 * under the limit that is usual. */
IN_CHILD(room_for_every_pair)
{
	static int slot[BV_MAX_PAIRS * 4 + 1];

	limit_files(1024);
	for (int i = 0; i < BV_MAX_PAIRS * 4 + 1; i++)
		CHECK(bv_own_adopt(null_fd(), &slot[i]) == 0);
	for (int i = 0; i < BV_MAX_PAIRS * 4 + 1; i++) {
		CHECK(slot[i] > 2);
		CHECK(bv_own_has(slot[i]));
	}
}

IN_CHILD(no_more_than_the_table_holds)
{
	static int slot[BV_MAX_OWN + 1];
	int fd;

	limit_files(4096);
	for (int i = 0; i < BV_MAX_OWN; i++)
		CHECK(bv_own_adopt(null_fd(), &slot[i]) == 0);
	fd = null_fd();
	CHECK(bv_own_adopt(fd, &slot[BV_MAX_OWN]) == -EMFILE);
	CHECK(slot[BV_MAX_OWN] == -1);
	CHECK(fcntl(fd, F_GETFD) == -1);
}

IN_CHILD(few_files_allowed)
{
	int slot;

	limit_files(40);
	CHECK(bv_own_adopt(null_fd(), &slot) == 0);
	CHECK(slot > 2 && slot < 40 && bv_own_has(slot));
}

IN_CHILD(no_file_allowed)
{
	int fd = null_fd(), slot;

	limit_files((rlim_t)fd + 1);
	CHECK(bv_own_adopt(fd, &slot) < 0);
	CHECK(slot == -1);
	CHECK(fcntl(fd, F_GETFD) == -1);
}

IN_CHILD(not_a_descriptor)
{
	int slot;

	CHECK(bv_own_adopt(77, &slot) == -EBADF);
	CHECK(slot == -1);
	CHECK(bv_own_next(0) == -1);
}

/* A log that was silenced stays so, wherever its descriptor goes. */
IN_CHILD(silenced_log_stays_silent)
{
	int fd;

	pair_make(0);
	limit_files(4096);
	CHECK(bv_log_open(pair.log) == 0);
	fd = bv_log_fd();
	bv_log_say("one");
	bv_log_silence();
	bv_log_say("two");
	CHECK(bv_own_yield(fd) == 0);
	bv_log_say("three");
	CHECK(bv_log_fd() == -1);
	CHECK(pair_said("blkverify: one\n") == 1);
	CHECK(pair_said("blkverify: ") == 1);
	pair_remove();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moved_high),
		cmocka_unit_test(test_ranges_around_them),
		cmocka_unit_test(test_moves_away),
		cmocka_unit_test(test_room_for_every_pair),
		cmocka_unit_test(test_no_more_than_the_table_holds),
		cmocka_unit_test(test_few_files_allowed),
		cmocka_unit_test(test_no_file_allowed),
		cmocka_unit_test(test_not_a_descriptor),
		cmocka_unit_test(test_silenced_log_stays_silent),
	};

	return cmocka_run_group_tests_name("own", tests, pair_limit, NULL);
}
