/* pool: threads for those who do not wait. */
#include "pair.h"

#include <pthread.h>

#include <blkverify/pool.h>

/* A pool lives as long as the process: each test has a process of its own. */
#define IN_CHILD(name)                                                        \
	static void name(void);                                               \
	static void test_##name(void **state)                                 \
	{                                                                     \
		(void)state;                                                  \
		assert_int_equal(pair_child(name), 0);                        \
	}                                                                     \
	static void name(void)

struct step {
	struct bv_job job;
	atomic_int done;             /* 1: as it should be; 2: not */
};

static atomic_int flag, resumed;

static bool wait_for(atomic_int *what, int value)
{
	for (int i = 0; i < 5000 && atomic_load(what) != value; i++)
		usleep(1000);
	return atomic_load(what) == value;
}

static void submit(struct step *step, void (*run)(struct bv_job *))
{
	step->job.run = run;
	CHECK(bv_pool_submit(&bv_requests, &step->job) == 0);
}

static void sets_flag(struct bv_job *job)
{
	atomic_store(&flag, 1);
	atomic_store(&((struct step *)job)->done, 1);
}

static void pauses_for_flag(struct bv_job *job)
{
	bool good = bv_pool_pause() && wait_for(&flag, 1);

	bv_pool_resume();
	atomic_store(&((struct step *)job)->done, good ? 1 : 2);
}

static void pauses_for_ever(struct bv_job *job)
{
	atomic_store(&((struct step *)job)->done, bv_pool_pause() ? 1 : 2);
	for (;;)
		pause();
}

IN_CHILD(drained)
{
	static struct step steps[100];

	bv_pool_start(&bv_requests, 3);
	for (int i = 0; i < 100; i++)
		submit(&steps[i], sets_flag);
	bv_pool_drain(&bv_requests);
	for (int i = 0; i < 100; i++)
		CHECK(atomic_load(&steps[i].done) == 1);
}

IN_CHILD(goes_on_beside_one_that_pauses)
{
	static struct step first, second;

	bv_pool_start(&bv_requests, 1);
	submit(&first, pauses_for_flag);
	usleep(10000);
	submit(&second, sets_flag);
	CHECK(wait_for(&first.done, 1));
	CHECK(atomic_load(&second.done) == 1);
	bv_pool_drain(&bv_requests);
}

IN_CHILD(many_that_pause)
{
	static struct step waiting[40], last;

	bv_pool_start(&bv_requests, 2);
	for (int i = 0; i < 40; i++)
		submit(&waiting[i], pauses_for_flag);
	submit(&last, sets_flag);
	for (int i = 0; i < 40; i++)
		CHECK(wait_for(&waiting[i].done, 1));
	bv_pool_drain(&bv_requests);
}

IN_CHILD(not_drained_while_it_pauses)
{
	static struct step first, second;

	bv_pool_start(&bv_requests, 2);
	submit(&first, pauses_for_ever);
	CHECK(wait_for(&first.done, 1));
	submit(&second, sets_flag);
	bv_pool_drain(&bv_requests);
	CHECK(atomic_load(&second.done) == 1);
}

static void goes_on(struct bv_job *job)
{
	bv_pool_pause();
	bv_pool_resume();
	atomic_store(&resumed, 1);
	usleep(50000);
	atomic_store(&((struct step *)job)->done, 1);
}

IN_CHILD(drained_once_it_goes_on)
{
	static struct step step;

	bv_pool_start(&bv_requests, 1);
	submit(&step, goes_on);
	CHECK(wait_for(&resumed, 1));
	bv_pool_drain(&bv_requests);
	CHECK(atomic_load(&step.done) == 1);
}

IN_CHILD(no_pause_outside)
{
	CHECK(!bv_pool_pause());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drained),
		cmocka_unit_test(test_goes_on_beside_one_that_pauses),
		cmocka_unit_test(test_many_that_pause),
		cmocka_unit_test(test_not_drained_while_it_pauses),
		cmocka_unit_test(test_drained_once_it_goes_on),
		cmocka_unit_test(test_no_pause_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
