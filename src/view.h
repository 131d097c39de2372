/* view: the memory of a target's mappings, as this process sees it. Private to
 * the engine: memory.c lets processes in and out, contents.c works in views. */
#ifndef BV_VIEW_H
#define BV_VIEW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <blkverify/disk.h>
#include <blkverify/inflight.h>
#include <blkverify/memory.h>

#include "raw.h"

/* Targets of up to 16 TiB can be mapped. */
#define BV_MOST_CHUNKS ((uint64_t)1 << 28)

/* In front of the second memory file. */
struct bv_filled {
	_Atomic uint64_t length;     /* bytes of the target that can be touched:
	                                behind it is SIGBUS, perhaps */
	uint64_t spare[511];
	_Atomic uint64_t bits[BV_MOST_CHUNKS / 64];  /* 1: chunk is filled */
};

struct bv_view {
	_Atomic uint64_t inode;      /* which memory; 0: this is no view */
	uint64_t room;               /* bytes of the target it can show */
	unsigned char *bytes;        /* what the program's mappings show */
	unsigned char *agreed;       /* what target and memory agreed on */
	struct bv_filled *filled;
	int bytes_fd, read_fd, agreed_fd;  /* own.h; 0: none */
	_Atomic uint32_t users;      /* threads inside bv_view_enter */
	atomic_bool listed;          /* this process has, or keeps, mappings */
};

/* The view on what is shared now, until bv_view_leave: nothing may be waited
 * for meanwhile, and signals are blocked. NULL, with nothing to leave: nobody
 * has the target mapped. */
const struct bv_view *bv_view_enter(struct bv_disk *disk, raw_sigset *mask);
void bv_view_leave(struct bv_disk *disk, raw_sigset mask);

static inline bool bv_view_has(const struct bv_view *view, uint64_t chunk)
{
	return chunk < BV_MOST_CHUNKS &&
	       atomic_load(&view->filled->bits[chunk / 64]) >> (chunk % 64) & 1;
}

/* Without entering; for memory.c, which is inside or holds the change. */
struct bv_view *bv_view_of(const struct bv_disk *disk);

/* Opens a file of this process's anew: a description of its own. Returns the
 * descriptor or a negative errno. */
int bv_view_open_again(int fd, int flags);

/* Around every change of what follows, among all threads and processes of the
 * pair. Innermost of the holds; signals are blocked meanwhile. */
raw_sigset bv_view_begin_change(struct bv_disk *disk, struct bv_hold *hold);
void bv_view_end_change(struct bv_hold *hold, raw_sigset mask);

/* This process comes into the list of those who have mappings (mappers.h), if it
 * is not there, or leaves it. Returns 0 or a negative errno. */
int bv_view_enlist(struct bv_disk *disk);
void bv_view_delist(struct bv_disk *disk);

/* A view on what is shared, or, makes given, on something new. -ENOENT: there
 * is nothing. */
int bv_view_renew(struct bv_disk *disk, bool makes);
void bv_view_drop(struct bv_disk *disk);

/* Both files as long as the target. Within a change. */
void bv_view_resize(struct bv_disk *disk);

/* Bytes of memory that the first file takes. */
uint64_t bv_view_bytes(const struct bv_disk *disk);

/* Out of the list for a while, if we are in it, with all that we have; and
 * back. */
void bv_view_step_out(struct bv_disk *disk);
void bv_view_come_back(struct bv_disk *disk);

/* In the child after fork, which has inherited what its parent had. */
void bv_view_inherit(struct bv_disk *disk);

#endif
