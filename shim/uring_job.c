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
	taken->registered = false;
	taken->over = taken->failed = false;
	taken->count = 0;
	for (int i = 0; i < 3; i++)
		taken->maps[i].iov_len = 0;
	taken->used = 0;
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

static void set_uses(struct bv_taken *taken)
{
	int fd = taken->disk ? bv_taken_fd(taken) : -1;

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
	atomic_store(&taken->uses, 0);
	atomic_fetch_sub(&busy, 1);
	wake_waiting();
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

/* What is under way is the parent's. */
void bv_taken_forked(void)
{
	struct bv_taken *all = atomic_load(&storage);

	for (uint32_t i = 0; all && i < atomic_load(&fresh); i++)
		atomic_store(&all[i].uses, 0);
	atomic_store(&released, 0);
	atomic_store(&fresh, 0);
	atomic_store(&busy, 0);
	atomic_store(&waiting, 0);
}
