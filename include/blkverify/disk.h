/* disk: a pair, target and shadow, as one process knows it. */
#ifndef BLKVERIFY_DISK_H
#define BLKVERIFY_DISK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include <blkverify/config.h>
#include <blkverify/state.h>

/* What this process did on the pair, for the stats line. */
struct bv_counters {
	_Atomic uint64_t reads, read_bytes, writes, write_bytes;
	_Atomic uint64_t mismatches, errors, unverified;
};

struct bv_disk {
	const char *target, *shadow; /* absolute paths; config owns them */
	const char *target_given, *shadow_given;  /* as the user wrote them */

	/* Identity of the target: device and inode, or the device number of a
	 * block device. Never the path. Valid once bound. */
	atomic_bool bound;
	bool block;
	bool fixed;                  /* cannot grow: block device or FUSE */
	dev_t device;
	ino_t inode;

	/* Descriptors of ours (own.h), -1 where there is none. */
	int pin_fd;                  /* O_PATH: keeps the inode from reuse */
	int parent_fd;               /* O_PATH: the target's directory, for a
	                                target that does not exist yet */
	int shadow_fd;
	int state_fd;
	const char *name;            /* the target's name in its directory */

	bool shadow_block;
	int64_t shadow_mark;         /* see bv_shadow_mark */
	bool shadow_writable;
	bool joined;                 /* others had the state file at start */
	atomic_bool replaced;        /* said once: the path names another file */
	atomic_bool opened;          /* this process did verified I/O */
	atomic_bool looks;           /* it has a view of the target's memory */

	struct bv_state *state;
	struct bv_counters count;
};

extern struct bv_disk bv_disk[BV_MAX_PAIRS];
extern unsigned bv_disks;        /* how many; 0: the shim is inert */

/* Opens the shadows and state files of all pairs, learns the targets'
 * identity, recovers what a killed process left and says so on the log, and
 * compares lengths. Returns 0, or -1 with one line in *why. Start only. */
int bv_disk_start(const struct bv_config *config, struct bv_text *why);

/* The pair whose target this is, or NULL. Binds a target that did not exist
 * at start when st is the file that stands at its path now. */
struct bv_disk *bv_disk_of(const struct stat *st);

/* The same without asking the file system anything: only what is bound. */
struct bv_disk *bv_disk_known(const struct stat *st);

/* The pair whose target stands at path (relative to dirfd) or would be
 * created there; flags 0 or AT_SYMLINK_NOFOLLOW. exists tells which. */
struct bv_disk *bv_disk_at(int dirfd, const char *path, int flags,
			   bool *exists);

/* The path of disk's target no longer names the target: says so, once. */
void bv_disk_replaced(struct bv_disk *disk);

/* Why this can be neither target nor shadow, or NULL. */
const char *bv_disk_unfit(const struct stat *st);

/* Are the two the same file or device? */
bool bv_disk_same(const struct stat *a, const struct stat *b);

/* The target's length in bytes by its path or device, without opening it, or
 * a negative errno. */
int64_t bv_disk_target_size(const struct bv_disk *disk);

/* Target and shadow are length bytes long from now on. The caller holds
 * everything from the shorter of both lengths on. */
void bv_disk_resized(struct bv_disk *disk, uint64_t length);

/* Somebody was lost while he changed the length: the target's is the truth,
 * and what lies between the two lengths is unknown. The caller holds
 * everything from the shorter one on. */
void bv_disk_adopt_length(struct bv_disk *disk);

#endif
