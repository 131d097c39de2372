/* failure: see failure.h. */
#include <errno.h>
#include <stddef.h>

#include <blkverify/disk.h>
#include <blkverify/fdmap.h>
#include <blkverify/policy.h>
#include <blkverify/unknown.h>

#include "failure.h"
#include "raw.h"

int bv_fail_shadow(struct bv_disk *disk, enum bv_op op, const char *call,
		   int fd, uint64_t offset, uint64_t length, int error)
{
	struct bv_mismatch m = {
		.difference = BV_DIFFERENCE_SHADOW, .op = op, .call = call,
		.fd = fd, .offset = offset, .length = length, .got = error,
	};

	bv_unknown_add(disk, offset, offset + length, false);
	return bv_policy_mismatch(disk, &m);
}

ssize_t bv_fail_return(struct bv_disk *disk, enum bv_op op, const char *call,
		       int fd, uint64_t offset, uint64_t length, ssize_t got,
		       ssize_t expected)
{
	struct bv_mismatch m = {
		.difference = BV_DIFFERENCE_RETURN, .op = op, .call = call,
		.fd = fd, .offset = offset, .length = length, .got = got,
		.expected = expected,
	};
	int result;

	/* Closed behind our back and the number reused: an innocent file. */
	if (fd >= 0 && bv_fd_learn(fd) != disk)
		return got;
	result = bv_policy_mismatch(disk, &m);
	return result < 0 && got >= 0 ? result : got;
}

void bv_follow_length(struct bv_disk *disk, uint64_t offset)
{
	int64_t target = bv_disk_target_size(disk);

	if (target >= 0 && (uint64_t)target >= offset)
		bv_disk_adopt_length(disk);
}

bool bv_fail_change(struct bv_disk *disk, enum bv_op op, uint64_t offset,
		    uint64_t length, int error)
{
	uint64_t size = atomic_load(&disk->state->size);

	if (!bv_policy_is_io_failure(-error))
		return false;
	/* A device, or a served image, that ends here: a raw file would have
	 * grown, but no bytes are in question. */
	if (disk->fixed && op == BV_OP_WRITE && offset >= size)
		return false;
	bv_policy_count_error(disk);
	bv_unknown_add(disk, offset, offset + length, false);
	if (offset + length > size || op == BV_OP_RESIZE)
		bv_follow_length(disk, offset < size ? offset : size);
	return bv_policy_reports_errors(disk);
}
