/* view: see view.h. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <blkverify/own.h>
#include <blkverify/policy.h>
#include <blkverify/thread.h>

#include "mappers.h"
#include "proc.h"
#include "view.h"

static struct bv_view views[BV_MAX_PAIRS];

struct bv_view *bv_view_of(const struct bv_disk *disk)
{
	return &views[disk - bv_disk];
}

raw_sigset bv_view_begin_change(struct bv_disk *disk, struct bv_hold *hold)
{
	static const struct bv_claim claim = {
		.space = BV_SPACE_MEMORY, .exclusive = true, .start = 0, .end = 1,
	};
	raw_sigset mask = raw_block_signals();

	/* As with the table of unknown extents, its owner always goes on. */
	while (bv_inflight_take(disk, &claim, hold) < 0)
		raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	return mask;
}

void bv_view_end_change(struct bv_hold *hold, raw_sigset mask)
{
	bv_inflight_drop(hold);
	raw_sigmask(mask);
}

/* ---- who has mappings ---- */

int bv_view_enlist(struct bv_disk *disk)
{
	struct bv_view *view = bv_view_of(disk);
	int result = atomic_load(&view->listed) ? 0 : bv_mappers_enlist(disk);

	atomic_store(&view->listed, result == 0);
	return result;
}

void bv_view_delist(struct bv_disk *disk)
{
	atomic_store(&bv_view_of(disk)->listed, false);
	bv_mappers_delist(disk);
}

/* ---- the two files ---- */

static uint64_t inode_of(int fd)
{
	struct stat st;

	return raw_fstat(fd, &st) < 0 ? 0 : st.st_ino;
}

int bv_view_open_again(int fd, int flags)
{
	char path[PROC_ROOM];

	proc_name(path, 0, "fd", (unsigned)fd);
	return raw_openat(AT_FDCWD, path, flags | O_CLOEXEC | O_NOCTTY, 0);
}

static int adopt(int fd, int *slot)
{
	int result = fd < 0 ? fd : bv_own_adopt(fd, slot);

	if (result < 0)
		*slot = 0;
	return result;
}

static void release(int *slot)
{
	if (*slot > 0)
		bv_own_release(slot);
	*slot = 0;
}

static void release_files(struct bv_view *view)
{
	release(&view->bytes_fd);
	release(&view->read_fd);
	release(&view->agreed_fd);
}

static int adopt_files(struct bv_view *view, int bytes, int agreed)
{
	int again = bv_view_open_again(bytes, O_RDONLY);
	int result = adopt(again, &view->read_fd);
	int first = adopt(bytes, &view->bytes_fd);
	int second = adopt(agreed, &view->agreed_fd);

	result = result < 0 ? result : first < 0 ? first : second;
	if (result < 0)
		release_files(view);
	return result;
}

static int make_file(const char *name)
{
	return (int)raw_call(SYS_memfd_create, (long)name, MFD_CLOEXEC, 0, 0, 0,
			     0);
}

static int make_files(struct bv_disk *disk, struct bv_view *view)
{
	int result = adopt_files(view, make_file(BV_MEMORY_NAME),
				 make_file(BV_AGREED_NAME));

	if (result == 0)
		result = raw_ftruncate(view->agreed_fd, sizeof(struct bv_filled));
	if (result < 0)
		release_files(view);
	else
		bv_mappers_publish(disk, view->bytes_fd, view->agreed_fd);
	return result;
}

static int take_files(struct bv_disk *disk, struct bv_view *view)
{
	int bytes, agreed, result = bv_mappers_take(disk, &bytes, &agreed);

	return result < 0 ? result : adopt_files(view, bytes, agreed);
}

/* What the program has stored behind the end, in its page, is not to become part
 * of the file: so to what it is, and only then longer. */
