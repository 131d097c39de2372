/* disk: see include/blkverify/disk.h. */
#include <errno.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include <blkverify/disk.h>
#include <blkverify/inflight.h>
#include <blkverify/log.h>
#include <blkverify/memory.h>
#include <blkverify/own.h>
#include <blkverify/policy.h>
#include <blkverify/shadow.h>
#include <blkverify/unknown.h>

#include "raw.h"

struct bv_disk bv_disk[BV_MAX_PAIRS];
unsigned bv_disks;

static const struct bv_claim whole_disk = {
	.space = BV_SPACE_BYTES, .op = BV_OP_SIZE, .start = 0, .end = BV_TO_END,
};

static void complain(struct bv_text *why, const char *variable,
		     const char *path, const char *reason)
{
	text_clear(why);
	text_add(why, variable);
	text_char(why, '=');
	text_quoted(why, path);
	text_add(why, ": ");
	text_add(why, reason);
}

static void complain_errno(struct bv_text *why, const char *variable,
			   const char *path, int error)
{
	complain(why, variable, path, error == ENOENT ? "does not exist" :
				      error == EACCES ? "permission denied" : "");
	if (error != ENOENT && error != EACCES)
		text_errno(why, error);
}

static void complain_lengths(struct bv_text *why, const struct bv_disk *disk,
			     uint64_t shadow, uint64_t target)
{
	complain(why, "BLKVERIFY_SHADOW", disk->shadow_given, "");
	text_u64(why, shadow);
	text_add(why, " bytes, target has ");
	text_u64(why, target);
}

const char *bv_disk_unfit(const struct stat *st)
{
	if (S_ISDIR(st->st_mode))
		return "is a directory";
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return "neither a regular file nor a block device";
	return NULL;
}

