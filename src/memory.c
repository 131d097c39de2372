/* memory: see include/blkverify/memory.h. */
#include <errno.h>
#include <sys/sysinfo.h>

#include <blkverify/own.h>
#include <blkverify/policy.h>
#include <blkverify/text.h>
#include <blkverify/thread.h>

#include "view.h"

/* What this process does with each target's memory. */
static struct mine {
	atomic_uint mappings;        /* joined and not left */
	atomic_bool stores;          /* one of them can be stored to, or could */
	int read_fd, write_fd;       /* the target's, own.h; 0: none */
} mine[BV_MAX_PAIRS];

/* Targets of which a descriptor is kept and no mapping is left. */
static atomic_uint idle;

/* Programs that map a file piece by piece come back for the next: so much is
 * kept until they close it. */
#define KEPT ((uint64_t)256 * 1024 * 1024)

static struct mine *mine_of(const struct bv_disk *disk)
{
	return &mine[disk - bv_disk];
}

/* ---- the target's descriptor ---- */

/* Are there, perhaps, POSIX locks of this process's on the file? Closing any
 * descriptor of it would drop them. To a new description they are somebody
 * else's, as all others are, and in its way. */
static bool may_be_locked(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return raw_fcntl(fd, F_OFD_GETLK, (long)&lock) < 0 ||
	       lock.l_type != F_UNLCK;
}

static bool is_target(const struct bv_disk *disk, int fd)
{
	struct stat st;

	return raw_fstat(fd, &st) == 0 && bv_disk_known(&st) == disk;
}

/* Taking a descriptor over moves it out of the program's way, and closes it
 * where it was. Better in the way than a lock lost. */
static int take_over(int fd, int *slot)
{
	int result;

	if (!may_be_locked(fd))
		return bv_own_adopt(fd, slot);
	result = bv_own_keep(fd, slot);
	if (result < 0)
		raw_close(fd);
	return result;
}

/* A description of its own, so that file locks end when the program's do, and
 * neither O_APPEND nor O_DIRECT is in the way; where that cannot be had (no
 * /proc, another user by now), a copy. */
static int keep_target(const struct bv_disk *disk, struct mine *m, int fd)
{
	int access = raw_fcntl(fd, F_GETFL, 0) & O_ACCMODE, again, result;
	int *slot = access == O_RDWR ? &m->write_fd : &m->read_fd;

	if (*slot > 0)
		return 0;
	again = bv_view_open_again(fd, access);
	result = again >= 0 ? take_over(again, slot) : bv_own_dup(fd, slot);
	/* The number was given to another file since. */
	if (result == 0 && !is_target(disk, *slot)) {
		bv_own_release(slot);
		result = -EBADF;
	}
	if (result < 0)
		*slot = 0;
	return result;
}

int bv_memory_target(const struct bv_disk *disk)
{
	const struct mine *m = mine_of(disk);

	return m->write_fd > 0 ? m->write_fd : m->read_fd > 0 ? m->read_fd : -1;
}

static void count_idle(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < bv_disks; i++)
		count += atomic_load(&mine[i].mappings) == 0 &&
			 bv_memory_target(&bv_disk[i]) > 0;
	atomic_store(&idle, count);
}

bool bv_memory_idle(void)
{
	return atomic_load_explicit(&idle, memory_order_relaxed) > 0;
}

static void unlist(struct bv_disk *disk)
{
	bv_view_delist(disk);
	bv_view_drop(disk);
}

/* While something is done for them, mappings of this process's stay. */
static bool pin(struct bv_disk *disk)
{
	struct mine *m = mine_of(disk);
	unsigned now = atomic_load(&m->mappings);

	while (now > 0)
		if (atomic_compare_exchange_weak(&m->mappings, &now, now + 1))
			return true;
	return false;
}

bool bv_memory_pin(struct bv_disk *disk, bool stores)
{
	return (!stores || atomic_load(&mine_of(disk)->stores)) && pin(disk);
}

void bv_memory_closing(struct bv_disk *disk)
{
	struct mine *m = mine_of(disk);
	struct bv_hold hold;
	raw_sigset mask;

	/* A vfork child closes descriptors of its own, with our memory. */
	if (raw_getpid() != bv_pid)
		return;
	mask = bv_view_begin_change(disk, &hold);
	if (atomic_load(&m->mappings) == 0) {
		unlist(disk);
		if (m->read_fd > 0)
			bv_own_release(&m->read_fd);
		if (m->write_fd > 0)
			bv_own_release(&m->write_fd);
		m->read_fd = m->write_fd = 0;
		count_idle();
	}
	bv_view_end_change(&hold, mask);
}

/* ---- joining and leaving ---- */

/* Two copies of each byte: half of the machine's memory at most. */
static bool is_too_much(const struct bv_disk *disk, uint64_t start, uint64_t end)
{
	const struct bv_view *view = bv_view_of(disk);
	struct sysinfo info = { 0 };
	uint64_t bytes = bv_view_bytes(disk), most;

	raw_call(SYS_sysinfo, (long)&info, 0, 0, 0, 0, 0);
	most = (uint64_t)info.totalram * info.mem_unit / 4;
	for (uint64_t c = start / BV_CHUNK; c * BV_CHUNK < end && bytes <= most;
	     c++)
		if (!bv_view_has(view, c))
			bytes += BV_CHUNK;
	return bytes > most;
}

