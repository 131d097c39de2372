/* own: see include/blkverify/own.h. */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/resource.h>

#include <blkverify/own.h>

#include "lock.h"
#include "raw.h"

/* Where our descriptors live: above what programs use, below the usual soft
 * limit of 1024, since F_DUPFD cannot go past the limit. */
#define OWN_FIRST 960

static struct {
	_Atomic int fd;
	int *slot;
} own[BV_MAX_OWN];

static atomic_uint own_count;
/* All of ours are at or above this; one comparison rules most out. */
static atomic_int own_lowest = INT32_MAX;

static int own_floor(void)
{
	struct rlimit limit = { 0, 0 };

	if (raw_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&limit, 0, 0) < 0)
		return OWN_FIRST;
	if (limit.rlim_cur <= OWN_FIRST + BV_MAX_OWN)
		return limit.rlim_cur > 128 ? (int)limit.rlim_cur - 64 : 3;
	return OWN_FIRST;
}

/* More of ours than fit up there (sixty pairs under a limit of 1024) go lower;
 * better in the way than not at all. */
static int dup_high(int fd)
{
	int from = own_floor(), high;

	for (;;) {
		high = raw_fcntl(fd, F_DUPFD_CLOEXEC, from);
		if (high != -EMFILE || from == 3)
			return high;
		from = from > 6 ? from / 2 : 3;
	}
}

static void own_place(unsigned index, int fd)
{
	int lowest = atomic_load(&own_lowest);

	while (fd < lowest &&
	       !atomic_compare_exchange_weak(&own_lowest, &lowest, fd))
		;
	*own[index].slot = fd;
	atomic_store(&own[index].fd, fd);
}

/* Whoever makes or ends an entry has it. */
static _Atomic uint32_t changing;

/* An entry that was released, or the next new one. */
static unsigned free_index(void)
{
	unsigned count = atomic_load(&own_count);

	for (unsigned i = 0; i < count; i++)
		if (atomic_load(&own[i].fd) < 0)
			return i;
	return count;
}

/* fd itself, or a copy of it. */
static int enter(int fd, int *slot, bool copy)
{
	unsigned index = free_index();

	if (index == BV_MAX_OWN)
		return -EMFILE;
	if (copy)
		fd = dup_high(fd);
	if (fd < 0)
		return fd;
	own[index].slot = slot;
	own_place(index, fd);
	if (index == atomic_load(&own_count))
		atomic_store(&own_count, index + 1);
	return 0;
}

int bv_own_keep(int fd, int *slot)
{
	raw_sigset mask = lock_take(&changing);
	int result = enter(fd, slot, false);

	lock_give(&changing, mask);
	return result;
}

int bv_own_dup(int fd, int *slot)
{
	raw_sigset mask = lock_take(&changing);
	int result;

	*slot = -1;
	result = enter(fd, slot, true);
	lock_give(&changing, mask);
	return result;
}

int bv_own_adopt(int fd, int *slot)
{
	int result = bv_own_dup(fd, slot);

	raw_close(fd);
	return result;
}

void bv_own_release(int *slot)
{
	raw_sigset mask = lock_take(&changing);
	unsigned count = atomic_load(&own_count);

	for (unsigned i = 0; i < count; i++)
		if (own[i].slot == slot && atomic_load(&own[i].fd) >= 0) {
			/* First closed, then forgotten: else closefrom could
			 * close it in between, and we then what has got the
			 * number since. */
			raw_close(*slot);
			atomic_store(&own[i].fd, -1);
			break;
		}
	*slot = -1;
	lock_give(&changing, mask);
}

void bv_own_forked(void)
{
	atomic_store(&changing, 0);
}

static int own_index(int fd)
{
	unsigned count = atomic_load_explicit(&own_count, memory_order_acquire);

	if (fd < 0)
		return -1;
	for (unsigned i = 0; i < count; i++)
		if (atomic_load_explicit(&own[i].fd, memory_order_relaxed) == fd)
			return (int)i;
	return -1;
}

bool bv_own_has(int fd)
{
	if (fd < atomic_load_explicit(&own_lowest, memory_order_relaxed))
		return false;
	return own_index(fd) >= 0;
}

int bv_own_yield(int fd)
{
	int index = own_index(fd), high;

	if (index < 0)
		return 0;
	high = dup_high(fd);
	if (high < 0)
		return high;
	own_place((unsigned)index, high);
	raw_close(fd);
	return 0;
}

int bv_own_next(unsigned from)
{
	unsigned count = atomic_load_explicit(&own_count, memory_order_acquire);
	int next = -1;

	for (unsigned i = 0; i < count; i++) {
		int fd = atomic_load_explicit(&own[i].fd, memory_order_relaxed);

		if (fd >= 0 && (unsigned)fd >= from && (next < 0 || fd < next))
			next = fd;
	}
	return next;
}
