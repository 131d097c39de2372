/* state: see include/blkverify/state.h. */
#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include <blkverify/disk.h>
#include <blkverify/own.h>
#include <blkverify/state.h>
#include <blkverify/text.h>

#include "raw.h"

#ifndef BLKGETDISKSEQ
#define BLKGETDISKSEQ _IOR(0x12, 128, uint64_t)
#endif

_Static_assert(sizeof(struct bv_slot) == 128, "the layout is on disk");
_Static_assert(sizeof(struct bv_past) == 64, "the layout is on disk");

size_t bv_state_bytes(unsigned history_room)
{
	return sizeof(struct bv_state) + history_room * sizeof(struct bv_past);
}

/* Which shadow this is. A new one may get the inode number of one that is
 * gone at once; its time of birth tells them apart where the file system has
 * it. The device number of a file changes with every boot and mount: it does
 * for a name, not for a proof. */
struct shadow_id {
	uint64_t device, inode, birth;
};

static int identify(int fd, struct shadow_id *id)
{
	struct statx st;
	int result = (int)raw_call(SYS_statx, fd, (long)"", AT_EMPTY_PATH,
				   STATX_BASIC_STATS | STATX_BTIME, (long)&st,
				   0);

	if (result < 0)
		return result;
	*id = (struct shadow_id){
		.device = makedev(st.stx_dev_major, st.stx_dev_minor),
		.inode = st.stx_ino,
	};
	if (S_ISBLK(st.stx_mode)) {
		/* Linux 5.15: counts up each time a device gets a medium. */
		*id = (struct shadow_id){
			.device = makedev(st.stx_rdev_major, st.stx_rdev_minor),
		};
		raw_ioctl(fd, BLKGETDISKSEQ, &id->birth);
	} else if (st.stx_mask & STATX_BTIME)
		id->birth = (uint64_t)st.stx_btime.tv_sec * 1000000000u +
			    st.stx_btime.tv_nsec;
	return 0;
}

/* Beside the shadow, as the contract names it. */
static void name_beside(const struct bv_disk *disk, struct bv_text *path)
{
	text_clear(path);
	text_add(path, disk->shadow);
	text_add(path, ".bvstate");
}

/* Where nothing can be written beside it: the same name for every path to
 * the same shadow. */
static void name_in_memory(const struct shadow_id *shadow, struct bv_text *path)
{
	text_clear(path);
	text_add(path, "/dev/shm/blkverify-");
	text_u64(path, shadow->device);
	text_char(path, '-');
	text_u64(path, shadow->inode);
	text_char(path, '-');
	text_u64(path, raw_geteuid());
	text_add(path, ".bvstate");
}

/* A file in a directory that others can write could be a trap. */
static int check_owner(int fd)
{
	struct stat st;
	int result = raw_fstat(fd, &st);

	if (result < 0)
		return result;
	if (!S_ISREG(st.st_mode) || st.st_uid != raw_geteuid() ||
	    st.st_nlink != 1)
		return -EPERM;
	return 0;
}

static int open_file(const char *path, int flags)
{
	int fd = raw_openat(AT_FDCWD, path,
			    O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | flags,
			    0600);
	int result = fd < 0 ? fd : check_owner(fd);

	if (result < 0 && fd >= 0)
		raw_close(fd);
	return result < 0 ? result : fd;
}

/* 1: nobody else has it. 0: we share it. */
static int join(int fd)
{
	int result = raw_flock(fd, LOCK_EX | LOCK_NB);

	if (result == 0)
		return 1;
	if (result != -EWOULDBLOCK)
		return result;
	do {
		result = raw_flock(fd, LOCK_SH);
	} while (result == -EINTR);
	return result;
}

/* Every block must be there before the file is mapped: a store into a hole of
 * a full file system is SIGBUS. The first had bytes are there from before,
 * and what the former run left in them stays. */
