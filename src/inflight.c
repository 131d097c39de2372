/* inflight: see include/blkverify/inflight.h. */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

#include <blkverify/disk.h>
#include <blkverify/inflight.h>
#include <blkverify/policy.h>
#include <blkverify/thread.h>
#include <blkverify/unknown.h>

#include "proc.h"
#include "raw.h"

_Static_assert(sizeof(struct bv_slot) == 128, "two cache lines");

/* How long to sleep before asking whether the owner still lives. */
static const struct timespec patience = { 0, 50 * 1000 * 1000 };

/* A slot as a waiter sees it, read under its release count. */
struct view {
	uint32_t releases, phase;
	uint64_t ticket, start, end, owner;
	bool exclusive;
	enum bv_space space;
};

static uint64_t self(void)
{
	return (uint64_t)(uint32_t)bv_pid << 32 | (uint32_t)bv_thread_tid();
}

static struct bv_slot *slot_of(const struct bv_hold *hold)
{
	return &hold->disk->state->slot[hold->slot];
}

static void note_word_used(struct bv_state *state, unsigned word)
{
	uint32_t used = atomic_load_explicit(&state->words_used,
					     memory_order_relaxed);

	while (used < word + 1 &&
	       !atomic_compare_exchange_weak(&state->words_used, &used, word + 1))
		;
}

/* Who holds one space may want the next, so each keeps some slots that the
 * former cannot fill: the crowd that waits for the position must leave its
 * owner one for his bytes, and all of them one for the table, without which
 * nobody can clear up after the dead. */
static unsigned words_for(enum bv_space space)
{
	switch (space) {
	case BV_SPACE_POSITION: return BV_SLOT_WORDS - 2;
	case BV_SPACE_BYTES: return BV_SLOT_WORDS - 1;
	case BV_SPACE_TABLE: case BV_SPACE_MEMORY: break;
	}
	return BV_SLOT_WORDS;
}

static int claim_slot(struct bv_state *state, enum bv_space space)
{
	unsigned words = words_for(space);

	for (unsigned word = 0; word < words; word++) {
		uint64_t now = atomic_load_explicit(&state->used[word],
						    memory_order_relaxed);

		while (~now) {
			unsigned bit = (unsigned)__builtin_ctzll(~now);

			/* Before the bit: whoever scans must look this far. */
			note_word_used(state, word);
			if (atomic_compare_exchange_weak(&state->used[word], &now,
							 now | (uint64_t)1 << bit))
				return (int)(word * 64 + bit);
		}
	}
	return -1;
}

static bool is_change(enum bv_space space, bool exclusive)
{
	return space == BV_SPACE_BYTES && exclusive;
}

/* Who dies in here is not counted down, and one whom two free only once: a
 * change that was not counted would be overlooked. */
static void free_slot(struct bv_state *state, int index)
{
	struct bv_slot *slot = &state->slot[index];
	bool change = is_change((enum bv_space)atomic_load(&slot->space),
				atomic_load(&slot->exclusive));

	if (atomic_exchange(&slot->phase, BV_PHASE_FREE) != BV_PHASE_FREE &&
	    change)
		atomic_fetch_sub(&state->changers, 1);
	atomic_fetch_add(&slot->releases, 1);
	if (atomic_load(&slot->waiters) > 0)
		raw_futex_wake(&slot->releases, INT32_MAX);
	atomic_fetch_and(&state->used[index / 64],
			 ~((uint64_t)1 << (index % 64)));
}

static void publish(struct bv_state *state, struct bv_slot *slot,
		    const struct bv_claim *claim)
{
	atomic_store_explicit(&slot->start, claim->start, memory_order_relaxed);
	atomic_store_explicit(&slot->end, claim->end, memory_order_relaxed);
	atomic_store_explicit(&slot->offset, claim->offset, memory_order_relaxed);
	atomic_store_explicit(&slot->length, claim->length, memory_order_relaxed);
	atomic_store_explicit(&slot->space, claim->space, memory_order_relaxed);
	atomic_store_explicit(&slot->exclusive, claim->exclusive,
			      memory_order_relaxed);
	atomic_store_explicit(&slot->op, claim->op, memory_order_relaxed);
	atomic_store_explicit(&slot->owner, self(), memory_order_relaxed);
	atomic_store_explicit(&slot->disturbed, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->late, 0, memory_order_relaxed);
	if (is_change(claim->space, claim->exclusive))
		atomic_fetch_add(&state->changers, 1);
	/* Sequentially consistent from here on: a scanner that does not see
	 * CHOOSING has a lower ticket than the one taken next. */
	atomic_store(&slot->phase, BV_PHASE_CHOOSING);
	atomic_store(&slot->ticket, atomic_fetch_add(&state->tickets, 1));
	atomic_store(&slot->phase, BV_PHASE_WAITING);
}

