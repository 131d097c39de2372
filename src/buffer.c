/* buffer: see include/blkverify/buffer.h. */
#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include <blkverify/buffer.h>
#include <blkverify/thread.h>

#include "raw.h"

#define BUFFERS 32
/* A signal handler may need one while every other is held by threads that
 * wait for the operation it interrupted. */
#define RESERVED 4

static struct bv_buffer *pool;
static _Atomic uint64_t taken;
static _Atomic uint32_t returned;   /* futex: counts while somebody waits */
static _Atomic uint32_t waiting;

struct bv_buffer *bv_buffer_map(unsigned count)
{
	size_t bytes = count * sizeof(struct bv_buffer);
	void *map = raw_mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (raw_is_error(map))
		return NULL;
	/* Huge ones would take what is not used as well. */
	raw_call(SYS_madvise, (long)map, (long)bytes, MADV_NOHUGEPAGE, 0, 0, 0);
	return map;
}

int bv_buffer_start(void)
{
	pool = bv_buffer_map(BUFFERS + RESERVED);
	return pool ? 0 : -ENOMEM;
}

static int take_lowest(void)
{
	uint64_t now = atomic_load_explicit(&taken, memory_order_relaxed);
	int most = bv_thread.depth > 1 ? BUFFERS + RESERVED : BUFFERS;

	for (;;) {
		int lowest = now == UINT64_MAX ? 64 : __builtin_ctzll(~now);

		if (lowest >= most)
			return -1;
		if (atomic_compare_exchange_weak_explicit(
			    &taken, &now, now | (uint64_t)1 << lowest,
			    memory_order_acquire, memory_order_relaxed))
			return lowest;
	}
}

struct bv_buffer *bv_buffer_get(void)
{
	int index = take_lowest();

	while (index < 0) {
		uint32_t seen = atomic_load(&returned);

		atomic_fetch_add(&waiting, 1);
		index = take_lowest();
		if (index < 0)
			raw_futex_wait(&returned, seen, NULL);
		atomic_fetch_sub(&waiting, 1);
		if (index < 0)
			index = take_lowest();
	}
	bv_thread.buffers |= (uint64_t)1 << index;
	return &pool[index];
}

void bv_buffer_put(struct bv_buffer *buffer)
{
	uint64_t bit = (uint64_t)1 << (buffer - pool);

	bv_thread.buffers &= ~bit;
	atomic_fetch_and(&taken, ~bit);
	if (atomic_load(&waiting) > 0) {
		atomic_fetch_add(&returned, 1);
		raw_futex_wake(&returned, 1);
	}
}

struct bv_buffer *bv_buffer_own(void)
{
	static __thread struct bv_buffer *own;

	if (!own)
		own = bv_buffer_map(1);
	return own;
}

void bv_buffer_abandon(void)
{
	while (bv_thread.buffers)
		bv_buffer_put(&pool[__builtin_ctzll(bv_thread.buffers)]);
}

void bv_buffer_forked(void)
{
	atomic_store(&taken, bv_thread.buffers);
	atomic_store(&waiting, 0);
}
