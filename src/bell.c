/* bell: see bell.h. */
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>

#include <blkverify/own.h>
#include <blkverify/thread.h>

#include "bell.h"
#include "lock.h"
#include "raw.h"

#define BELLS 8u

/* More in flight is too much. */
#define FEW 4

static struct bell {
	int fd;                      /* own.h; it may move */
	atomic_bool there;           /* fd is one */
	_Atomic uint32_t flying;
} bells[BELLS];

static _Atomic uint32_t next;
static _Atomic uint32_t making;      /* lock */

/* The calling thread's. */
static struct bell *mine(void)
{
	if (bv_thread.bell == 0)
		bv_thread.bell = 1 + atomic_fetch_add(&next, 1) % BELLS;
	return &bells[bv_thread.bell - 1];
}

unsigned bell_flies(void)
{
	atomic_fetch_add(&mine()->flying, 1);
	return bv_thread.bell;
}

void bell_landed(unsigned bell)
{
	atomic_fetch_sub(&bells[bell - 1].flying, 1);
}

bool bell_is_busy(unsigned bell)
{
	return atomic_load(&bells[bell - 1].flying) > FEW;
}

int bell_fd(unsigned bell)
{
	struct bell *b = &bells[bell - 1];

	return atomic_load(&b->there) && !bell_is_busy(bell) ?
		       __atomic_load_n(&b->fd, __ATOMIC_RELAXED) : -1;
}

static void make(struct bell *b)
{
	raw_sigset mask = lock_take(&making);
	int fd;

	if (!atomic_load(&b->there)) {
		fd = (int)raw_call(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK,
				   0, 0, 0, 0);
		if (fd >= 0 && bv_own_dup(fd, &b->fd) == 0)
			atomic_store(&b->there, true);
		if (fd >= 0)
			raw_close(fd);
	}
	lock_give(&making, mask);
}

void bell_begin(void)
{
	make(mine());
}

bool bell_is_waited_for(void)
{
	uint32_t flying = bv_thread.bell == 0 ? 0 :
			  atomic_load(&bells[bv_thread.bell - 1].flying);

	return flying > 0 && flying <= FEW;
}

int bell_wait_fd(void)
{
	struct bell *b = &bells[bv_thread.bell - 1];

	if (!bell_is_waited_for())
		return -1;
	if (!atomic_load(&b->there))
		make(b);
	return bell_fd(bv_thread.bell);
}

void bell_hush(void)
{
	uint64_t count;
	struct bell *b = &bells[bv_thread.bell - 1];

	raw_read(__atomic_load_n(&b->fd, __ATOMIC_RELAXED), &count,
		 sizeof(count));
}

void bell_forked(void)
{
	atomic_store(&making, 0);
	for (unsigned i = 0; i < BELLS; i++) {
		/* The parent's: it would be rung there, and heard here. */
		if (atomic_load(&bells[i].there))
			bv_own_release(&bells[i].fd);
		atomic_store(&bells[i].there, false);
		atomic_store(&bells[i].flying, 0);
	}
}
