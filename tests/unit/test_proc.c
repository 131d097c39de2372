/* proc: names under /proc, and what threads are said to do there. */
#include "pair.h"

#include <pthread.h>

#include "../../src/proc.h"
#include "../../src/raw.h"

static void test_names(void **state)
{
	char path[PROC_ROOM];

	(void)state;
	proc_name(path, 0, "fd", 0);
	assert_string_equal(path, "/proc/self/fd/0");
	proc_add(proc_name(path, UINT32_MAX, "task", 10), "/stat");
	assert_string_equal(path, "/proc/4294967295/task/10/stat");
}

#define TO_FLAGS " S 2 3 4 0 -1 "
#define TO_THREADS " 11 12 13 14 15 16 17 18 -19 0 "
#define TO_CODE " 0 22 18446744073709551615 24 25 26 27 28 29 30 31 32 33 34 " \
	"35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 "

/* Whatever name it has given itself. */
static void test_line(void **state)
{
	static const char *const names[] = {
		"(x)", "(a b)", "(X 1 2) Z 3)", "(a) Z b)", "()", "(()", "())",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct proc_stat stat;
		char line[512];

		snprintf(line, sizeof(line), "7 %s" TO_FLAGS "4194560"
			 TO_THREADS "77" TO_CODE "1792\n", names[i]);
		assert_true(bv_proc_parse(line, &stat));
		assert_int_equal(stat.state, 'S');
		assert_int_equal(stat.flags, 4194560);
		assert_int_equal(stat.threads, 77);
		assert_int_equal(stat.exit_code, 7 << 8);
		assert_false(bv_proc_is_gone(&stat));
	}
}

static void test_part_of_a_line(void **state)
{
	struct proc_stat stat;

	(void)state;
	assert_true(bv_proc_parse("7 (x)" TO_FLAGS "4" TO_THREADS, &stat));
	assert_int_equal(stat.flags, 4);
	assert_int_equal(stat.threads, 0);
	assert_int_equal(stat.exit_code, 0);
	assert_true(bv_proc_parse("7 (x) Z", &stat));
	assert_true(bv_proc_is_gone(&stat));
	assert_int_equal(stat.flags, 0);
	assert_true(bv_proc_parse("7 (x) X 1", &stat));
	assert_true(bv_proc_is_gone(&stat));
	assert_false(bv_proc_parse("7 (x) ", &stat));
	assert_false(bv_proc_parse("7 (x", &stat));
	assert_false(bv_proc_parse("", &stat));
}

static atomic_int go;

static void *wait_to_go(void *unused)
{
	while (!atomic_load(&go))
		usleep(1000);
	return unused;
}

/* TSan makes a thread of its own beside the first. */
static void test_our_own(void **state)
{
	struct proc_stat stat;
	unsigned before;
	pthread_t thread[2];
	char text[4];

	(void)state;
	pthread_create(&thread[0], NULL, wait_to_go, NULL);
	assert_true(bv_proc_stat(0, (unsigned)raw_gettid(), &stat));
	assert_int_equal(stat.state, 'R');
	before = stat.threads;
	pthread_create(&thread[1], NULL, wait_to_go, NULL);
	assert_true(bv_proc_stat((unsigned)getpid(), (unsigned)raw_gettid(),
				 &stat));
	assert_int_equal(stat.threads, before + 1);
	atomic_store(&go, 1);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	assert_false(bv_proc_stat(1, (unsigned)raw_gettid(), &stat));
	assert_int_equal(bv_proc_read(0, (unsigned)raw_gettid(), "stat", text,
				      sizeof(text)), 3);
	assert_int_equal(text[3], 0);
	assert_int_equal(bv_proc_read(0, 1, "stat", text, sizeof(text)),
			 -ENOENT);
}

/* The main thread has left by the system call alone. */
static void *look_at_main(void *unused)
{
	struct proc_stat stat;

	do {
		usleep(1000);
		if (!bv_proc_stat(0, (unsigned)getpid(), &stat))
			_exit(1);
	} while (!bv_proc_is_gone(&stat));
	_exit(stat.exit_code == 7 << 8 ? 0 : 2);
	return unused;
}

static void test_main_thread_gone(void **state)
{
	pid_t child = fork();
	pthread_t thread;
	int status;

	(void)state;
	if (child == 0) {
		pthread_create(&thread, NULL, look_at_main, NULL);
		syscall(SYS_exit, 7);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_part_of_a_line),
		cmocka_unit_test(test_our_own),
		cmocka_unit_test(test_main_thread_gone),
	};

	return cmocka_run_group_tests_name("proc", tests, NULL, NULL);
}
