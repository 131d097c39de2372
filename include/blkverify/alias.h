/* alias: a target's storage under the name of another block device.
 *
 * A partition of a target, a loop device over it, a device-mapper device on
 * it, and the disk that a target is a partition of reach the same bytes, at
 * offsets of their own. They are known by what sysfs tells of a block device:
 * partition, loop/backing_file, slaves/ (Linux, Documentation/ABI). Two
 * devices that only stand on the same third one are none: two partitions of
 * a disk have no byte in common.
 *
 * I/O on one is not verified, so a descriptor of one is refused, when the
 * engine first looks at it, for whatever is done with it from then on.
 */
#ifndef BLKVERIFY_ALIAS_H
#define BLKVERIFY_ALIAS_H

#include <sys/stat.h>

struct bv_disk;
struct bv_text;

/* Where sysfs tells of block devices: "/sys/dev/block/". Tests change it. */
extern const char *bv_alias_sysfs;

/* The pair with whose target st, a block device that is no target itself,
 * shares storage; NULL where there is none, and for all other files. Where
 * nobody can tell for want of a descriptor, it is taken for one. Some 20 us a
 * device; async-signal-safe. */
struct bv_disk *bv_alias_of(const struct stat *st);

/* The pair whose target stands at path, or a block device that shares its
 * storage; NULL: neither. path may be a bad pointer. */
struct bv_disk *bv_alias_at(const char *path);

/* fd, of which st tells that it is no target, is met for the first time. One
 * that is an alias is refused, as BLKVERIFY_ON_UNVERIFIED says: in one line,
 * and by making it a descriptor on which the kernel refuses all I/O with
 * EBADF (an O_PATH one), or by holding the target's contents to be unknown
 * from now on where it can write. */
void bv_alias_meet(int fd, const struct stat *st);

/* Does no shadow share storage with a target? Then verifying would compare
 * bytes with themselves. Returns 0, or -1 with the reason in *why. After
 * bv_disk_start. */
int bv_alias_check(struct bv_text *why);

/* In the child after fork. */
void bv_alias_forked(void);

#endif
