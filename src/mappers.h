/* mappers: the processes that have a target mapped, and hand on the two files
 * that its memory is in (memory.h). Private to the engine: view.c. Everything
 * under the memory's hold. */
#ifndef BV_MAPPERS_H
#define BV_MAPPERS_H

#include <stdint.h>

#include <blkverify/disk.h>

#define BV_MEMORY_NAME "blkverify-memory"
#define BV_AGREED_NAME "blkverify-agreed"

/* This process comes into the list, or leaves it; with the last one, the memory
 * is nobody's. Returns 0, or -ENOMEM when the list is full. */
int bv_mappers_enlist(struct bv_disk *disk);
void bv_mappers_delist(struct bv_disk *disk);

/* The files of this process are those that all share. */
void bv_mappers_publish(struct bv_disk *disk, int bytes_fd, int agreed_fd);

/* Opens what is shared anew, at one who has it. Those in the list who have not
 * got it any more are taken out. Returns 0; -ENOENT, when there is nobody; or
 * another negative errno: there is somebody, and we may not look. */
int bv_mappers_take(struct bv_disk *disk, int *bytes_fd, int *agreed_fd);

#endif