/* False when the slot was released while we looked: then it is no concern of
 * ours, since whoever takes it next has a higher ticket. */
static bool look(struct bv_slot *slot, struct view *view)
{
	view->releases = atomic_load(&slot->releases);
	view->phase = atomic_load(&slot->phase);
	if (view->phase == BV_PHASE_FREE)
		return false;
	view->ticket = atomic_load(&slot->ticket);
	view->start = atomic_load(&slot->start);
	view->end = atomic_load(&slot->end);
	view->owner = atomic_load(&slot->owner);
	view->exclusive = atomic_load(&slot->exclusive);
	view->space = (enum bv_space)atomic_load(&slot->space);
	return atomic_load(&slot->releases) == view->releases;
}

/* What is surely not in the way, by one cache line. A slot that changes hands
 * meanwhile is not either: the next to take it has a higher ticket. */
static bool is_aside(struct bv_slot *slot, const struct bv_claim *claim)
{
	return atomic_load(&slot->phase) == BV_PHASE_FREE ||
	       atomic_load(&slot->space) != claim->space ||
	       !(claim->exclusive || atomic_load(&slot->exclusive)) ||
	       atomic_load(&slot->start) >= claim->end ||
	       atomic_load(&slot->end) <= claim->start;
}

static bool conflicts(const struct view *view, const struct bv_claim *claim)
{
	return view->space == claim->space &&
	       (view->exclusive || claim->exclusive) &&
	       view->start < claim->end && claim->start < view->end;
}

/* One that was killed can still be signalled until its parent waits for it,
 * and the parent may be the very one that waits here instead. */
static bool has_ended(unsigned pid, unsigned tid)
{
	struct proc_stat stat;
	char line[96];

	return bv_proc_read(pid, tid, "stat", line, sizeof(line)) > 0 &&
	       bv_proc_parse(line, &stat) && bv_proc_is_gone(&stat);
}

static bool is_gone(uint64_t owner)
{
	unsigned pid = (unsigned)(owner >> 32), tid = (unsigned)owner;

	return raw_tgkill((int)pid, (int)tid, 0) == -ESRCH ||
	       has_ended(pid, tid);
}

/* Would its end leave bytes that may differ? A read that learns an unknown
 * range has it exclusively too, but changes nothing that was known. */
static bool changes_bytes(const struct bv_slot *slot)
{
	return atomic_load(&slot->exclusive) &&
	       atomic_load(&slot->space) == BV_SPACE_BYTES &&
	       atomic_load(&slot->op) != BV_OP_READ;
}

/* What a dead owner was changing is unknown from now on. An operation that
 * was only waiting had changed nothing. */
static void mark_unknown(struct bv_disk *disk, const struct bv_slot *slot)
{
	uint64_t offset = atomic_load(&slot->offset);
	uint64_t length = atomic_load(&slot->length);

	if (changes_bytes(slot) && length > 0)
		bv_unknown_add(disk, offset,
			       length > BV_TO_END - offset ? BV_TO_END
							   : offset + length,
			       false);
}

/* Its caller went on with bytes that nobody will compare now. */
static bool is_uncompared(const struct bv_slot *slot)
{
	return atomic_load(&slot->late) && atomic_load(&slot->op) == BV_OP_READ;
}

/* The slot's owner left in mid-operation, and it is ours now: nobody else is
 * in its range before it is freed. */
static void clear_up_after(struct bv_disk *disk, const struct bv_slot *slot,
			   uint64_t owner)
{
	if (is_uncompared(slot)) {
		bv_policy_count_unverified(disk);
		bv_policy_uncompared(disk, atomic_load(&slot->offset),
				     atomic_load(&slot->length),
				     (int)(owner >> 32));
	}
	mark_unknown(disk, slot);
	/* It may have changed the length, and told nobody. */
	if (changes_bytes(slot) && atomic_load(&slot->end) == BV_TO_END)
		bv_disk_adopt_length(disk);
}

/* The owner died holding it. One waiter takes its place and clears up; the
 * others keep waiting for the release, or for the death of that one. */
static void reap(struct bv_disk *disk, int index, uint64_t dead)
{
	struct bv_slot *slot = &disk->state->slot[index];

	if (!atomic_compare_exchange_strong(&slot->owner, &dead, self()))
		return;
	if (atomic_load(&slot->phase) == BV_PHASE_HELD)
		clear_up_after(disk, slot, dead);
	free_slot(disk->state, index);
}

