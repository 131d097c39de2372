/* history: see include/blkverify/history.h. */
#include <time.h>

#include <blkverify/disk.h>
#include <blkverify/history.h>
#include <blkverify/thread.h>

#define PUT(field, value) \
	atomic_store_explicit(&(field), (value), memory_order_release)
#define GET(field) atomic_load_explicit(&(field), memory_order_acquire)

void bv_history_add(struct bv_disk *disk, enum bv_op op, uint64_t offset,
		    uint64_t length, int64_t result)
{
	struct bv_state *state = disk->state;
	struct bv_past *past;
	struct timespec now;
	uint64_t number, former;

	if (state->history_room == 0)
		return;
	/* The coarse clock is a load from the vDSO, not a system call. */
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	number = atomic_fetch_add_explicit(&state->history_next, 1,
					   memory_order_relaxed);
	past = &state->history[number % state->history_room];
	/* Somebody may have been stopped here until the ring came round, or
	 * have come round to here while we were: two would make one entry of
	 * two halves. */
	former = atomic_load_explicit(&past->sequence, memory_order_relaxed);
	if (former > number ||
	    !atomic_compare_exchange_strong(&past->sequence, &former,
					    BV_PAST_FILLING))
		return;
	/* Release and acquire on every field: a reader that sees one of the
	 * new ones sees that the sequence was taken back first. */
	PUT(past->time,
	    (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
	PUT(past->offset, offset);
	PUT(past->length, length);
	PUT(past->result, result);
	PUT(past->pid, bv_pid);
	PUT(past->tid, bv_thread_tid());
	PUT(past->op, op);
	atomic_store_explicit(&past->sequence, number + 1, memory_order_release);
}

static bool changes(uint32_t op)
{
	return op == BV_OP_WRITE || op == BV_OP_ZERO || op == BV_OP_DISCARD ||
	       op == BV_OP_RESIZE;
}

static bool touches(const struct bv_past *past, uint64_t start, uint64_t end)
{
	return past->offset < end && (past->op == BV_OP_RESIZE ||
				      past->offset + past->length > start);
}

static bool find(const struct bv_disk *disk, uint64_t sequence, uint64_t start,
		 uint64_t end, bool changing, struct bv_past *past)
{
	const struct bv_state *state = disk->state;
	uint64_t room = state->history_room;
	uint64_t next = atomic_load(&state->history_next);
	uint64_t number = sequence ? sequence - 1 : next;
	uint64_t oldest = next > room ? next - room : 0;

	while (number > oldest) {
		const struct bv_past *at = &state->history[--number % room];

		if (atomic_load_explicit(&at->sequence, memory_order_acquire) !=
		    number + 1)
			continue;
		past->time = GET(at->time);
		past->offset = GET(at->offset);
		past->length = GET(at->length);
		past->result = GET(at->result);
		past->pid = GET(at->pid);
		past->tid = GET(at->tid);
		past->op = GET(at->op);
		if (atomic_load_explicit(&at->sequence, memory_order_relaxed) !=
		    number + 1)
			continue;
		past->sequence = number + 1;
		if ((changes(past->op) || !changing) &&
		    touches(past, start, end))
			return true;
	}
	return false;
}

bool bv_history_before(const struct bv_disk *disk, uint64_t sequence,
		       uint64_t start, uint64_t end, struct bv_past *past)
{
	return find(disk, sequence, start, end, true, past);
}

bool bv_history_touching(const struct bv_disk *disk, uint64_t sequence,
			 uint64_t start, uint64_t end, struct bv_past *past)
{
	return find(disk, sequence, start, end, false, past);
}
