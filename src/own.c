/* own: see include/blkverify/own.h. */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/resource.h>

#include <blkverify/own.h>

#include "raw.h"

/* Where our descriptors live: above what programs use, below the usual soft
 * limit of 1024, since F_DUPFD cannot go past the limit. */
#define OWN_FIRST 960

/* In place of a number: the entry is free again; somebody is at it. */
#define EMPTY (-1)
#define RESERVED (-2)

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

int bv_own_adopt(int fd, int *slot)
{
	unsigned index = atomic_load(&own_count);
	int high;

	*slot = -1;
	if (index == BV_MAX_OWN) {
		raw_close(fd);
		return -EMFILE;
	}
	high = dup_high(fd);
	raw_close(fd);
	if (high < 0)
		return high;
	own[index].slot = slot;
	own_place(index, high);
	atomic_store(&own_count, index + 1);
	return 0;
}

/* An entry that nothing stands in, reserved; -1: none. */
static int own_reserve(void)
{
	unsigned count = atomic_load(&own_count);

	for (unsigned i = 0; i < count; i++) {
		int empty = EMPTY;

		if (atomic_compare_exchange_strong(&own[i].fd, &empty, RESERVED))
			return (int)i;
	}
	while (count < BV_MAX_OWN) {
		int unused = 0;
		bool mine = atomic_compare_exchange_strong(&own[count].fd,
							   &unused, RESERVED);
		unsigned index = count;

		/* By whoever comes first, so that nobody waits for anybody. */
		if (atomic_compare_exchange_strong(&own_count, &count, index + 1))
			count = index + 1;
		if (mine)
			return (int)index;
	}
	return -1;
}

int bv_own_copy(int fd, int *slot)
{
	int index = own_reserve(), high;

	*slot = -1;
	if (index < 0)
		return -EMFILE;
	own[index].slot = slot;
	high = raw_fcntl(fd, F_DUPFD_CLOEXEC, own_floor());
	if (high < 0)
		atomic_store(&own[index].fd, EMPTY);
	else
		own_place((unsigned)index, high);
	return high < 0 ? high : 0;
}

void bv_own_return(int *slot)
{
	unsigned count = atomic_load(&own_count);
	int fd = *slot;

	for (unsigned i = 0; i < count && fd >= 0; i++) {
		if (own[i].slot != slot || atomic_load(&own[i].fd) != fd)
			continue;
		/* First closed, then forgotten: else closefrom could close it
		 * in between, and we then what has got the number since. */
		*slot = -1;
		raw_close(fd);
		atomic_store(&own[i].fd, EMPTY);
		return;
	}
}

static int own_index(int fd)
{
	unsigned count = atomic_load_explicit(&own_count, memory_order_acquire);

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
