/* standin: a file in memory that stands in for a target, where the kernel
 * moves bytes to or from a file by itself. */
#ifndef BV_STANDIN_H
#define BV_STANDIN_H

#include <stdbool.h>
#include <sys/types.h>

struct bv_disk;
struct bv_request;

/* An empty one; *slot is our descriptor of it (own.h), or -1: false. */
bool bv_standin_make(int *slot);
void bv_standin_end(int *slot);

/* Reads the target as request says (its list of segments is not looked at), up
 * to n bytes, verified. They stand in it from lead on, and there it ends.
 * Returns their number, or a negative errno. */
ssize_t bv_standin_fill(int fd, struct bv_disk *disk,
			struct bv_request *request, size_t lead, size_t n);

/* Writes the first n bytes of the stand-in, which has as many, to the target
 * as request says. Returns as bv_write does. */
ssize_t bv_standin_write(int fd, struct bv_disk *disk,
			 struct bv_request *request, size_t n);

#endif