bool bv_disk_same(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int open_shadow(struct bv_disk *disk, struct stat *st,
		       struct bv_text *why)
{
	int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd = raw_openat(AT_FDCWD, disk->shadow, O_RDWR | flags, 0);
	const char *reason;

	disk->shadow_writable = fd >= 0;
	if (fd == -EACCES || fd == -EROFS || fd == -EPERM || fd == -ETXTBSY)
		fd = raw_openat(AT_FDCWD, disk->shadow, O_RDONLY | flags, 0);
	if (fd == -EISDIR || (fd >= 0 && raw_fstat(fd, st) < 0)) {
		complain(why, "BLKVERIFY_SHADOW", disk->shadow_given, "is a directory");
		return -1;
	}
	if (fd < 0) {
		complain_errno(why, "BLKVERIFY_SHADOW", disk->shadow_given, -fd);
		return -1;
	}
	reason = bv_disk_unfit(st);
	if (reason) {
		complain(why, "BLKVERIFY_SHADOW", disk->shadow_given, reason);
		raw_close(fd);
		return -1;
	}
	disk->shadow_block = S_ISBLK(st->st_mode);
	bv_shadow_mark(disk, fd);
	fd = bv_own_adopt(fd, &disk->shadow_fd);
	if (fd < 0)
		complain_errno(why, "BLKVERIFY_SHADOW", disk->shadow_given, -fd);
	return fd;
}

static void bind(struct bv_disk *disk, const struct stat *st)
{
	struct statfs fs;

	disk->block = S_ISBLK(st->st_mode);
	disk->device = disk->block ? st->st_rdev : st->st_dev;
	disk->inode = st->st_ino;
	disk->fixed = disk->block ||
		      (raw_call(SYS_statfs, (long)disk->target, (long)&fs, 0, 0,
				0, 0) == 0 && fs.f_type == FUSE_SUPER_MAGIC);
	atomic_store(&disk->bound, true);
}

/* The directory is kept open so that the target's name can be looked up after
 * a chdir, a chroot or a change of user. */
static int open_parent(struct bv_disk *disk)
{
	static struct bv_text parent;
	const char *slash = disk->target;
	int fd;

	for (const char *c = disk->target; *c; c++)
		if (*c == '/')
			slash = c;
	text_clear(&parent);
	text_bytes(&parent, disk->target, (size_t)(slash - disk->target) + 1);
	disk->name = slash + 1;
	fd = raw_openat(AT_FDCWD, parent.bytes,
			O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	return fd < 0 ? fd : bv_own_adopt(fd, &disk->parent_fd);
}

static int find_target(struct bv_disk *disk, const struct stat *shadow,
		       struct bv_text *why)
{
	struct stat st;
	int result = open_parent(disk), fd;
	const char *reason;

	if (result == 0)
		result = raw_fstatat(AT_FDCWD, disk->target, &st, 0);
	if (result == -ENOENT && disk->parent_fd >= 0)
		return 0;
	if (result < 0) {
		complain_errno(why, "BLKVERIFY_TARGET", disk->target_given, -result);
		return -1;
	}
	reason = bv_disk_unfit(&st);
	if (!reason && bv_disk_same(&st, shadow))
		reason = "is its own shadow";
	if (reason) {
		complain(why, "BLKVERIFY_TARGET", disk->target_given, reason);
		return -1;
	}
	/* O_PATH: opening and closing the target in earnest would drop the
	 * program's POSIX locks, and start devices. */
	fd = raw_openat(AT_FDCWD, disk->target, O_PATH | O_CLOEXEC, 0);
	if (fd >= 0)
		bv_own_adopt(fd, &disk->pin_fd);
	bind(disk, &st);
	return 0;
}

/* /sys/dev/block/MAJOR:MINOR/size: the length in units of 512 bytes, without
 * opening the device. */
static int64_t device_size(dev_t device)
{
	struct bv_text path;
	char digits[24];
	uint64_t sectors = 0;
	ssize_t n;
	int fd;

	text_clear(&path);
	text_add(&path, "/sys/dev/block/");
	text_u64(&path, major(device));
	text_char(&path, ':');
	text_u64(&path, minor(device));
	text_add(&path, "/size");
	fd = raw_openat(AT_FDCWD, path.bytes, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	n = raw_read(fd, digits, sizeof(digits));
	raw_close(fd);
	for (ssize_t i = 0; i < n && digits[i] >= '0' && digits[i] <= '9'; i++)
		sectors = sectors * 10 + (uint64_t)(digits[i] - '0');
	return n < 0 ? n : (int64_t)(sectors * 512);
}

int64_t bv_disk_target_size(const struct bv_disk *disk)
{
	struct stat st;
	int result;

	if (disk->block)
		return device_size(disk->device);
	result = disk->pin_fd >= 0 ?
			 raw_fstatat(disk->pin_fd, "", &st, AT_EMPTY_PATH) :
			 raw_fstatat(disk->parent_fd, disk->name, &st, 0);
	return result < 0 ? result : st.st_size;
}

/* Another live process may use the same shadow, but only for the same
 * target. */
static bool agree_on_target(struct bv_disk *disk)
{
	uint64_t device = disk->device;
	uint64_t inode = disk->block ? UINT64_MAX : disk->inode;
	uint64_t none = 0;

	/* Each is set once: whoever comes second to either must have the
	 * same. */
	if (!atomic_compare_exchange_strong(&disk->state->target_device, &none,
					    device) && none != device)
		return false;
	none = 0;
	return atomic_compare_exchange_strong(&disk->state->target_inode, &none,
					      inode) || none == inode;
}

static void say_extent(const struct bv_disk *disk, const struct bv_extent *e)
{
	static struct bv_text line;

	text_clear(&line);
	text_quoted(&line, disk->target);
	text_add(&line, ": contents unknown at offset ");
	text_u64(&line, e->start);
	text_add(&line, ", length ");
	text_u64(&line, e->end - e->start);
	bv_log_line(&line);
}

/* What the next reads will learn rather than compare. */
static void say_unknown(const struct bv_disk *disk, unsigned in_flight)
{
	static struct bv_text line;
	struct bv_extent e;
	uint64_t bytes, at = 0, size = atomic_load(&disk->state->size);
	uint64_t count = bv_unknown_count(disk, &bytes);

	if (bytes == 0)
		return;
	text_clear(&line);
	text_quoted(&line, disk->target);
	text_add(&line, ": contents unknown in ");
	text_u64(&line, count);
	text_add(&line, count == 1 ? " range, " : " ranges, ");
	text_u64(&line, bytes);
	text_add(&line, " bytes");
	if (in_flight) {
		text_add(&line, "; ");
		text_u64(&line, in_flight);
		text_add(&line, " of them were being written when the last run "
				"was killed");
	}
	bv_log_line(&line);
	for (unsigned said = 0; said < BV_TOLD && at < size &&
				bv_unknown_next(disk, at, size, &e); said++) {
		say_extent(disk, &e);
		at = e.end;
	}
}

/* What those who died had read, and nobody has compared. */
static void say_uncompared(struct bv_disk *disk, const struct bv_left *left)
{
	static struct bv_text line;

	for (unsigned i = 0; i < left->uncompared && i < BV_TOLD; i++)
		bv_policy_uncompared(disk, left->read[i].offset,
				     left->read[i].length, left->read[i].pid);
	if (left->uncompared <= BV_TOLD)
		return;
	text_clear(&line);
	text_quoted(&line, disk->target);
	text_add(&line, ": ");
	text_u64(&line, left->uncompared);
	text_add(&line, " reads were not compared when the last run was killed");
	bv_log_line(&line);
}

void bv_disk_resized(struct bv_disk *disk, uint64_t length)
{
	atomic_store(&disk->state->size, length);
	bv_memory_resized(disk);
}

void bv_disk_adopt_length(struct bv_disk *disk)
{
	uint64_t shadow = atomic_load(&disk->state->size);
	int64_t target = bv_disk_target_size(disk);

	if (target < 0 || (uint64_t)target == shadow ||
	    bv_shadow_resize(disk, (uint64_t)target) < 0)
		return;
	bv_disk_resized(disk, (uint64_t)target);
	if ((uint64_t)target > shadow)
		bv_unknown_add(disk, shadow, (uint64_t)target, false);
}

static int check_length(struct bv_disk *disk, bool resized, struct bv_text *why)
{
	struct bv_hold hold;
	int64_t target;
	uint64_t shadow;

	/* Nobody who is already at work is between the two lengths. */
	bv_inflight_take(disk, &whole_disk, &hold);
	target = bv_disk_target_size(disk);
	if (target >= 0 && resized)
		bv_disk_adopt_length(disk);
	shadow = atomic_load(&disk->state->size);
	bv_inflight_drop(&hold);
	if (target < 0) {
		complain_errno(why, "BLKVERIFY_TARGET", disk->target_given,
			       (int)-target);
		return -1;
	}
	if ((uint64_t)target == shadow)
		return 0;
	complain_lengths(why, disk, shadow, (uint64_t)target);
	return -1;
}

static int start_state(struct bv_disk *disk, unsigned history_room,
		       struct bv_text *why)
{
	struct bv_left left = { 0 };
	int64_t size;
	bool alone;

	if (bv_state_attach(disk, history_room, &alone, why) < 0)
		return -1;
	disk->joined = !alone;
	if (alone) {
		size = bv_shadow_size(disk);
		if (size < 0) {
			complain_errno(why, "BLKVERIFY_SHADOW", disk->shadow_given,
				       (int)-size);
			return -1;
		}
		atomic_store(&disk->state->size, (uint64_t)size);
		bv_inflight_recover(disk, &left);
		bv_unknown_settle(disk);
	} else {
		bv_inflight_exec(disk);
	}
	if (atomic_load(&disk->bound) && !agree_on_target(disk)) {
		complain(why, "BLKVERIFY_SHADOW", disk->shadow_given,
			 "in use as the shadow of another target");
		return -1;
	}
	/* One that does not exist yet is compared when it does. */
	if (atomic_load(&disk->bound) && check_length(disk, left.resized, why) < 0)
		return -1;
	if (alone) {
		say_unknown(disk, left.writing);
		say_uncompared(disk, &left);
		raw_flock(disk->state_fd, LOCK_SH);
	}
	return 0;
}

/* Across pairs: no file may play two parts. */
static int check_parts(unsigned index, const struct stat *shadow,
		       struct bv_text *why)
{
	const struct bv_disk *disk = &bv_disk[index];

	for (unsigned i = 0; i < index; i++) {
		const struct bv_disk *other = &bv_disk[i];
		struct stat st;

		if (raw_fstat(other->shadow_fd, &st) == 0 &&
		    bv_disk_same(&st, shadow)) {
			complain(why, "BLKVERIFY_SHADOW", disk->shadow_given,
				 "is the shadow of two targets");
			return -1;
		}
		if (other->bound && disk->bound &&
		    other->device == disk->device &&
		    other->block == disk->block &&
		    (disk->block || other->inode == disk->inode)) {
			complain(why, "BLKVERIFY_TARGET", disk->target_given,
				 "is given twice");
			return -1;
		}
	}
	return 0;
}

static int check_crossed(struct bv_text *why)
{
	for (unsigned i = 0; i < bv_disks; i++) {
		struct stat st;

		if (raw_fstat(bv_disk[i].shadow_fd, &st) == 0 &&
		    bv_disk_of(&st)) {
			complain(why, "BLKVERIFY_SHADOW", bv_disk[i].shadow_given,
				 "is a target as well");
			return -1;
		}
	}
	return 0;
}

int bv_disk_start(const struct bv_config *config, struct bv_text *why)
{
	for (unsigned i = 0; i < config->pairs; i++) {
		struct bv_disk *disk = &bv_disk[i];
		struct stat shadow;

		disk->target = config->target[i];
		disk->shadow = config->shadow[i];
		disk->target_given = config->target_given[i] ?
					     config->target_given[i] :
					     disk->target;
		disk->shadow_given = config->shadow_given[i] ?
					     config->shadow_given[i] :
					     disk->shadow;
		disk->pin_fd = disk->parent_fd = -1;
		disk->shadow_fd = disk->state_fd = -1;
		if (open_shadow(disk, &shadow, why) < 0 ||
		    find_target(disk, &shadow, why) < 0 ||
		    check_parts(i, &shadow, why) < 0)
			return -1;
		bv_disks = i + 1;
	}
	if (check_crossed(why) < 0)
		return -1;
	for (unsigned i = 0; i < bv_disks; i++)
		if (start_state(&bv_disk[i], config->history, why) < 0)
			return -1;
	return 0;
}

static bool is_target(const struct bv_disk *disk, const struct stat *st)
{
	if (!atomic_load_explicit(&disk->bound, memory_order_acquire))
		return false;
	if (disk->block)
		return S_ISBLK(st->st_mode) && st->st_rdev == disk->device;
	return st->st_ino == disk->inode && st->st_dev == disk->device &&
	       S_ISREG(st->st_mode);
}

/* Does the target's path name this very file now? Where the target was on
 * another file system (a mount of its own, as served images are), it need
 * not be asked: it may be slow to answer, or hang. */
static bool stands_at_path(const struct bv_disk *disk, const struct stat *st)
{
	struct stat now;

	if (atomic_load(&disk->bound) &&
	    (disk->block || st->st_dev != disk->device))
		return false;
	return raw_fstatat(disk->parent_fd, disk->name, &now, 0) == 0 &&
	       bv_disk_same(&now, st);
}

/* A target that did not exist at start has been made. */
static void bind_late(struct bv_disk *disk, const struct stat *st)
{
	static struct bv_text why;

	bind(disk, st);
	if (!agree_on_target(disk))
		complain(&why, "BLKVERIFY_SHADOW", disk->shadow_given,
			 "in use as the shadow of another target");
	else if (check_length(disk, false, &why) == 0)
		return;
	bv_policy_fatal(&why);
}

struct bv_disk *bv_disk_known(const struct stat *st)
{
	for (unsigned i = 0; i < bv_disks; i++)
		if (is_target(&bv_disk[i], st))
			return &bv_disk[i];
	return NULL;
}

struct bv_disk *bv_disk_of(const struct stat *st)
{
	struct bv_disk *known = bv_disk_known(st);

	if (known || (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode)))
		return known;
	for (unsigned i = 0; i < bv_disks; i++) {
		if (!stands_at_path(&bv_disk[i], st))
			continue;
		if (atomic_load(&bv_disk[i].bound)) {
			bv_disk_replaced(&bv_disk[i]);
			continue;
		}
		bind_late(&bv_disk[i], st);
		return &bv_disk[i];
	}
	return NULL;
}

struct bv_disk *bv_disk_at(int dirfd, const char *path, int flags, bool *exists)
{
	struct stat st;

	*exists = raw_fstatat(dirfd, path, &st, flags) == 0;
	return *exists ? bv_disk_of(&st) : NULL;
}

void bv_disk_replaced(struct bv_disk *disk)
{
	static struct bv_text line;

	if (atomic_exchange(&disk->replaced, true))
		return;
	text_clear(&line);
	text_quoted(&line, disk->target);
	text_add(&line, ": target replaced: another file has its name now, and "
			"is not verified");
	bv_log_line(&line);
	bv_policy_count_unverified(disk);
}
