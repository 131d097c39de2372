/* inflight: range locks between threads, processes, signal handlers and the
 * dead. */
#include "pair.h"

#define CELLS 16
#define END BV_TO_END

static int take_as(enum bv_space space, enum bv_op op, bool exclusive,
		   uint64_t start, uint64_t end, struct bv_hold *hold)
{
	struct bv_claim claim = {
		.space = space, .op = op, .exclusive = exclusive,
		.start = start, .end = end, .offset = start,
		.length = end == END ? 0 : end - start,
	};

	return bv_inflight_take(pair.disk, &claim, hold);
}

static struct bv_hold hold_write(uint64_t start, uint64_t end)
{
	struct bv_hold hold;

	if (take_as(BV_SPACE_BYTES, BV_OP_WRITE, true, start, end, &hold) != 0)
		abort();
	return hold;
}

static struct bv_hold hold_read(uint64_t start, uint64_t end)
{
	struct bv_hold hold;

	if (take_as(BV_SPACE_BYTES, BV_OP_READ, false, start, end, &hold) != 0)
		abort();
	return hold;
}

static unsigned in_phase(enum bv_phase phase)
{
	const struct bv_state *state = pair.disk->state;
	unsigned count = 0;

	for (unsigned i = 0; i < BV_SLOTS; i++)
		if (atomic_load(&state->used[i / 64]) >> (i % 64) & 1 &&
		    atomic_load(&state->slot[i].phase) == phase)
			count++;
	return count;
}

static void until_phase(enum bv_phase phase, unsigned count)
{
	double limit = pair_now() + 20;

	while (in_phase(phase) != count && pair_now() < limit)
		pair_sleep(1);
	assert_int_equal(in_phase(phase), count);
}

/* ---- exclusion ---- */

/* Who is in each cell now: readers count one, a writer counts a thousand. */
struct arena {
	_Atomic int cell[CELLS];
	_Atomic int wrong;
	_Atomic int done;
};

static struct arena *arena;

static void work(uint32_t seed, int rounds)
{
	while (rounds--) {
		uint64_t start = pair_random(&seed) % CELLS;
		uint64_t end = start + 1 + pair_random(&seed) % (CELLS - start);
		bool exclusive = pair_random(&seed) % 2;
		int weight = exclusive ? 1000 : 1;
		struct bv_hold hold;

		if (take_as(BV_SPACE_BYTES, exclusive ? BV_OP_WRITE : BV_OP_READ,
			    exclusive, start,
			    end == CELLS && exclusive ? END : end, &hold) != 0)
			atomic_fetch_add(&arena->wrong, 1);
		for (uint64_t i = start; i < end; i++) {
			int was = atomic_fetch_add(&arena->cell[i], weight);

			if (was >= 1000 || (exclusive && was))
				atomic_fetch_add(&arena->wrong, 1);
		}
		if (pair_random(&seed) % 64 == 0)
			sched_yield();
		for (uint64_t i = start; i < end; i++)
			atomic_fetch_sub(&arena->cell[i], weight);
		bv_inflight_drop(&hold);
		atomic_fetch_add(&arena->done, 1);
	}
}

static void *work_thread(void *seed)
{
	work((uint32_t)(intptr_t)seed, 4000);
	return NULL;
}

