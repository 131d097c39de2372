/* uring_job: requests taken over; see uring.h.
 *
 * They live in one mapping, made when the first is needed. Free ones are in
 * a list without a lock: submission and completion never wait for each
 * other. */
#include <sys/mman.h>

#include "../src/raw.h"
#include "guard.h"
#include "uring.h"

/* More than the kernel lets one submission hold (IORING_MAX_ENTRIES). */
#define MOST 65536u

static _Atomic(struct bv_taken *) storage;

/* The lists: an index + 1 in the low half; the high half counts changes, so
 * that one that went and came back is not taken for one that stayed. */
static _Atomic uint64_t released;
static _Atomic uint32_t fresh;       /* never used from here on */

static _Atomic uint32_t busy;        /* taken, and not finished */
static _Atomic uint32_t finished;    /* futex: counts while waited for */
static _Atomic uint32_t waiting;

/* What bv_taken.state says beside the number, which is never 0. */
enum { MAY_GO = 1, CALLED_OFF = 2 };

#define CANCEL_USERDATA (1u << 4)    /* Linux 6.6; so it is anyway */
#define CANCEL_KNOWN (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY |      \
		      IORING_ASYNC_CANCEL_FD | CANCEL_USERDATA)

static struct bv_taken *base(void)
{
	struct bv_taken *map = atomic_load(&storage), *none = NULL;
	size_t length = MOST * sizeof(*map);

	if (map)
		return map;
	map = raw_mmap(NULL, length, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (raw_is_error(map))
		return NULL;
	if (atomic_compare_exchange_strong(&storage, &none, map))
		return map;
	raw_munmap(map, length);
	return none;
}

static struct bv_taken *take_released(struct bv_taken *all)
{
	uint64_t now = atomic_load(&released), then;
	struct bv_taken *first;

	do {
		if ((uint32_t)now == 0)
			return NULL;
		first = &all[(uint32_t)now - 1];
		/* It may be somebody's by now; then so is the count. */
		then = ((now >> 32) + 1) << 32 |
		       __atomic_load_n(&first->link, __ATOMIC_RELAXED);
	} while (!atomic_compare_exchange_weak(&released, &now, then));
	return first;
}

struct bv_taken *bv_taken_get(void)
{
	struct bv_taken *all = base(), *taken;
	uint32_t index;

	if (!all)
		return NULL;
	taken = take_released(all);
	if (!taken) {
		index = atomic_load(&fresh);
		do {
			if (index == MOST)
				return NULL;
		} while (!atomic_compare_exchange_weak(&fresh, &index,
						       index + 1));
		taken = &all[index];
	}
	taken->next = NULL;
	taken->disk = NULL;
	taken->held = NULL;
	taken->registered = taken->left = taken->loose = false;
	taken->over = taken->failed = false;
	taken->flags = 0;
	taken->standin = -1;
	taken->count = 0;
	for (int i = 0; i < 3; i++)
		taken->maps[i].iov_len = 0;
	taken->used = 0;
	atomic_store(&taken->state, 0);
	return taken;
}

void bv_taken_put(struct bv_taken *taken)
{
	uint32_t index = (uint32_t)(taken - atomic_load(&storage)) + 1;
	uint64_t now = atomic_load(&released), then;

	for (int i = 0; i < 3; i++)
		if (taken->maps[i].iov_len > 0)
			raw_munmap(taken->maps[i].iov_base,
				   taken->maps[i].iov_len);
	if (taken->held)
		bv_files_return(taken->held);
	do {
		__atomic_store_n(&taken->link, (uint32_t)now, __ATOMIC_RELAXED);
		then = ((now >> 32) + 1) << 32 | index;
	} while (!atomic_compare_exchange_weak(&released, &now, then));
}

/* What is no descriptor in a request of another kind does no harm: somebody
 * who closes that number waits a little. */
static void set_uses(struct bv_taken *taken)
{
	int fd = -1;

	if (taken->disk)
		fd = bv_taken_fd(taken);
	else if (taken->kind != BV_SQE_NEUTRAL && !taken->over)
		fd = taken->sqe.fd;
	atomic_store(&taken->uses, fd < 0 ? 0 : (uint32_t)fd + 1);
}

static void wake_waiting(void)
{
	if (atomic_load(&waiting) == 0)
		return;
	atomic_fetch_add(&finished, 1);
	raw_futex_wake(&finished, INT32_MAX);
}

void bv_taken_began(struct bv_taken *taken)
{
	static _Atomic uint64_t count;

	taken->number = atomic_fetch_add(&count, 1) + 1;
	atomic_fetch_add(&busy, 1);
	set_uses(taken);
}

void bv_taken_finished(struct bv_taken *taken)
{
	atomic_store(&taken->state, 0);
	atomic_store(&taken->uses, 0);
	atomic_fetch_sub(&busy, 1);
	wake_waiting();
}

bool bv_taken_park(struct bv_taken *taken)
{
	if (!bv_pool_pause())
		return false;
	for (struct bv_taken *t = taken; t; t = t->next) {
		atomic_store(&t->uses, 0);
		t->loose = true;
	}
	wake_waiting();
	return true;
}

void bv_taken_unpark(struct bv_taken *taken)
{
	bv_pool_resume();
	for (struct bv_taken *t = taken; t; t = t->next)
		set_uses(t);
}

static bool any_uses(unsigned first, unsigned last,
		     const struct bv_taken *before)
{
	struct bv_taken *all = atomic_load(&storage);
	uint32_t count = all ? atomic_load(&fresh) : 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t uses = atomic_load(&all[i].uses);

		if (uses == 0 || uses - 1 < first || uses - 1 > last)
			continue;
		if (!before || (all[i].ring == before->ring &&
				all[i].number < before->number))
			return true;
	}
	return false;
}