static void set_length(const struct bv_view *view, uint64_t from, uint64_t to)
{
	if (from < to)
		raw_ftruncate(view->bytes_fd, from);
	raw_ftruncate(view->bytes_fd, to);
	raw_ftruncate(view->agreed_fd, sizeof(struct bv_filled) + to);
}

void bv_view_resize(struct bv_disk *disk)
{
	const struct bv_view *view = bv_view_of(disk);
	uint64_t size = atomic_load(&disk->state->size);
	uint64_t length = atomic_load(&view->filled->length);

	/* Whoever looks must not see more than there is. */
	if (size < length)
		atomic_store(&view->filled->length, size);
	if (size != length)
		set_length(view, length, size);
	atomic_store(&view->filled->length, size);
}

uint64_t bv_view_bytes(const struct bv_disk *disk)
{
	struct stat st = { 0 };

	raw_fstat(bv_view_of(disk)->bytes_fd, &st);
	return (uint64_t)st.st_blocks * 512;
}

/* ---- views ---- */

static void *map_whole(int fd, uint64_t length)
{
	void *map = raw_mmap(NULL, length, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (raw_is_error(map))
		return NULL;
	/* A core file has the program's own mappings, if anything. */
	raw_call(SYS_madvise, (long)map, (long)length, MADV_DONTDUMP, 0, 0, 0);
	return map;
}

/* Forgotten first: a child of a fork in between must not unmap what it has there
 * by then. */
static void unmap(struct bv_view *view)
{
	void *bytes = view->bytes, *filled = view->filled;

	view->bytes = NULL;
	view->filled = NULL;
	if (bytes)
		raw_munmap(bytes, view->room);
	if (filled)
		raw_munmap(filled, sizeof(struct bv_filled) + view->room);
}

static int map(struct bv_view *view, uint64_t room)
{
	view->room = room;
	view->bytes = map_whole(view->bytes_fd, room);
	view->filled = map_whole(view->agreed_fd,
				 sizeof(struct bv_filled) + room);
	if (!view->bytes || !view->filled) {
		unmap(view);
		return -ENOMEM;
	}
	view->agreed = (unsigned char *)(view->filled + 1);
	return 0;
}

/* Nobody comes in, and nobody is inside any more. */
static void close_door(struct bv_view *view)
{
	atomic_store(&view->inode, 0);
	while (atomic_load(&view->users) > 0)
		raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	unmap(view);
}

void bv_view_drop(struct bv_disk *disk)
{
	struct bv_view *view = bv_view_of(disk);

	close_door(view);
	release_files(view);
	atomic_store(&disk->looks, false);
}

static bool is_current(const struct bv_disk *disk, const struct bv_view *view)
{
	uint64_t inode = atomic_load(&view->inode);

	return inode != 0 && inode == atomic_load(&disk->state->memory_inode) &&
	       view->room >= atomic_load(&disk->state->size);
}

/* Room to grow; but past RLIMIT_FSIZE the second file would be a signal that
 * ends the program. 0: there is not enough. */
static uint64_t choose_room(uint64_t size)
{
	const uint64_t least = (uint64_t)1 << 30;
	uint64_t room = size > least / 2 ? 2 * size : least;
	struct rlimit limit = { 0, 0 };

	if (raw_call(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit, 0, 0) == 0 &&
	    limit.rlim_cur < sizeof(struct bv_filled) + room)
		room = limit.rlim_cur < sizeof(struct bv_filled) ? 0 :
		       limit.rlim_cur - sizeof(struct bv_filled);
	room &= ~(uint64_t)(BV_CHUNK - 1);
	return room < size ? 0 : room;
}

int bv_view_renew(struct bv_disk *disk, bool makes)
{
	struct bv_view *view = bv_view_of(disk);
	uint64_t shared = atomic_load(&disk->state->memory_inode);
	uint64_t room = choose_room(atomic_load(&disk->state->size));
	int result = 0;

	if (is_current(disk, view))
		return 0;
	/* A child of vfork has our memory, and descriptors of its own. */
	if (raw_getpid() != bv_pid)
		return -EPERM;
	if (room == 0)
		return -ENOMEM;
	close_door(view);
	if (shared == 0 || view->bytes_fd == 0 ||
	    shared != inode_of(view->bytes_fd)) {
		release_files(view);
		result = shared ? take_files(disk, view) : -ENOENT;
		/* Perhaps they are all dead. */
		shared = atomic_load(&disk->state->memory_inode);
		if (result < 0 && shared == 0 && makes)
			result = make_files(disk, view);
	}
	if (result == 0)
		result = map(view, room);
	if (result < 0) {
		/* What the program has mapped is handed on to others. */
		if (!atomic_load(&view->listed))
			release_files(view);
		return result;
	}
	if (shared == 0)
		bv_view_resize(disk);
	atomic_store(&view->inode, atomic_load(&disk->state->memory_inode));
	atomic_store(&disk->looks, true);
	return 0;
}

static bool renew_shared(struct bv_disk *disk)
{
	struct bv_hold hold;
	raw_sigset mask = bv_view_begin_change(disk, &hold);
	int result = bv_view_renew(disk, false);

	bv_view_end_change(&hold, mask);
	if (result < 0 && result != -ENOENT)
		bv_policy_apart(disk);
	return result == 0;
}

/* Nobody has the target mapped any more: the memory is free when nobody looks
 * at it either. */
static void look_away(struct bv_disk *disk)
{
	const struct bv_view *view = bv_view_of(disk);
	struct bv_hold hold;
	raw_sigset mask;

	if (!atomic_load(&disk->looks) || atomic_load(&view->listed) ||
	    raw_getpid() != bv_pid)
		return;
	mask = bv_view_begin_change(disk, &hold);
	if (atomic_load(&disk->state->mapped) == 0 &&
	    !atomic_load(&view->listed))
		bv_view_drop(disk);
	bv_view_end_change(&hold, mask);
}

const struct bv_view *bv_view_enter(struct bv_disk *disk, raw_sigset *mask)
{
	struct bv_view *view = bv_view_of(disk);

	while (atomic_load(&disk->state->mapped) > 0) {
		*mask = raw_block_signals();
		atomic_fetch_add(&view->users, 1);
		if (is_current(disk, view))
			return view;
		bv_view_leave(disk, *mask);
		if (!renew_shared(disk))
			return NULL;
	}
	look_away(disk);
	return NULL;
}

void bv_view_leave(struct bv_disk *disk, raw_sigset mask)
{
	atomic_fetch_sub(&bv_view_of(disk)->users, 1);
	raw_sigmask(mask);
}

void bv_view_step_out(struct bv_disk *disk)
{
	struct bv_hold hold;
	raw_sigset mask;

	if (!atomic_load(&bv_view_of(disk)->listed))
		return;
	mask = bv_view_begin_change(disk, &hold);
	bv_mappers_delist(disk);
	bv_view_end_change(&hold, mask);
}

/* Our files are everybody's, if nobody has made others meanwhile. */
void bv_view_come_back(struct bv_disk *disk)
{
	struct bv_view *view = bv_view_of(disk);
	struct bv_hold hold;
	raw_sigset mask;

	if (!atomic_exchange(&view->listed, false))
		return;
	mask = bv_view_begin_change(disk, &hold);
	if (atomic_load(&disk->state->memory_inode) == 0)
		bv_mappers_publish(disk, view->bytes_fd, view->agreed_fd);
	if (bv_view_enlist(disk) < 0 ||
	    atomic_load(&disk->state->memory_inode) != inode_of(view->bytes_fd))
		bv_policy_apart(disk);
	bv_view_end_change(&hold, mask);
}

/* The parent has gone on meanwhile, and may have left. */
void bv_view_inherit(struct bv_disk *disk)
{
	/* Threads that are not here any more. */
	atomic_store(&bv_view_of(disk)->users, 0);
	bv_view_come_back(disk);
}
