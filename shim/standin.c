/* standin: see standin.h. */
#include <errno.h>
#include <linux/memfd.h>
#include <sys/mman.h>

#include <blkverify/own.h>
#include <blkverify/verify.h>

#include "../src/raw.h"
#include "standin.h"

bool bv_standin_make(int *slot)
{
	int fd = (int)raw_call(SYS_memfd_create, (long)"blkverify", MFD_CLOEXEC,
			       0, 0, 0, 0), result;

	*slot = -1;
	if (fd < 0)
		return false;
	result = bv_own_dup(fd, slot);
	raw_close(fd);
	return result == 0;
}

void bv_standin_end(int *slot)
{
	if (*slot >= 0)
		bv_own_release(slot);
}

/* n of its bytes, from lead on, as the one buffer of request; *whole is what is
 * mapped. Nothing at all is a buffer as well. */
static int map(int fd, struct bv_request *request, struct iovec *all,
	       struct iovec *whole, size_t lead, size_t n)
{
	void *bytes = NULL;

	if (n > 0)
		bytes = raw_mmap(NULL, lead + n, PROT_READ | PROT_WRITE,
				 MAP_SHARED, fd, 0);
	if (raw_is_error(bytes))
		return -ENOMEM;
	*whole = (struct iovec){ bytes, lead + n };
	*all = (struct iovec){ n > 0 ? (char *)bytes + lead : NULL, n };
	request->iov = all;
	request->count = 1;
	return 0;
}

static void unmap(const struct iovec *whole)
{
	if (whole->iov_base)
		raw_munmap(whole->iov_base, whole->iov_len);
}

/* Memory is had beforehand: a lack of it is no signal. What rings have to say
 * to a thread interrupts it. */
static bool reserve(int fd, size_t n)
{
	int result;

	do
		result = raw_fallocate(fd, 0, 0, n);
	while (result == -EINTR);
	return result == 0;
}

ssize_t bv_standin_fill(int fd, struct bv_disk *disk,
			struct bv_request *request, size_t lead, size_t n)
{
	struct iovec all, whole;
	ssize_t got;

	if (n > 0 && !reserve(fd, lead + n))
		return -ENOMEM;
	if (map(fd, request, &all, &whole, lead, n) < 0)
		return -ENOMEM;
	got = bv_read(disk, request);
	unmap(&whole);
	if (got >= 0)
		raw_ftruncate(fd, lead + (uint64_t)got);
	return got;
}

ssize_t bv_standin_write(int fd, struct bv_disk *disk,
			 struct bv_request *request, size_t n)
{
	struct iovec all, whole;
	ssize_t put;

	if (map(fd, request, &all, &whole, 0, n) < 0)
		return -ENOMEM;
	put = bv_write(disk, request);
	unmap(&whole);
	return put;
}
