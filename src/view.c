/* view: see view.h. */
#include <errno.h>
#include <sys/mman.h>

#include <blkverify/own.h>
#include <blkverify/policy.h>
#include <blkverify/thread.h>

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

/* ---- the list of those who have mappings ---- */

/* Counted anew each time: one of them may have died in the middle of it. */
static void count_mappers(struct bv_state *state)
{
	uint32_t count = 0;

	for (unsigned i = 0; i < BV_MAPPERS; i++)
		count += atomic_load(&state->mapper[i]) != 0;
	if (count == 0)
		atomic_store(&state->memory_inode, 0);
	atomic_store(&state->mapped, count);
}

static void drop_mapper(struct bv_state *state, uint32_t pid)
{
	for (unsigned i = 0; i < BV_MAPPERS; i++)
		if (atomic_load(&state->mapper[i]) == pid)
			atomic_store(&state->mapper[i], 0);
	count_mappers(state);
}

int bv_view_enlist(struct bv_disk *disk)
{
	struct bv_state *state = disk->state;

	for (unsigned i = 0; i < BV_MAPPERS; i++)
		if (atomic_load(&state->mapper[i]) == 0) {
			atomic_store(&state->mapper[i], (uint32_t)bv_pid);
			count_mappers(state);
			return 0;
		}
	return -ENOMEM;
}

void bv_view_delist(struct bv_disk *disk)
{
	drop_mapper(disk->state, (uint32_t)bv_pid);
}

/* ---- the two files ---- */

static uint64_t inode_of(int fd)
{
	struct stat st;

	return raw_fstat(fd, &st) < 0 ? 0 : st.st_ino;
}

/* The files of this process are those that all share. */
static void publish(struct bv_state *state, const struct bv_view *view)
{
	struct stat st = { 0 };

	raw_fstat(view->bytes_fd, &st);
	atomic_store(&state->memory_device, st.st_dev);
	atomic_store(&state->agreed_inode, inode_of(view->agreed_fd));
	atomic_store(&state->memory_inode, st.st_ino);
}

int bv_view_open_again(unsigned pid, int fd, int flags)
{
	char path[PROC_ROOM];

	proc_name(path, pid, "fd", (unsigned)fd);
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
	int results[3] = {
		adopt(bv_view_open_again(0, bytes, O_RDONLY), &view->read_fd),
		adopt(bytes, &view->bytes_fd),
		adopt(agreed, &view->agreed_fd),
	};

	for (unsigned i = 0; i < 3; i++)
		if (results[i] < 0) {
			release_files(view);
			return results[i];
		}
	return 0;
}

static int make_file(const char *name)
{
	return (int)raw_call(SYS_memfd_create, (long)name, MFD_CLOEXEC, 0, 0, 0,
			     0);
}

static int make_files(struct bv_disk *disk, struct bv_view *view)
{
	int result = adopt_files(view, make_file("blkverify-memory"),
				 make_file("blkverify-agreed"));

	if (result == 0)
		publish(disk->state, view);
	return result;
}

static bool is_file(const struct stat *st, const struct bv_state *state,
		    uint64_t inode)
{
	return st->st_ino == inode && st->st_nlink == 0 &&
	       st->st_dev == atomic_load(&state->memory_device);
}

/* Those of process pid, wherever they are among its descriptors. -ESRCH: it
 * has none, and is not who was in the list. Opening one of another kind might
 * do something to it, so each is looked at first. */
static int take_files(struct bv_disk *disk, struct bv_view *view, unsigned pid)
{
	const struct bv_state *state = disk->state;
	int bytes = -1, agreed = -1;

	for (int fd = 4095; fd > 2 && (bytes < 0 || agreed < 0); fd--) {
		char path[PROC_ROOM];
		struct stat st;
		int result;

		proc_name(path, pid, "fd", (unsigned)fd);
		result = raw_fstatat(AT_FDCWD, path, &st, 0);
		/* Not allowed to look, which is not the same. */
		if (result == -EACCES || result == -EPERM)
			return result;
		if (result < 0)
			continue;
		if (is_file(&st, state, atomic_load(&state->memory_inode)))
			bytes = fd;
		else if (is_file(&st, state, atomic_load(&state->agreed_inode)))
			agreed = fd;
	}
	if (bytes < 0 || agreed < 0)
		return -ESRCH;
	return adopt_files(view, bv_view_open_again(pid, bytes, O_RDWR),
			   bv_view_open_again(pid, agreed, O_RDWR));
}

