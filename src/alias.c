/* alias: see include/blkverify/alias.h. */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <blkverify/alias.h>
#include <blkverify/disk.h>
#include <blkverify/inflight.h>
#include <blkverify/policy.h>
#include <blkverify/text.h>
#include <blkverify/unknown.h>

#include "raw.h"

const char *bv_alias_sysfs = "/sys/dev/block/";

/* Where bytes are: a block device, or a file. */
struct place {
	bool block;
	dev_t device;                /* of the file system, for a file */
	ino_t inode;                 /* of a file */
};

/* What a device stands on, it included: more than the largest arrays have
 * disks. The texts are long. All under the lock. */
#define MOST_BELOW 512
static struct place below[MOST_BELOW];
static unsigned below_count;
static struct bv_text path;
static char answer[PATH_MAX + 2];    /* a path, its newline, a NUL */
static bool blind;                   /* out of descriptors: nobody can tell */

static _Atomic uint32_t looking;

static raw_sigset lock(void)
{
	raw_sigset mask = raw_block_signals();

	while (atomic_exchange(&looking, 1))
		raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	return mask;
}

static void unlock(raw_sigset mask)
{
	atomic_store(&looking, 0);
	raw_sigmask(mask);
}

void bv_alias_forked(void)
{
	atomic_store(&looking, 0);
}

static bool is_same(const struct place *a, const struct place *b)
{
	return a->block == b->block && a->device == b->device &&
	       (a->block || a->inode == b->inode);
}

static struct place place_of(const struct stat *st)
{
	struct place place = { .block = S_ISBLK(st->st_mode) };

	place.device = place.block ? st->st_rdev : st->st_dev;
	place.inode = place.block ? 0 : st->st_ino;
	return place;
}

static struct place place_of_target(const struct bv_disk *disk)
{
	return (struct place){
		.block = disk->block, .device = disk->device,
		.inode = disk->block ? 0 : disk->inode,
	};
}

/* ---- what sysfs tells ---- */

static void name_of(dev_t device, const char *attribute)
{
	text_clear(&path);
	text_add(&path, bv_alias_sysfs);
	text_u64(&path, major(device));
	text_char(&path, ':');
	text_u64(&path, minor(device));
	text_add(&path, attribute);
}

static int open_path(int flags)
{
	int fd = raw_openat(AT_FDCWD, path.bytes, O_RDONLY | O_CLOEXEC | flags, 0);

	blind |= fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM;
	return fd;
}

/* The file at path, which is one line. False where there is none. */
static bool read_line(void)
{
	int fd = open_path(0);
	ssize_t n;

	if (fd < 0)
		return false;
	n = raw_read(fd, answer, sizeof(answer) - 1);
	raw_close(fd);
	if (n <= 0)
		return false;
	if (answer[n - 1] == '\n')
		n--;
	answer[n] = '\0';
	return true;
}

/* "MAJOR:MINOR" */
static bool read_device(dev_t *device)
{
	unsigned numbers[2] = { 0, 0 };
	const char *c = answer;

	if (!read_line())
		return false;
	for (int i = 0; i < 2; i++, c++)
		for (; *c >= '0' && *c <= '9'; c++)
			numbers[i] = numbers[i] * 10 + (unsigned)(*c - '0');
	*device = makedev(numbers[0], numbers[1]);
	return true;
}

static void add(struct place place)
{
	for (unsigned i = 0; i < below_count; i++)
		if (is_same(&below[i], &place))
			return;
	if (below_count < MOST_BELOW)
		below[below_count++] = place;
}

static void add_whole_disk(dev_t device)
{
	dev_t disk;

	name_of(device, "/partition");
	if (!read_line())
		return;
	name_of(device, "/../dev");
	if (read_device(&disk))
		add((struct place){ .block = true, .device = disk });
}

static void add_backing_file(dev_t device)
{
	struct stat st;

	name_of(device, "/loop/backing_file");
	if (read_line() && raw_fstatat(AT_FDCWD, answer, &st, 0) == 0)
		add(place_of(&st));
}

struct entry {
	uint64_t inode;
	int64_t next;
	unsigned short bytes;        /* of the whole entry */
	unsigned char type;
	char name[];
};

static void add_slave(dev_t device, const char *name)
{
	dev_t slave;

	if (name[0] == '.')
		return;
	name_of(device, "/slaves/");
	text_add(&path, name);
	text_add(&path, "/dev");
	if (read_device(&slave))
		add((struct place){ .block = true, .device = slave });
}

static void add_slaves(dev_t device)
{
	static _Alignas(struct entry) char entries[1024];
	long n;
	int fd;

	name_of(device, "/slaves");
	fd = open_path(O_DIRECTORY);
	if (fd < 0)
		return;
	while ((n = raw_call(SYS_getdents64, fd, (long)entries, sizeof(entries),
			     0, 0, 0)) > 0)
		for (long at = 0; at < n;) {
			const struct entry *e = (const void *)(entries + at);

			add_slave(device, e->name);
			at += e->bytes;
		}
	raw_close(fd);
}