static void wait_release(struct bv_disk *disk, int index,
			 const struct view *view)
{
	struct bv_slot *slot = &disk->state->slot[index];

	if (view->phase == BV_PHASE_CHOOSING && !is_gone(view->owner)) {
		/* A few instructions from its ticket. */
		raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
		return;
	}
	atomic_fetch_add(&slot->waiters, 1);
	if (raw_futex_wait(&slot->releases, view->releases, &patience) ==
		    -ETIMEDOUT && is_gone(view->owner))
		reap(disk, index, view->owner);
	atomic_fetch_sub(&slot->waiters, 1);
}

enum passage { PASSED, NESTED, BLOCKED };

/* Is what stands in the slot in our way? */
static enum passage pass(struct bv_slot *slot, const struct bv_claim *claim,
			 uint64_t ticket, struct view *view)
{
	if (is_aside(slot, claim) || !look(slot, view) ||
	    !conflicts(view, claim))
		return PASSED;
	if (view->owner == self()) {
		/* We are a signal handler inside that operation: it is
		 * suspended, and cannot go on before we return. */
		if (claim->exclusive)
			atomic_store(&slot->disturbed, 1);
		return NESTED;
	}
	/* While it chooses it may still get a lower ticket than ours. */
	if (view->phase != BV_PHASE_CHOOSING && view->ticket > ticket)
		return PASSED;
	return BLOCKED;
}

/* Does the operation seen wait for one of ours that a handler interrupted?
 * Then it stays where it is for as long as the handler runs. */
static bool waits_for_us(struct bv_state *state, const struct view *other)
{
	struct bv_claim claim = {
		.space = other->space, .exclusive = other->exclusive,
		.start = other->start, .end = other->end,
	};
	unsigned words = atomic_load(&state->words_used);

	for (unsigned word = 0; word < words; word++) {
		uint64_t bits = atomic_load(&state->used[word]);

		for (; bits; bits &= bits - 1) {
			struct view ours;
			unsigned index = word * 64 +
					 (unsigned)__builtin_ctzll(bits);

			if (look(&state->slot[index], &ours) &&
			    ours.owner == self() &&
			    ours.phase == BV_PHASE_HELD &&
			    ours.ticket < other->ticket &&
			    conflicts(&ours, &claim))
				return true;
		}
	}
	return false;
}

/* Is the owner of what is seen waiting itself, for that or for something else?
 * One that waits may do so for what a handler interrupted. */
static bool owner_waits(struct bv_state *state, const struct view *seen)
{
	unsigned words = atomic_load(&state->words_used);

	for (unsigned word = 0; word < words; word++) {
		uint64_t bits = atomic_load(&state->used[word]);

		for (; bits; bits &= bits - 1) {
			struct view view;
			unsigned index = word * 64 +
					 (unsigned)__builtin_ctzll(bits);

			if (look(&state->slot[index], &view) &&
			    view.owner == seen->owner &&
			    view.phase == BV_PHASE_WAITING)
				return true;
		}
	}
	return false;
}

/* Waits until nothing in slot index is in the way. A signal handler inside an
 * operation may be waiting, through others, for that very operation: it gives
 * up after a second. */
static int pass_slot(struct bv_hold *hold, int index,
		     const struct bv_claim *claim, uint64_t ticket,
		     raw_sigset *mask, bool *masked)
{
	struct bv_disk *disk = hold->disk;
	struct bv_slot *slot = &disk->state->slot[index];
	enum passage passage;
	struct view view;
	int waits = 0;

	while ((passage = pass(slot, claim, ticket, &view)) == BLOCKED) {
		if (bv_thread.depth > 1 && owner_waits(disk->state, &view)) {
			if (view.phase == BV_PHASE_WAITING &&
			    waits_for_us(disk->state, &view))
				return 0;
			if (waits++ == 20)
				return -EDEADLK;
		}
		/* A handler that ran now would find an operation that has a
		 * place in the queue but not the range. */
		if (!*masked)
			*mask = raw_block_signals();
		*masked = true;
		wait_release(disk, index, &view);
	}
	hold->nested |= passage == NESTED;
	return 0;
}

