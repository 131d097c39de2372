/* thread: which operation was left by a jump, and which threads are ours. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include <blkverify/thread.h>

#include "../../src/raw.h"

#define FAR (16u * 1024 * 1024)

/* Enters an operation, with one under way whose frame is there: 2 when that is
 * taken to go on, 1 when it was left. */
static unsigned depth_with(uintptr_t frame, uintptr_t aside)
{
	unsigned depth;

	bv_thread = (struct bv_thread){
		.depth = 1, .frame = frame, .aside = aside,
	};
	bv_thread_enter();
	depth = bv_thread.depth;
	bv_thread = (struct bv_thread){ 0 };
	return depth;
}

static uintptr_t here(void)
{
	return (uintptr_t)__builtin_frame_address(0);
}

static void test_on_one_stack(void **state)
{
	(void)state;
	assert_int_equal(depth_with(here() + FAR, 0), 2);
	assert_int_equal(depth_with(here() - FAR, 0), 1);
}

/* A handler's operation aside, where the one it interrupted is on the thread's
 * own stack: below or above, it goes on. */
static void test_aside_of_it(void **state)
{
	uintptr_t around = here() - BV_ASIDE / 2;

	(void)state;
	assert_int_equal(depth_with(here() + FAR, around), 2);
	assert_int_equal(depth_with(here() - FAR, around), 2);
}

/* On the thread's own again: what was aside was left. */
static void test_back_from_aside(void **state)
{
	(void)state;
	assert_int_equal(depth_with(here() + FAR + 100, here() + FAR), 1);
	assert_int_equal(depth_with(here() - FAR + 100, here() - FAR), 1);
	/* the twins: neither is aside */
	assert_int_equal(depth_with(here() + FAR + BV_ASIDE, here() + FAR), 2);
	assert_int_equal(depth_with(here() + FAR - 1, here() + FAR), 2);
}

static void test_both_aside(void **state)
{
	uintptr_t around = here() - BV_ASIDE / 2;

	(void)state;
	assert_int_equal(depth_with(here() + BV_ASIDE / 4, around), 2);
	assert_int_equal(depth_with(here() - BV_ASIDE / 4, around), 1);
}

static void *be_ours(void *tid)
{
	bv_thread_begins();
	*(int *)tid = raw_gettid();
	assert_true(bv_thread_is_own(raw_gettid()));
	bv_thread_ends();
	assert_false(bv_thread_is_own(raw_gettid()));
	bv_thread_begins();
	return NULL;
}

static void test_ours(void **state)
{
	pthread_t thread;
	int tid = 0;

	(void)state;
	pthread_create(&thread, NULL, be_ours, &tid);
	pthread_join(thread, NULL);
	assert_true(bv_thread_is_own(tid));
	assert_false(bv_thread_is_own(raw_gettid()));
	/* a child has none of them */
	bv_thread_forked();
	assert_false(bv_thread_is_own(tid));
}

/* More than can be remembered are nobody's. */
static void test_many(void **state)
{
	(void)state;
	for (int i = 0; i < 2000; i++)
		bv_thread_begins();
	assert_true(bv_thread_is_own(raw_gettid()));
	bv_thread_forked();
	assert_false(bv_thread_is_own(raw_gettid()));
}

static atomic_int late_tid;

static void *begins_late(void *unused)
{
	atomic_store(&late_tid, raw_gettid());
	usleep(50000);
	bv_thread_begins();
	usleep(50000);
	bv_thread_ends();
	return unused;
}

/* One that is being made is ours before it can say so. */
static void test_being_made(void **state)
{
	(void)state;
	atomic_store(&late_tid, 0);
	assert_int_equal(bv_thread_make(begins_late, NULL, NULL), 0);
	while (atomic_load(&late_tid) == 0)
		usleep(100);
	assert_true(bv_thread_is_own(atomic_load(&late_tid)));
	assert_false(bv_thread_is_own(raw_gettid()));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_on_one_stack),
		cmocka_unit_test(test_aside_of_it),
		cmocka_unit_test(test_back_from_aside),
		cmocka_unit_test(test_both_aside),
		cmocka_unit_test(test_ours),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_being_made),
	};

	return cmocka_run_group_tests_name("thread", tests, NULL, NULL);
}