static int take_from_any(struct bv_disk *disk, struct bv_view *view)
{
	int result = -ENOENT;

	for (unsigned i = 0; i < BV_MAPPERS; i++) {
		uint32_t pid = atomic_load(&disk->state->mapper[i]);
		int one = pid ? take_files(disk, view, pid) : -ESRCH;

		if (one == 0)
			return 0;
		if (pid && one == -ESRCH)
			drop_mapper(disk->state, pid);
		else if (pid)
			result = one;
	}
	return result;
}

void bv_view_resize(struct bv_disk *disk, const struct bv_view *view)
{
	uint64_t size;

	/* Somebody else may be about it, with another length. */
	do {
		size = atomic_load(&disk->state->size);
		raw_ftruncate(view->bytes_fd, size);
		raw_ftruncate(view->agreed_fd, sizeof(struct bv_filled) + size);
	} while (atomic_load(&disk->state->size) != size);
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

static void unmap(struct bv_view *view)
{
	if (view->bytes)
		raw_munmap(view->bytes, view->room);
	if (view->filled)
		raw_munmap(view->filled, sizeof(struct bv_filled) + view->room);
	view->bytes = NULL;
	view->filled = NULL;
}

static int map(struct bv_view *view, uint64_t size)
{
	const uint64_t least = (uint64_t)1 << 30;

	/* Room to grow. */
	view->room = (size > least / 2 ? 2 * size : least) &
		     ~(uint64_t)(BV_CHUNK - 1);
	view->bytes = map_whole(view->bytes_fd, view->room);
	view->filled = map_whole(view->agreed_fd,
				 sizeof(struct bv_filled) + view->room);
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
}

static bool is_current(const struct bv_disk *disk, const struct bv_view *view)
{
	uint64_t inode = atomic_load(&view->inode);

	return inode != 0 && inode == atomic_load(&disk->state->memory_inode) &&
	       view->room >= atomic_load(&disk->state->size);
}

int bv_view_renew(struct bv_disk *disk, bool makes)
{
	struct bv_view *view = bv_view_of(disk);
	uint64_t shared = atomic_load(&disk->state->memory_inode);
	int result = 0;

	if (is_current(disk, view))
		return 0;
	close_door(view);
	if (shared == 0 || view->bytes_fd == 0 ||
	    shared != inode_of(view->bytes_fd)) {
		release_files(view);
		result = shared ? take_from_any(disk, view) : -ENOENT;
		/* Perhaps they are all dead. */
		shared = atomic_load(&disk->state->memory_inode);
		if (result < 0 && shared == 0 && makes)
			result = make_files(disk, view);
	}
	if (result == 0)
		result = map(view, atomic_load(&disk->state->size));
	if (result < 0) {
		release_files(view);
		return result;
	}
	if (shared == 0)
		bv_view_resize(disk, view);
	atomic_store(&view->inode, atomic_load(&disk->state->memory_inode));
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

const struct bv_view *bv_view_enter(struct bv_disk *disk, raw_sigset *mask)
{
	struct bv_view *view = bv_view_of(disk);

	while (bv_memory_any(disk)) {
		*mask = raw_block_signals();
		atomic_fetch_add(&view->users, 1);
		if (is_current(disk, view))
			return view;
		bv_view_leave(disk, *mask);
		if (!renew_shared(disk))
			break;
	}
	return NULL;
}

void bv_view_leave(struct bv_disk *disk, raw_sigset mask)
{
	atomic_fetch_sub(&bv_view_of(disk)->users, 1);
	raw_sigmask(mask);
}

/* The parent has gone on meanwhile, and may have left. */
void bv_view_inherit(struct bv_disk *disk)
{
	struct bv_state *state = disk->state;
	struct bv_view *view = bv_view_of(disk);
	struct bv_hold hold;
	raw_sigset mask;

	/* Threads that are not here any more. */
	atomic_store(&view->users, 0);
	mask = bv_view_begin_change(disk, &hold);
	if (atomic_load(&state->memory_inode) == 0)
		publish(state, view);
	if (bv_view_enlist(disk) < 0 ||
	    atomic_load(&state->memory_inode) != inode_of(view->bytes_fd))
		bv_policy_apart(disk);
	bv_view_end_change(&hold, mask);
}