/* Passes every slot but our own. Returns 0, or -EDEADLK. */
static int pass_all(struct bv_hold *hold, const struct bv_claim *claim, int own)
{
	struct bv_state *state = hold->disk->state;
	uint64_t ticket = atomic_load(&state->slot[own].ticket);
	unsigned words = atomic_load(&state->words_used);
	raw_sigset mask = 0;
	bool masked = false;
	int result = 0;

	for (unsigned word = 0; word < words && result == 0; word++) {
		uint64_t bits = atomic_load(&state->used[word]);

		if (word == (unsigned)own / 64)
			bits &= ~((uint64_t)1 << (own % 64));
		for (; bits && result == 0; bits &= bits - 1)
			result = pass_slot(hold, (int)(word * 64) +
						 __builtin_ctzll(bits),
					   claim, ticket, &mask, &masked);
	}
	if (result == 0)
		atomic_store(&state->slot[own].phase, BV_PHASE_HELD);
	if (masked)
		raw_sigmask(mask);
	return result;
}

/* We have our ticket, and nobody is changing bytes: who comes to do so has a
 * higher one, and sees us. */
static bool is_undisputed(struct bv_state *state, const struct bv_claim *claim)
{
	return claim->space == BV_SPACE_BYTES && !claim->exclusive &&
	       atomic_load(&state->changers) == 0;
}

/* One at a time: it takes some system calls for each of a thousand. */
static void reap_dead(struct bv_disk *disk)
{
	static atomic_flag busy = ATOMIC_FLAG_INIT;

	if (atomic_flag_test_and_set(&busy))
		return;
	for (int index = 0; index < BV_SLOTS; index++) {
		struct bv_slot *slot = &disk->state->slot[index];
		struct view view;

		if (atomic_load(&slot->phase) != BV_PHASE_FREE &&
		    look(slot, &view) && is_gone(view.owner))
			reap(disk, index, view.owner);
	}
	atomic_flag_clear(&busy);
}

int bv_inflight_take(struct bv_disk *disk, const struct bv_claim *claim,
		     struct bv_hold *hold)
{
	static const struct timespec a_while = { 0, 1000 * 1000 };
	int index = claim_slot(disk->state, claim->space), result;
	unsigned waits = 0;

	hold->disk = disk;
	hold->slot = -1;
	hold->nested = false;
	while (index < 0) {
		/* A thousand operations in flight: one of them ends soon. But
		 * for those of the dead: nobody need be waiting for them. */
		if (++waits % 1000 == 0)
			reap_dead(disk);
		raw_call(SYS_nanosleep, (long)&a_while, 0, 0, 0, 0, 0);
		index = claim_slot(disk->state, claim->space);
	}
	publish(disk->state, &disk->state->slot[index], claim);
	if (is_undisputed(disk->state, claim)) {
		atomic_store(&disk->state->slot[index].phase, BV_PHASE_HELD);
		result = 0;
	} else {
		result = pass_all(hold, claim, index);
	}
	if (result < 0)
		free_slot(disk->state, index);
	else
		hold->slot = index;
	hold->ticket = atomic_load(&disk->state->slot[index].ticket);
	return result;
}

/* Is nothing in the way of what stands in slot own? */
static bool is_clear(struct bv_state *state, const struct bv_claim *claim,
		     unsigned own)
{
	uint64_t ticket = atomic_load(&state->slot[own].ticket);
	unsigned words = atomic_load(&state->words_used);

	for (unsigned word = 0; word < words; word++) {
		uint64_t bits = atomic_load(&state->used[word]);

		for (; bits; bits &= bits - 1) {
			unsigned index = word * 64 +
					 (unsigned)__builtin_ctzll(bits);
			struct view view;

			if (index != own && look(&state->slot[index], &view) &&
			    conflicts(&view, claim) &&
			    (view.phase == BV_PHASE_CHOOSING ||
			     view.ticket < ticket))
				return false;
		}
	}
	return true;
}

int bv_inflight_try(struct bv_disk *disk, const struct bv_claim *claim,
		    struct bv_hold *hold)
{
	struct bv_state *state = disk->state;
	int index = claim_slot(state, claim->space);

	*hold = (struct bv_hold){ .disk = disk, .slot = -1 };
	if (index < 0)
		return -EAGAIN;
	publish(state, &state->slot[index], claim);
	if (!is_clear(state, claim, (unsigned)index)) {
		free_slot(state, index);
		return -EAGAIN;
	}
	atomic_store(&state->slot[index].phase, BV_PHASE_HELD);
	hold->slot = index;
	hold->ticket = atomic_load(&state->slot[index].ticket);
	return 0;
}

void bv_inflight_drop(struct bv_hold *hold)
{
	if (hold->slot < 0)
		return;
	/* Abandoned meanwhile, by a longjmp that did not leave us after all:
	 * the slot may be another's. */
	if (atomic_load(&slot_of(hold)->ticket) == hold->ticket &&
	    atomic_load(&slot_of(hold)->owner) == self())
		free_slot(hold->disk->state, hold->slot);
	hold->slot = -1;
}