static void test_threads_exclude_each_other(void **state)
{
	pthread_t thread[4];

	(void)state;
	memset((void *)arena, 0, sizeof(*arena));
	for (intptr_t i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, work_thread, (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(atomic_load(&arena->wrong), 0);
	assert_int_equal(atomic_load(&arena->done), 16000);
	assert_false(bv_unknown_any(pair.disk));
}

static void test_processes_exclude_each_other(void **state)
{
	pid_t pid[4];

	(void)state;
	memset((void *)arena, 0, sizeof(*arena));
	for (uint32_t i = 0; i < 4; i++) {
		pid[i] = pair_fork();
		if (pid[i] == 0) {
			work(i + 1, 3000);
			_exit(0);
		}
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(pair_wait(pid[i]), 0);
	assert_int_equal(atomic_load(&arena->wrong), 0);
	assert_int_equal(atomic_load(&arena->done), 12000);
	assert_false(bv_unknown_any(pair.disk));
}

/* Killed at any moment: the others go on, and never meet a writer. */
static void test_killed_at_any_moment(void **state)
{
	uint32_t seed = 5;

	(void)state;
	for (int round = 0; round < 25; round++) {
		pid_t victim, other;

		memset((void *)arena, 0, sizeof(*arena));
		victim = pair_fork();
		if (victim == 0) {
			struct bv_hold hold;

			for (;;) {
				hold = hold_write(0, 1 + (seed++ % 7));
				bv_inflight_drop(&hold);
			}
		}
		other = pair_fork();
		if (other == 0) {
			work((uint32_t)round + 1, 3000);
			_exit(0);
		}
		pair_sleep(1 + pair_random(&seed) % 6);
		kill(victim, SIGKILL);
		assert_int_equal(pair_wait(other), 0);
		assert_int_equal(atomic_load(&arena->wrong), 0);
		pair_wait(victim);
	}
	/* Slots left behind by the dead are few. */
	assert_true(in_phase(BV_PHASE_HELD) + in_phase(BV_PHASE_WAITING) < 25);
}

struct waiter {
	pthread_t thread;
	enum bv_space space;
	bool exclusive;
	uint64_t start, end;
	int number;
	_Atomic int result;          /* 1: not yet */
	atomic_bool go;              /* may drop */
};

static _Atomic int order[16], ordered;

static void *wait_in_line(void *argument)
{
	struct waiter *w = argument;
	struct bv_hold hold;
	int result = take_as(w->space, w->exclusive ? BV_OP_WRITE : BV_OP_READ,
			     w->exclusive, w->start, w->end, &hold);

	atomic_store(&order[atomic_fetch_add(&ordered, 1)], w->number);
	atomic_store(&w->result, result);
	while (!atomic_load(&w->go))
		pair_sleep(1);
	bv_inflight_drop(&hold);
	return NULL;
}

static void begin_waiter(struct waiter *w, enum bv_space space, bool exclusive,
			 uint64_t start, uint64_t end)
{
	w->space = space;
	w->exclusive = exclusive;
	w->start = start;
	w->end = end;
	atomic_store(&w->result, 1);
	atomic_store(&w->go, false);
	pthread_create(&w->thread, NULL, wait_in_line, w);
}

static void end_waiter(struct waiter *w)
{
	atomic_store(&w->go, true);
	pthread_join(w->thread, NULL);
}

static void until_taken(struct waiter *w)
{
	double limit = pair_now() + 20;

	while (atomic_load(&w->result) == 1 && pair_now() < limit)
		pair_sleep(1);
	assert_int_equal(atomic_load(&w->result), 0);
}

static void test_first_come_first_served(void **state)
{
	struct waiter w[6] = { 0 };
	struct bv_hold hold = hold_write(0, 100);

	(void)state;
	atomic_store(&ordered, 0);
	for (int i = 0; i < 6; i++) {
		w[i].number = i;
		atomic_store(&w[i].go, true);
		begin_waiter(&w[i], BV_SPACE_BYTES, true, 50, 60);
		atomic_store(&w[i].go, true);
		until_phase(BV_PHASE_WAITING, (unsigned)i + 1);
	}
	bv_inflight_drop(&hold);
	for (int i = 0; i < 6; i++)
		end_waiter(&w[i]);
	for (int i = 0; i < 6; i++)
		assert_int_equal(atomic_load(&order[i]), i);
}

static void test_readers_share(void **state)
{
	struct waiter w[3] = { 0 };

	(void)state;
	atomic_store(&ordered, 0);
	for (int i = 0; i < 3; i++)
		begin_waiter(&w[i], BV_SPACE_BYTES, false, 0, 100);
	for (int i = 0; i < 3; i++)
		until_taken(&w[i]);
	for (int i = 0; i < 3; i++)
		end_waiter(&w[i]);
}

/* Or readers could keep a writer waiting for ever. */
static void test_reader_waits_behind_writer(void **state)
{
	struct waiter writer = { .number = 1 }, reader = { .number = 2 };
	struct bv_hold hold = hold_read(0, 100);

	(void)state;
	atomic_store(&ordered, 0);
	begin_waiter(&writer, BV_SPACE_BYTES, true, 0, 100);
	until_phase(BV_PHASE_WAITING, 1);
	begin_waiter(&reader, BV_SPACE_BYTES, false, 0, 100);
	until_phase(BV_PHASE_WAITING, 2);
	bv_inflight_drop(&hold);
	until_taken(&writer);
	assert_int_equal(atomic_load(&reader.result), 1);
	end_waiter(&writer);
	until_taken(&reader);
	end_waiter(&reader);
}

static uint64_t changers(void)
{
	return atomic_load(&pair.disk->state->changers);
}

static void test_changes_are_counted(void **state)
{
	struct bv_hold write, other, read, position;

	(void)state;
	assert_int_equal(changers(), 0);
	read = hold_read(0, 100);
	assert_int_equal(take_as(BV_SPACE_POSITION, BV_OP_READ, true, 0, 1,
				 &position), 0);
	assert_int_equal(changers(), 0);
	write = hold_write(200, 300);
	other = hold_write(400, END);
	assert_int_equal(changers(), 2);
	/* One that died in mid-release, after which it is cleared up. */
	atomic_store(&pair.disk->state->slot[write.slot].phase, BV_PHASE_FREE);
	bv_inflight_drop(&write);
	assert_int_equal(changers(), 2);
	bv_inflight_drop(&other);
	assert_int_equal(changers(), 1);
	bv_inflight_drop(&read);
	bv_inflight_drop(&position);
	assert_int_equal(changers(), 1);
	/* One too many does no harm. */
	read = hold_read(0, 400);
	bv_inflight_drop(&read);
	write = hold_write(0, 400);
	bv_inflight_drop(&write);
	assert_int_equal(changers(), 1);
}

static void test_what_does_not_conflict(void **state)
{
	struct waiter w[4] = { 0 };
	struct bv_hold hold = hold_write(100, 200);

	(void)state;
	atomic_store(&ordered, 0);
	begin_waiter(&w[0], BV_SPACE_BYTES, true, 0, 100);
	begin_waiter(&w[1], BV_SPACE_BYTES, true, 200, END);
	begin_waiter(&w[2], BV_SPACE_POSITION, true, 100, 200);
	begin_waiter(&w[3], BV_SPACE_TABLE, true, 100, 200);
	for (int i = 0; i < 4; i++)
		until_taken(&w[i]);
	for (int i = 0; i < 4; i++)
		end_waiter(&w[i]);
	bv_inflight_drop(&hold);
	bv_inflight_drop(&hold);     /* nothing is held: nothing happens */
	assert_int_equal(in_phase(BV_PHASE_HELD), 0);
}

/* ---- the dead ---- */

/* A child that takes this and is killed while it has it, or waits for it. */
static pid_t doomed(enum bv_space space, enum bv_op op, bool exclusive,
		    uint64_t start, uint64_t end)
{
	pid_t pid = pair_fork();

	if (pid == 0) {
		struct bv_hold hold;

		take_as(space, op, exclusive, start, end, &hold);
		for (;;)
			pause();
	}
	return pid;
}

/* The killed child is a zombie until somebody waits for it, and the one that
 * should may be waiting here. */
static void wait_for_the_dead(enum bv_op op, bool exclusive, bool reaped,
			      bool unknown)
{
	pid_t pid = doomed(BV_SPACE_BYTES, op, exclusive, 4096, 8192);
	struct bv_hold hold;
	double began;

	until_phase(BV_PHASE_HELD, 1);
	kill(pid, SIGKILL);
	if (reaped)
		pair_wait(pid);
	began = pair_now();
	hold = hold_write(0, 5000);
	assert_true(pair_now() - began < 1.5);
	if (!reaped)
		pair_wait(pid);
	if (unknown)
		assert_true(pair_is_unknown(4096, 8192));
	else
		assert_false(bv_unknown_any(pair.disk));
	bv_inflight_drop(&hold);
	until_phase(BV_PHASE_HELD, 0);
}

static void test_writer_died(void **state)
{
	(void)state;
	wait_for_the_dead(BV_OP_WRITE, true, true, true);
}

static void test_writer_died_and_is_a_zombie(void **state)
{
	(void)state;
	wait_for_the_dead(BV_OP_WRITE, true, false, true);
}

static void test_reader_died(void **state)
{
	(void)state;
	wait_for_the_dead(BV_OP_READ, false, true, false);
}

static void test_learner_died(void **state)
{
	(void)state;
	wait_for_the_dead(BV_OP_READ, true, true, false);
}

static void test_waiter_died(void **state)
{
	struct bv_hold hold = hold_write(4096, 8192);
	pid_t pid = doomed(BV_SPACE_BYTES, BV_OP_WRITE, true, 0, 8192);
	double began;

	(void)state;
	until_phase(BV_PHASE_WAITING, 1);
	kill(pid, SIGKILL);
	pair_wait(pid);
	bv_inflight_drop(&hold);
	began = pair_now();
	hold = hold_write(0, 8192);
	assert_true(pair_now() - began < 1.5);
	assert_false(bv_unknown_any(pair.disk));
	bv_inflight_drop(&hold);
	until_phase(BV_PHASE_WAITING, 0);
}

static void test_died_holding_the_table(void **state)
{
	pid_t pid = doomed(BV_SPACE_TABLE, BV_OP_READ, true, 0, 1);

	(void)state;
	until_phase(BV_PHASE_HELD, 1);
	kill(pid, SIGKILL);
	bv_unknown_add(pair.disk, 10, 20, false);
	assert_true(pair_is_unknown(10, 20));
	pair_wait(pid);
}

static void *leave_it_held(void *unused)
{
	hold_write(4096, 8192);
	return unused;
}

static void test_thread_ended_holding(void **state)
{
	struct bv_hold hold;
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, leave_it_held, NULL);
	pthread_join(thread, NULL);
	hold = hold_read(0, 8192);
	assert_true(pair_is_unknown(4096, 8192));
	bv_inflight_drop(&hold);
}

/* Of several waiters one clears up, and they still exclude each other. */
static void test_many_wait_for_the_dead(void **state)
{
	struct waiter w[6] = { 0 };
	pid_t pid = doomed(BV_SPACE_BYTES, BV_OP_WRITE, true, 0, 4096);

	(void)state;
	until_phase(BV_PHASE_HELD, 1);
	atomic_store(&ordered, 0);
	for (int i = 0; i < 6; i++) {
		begin_waiter(&w[i], BV_SPACE_BYTES, true, 0, 100);
		until_phase(BV_PHASE_WAITING, (unsigned)i + 1);
	}
	kill(pid, SIGKILL);
	for (int i = 0; i < 6; i++) {
		until_taken(&w[i]);
		assert_int_equal(in_phase(BV_PHASE_HELD), 1);
		end_waiter(&w[i]);
	}
	pair_wait(pid);
	assert_true(pair_is_unknown(0, 4096));
}

/* ---- the next start ---- */

static void leave_much_behind(void)
{
	struct bv_hold hold;

	hold_write(4096, 8192);
	hold_read(512, 1024);
	take_as(BV_SPACE_BYTES, BV_OP_DISCARD, true, 20480, 24576, &hold);
	take_as(BV_SPACE_POSITION, BV_OP_READ, true, 0, 1, &hold);
	take_as(BV_SPACE_TABLE, BV_OP_READ, true, 0, 1, &hold);
	raise(SIGKILL);
}

static void test_next_start_learns_what_was_in_flight(void **state)
{
	struct bv_extent e;

	(void)state;
	pair_child(leave_much_behind);
	assert_false(bv_unknown_any(pair.disk));
	/* Their numbers may be those of others by now. */
	for (int i = 0; i < 64; i++)
		atomic_store(&pair.disk->state->slot[i].owner,
			     (uint64_t)getppid() << 32 | (uint64_t)getppid());
	pair_restart();
	assert_true(pair_is_unknown(4096, 8192));
	assert_true(pair_is_unknown(20480, 24576));
	assert_true(bv_unknown_next(pair.disk, 0, END, &e));
	assert_int_equal(e.start, 4096);
	assert_int_equal(in_phase(BV_PHASE_HELD), 0);
	assert_int_equal(pair_said("contents unknown in 2 ranges, 8192 bytes; "
				   "2 of them were being written"), 1);
	pair_restart();
	assert_int_equal(pair_said("were being written"), 1);
	/* They are learnt. */
	assert_true(pair_read_all());
	assert_false(bv_unknown_any(pair.disk));
}

/* One that waits has changed nothing. */
static void test_next_start_after_a_waiter(void **state)
{
	struct bv_hold hold = hold_read(0, 4096);
	pid_t pid = doomed(BV_SPACE_BYTES, BV_OP_WRITE, true, 0, 4096);

	(void)state;
	until_phase(BV_PHASE_WAITING, 1);
	kill(pid, SIGKILL);
	pair_wait(pid);
	bv_inflight_drop(&hold);
	pair_restart();
	assert_false(bv_unknown_any(pair.disk));
	assert_int_equal(in_phase(BV_PHASE_WAITING), 0);
}

static void die_in_resize(void)
{
	struct bv_claim claim = {
		.op = BV_OP_RESIZE, .exclusive = true, .start = 32768,
		.end = END, .offset = 32768, .length = PAIR_BYTES - 32768,
	};
	struct bv_hold hold;

	CHECK(bv_inflight_take(pair.disk, &claim, &hold) == 0);
	CHECK(ftruncate(pair.fd, 32768 + 4096) == 0);
	raise(SIGKILL);
}

static void test_next_start_after_a_resize(void **state)
{
	(void)state;
	pair_child(die_in_resize);
	pair_restart();
	assert_int_equal(atomic_load(&pair.disk->state->size), 32768 + 4096);
	assert_int_equal(pair_length(pair.shadow), 32768 + 4096);
	assert_true(pair_is_unknown(32768, 32768 + 4096));
	assert_true(pair_read_all());
	assert_true(pair_same());
	assert_int_equal(pair_said("mismatch"), 0);
}

/* As many as there is room for. */
static void fill_slots(void)
{
	signal(SIGALRM, SIG_DFL);
	alarm(1);
	for (uint64_t i = 0;; i++)
		hold_write(i * 8, i * 8 + 4);
}

static void test_next_start_with_every_slot_in_use(void **state)
{
	struct bv_extent e;
	uint64_t bytes;

	(void)state;
	assert_int_equal(WTERMSIG(pair_child(fill_slots)), SIGALRM);
	assert_true(in_phase(BV_PHASE_HELD) > 900);
	pair_restart();
	assert_true(bv_unknown_count(pair.disk, &bytes) > 900);
	assert_true(bv_unknown_next(pair.disk, 0, 4, &e));
	assert_int_equal(e.end, 4);
}

/* The image of the process was replaced: its slots are nobody's, and others'
 * are not touched. */
static void test_replaced_by_exec(void **state)
{
	pid_t other = doomed(BV_SPACE_BYTES, BV_OP_WRITE, true, 0, 512);
	struct bv_hold hold;
	struct bv_slot *slot;

	(void)state;
	until_phase(BV_PHASE_HELD, 1);
	hold = hold_write(4096, 8192);
	slot = &pair.disk->state->slot[hold.slot];
	atomic_store(&slot->owner, (uint64_t)getpid() << 32 | 1);
	bv_inflight_exec(pair.disk);
	assert_true(pair_is_unknown(4096, 8192));
	assert_true(pair_is_known(0, 4096));
	assert_int_equal(in_phase(BV_PHASE_HELD), 1);
	kill(other, SIGKILL);
	pair_wait(other);
}

/* A slot that another has claimed and not filled yet shows its former owner,
 * who may be just the one that clears up after itself. */
static void test_claimed_but_not_filled(void **state)
{
	struct bv_hold hold = hold_write(0, 512);
	int index = hold.slot;
	uint64_t bit = (uint64_t)1 << (index % 64);
	_Atomic uint64_t *used = &pair.disk->state->used[index / 64];

	(void)state;
	bv_inflight_drop(&hold);
	atomic_fetch_or(used, bit);
	bv_inflight_abandon();
	bv_inflight_exec(pair.disk);
	assert_true(atomic_load(used) & bit);
	atomic_fetch_and(used, ~bit);
}

/* ---- every slot in use ---- */

static void *take_one_more(void *done)
{
	struct bv_hold hold = hold_read(0, 1);

	atomic_store((atomic_bool *)done, true);
	bv_inflight_drop(&hold);
	return NULL;
}

static int hold_all(struct bv_hold *holds, int most)
{
	const struct bv_state *state = pair.disk->state;
	int count = 0;

	/* Some may be kept for the table and the position. */
	while (count < most - 130)
		holds[count++] = hold_read(0, 1);
	while (count < most && in_phase(BV_PHASE_HELD) < BV_SLOTS - 64) {
		if (~atomic_load(&state->used[BV_SLOT_WORDS - 2]) == 0)
			break;
		holds[count++] = hold_read(0, 1);
	}
	return count;
}

static void exhaust(void)
{
	static struct bv_hold holds[BV_SLOTS];
	int count = hold_all(holds, BV_SLOTS);
	atomic_bool done = false;
	struct bv_hold hold;
	pthread_t thread;

	CHECK(count > 900);
	/* The table can still be had: or the dead could not be cleared up
	 * after, nor anything end. */
	bv_unknown_add(pair.disk, 100, 200, false);
	CHECK(pair_is_unknown(100, 200));
	pthread_create(&thread, NULL, take_one_more, &done);
	pair_sleep(50);
	bv_inflight_drop(&holds[500]);
	pthread_join(thread, NULL);
	CHECK(atomic_load(&done));
	while (count--)
		if (count != 500)
			bv_inflight_drop(&holds[count]);
	hold = hold_write(0, END);
	bv_inflight_drop(&hold);
}

static void test_slots_exhausted(void **state)
{
	(void)state;
	assert_int_equal(pair_child(exhaust), 0);
}

/* Who has the position needs a slot for its bytes while all others wait for
 * the position. */
static void *take_both(void *unused)
{
	struct bv_hold position, bytes;

	if (take_as(BV_SPACE_POSITION, BV_OP_READ, true, 0, 1, &position) != 0)
		abort();
	bytes = hold_read(0, 1);
	bv_inflight_drop(&bytes);
	bv_inflight_drop(&position);
	return unused;
}

static void crowd(void)
{
	static pthread_t thread[BV_SLOTS + 20];
	struct bv_hold position, bytes;
	pthread_attr_t small;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 128 * 1024);
	CHECK(take_as(BV_SPACE_POSITION, BV_OP_READ, true, 0, 1, &position) == 0);
	for (int i = 0; i < BV_SLOTS + 20; i++)
		CHECK(pthread_create(&thread[i], &small, take_both, NULL) == 0);
	pair_sleep(500);
	bytes = hold_read(0, 1);
	bv_inflight_drop(&bytes);
	bv_inflight_drop(&position);
	for (int i = 0; i < BV_SLOTS + 20; i++)
		pthread_join(thread[i], NULL);
}

static void test_crowd_at_the_position(void **state)
{
	(void)state;
	assert_int_equal(pair_child(crowd), 0);
}

/* ---- signal handlers ---- */

static struct {
	enum bv_space space;
	bool exclusive;
	uint64_t start, end;
	volatile int result;         /* 1: not run */
	volatile bool nested;
} wanted;

static void handler(int signal)
{
	struct bv_hold hold;

	(void)signal;
	bv_thread_enter();
	wanted.result = take_as(wanted.space, wanted.exclusive ? BV_OP_WRITE
							       : BV_OP_READ,
				wanted.exclusive, wanted.start, wanted.end,
				&hold);
	wanted.nested = hold.nested;
	bv_inflight_drop(&hold);
	bv_thread_leave();
}

/* The handler runs in the middle of an operation of this thread. */
static int interrupt(enum bv_space space, bool exclusive, uint64_t start,
		     uint64_t end)
{
	struct sigaction action = { .sa_handler = handler };

	wanted.space = space;
	wanted.exclusive = exclusive;
	wanted.start = start;
	wanted.end = end;
	wanted.result = 1;
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	return wanted.result;
}

static void test_handler_overlaps_what_it_interrupted(void **state)
{
	struct bv_hold hold;

	(void)state;
	bv_thread_enter();
	hold = hold_write(0, 4096);
	assert_false(bv_inflight_disturbed(&hold));
	assert_int_equal(interrupt(BV_SPACE_BYTES, true, 100, 200), 0);
	assert_true(bv_inflight_disturbed(&hold));
	assert_false(bv_inflight_disturbed(&hold));
	assert_true(wanted.nested);
	/* One that only reads there disturbs nobody, but cannot judge. */
	assert_int_equal(interrupt(BV_SPACE_BYTES, false, 100, 200), 0);
	assert_false(bv_inflight_disturbed(&hold));
	assert_true(wanted.nested);
	assert_int_equal(interrupt(BV_SPACE_BYTES, true, 4096, 8192), 0);
	assert_false(bv_inflight_disturbed(&hold));
	assert_false(wanted.nested);
	bv_inflight_drop(&hold);
	assert_false(bv_inflight_disturbed(&hold));
	hold = hold_read(0, 4096);
	assert_int_equal(interrupt(BV_SPACE_BYTES, false, 100, 200), 0);
	assert_false(bv_inflight_disturbed(&hold));
	assert_false(wanted.nested);
	assert_int_equal(interrupt(BV_SPACE_BYTES, true, 100, 200), 0);
	assert_true(bv_inflight_disturbed(&hold));
	bv_inflight_drop(&hold);
	bv_thread_leave();
	/* The mark does not stay for the next in that slot. */
	hold = hold_write(0, 4096);
	interrupt(BV_SPACE_BYTES, true, 0, 1);
	bv_inflight_drop(&hold);
	hold = hold_write(0, 4096);
	assert_false(bv_inflight_disturbed(&hold));
	bv_inflight_drop(&hold);
}

/* A handler that came while its thread waits would find an operation that has
 * a place in the queue but not the range. */
static atomic_bool handled;

static void note(int signal)
{
	(void)signal;
	atomic_store(&handled, true);
}

static void test_no_handler_while_waiting(void **state)
{
	struct sigaction action = { .sa_handler = note };
	struct bv_hold hold = hold_write(0, 4096);
	struct waiter other = { 0 };

	(void)state;
	sigaction(SIGUSR1, &action, NULL);
	atomic_store(&handled, false);
	atomic_store(&ordered, 0);
	begin_waiter(&other, BV_SPACE_BYTES, true, 0, 4096);
	until_phase(BV_PHASE_WAITING, 1);
	pair_sleep(20);
	pthread_kill(other.thread, SIGUSR1);
	pair_sleep(120);
	assert_false(atomic_load(&handled));
	assert_int_equal(atomic_load(&other.result), 1);
	bv_inflight_drop(&hold);
	until_taken(&other);
	end_waiter(&other);
	assert_true(atomic_load(&handled));
}

static void *drop_later(void *argument)
{
	struct waiter *w = argument;

	pair_sleep(200);
	atomic_store(&w->go, true);
	return NULL;
}

/* What another thread holds is waited for, for longer than a second too. */
static void test_handler_waits_for_another_thread(void **state)
{
	struct waiter other = { 0 };
	struct bv_hold hold;
	pthread_t thread;

	(void)state;
	atomic_store(&ordered, 0);
	begin_waiter(&other, BV_SPACE_BYTES, true, 4096, 8192);
	until_taken(&other);
	bv_thread_enter();
	hold = hold_write(0, 4096);
	pthread_create(&thread, NULL, drop_later, &other);
	assert_int_equal(interrupt(BV_SPACE_BYTES, true, 4096, 5000), 0);
	assert_true(atomic_load(&other.go));
	bv_inflight_drop(&hold);
	bv_thread_leave();
	pthread_join(thread, NULL);
	end_waiter(&other);
}

/* Another thread waits for the operation that was interrupted: it cannot go
 * on before the handler ends, so the handler goes first. */
static void test_handler_overtakes_who_waits_for_it(void **state)
{
	struct waiter other = { 0 };
	struct bv_hold hold;
	double began;

	(void)state;
	atomic_store(&ordered, 0);
	bv_thread_enter();
	hold = hold_write(0, 4096);
	begin_waiter(&other, BV_SPACE_BYTES, true, 0, 8192);
	until_phase(BV_PHASE_WAITING, 1);
	began = pair_now();
	assert_int_equal(interrupt(BV_SPACE_BYTES, true, 6000, 7000), 0);
	assert_true(pair_now() - began < 0.5);
	bv_inflight_drop(&hold);
	bv_thread_leave();
	until_taken(&other);
	end_waiter(&other);
}

/* It waits for one who waits for one who waits for what was interrupted. */
static void handler_waits_through_others(void)
{
	struct waiter second = { 0 }, third = { 0 };
	struct bv_hold hold;

	bv_thread_enter();
	hold = hold_write(0, 10);
	begin_waiter(&second, BV_SPACE_BYTES, true, 5, 15);
	until_phase(BV_PHASE_WAITING, 1);
	begin_waiter(&third, BV_SPACE_BYTES, true, 12, 20);
	until_phase(BV_PHASE_WAITING, 2);
	CHECK(interrupt(BV_SPACE_BYTES, true, 17, 25) == -EDEADLK);
	CHECK(in_phase(BV_PHASE_HELD) == 1);
	bv_inflight_drop(&hold);
	bv_thread_leave();
	end_waiter(&second);
	end_waiter(&third);
	hold = hold_write(0, END);
	bv_inflight_drop(&hold);
}

static void test_handler_waits_through_others(void **state)
{
	(void)state;
	assert_int_equal(pair_child(handler_waits_through_others), 0);
}

static void *position_then_bytes(void *unused)
{
	struct bv_hold position, bytes;

	if (take_as(BV_SPACE_POSITION, BV_OP_READ, true, 0, 1, &position) != 0)
		abort();
	bytes = hold_write(0, 4096);
	bv_inflight_drop(&bytes);
	bv_inflight_drop(&position);
	return unused;
}

/* The other has what the handler wants, and waits for what was interrupted:
 * nobody would ever go on. */
static void handler_wants_what_a_waiter_has(void)
{
	struct bv_hold hold;
	pthread_t thread;

	bv_thread_enter();
	hold = hold_write(0, 4096);
	pthread_create(&thread, NULL, position_then_bytes, NULL);
	until_phase(BV_PHASE_WAITING, 1);
	CHECK(interrupt(BV_SPACE_POSITION, true, 0, 1) == -EDEADLK);
	bv_inflight_drop(&hold);
	bv_thread_leave();
	pthread_join(thread, NULL);
}

static void test_handler_wants_what_a_waiter_has(void **state)
{
	(void)state;
	assert_int_equal(pair_child(handler_wants_what_a_waiter_has), 0);
}

/* ---- operations that are never finished ---- */

static sigjmp_buf way_out;

static void jump(int signal)
{
	(void)signal;
	siglongjmp(way_out, 1);
}

static ssize_t write_and_jump(int fd, const void *bytes, size_t n, off64_t offset)
{
	ssize_t put = pwrite64(fd, bytes, n, offset);

	if (atomic_fetch_add(&pair_hook.calls, 1) == 0)
		raise(SIGUSR2);
	return put;
}

/* A write of the target that is left by a jump; the same caller comes again
 * afterwards. */
static void test_left_by_a_jump(void **state)
{
	struct sigaction action = { .sa_handler = jump };
	unsigned char bytes[4096];
	struct waiter other = { 0 };

	(void)state;
	pair_pattern(bytes, sizeof(bytes), 0, 5);
	sigaction(SIGUSR2, &action, NULL);
	pair_hook.pwrite = write_and_jump;
	if (sigsetjmp(way_out, 1) == 0) {
		pair_write(bytes, sizeof(bytes), 4096);
		fail();
	}
	assert_int_equal(in_phase(BV_PHASE_HELD), 1);
	assert_int_equal(pair_write(bytes, sizeof(bytes), 16384), 4096);
	assert_int_equal(in_phase(BV_PHASE_HELD), 0);
	assert_int_equal(bv_thread.depth, 0);
	assert_int_equal(bv_thread.buffers, 0);
	assert_true(pair_is_unknown(4096, 8192));
	atomic_store(&ordered, 0);
	begin_waiter(&other, BV_SPACE_BYTES, true, 0, END);
	until_taken(&other);
	end_waiter(&other);
	assert_true(pair_read_all());
	assert_int_equal(pair_said("mismatch"), 0);
	assert_true(pair_same());
}

/* One that made the file longer: its length is not what we remember. */
static void test_extension_left_by_a_jump(void **state)
{
	struct sigaction action = { .sa_handler = jump };
	unsigned char bytes[4096];

	(void)state;
	pair_pattern(bytes, sizeof(bytes), 0, 5);
	sigaction(SIGUSR2, &action, NULL);
	pair_hook.pwrite = write_and_jump;
	if (sigsetjmp(way_out, 1) == 0) {
		pair_write(bytes, sizeof(bytes), PAIR_BYTES);
		fail();
	}
	assert_int_equal(pair_write(bytes, sizeof(bytes), 16384), 4096);
	assert_true(pair_read_all());
	assert_int_equal(pair_said("mismatch"), 0);
	assert_true(pair_same());
}

static ssize_t write_and_die(int fd, const void *bytes, size_t n, off64_t offset)
{
	pwrite64(fd, bytes, n, offset);
	raise(SIGKILL);
	return 0;
}

static void die_extending(void)
{
	pair_hook.pwrite = write_and_die;
	pair_write_pattern(4096, PAIR_BYTES, 1);
}

/* The same among processes, of which the others go on. */
static void test_died_extending(void **state)
{
	(void)state;
	assert_int_equal(WTERMSIG(pair_child(die_extending)), SIGKILL);
	assert_true(pair_read_all());
	assert_int_equal(pair_said("mismatch"), 0);
	assert_true(pair_same());
}

static int begin_group(void **state)
{
	arena = mmap(NULL, sizeof(*arena), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return arena == MAP_FAILED ? -1 : pair_limit(state);
}

/* ---- without waiting ---- */

static int try_as(bool exclusive, uint64_t start, uint64_t end,
		  struct bv_hold *hold)
{
	struct bv_claim claim = {
		.space = BV_SPACE_BYTES, .exclusive = exclusive,
		.op = exclusive ? BV_OP_WRITE : BV_OP_READ,
		.start = start, .end = end, .offset = start,
		.length = end - start,
	};

	return bv_inflight_try(pair.disk, &claim, hold);
}

/* Is it had, and given back? */
static bool try_once(bool exclusive, uint64_t start, uint64_t end)
{
	struct bv_hold hold;
	int result = try_as(exclusive, start, end, &hold);

	bv_inflight_drop(&hold);
	return result == 0;
}

/* 0..512 is written, 1024..1536 is read by another thread. */
static void *try_beside(void *argument)
{
	int *wrong = argument;

	*wrong += try_once(false, 511, 513);
	*wrong += try_once(true, 1000, 1025);
	*wrong += !try_once(false, 512, 2048);
	*wrong += !try_once(true, 512, 1024);
	return NULL;
}

static void test_trying_does_not_wait(void **state)
{
	struct bv_hold written = hold_write(0, 512);
	struct bv_hold read = hold_read(1024, 1536);
	struct bv_hold hold;
	pthread_t thread;
	int wrong = 0;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, try_beside, &wrong), 0);
	pthread_join(thread, NULL);
	assert_int_equal(wrong, 0);
	assert_int_equal(in_phase(BV_PHASE_HELD), 2);
	/* Not even for oneself. */
	assert_int_equal(try_as(true, 0, 1, &hold), -EAGAIN);
	bv_inflight_drop(&written);
	bv_inflight_drop(&read);
	assert_int_equal(try_as(true, 0, 4096, &hold), 0);
	assert_int_equal(in_phase(BV_PHASE_HELD), 1);
	bv_inflight_drop(&hold);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_begin, pair_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_threads_exclude_each_other),
		TEST(test_processes_exclude_each_other),
		TEST(test_killed_at_any_moment),
		TEST(test_first_come_first_served),
		TEST(test_readers_share),
		TEST(test_reader_waits_behind_writer),
		TEST(test_changes_are_counted),
		TEST(test_what_does_not_conflict),
		TEST(test_writer_died),
		TEST(test_writer_died_and_is_a_zombie),
		TEST(test_reader_died),
		TEST(test_learner_died),
		TEST(test_waiter_died),
		TEST(test_died_holding_the_table),
		TEST(test_thread_ended_holding),
		TEST(test_many_wait_for_the_dead),
		TEST(test_next_start_learns_what_was_in_flight),
		TEST(test_next_start_after_a_waiter),
		TEST(test_next_start_after_a_resize),
		TEST(test_next_start_with_every_slot_in_use),
		TEST(test_replaced_by_exec),
		TEST(test_claimed_but_not_filled),
		TEST(test_slots_exhausted),
		TEST(test_crowd_at_the_position),
		TEST(test_handler_overlaps_what_it_interrupted),
		TEST(test_no_handler_while_waiting),
		TEST(test_handler_waits_for_another_thread),
		TEST(test_handler_overtakes_who_waits_for_it),
		TEST(test_handler_waits_through_others),
		TEST(test_handler_wants_what_a_waiter_has),
		TEST(test_left_by_a_jump),
		TEST(test_extension_left_by_a_jump),
		TEST(test_died_extending),
		TEST(test_trying_does_not_wait),
	};

	return cmocka_run_group_tests_name("inflight", tests, begin_group, NULL);
}