void bv_taken_settle(unsigned first, unsigned last,
		     const struct bv_taken *before)
{
	if (atomic_load(&busy) == 0)
		return;
	atomic_fetch_add(&waiting, 1);
	for (;;) {
		uint32_t seen = atomic_load(&finished);

		if (!any_uses(first, last, before))
			break;
		raw_futex_wait(&finished, seen, NULL);
	}
	atomic_fetch_sub(&waiting, 1);
}

/* As the kernel matches them (io_uring_enter(2)). */
static bool would_cancel(const struct io_uring_sqe *cancel,
			 const struct io_uring_sqe *sqe)
{
	switch (cancel->opcode) {
	case IORING_OP_POLL_REMOVE:
		return sqe->opcode == IORING_OP_POLL_ADD && cancel->len == 0 &&
		       sqe->user_data == cancel->addr;
	case IORING_OP_TIMEOUT_REMOVE:
		return sqe->opcode == IORING_OP_TIMEOUT &&
		       cancel->timeout_flags == 0 &&
		       sqe->user_data == cancel->addr;
	default:
		/* By opcode, say: not known here. */
		if (cancel->cancel_flags & ~CANCEL_KNOWN)
			return false;
		if (cancel->cancel_flags & IORING_ASYNC_CANCEL_ANY)
			return true;
		if (cancel->cancel_flags & IORING_ASYNC_CANCEL_FD)
			return sqe->fd == cancel->fd;
		return sqe->user_data == cancel->addr;
	}
}

bool bv_cancels_many(const struct io_uring_sqe *cancel)
{
	return cancel->opcode == IORING_OP_ASYNC_CANCEL &&
	       cancel->cancel_flags & (IORING_ASYNC_CANCEL_ALL |
				       IORING_ASYNC_CANCEL_ANY);
}

bool bv_taken_call_off(const struct bv_uring *ring,
		       const struct io_uring_sqe *cancel)
{
	struct bv_taken *all = atomic_load(&storage);
	uint32_t count = atomic_load(&busy) > 0 ? atomic_load(&fresh) : 0;
	bool many = bv_cancels_many(cancel), any = false;

	for (uint32_t i = 0; i < count && (many || !any); i++) {
		struct bv_taken *t = &all[i];
		uint64_t state = atomic_load(&t->state);

		/* If it ends meanwhile, and its room is another's, the state
		 * is as well. */
		if (state % 4 == MAY_GO && t->ring == ring &&
		    would_cancel(cancel, &t->original) &&
		    atomic_compare_exchange_strong(&t->state, &state,
						   state - MAY_GO + CALLED_OFF))
			any = true;
	}
	return any;
}

void bv_taken_may_go(struct bv_taken *taken)
{
	uint64_t stays = 0;

	atomic_compare_exchange_strong(&taken->state, &stays,
				       taken->number * 4 + MAY_GO);
}

bool bv_taken_is_called_off(const struct bv_taken *taken)
{
	return taken->ring->leaving ||
	       atomic_load(&taken->state) % 4 == CALLED_OFF;
}

/* What is under way is the parent's. */
void bv_taken_forked(void)
{
	struct bv_taken *all = atomic_load(&storage);

	for (uint32_t i = 0; all && i < atomic_load(&fresh); i++) {
		atomic_store(&all[i].uses, 0);
		atomic_store(&all[i].state, 0);
	}
	atomic_store(&released, 0);
	atomic_store(&fresh, 0);
	atomic_store(&busy, 0);
	atomic_store(&waiting, 0);
}