bool bv_inflight_give(struct bv_hold *hold, int tid)
{
	struct bv_slot *slot = slot_of(hold);
	uint64_t giver = self(), taker = (uint64_t)(uint32_t)bv_pid << 32 |
					 (uint32_t)tid;

	return atomic_load(&slot->ticket) == hold->ticket &&
	       atomic_compare_exchange_strong(&slot->owner, &giver, taker);
}

void bv_inflight_own(struct bv_hold *hold)
{
	atomic_store(&slot_of(hold)->owner, self());
}

void bv_inflight_late(struct bv_hold *hold, bool late)
{
	atomic_store(&slot_of(hold)->late, late);
}

bool bv_inflight_is_disturbed(const struct bv_hold *hold)
{
	return hold->slot >= 0 && atomic_load(&slot_of(hold)->disturbed);
}

bool bv_inflight_disturbed(struct bv_hold *hold)
{
	return hold->slot >= 0 &&
	       atomic_load(&slot_of(hold)->disturbed) &&
	       atomic_exchange(&slot_of(hold)->disturbed, 0);
}

/* Makes a slot ours whose owner, masked, is the one given, and tells who it
 * was; 0: it is not. One that is claimed and not filled yet still shows its
 * former owner, but no phase; that is looked at first, since it is stored last.
 * A waiter may be about to clear up after the same owner: one of us does. */
static uint64_t seize(struct bv_slot *slot, uint64_t owner, uint64_t mask)
{
	uint64_t now;

	if (atomic_load(&slot->phase) == BV_PHASE_FREE)
		return 0;
	now = atomic_load(&slot->owner);
	return (now & mask) == owner &&
	       atomic_compare_exchange_strong(&slot->owner, &now, self()) ?
		       now : 0;
}

static void note_uncompared(struct bv_left *left, const struct bv_slot *slot,
			    uint64_t owner)
{
	unsigned index = left->uncompared;

	if (!is_uncompared(slot))
		return;
	left->uncompared++;
	if (index >= BV_TOLD)
		return;
	left->read[index].offset = atomic_load(&slot->offset);
	left->read[index].length = atomic_load(&slot->length);
	left->read[index].pid = (int)(owner >> 32);
}

/* Frees the slots whose owner, masked, is the one given. What they were
 * writing becomes unknown. left NULL: the length is seen to here. */
static void clear(struct bv_disk *disk, uint64_t owner, uint64_t mask,
		  struct bv_left *left)
{
	for (int index = 0; index < BV_SLOTS; index++) {
		struct bv_slot *slot = &disk->state->slot[index];
		uint64_t was;

		if (!(atomic_load(&disk->state->used[index / 64]) >> (index % 64) & 1))
			continue;
		was = seize(slot, owner, mask);
		if (was == 0)
			continue;
		if (atomic_load(&slot->phase) == BV_PHASE_HELD && !left) {
			clear_up_after(disk, slot, was);
		} else if (atomic_load(&slot->phase) == BV_PHASE_HELD) {
			note_uncompared(left, slot, was);
			mark_unknown(disk, slot);
			left->writing += changes_bytes(slot);
			left->resized |= changes_bytes(slot) &&
					 atomic_load(&slot->end) == BV_TO_END;
		}
		free_slot(disk->state, index);
	}
}

void bv_inflight_abandon(void)
{
	for (unsigned i = 0; i < bv_disks; i++)
		clear(&bv_disk[i], self(), UINT64_MAX, NULL);
}

void bv_inflight_exec(struct bv_disk *disk)
{
	clear(disk, (uint64_t)(uint32_t)bv_pid << 32, (uint64_t)UINT32_MAX << 32,
	      NULL);
}

void bv_inflight_recover(struct bv_disk *disk, struct bv_left *left)
{
	struct bv_state *state = disk->state;

	*left = (struct bv_left){ 0 };
	/* What the dead held of the table itself would be in the way of
	 * writing into it. */
	for (unsigned index = 0; index < BV_SLOTS; index++)
		if (atomic_load(&state->slot[index].space) >= BV_SPACE_TABLE)
			free_slot(state, (int)index);
	clear(disk, 0, 0, left);
	for (unsigned index = 0; index < BV_SLOTS; index++) {
		atomic_store(&state->slot[index].phase, BV_PHASE_FREE);
		atomic_store(&state->slot[index].waiters, 0);
	}
	for (unsigned word = 0; word < BV_SLOT_WORDS; word++)
		atomic_store(&state->used[word], 0);
	atomic_store(&state->words_used, 0);
	atomic_store(&state->changers, 0);
}