static int reserve(int fd, size_t had, size_t bytes)
{
	static const unsigned char zeros[4096];
	int result = raw_fallocate(fd, 0, 0, bytes);

	if (result != -EOPNOTSUPP)
		return result;
	result = 0;
	for (size_t done = had; result == 0 && done < bytes;) {
		size_t n = bytes - done < sizeof(zeros) ? bytes - done
							: sizeof(zeros);
		ssize_t put = raw_pwrite(fd, zeros, n, done);

		if (put <= 0)
			result = put < 0 ? (int)put : -EIO;
		else
			done += (size_t)put;
	}
	return result;
}

static struct bv_state *map(int fd, size_t bytes)
{
	return raw_mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static bool usable(const struct bv_state *old, const struct shadow_id *shadow)
{
	return atomic_load(&old->magic) == BV_STATE_MAGIC &&
	       old->version == BV_STATE_VERSION &&
	       old->shadow_inode == shadow->inode &&
	       old->shadow_birth == shadow->birth;
}

/* What a former run left is kept (unknown ranges, operations in flight,
 * history), what it counted is not. */
static void renew(struct bv_state *state, unsigned history_room)
{
	bool resized = state->history_room != history_room;

	if (resized)
		atomic_store(&state->history_next, 0);
	state->history_room = history_room;
	/* One that is still being filled, nobody is left to fill. */
	for (unsigned i = 0; i < history_room; i++)
		if (resized || atomic_load(&state->history[i].sequence) ==
				       BV_PAST_FILLING)
			atomic_store(&state->history[i].sequence, 0);
	atomic_store(&state->processes, 0);
	atomic_store(&state->reads, 0);
	atomic_store(&state->read_bytes, 0);
	atomic_store(&state->writes, 0);
	atomic_store(&state->write_bytes, 0);
	atomic_store(&state->mismatches, 0);
	atomic_store(&state->errors, 0);
	atomic_store(&state->unverified, 0);
	atomic_store(&state->first_here, 0);
	atomic_store(&state->shadow_errors, 0);
	atomic_store(&state->refused, 0);
	atomic_store(&state->runs, 0);
	atomic_store(&state->served, 0);
	atomic_store(&state->target_device, 0);
	atomic_store(&state->target_inode, 0);
	atomic_store(&state->appending, 0);
	atomic_store(&state->mapped, 0);
	for (unsigned i = 0; i < BV_MAPPERS; i++)
		atomic_store(&state->mapper[i], 0);
	atomic_store(&state->memory_inode, 0);
}

/* We are alone with the file: make it ours. */
static int begin(int fd, unsigned history_room, const struct shadow_id *shadow,
		 struct bv_state **result)
{
	size_t bytes = bv_state_bytes(history_room);
	struct stat st;
	struct bv_state *state;
	int error = raw_fstat(fd, &st);

