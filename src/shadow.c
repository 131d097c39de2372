/* shadow: see include/blkverify/shadow.h. */
#include <errno.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#include <blkverify/disk.h>
#include <blkverify/shadow.h>

#include "raw.h"

void bv_shadow_mark(struct bv_disk *disk, int fd)
{
	/* Not every file system can seek that far, and no device past its
	 * end. */
	static const int64_t marks[] = { 0x5bd1e995a7, 0x7bd1e995, 4093, 509, 0 };

	for (unsigned i = 0; i < sizeof(marks) / sizeof(*marks); i++)
		if (raw_lseek(fd, marks[i], SEEK_SET) == marks[i]) {
			disk->shadow_mark = marks[i];
			return;
		}
}

bool bv_shadow_is_there(const struct bv_disk *disk)
{
	return raw_lseek(disk->shadow_fd, 0, SEEK_CUR) == disk->shadow_mark;
}

/* A read from the wrong file shows as a difference, and is looked into then;
 * a write to it would be damage done by us. */
int bv_shadow_read(struct bv_disk *disk, void *bytes, size_t n, uint64_t offset)
{
	unsigned char *to = bytes;

	while (n > 0) {
		ssize_t got = raw_pread(disk->shadow_fd, to, n, offset);

		if (got == -EINTR || got == -EAGAIN)
			continue;
		if (got < 0)
			return (int)got;
		if (got == 0)
			return -ENODATA;
		to += got;
		offset += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

int bv_shadow_write(struct bv_disk *disk, const void *bytes, size_t n,
		    uint64_t offset)
{
	const unsigned char *from = bytes;

	if (!bv_shadow_is_there(disk))
		return -EBADF;
	while (n > 0) {
		ssize_t put = raw_pwrite(disk->shadow_fd, from, n, offset);

		if (put == -EINTR || put == -EAGAIN)
			continue;
		if (put <= 0)
			return put < 0 ? (int)put : -EIO;
		from += put;
		offset += (uint64_t)put;
		n -= (size_t)put;
	}
	return 0;
}

/* tmpfs has no ZERO_RANGE, NFS neither, block devices before 4.9 nothing. */
static int write_zeros(struct bv_disk *disk, uint64_t offset, uint64_t n)
{
	static const unsigned char zeros[65536];

	while (n > 0) {
		size_t piece = n < sizeof(zeros) ? (size_t)n : sizeof(zeros);
		int result = bv_shadow_write(disk, zeros, piece, offset);

		if (result < 0)
			return result;
		offset += piece;
		n -= piece;
	}
	return 0;
}

int bv_shadow_zero(struct bv_disk *disk, uint64_t offset, uint64_t n)
{
	uint64_t size = atomic_load(&disk->state->size);
	int result;

	if (offset + n > size && !disk->shadow_block) {
		result = bv_shadow_resize(disk, offset + n);
		if (result < 0)
			return result;
	}
	if (n == 0)
		return 0;
	if (!bv_shadow_is_there(disk))
		return -EBADF;
	do {
		result = raw_fallocate(disk->shadow_fd,
				       FALLOC_FL_PUNCH_HOLE |
					       FALLOC_FL_KEEP_SIZE,
				       offset, n);
	} while (result == -EINTR);
	return result == 0 ? 0 : write_zeros(disk, offset, n);
}

int64_t bv_shadow_size(const struct bv_disk *disk)
{
	struct stat st;
	uint64_t bytes;
	int result;

	if (disk->shadow_block) {
		result = raw_ioctl(disk->shadow_fd, BLKGETSIZE64, &bytes);
		return result < 0 ? result : (int64_t)bytes;
	}
	result = raw_fstat(disk->shadow_fd, &st);
	return result < 0 ? result : st.st_size;
}

int bv_shadow_resize(struct bv_disk *disk, uint64_t length)
{
	int result;

	if (!bv_shadow_is_there(disk))
		return -EBADF;
	if (disk->shadow_block)
		return (uint64_t)bv_shadow_size(disk) == length ? 0 : -ENOSPC;
	do {
		result = raw_ftruncate(disk->shadow_fd, length);
	} while (result == -EINTR);
	return result;
}