static void look_below(dev_t device)
{
	below_count = 0;
	add((struct place){ .block = true, .device = device });
	for (unsigned i = 0; i < below_count; i++) {
		if (!below[i].block)
			continue;
		add_whole_disk(below[i].device);
		add_backing_file(below[i].device);
		add_slaves(below[i].device);
	}
}

static bool is_below(const struct place *place)
{
	for (unsigned i = 0; i < below_count; i++)
		if (is_same(&below[i], place))
			return true;
	return false;
}

/* ---- who shares what ---- */

/* Does one of the two stand on the other, or are they one? What cannot be told
 * is taken for it. */
static bool share(const struct place *a, const struct place *b)
{
	if (is_same(a, b))
		return true;
	if (a->block) {
		look_below(a->device);
		if (blind || is_below(b))
			return true;
	}
	if (!b->block)
		return false;
	look_below(b->device);
	return blind || is_below(a);
}

static struct bv_disk *find(const struct place *place)
{
	blind = false;
	for (unsigned i = 0; i < bv_disks; i++) {
		struct place target;

		if (!atomic_load(&bv_disk[i].bound))
			continue;
		target = place_of_target(&bv_disk[i]);
		if (share(place, &target))
			return &bv_disk[i];
	}
	return NULL;
}

static struct bv_disk *look(const struct stat *st, bool *certain)
{
	struct place place = place_of(st);
	struct bv_disk *disk;
	raw_sigset mask;

	if (!place.block)
		return NULL;
	mask = lock();
	disk = find(&place);
	*certain = !blind;
	unlock(mask);
	return disk;
}

struct bv_disk *bv_alias_of(const struct stat *st)
{
	bool certain;

	return look(st, &certain);
}

struct bv_disk *bv_alias_at(const char *name)
{
	struct stat st;
	struct bv_disk *disk;

	if (raw_fstatat(AT_FDCWD, name, &st, 0) < 0)
		return NULL;
	disk = bv_disk_of(&st);
	return disk ? disk : bv_alias_of(&st);
}

int bv_alias_check(struct bv_text *why)
{
	for (unsigned i = 0; i < bv_disks; i++) {
		struct stat st;
		struct place shadow;

		if (raw_fstat(bv_disk[i].shadow_fd, &st) < 0)
			continue;
		shadow = place_of(&st);
		if (!find(&shadow))
			continue;
		text_clear(why);
		text_add(why, "BLKVERIFY_SHADOW=");
		text_quoted(why, bv_disk[i].shadow_given);
		text_add(why, ": is a target's storage by another name");
		return -1;
	}
	return 0;
}

/* ---- refusing one ---- */

#define WHAT "I/O on /dev/"
#define WHY ", which shares its storage,"
#define OR_SO ", which may share its storage,"
#define LONGEST_NAME 64

/* "I/O on /dev/loop0p1, which shares its storage,": the name is the last part
 * of the link in sysfs, where a slash is an exclamation mark. */
static void describe(char *call, dev_t device, bool certain)
{
	raw_sigset mask = lock();
	const char *name = path.bytes;
	char *end;
	long n;

	name_of(device, "");
	n = raw_call(SYS_readlinkat, AT_FDCWD, (long)path.bytes, (long)answer,
		     PATH_MAX, 0, 0);
	if (n > 0) {
		answer[n] = '\0';
		name = answer;
	}
	name = strrchr(name, '/') + 1;
	memcpy(call, WHAT, sizeof(WHAT));
	strncat(call, name, LONGEST_NAME);
	for (end = call; (end = strchr(end, '!'));)
		*end = '/';
	strcat(call, certain ? WHY : OR_SO);
	unlock(mask);
}

/* No new number is needed, of which there may be none. Ours may have been
 * closed by a system call that we did not see. */
static void close_off(int fd, const struct bv_disk *disk)
{
	int flags = raw_fcntl(fd, F_GETFD, 0);
	int ours = raw_fcntl(disk->parent_fd, F_GETFL, 0);

	if (ours >= 0 && ours & O_PATH)
		raw_call(SYS_dup3, disk->parent_fd, fd,
			 flags & FD_CLOEXEC ? O_CLOEXEC : 0, 0, 0, 0);
	else
		raw_close(fd);
}

void bv_alias_meet(int fd, const struct stat *st)
{
	char call[sizeof(WHAT) + LONGEST_NAME + sizeof(OR_SO)];
	int flags = raw_fcntl(fd, F_GETFL, 0);
	struct bv_disk *disk;
	bool certain;

	if (!S_ISBLK(st->st_mode) || flags < 0 || flags & O_PATH)
		return;
	disk = look(st, &certain);
	if (!disk)
		return;
	describe(call, st->st_rdev, certain);
	if (bv_policy_unverified(disk, call, -EBADF) < 0)
		close_off(fd, disk);
	else if ((flags & O_ACCMODE) != O_RDONLY)
		bv_unknown_add(disk, 0, BV_TO_END, true);
}