	if (error == 0 && (uint64_t)st.st_size < bv_state_bytes(0)) {
		error = raw_ftruncate(fd, 0);
		st.st_size = 0;
	}
	if (error == 0)
		error = reserve(fd, (size_t)st.st_size, bytes);
	if (error < 0)
		return error;
	state = map(fd, bytes);
	if (raw_is_error(state))
		return (int)(long)state;
	if (!usable(state, shadow)) {
		memset(state, 0, bytes);
		state->version = BV_STATE_VERSION;
		state->history_room = history_room;
		state->shadow_device = shadow->device;
		state->shadow_inode = shadow->inode;
		state->shadow_birth = shadow->birth;
		atomic_store(&state->magic, BV_STATE_MAGIC);
	}
	renew(state, history_room);
	*result = state;
	return 0;
}

/* Others are using it: take it as it is. */
static int share(int fd, const struct shadow_id *shadow, struct bv_state **result)
{
	struct bv_state *state = map(fd, bv_state_bytes(0));
	size_t bytes;

	if (raw_is_error(state))
		return (int)(long)state;
	if (!usable(state, shadow)) {
		raw_munmap(state, bv_state_bytes(0));
		return -EBUSY;
	}
	bytes = bv_state_bytes(state->history_room);
	raw_munmap(state, bv_state_bytes(0));
	state = map(fd, bytes);
	if (raw_is_error(state))
		return (int)(long)state;
	*result = state;
	return 0;
}

static int attach_at(struct bv_disk *disk, const char *path, int flags,
		     unsigned history_room, const struct shadow_id *shadow,
		     bool *alone)
{
	int fd = open_file(path, flags), result;

	if (fd < 0)
		return fd;
	result = join(fd);
	*alone = result == 1;
	/* Left by another shadow of the same numbers, like as not. */
	if (*alone && !(flags & O_CREAT))
		result = -ENOENT;
	if (result >= 0)
		result = *alone ? begin(fd, history_room, shadow, &disk->state)
				: share(fd, shadow, &disk->state);
	if (result < 0) {
		if (*alone && flags & O_CREAT)
			raw_unlinkat(AT_FDCWD, path, 0);
		raw_close(fd);
		return result;
	}
	return bv_own_adopt(fd, &disk->state_fd);
}

int bv_state_attach(struct bv_disk *disk, unsigned history_room, bool *alone,
		    struct bv_text *why)
{
	static struct bv_text path;
	struct shadow_id shadow;
	int result = identify(disk->shadow_fd, &shadow);

	/* One that is in use in memory is joined there, whatever has become
	 * of the place beside the shadow since. */
	if (result == 0) {
		name_in_memory(&shadow, &path);
		result = attach_at(disk, path.bytes, 0, history_room, &shadow,
				   alone);
	}
	if (result == -ENOENT && !disk->shadow_block) {
		name_beside(disk, &path);
		result = attach_at(disk, path.bytes, O_CREAT, history_room,
				   &shadow, alone);
	}
	if (result < 0 && result != -EPERM && result != -EBUSY &&
	    result != -ELOOP) {
		name_in_memory(&shadow, &path);
		result = attach_at(disk, path.bytes, O_CREAT, history_room,
				   &shadow, alone);
	}
	if (result == 0)
		return 0;
	text_clear(why);
	text_add(why, "state file ");
	text_quoted(why, path.bytes);
	text_add(why, result == -EPERM || result == -ELOOP ?
			      ": not a regular file of this user's own" :
		      result == -EBUSY ? ": in use by another version" : ": ");
	if (result != -EPERM && result != -ELOOP && result != -EBUSY)
		text_errno(why, -result);
	return -1;
}

static int look_at(struct bv_disk *disk, const char *path,
		   const struct shadow_id *shadow)
{
	int fd = raw_openat(AT_FDCWD, path,
			    O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY |
				    O_NONBLOCK, 0);
	struct bv_state *state;
	struct stat st;
	int result = fd < 0 ? fd : raw_fstat(fd, &st);

	if (result == 0 && (uint64_t)st.st_size < bv_state_bytes(0))
		result = -EUCLEAN;
	if (result < 0) {
		if (fd >= 0)
			raw_close(fd);
		return result;
	}
	state = raw_mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE, fd, 0);
	if (raw_is_error(state)) {
		result = (int)(long)state;
	} else if (!usable(state, shadow) ||
		   bv_state_bytes(state->history_room) > (size_t)st.st_size) {
		raw_munmap(state, (size_t)st.st_size);
		result = -EUCLEAN;
	} else {
		disk->state = state;
		disk->state_fd = fd;
		return 0;
	}
	raw_close(fd);
	return result;
}

int bv_state_look(struct bv_disk *disk)
{
	static struct bv_text path;
	struct shadow_id shadow;
	int result = identify(disk->shadow_fd, &shadow);

	if (result < 0)
		return result;
	name_in_memory(&shadow, &path);
	result = look_at(disk, path.bytes, &shadow);
	if (result == 0 || disk->shadow_block)
		return result;
	name_beside(disk, &path);
	return look_at(disk, path.bytes, &shadow);
}