static int enter(struct bv_disk *disk, int fd, uint64_t start, uint64_t end)
{
	struct mine *m = mine_of(disk);
	int result = keep_target(disk, m, fd);

	if (result == 0)
		result = bv_view_renew(disk, true);
	if (result == 0 && is_too_much(disk, start, end))
		result = -EFBIG;
	if (result == 0)
		result = bv_view_enlist(disk);
	if (result == 0) {
		atomic_fetch_add(&m->mappings, 1);
		/* Who changed the length in between did not know of us. */
		bv_view_resize(disk);
	} else if (atomic_load(&m->mappings) == 0) {
		unlist(disk);
	}
	count_idle();
	return result;
}

/* One at a time: the text is static. */
static _Atomic uint32_t refusing;

/* The same errno for all of it, as from a file system without mappings:
 * programs fall back to reading. */
static int refuse(struct bv_disk *disk, const char *call, const char *why)
{
	static struct bv_text what;
	raw_sigset mask = raw_block_signals();
	int result;

	while (atomic_exchange(&refusing, 1))
		raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	text_clear(&what);
	text_add(&what, call);
	text_add(&what, why);
	result = bv_policy_unverified(disk, what.bytes, -ENODEV);
	atomic_store(&refusing, 0);
	raw_sigmask(mask);
	return result < 0 ? result : 1;
}

static const char *obstacle(const struct bv_disk *disk, bool stores, uint64_t end)
{
	if (!bv_policy_maps())
		return "";
	if (stores && !disk->shadow_writable)
		return " for writing";
	if (raw_getpid() != bv_pid)
		return " in a child of vfork";
	if (end > BV_MOST_CHUNKS * BV_CHUNK)
		return " beyond 16 TiB";
	return NULL;
}

int bv_memory_join(struct bv_disk *disk, const char *call, int fd, bool stores,
		   uint64_t start, uint64_t end)
{
	const char *why = obstacle(disk, stores, end);
	uint64_t size = atomic_load(&disk->state->size);
	struct bv_hold hold;
	raw_sigset mask;
	int result;

	if (why)
		return refuse(disk, call, why);
	mask = bv_view_begin_change(disk, &hold);
	result = enter(disk, fd, start, end < size ? end : size);
	if (result == 0 && stores)
		atomic_store(&mine_of(disk)->stores, true);
	bv_view_end_change(&hold, mask);
	if (result < 0)
		return refuse(disk, call, result == -EFBIG ?
			      " of more than a quarter of the machine's memory" :
			      " without memory or descriptors for it");
	result = bv_memory_fill(disk, call, start, end);
	if (result < 0)
		bv_memory_leave(disk);
	return result;
}

int bv_memory_unlock(struct bv_disk *disk, const char *call)
{
	int result = 0;

	if (!disk->shadow_writable)
		result = refuse(disk, call, " for writing");
	if (result >= 0)
		atomic_store(&mine_of(disk)->stores, true);
	return result;
}

void bv_memory_share(struct bv_disk *disk)
{
	atomic_fetch_add(&mine_of(disk)->mappings, 1);
}

void bv_memory_leave(struct bv_disk *disk)
{
	struct mine *m = mine_of(disk);
	struct bv_hold hold;
	raw_sigset mask = bv_view_begin_change(disk, &hold);

	if (atomic_fetch_sub(&m->mappings, 1) == 1) {
		atomic_store(&m->stores, false);
		if (bv_view_bytes(disk) > KEPT)
			unlist(disk);
		count_idle();
	}
	bv_view_end_change(&hold, mask);
}

int bv_memory_fd(const struct bv_disk *disk, bool writable)
{
	const struct bv_view *view = bv_view_of(disk);

	return writable ? view->bytes_fd : view->read_fd;
}

void bv_memory_forked(void)
{
	atomic_store(&refusing, 0);
	for (unsigned i = 0; i < bv_disks; i++)
		bv_view_inherit(&bv_disk[i]);
}

void bv_memory_leaving(void)
{
	for (unsigned i = 0; i < bv_disks; i++)
		bv_view_step_out(&bv_disk[i]);
}

void bv_memory_staying(void)
{
	for (unsigned i = 0; i < bv_disks; i++)
		bv_view_come_back(&bv_disk[i]);
}

void bv_memory_resized(struct bv_disk *disk)
{
	struct bv_hold hold;
	raw_sigset mask;
	int result;

	if (!bv_memory_any(disk))
		return;
	mask = bv_view_begin_change(disk, &hold);
	result = bv_view_renew(disk, false);
	if (result == 0)
		bv_view_resize(disk);
	bv_view_end_change(&hold, mask);
	if (result < 0 && result != -ENOENT)
		bv_policy_apart(disk);
}
