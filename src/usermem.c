/* usermem: see include/blkverify/usermem.h. */
#include <errno.h>
#include <linux/futex.h>
#include <stdint.h>
#include <string.h>

#include <blkverify/usermem.h>

#include "raw.h"

#define PAGE 4096u

/* Bytes from at to the end of its page, at most n. */
static size_t in_page(const void *at, size_t n)
{
	size_t rest = PAGE - ((uintptr_t)at & (PAGE - 1));

	return n < rest ? n : rest;
}

/* rt_sigprocmask copies the new set in before it looks at how: with a how
 * that does not exist it reads eight bytes and changes nothing (kernel
 * 2.6 to 6.18: EFAULT before EINVAL). */
static int readable(const unsigned char *at, size_t n)
{
	uintptr_t place = (uintptr_t)at;

	/* Fewer than eight bytes here: eight aligned ones that hold the
	 * first stand in the same page. Address 0 would mean that there is
	 * no set; the next eight bytes are as good. */
	if (n < 8)
		place &= ~(uintptr_t)7;
	if (place == 0)
		place = 8;
	return raw_call(SYS_rt_sigprocmask, 0x7fff, (long)place, 0,
			sizeof(raw_sigset), 0, 0) != -EFAULT;
}

/* rt_sigprocmask writes the present mask out: eight bytes that the copy will
 * overwrite at once. Where there is no room for eight, getcpu writes four. For
 * fewer, and at address 0, which would mean to both that nobody wants to know, a
 * futex operation that adds zero to a word writes without changing; it takes
 * five times as long. */
static int writable(const unsigned char *at, size_t n)
{
	uintptr_t place = (uintptr_t)at;

	if (n >= 8 && place != 0)
		return raw_call(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)place,
				sizeof(raw_sigset), 0, 0) != -EFAULT;
	if (n >= 4 && place != 0)
		return raw_call(SYS_getcpu, (long)place, 0, 0, 0, 0, 0) != -EFAULT;
	place &= ~(uintptr_t)3;
	return raw_call(SYS_futex, (long)place,
			FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0, (long)place,
			FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0)) != -EFAULT;
}

/* getresuid writes four bytes to each of three places: here, and in the two
 * pages that follow. Returns the bytes up to the end of the third, or 0 where
 * there are fewer pages, or a bad one. */
static size_t three_writable(unsigned char *at, size_t n)
{
	size_t first = in_page(at, n);

	if (n < first + PAGE + 4 ||
	    raw_call(SYS_getresuid, (long)at, (long)(at + first),
		     (long)(at + first + PAGE), 0, 0, 0) != 0)
		return 0;
	return n < first + 2 * PAGE ? n : first + 2 * PAGE;
}

size_t bv_user_copy_in(void *ours, const void *theirs, size_t n)
{
	const unsigned char *from = theirs;
	size_t good = 0;

	while (good < n) {
		size_t here = in_page(from + good, n - good);

		if (!readable(from + good, here))
			break;
		good += here;
	}
	/* Not even nothing may be copied from NULL. */
	if (good > 0)
		memcpy(ours, theirs, good);
	return good;
}

size_t bv_user_copy_out(void *theirs, const void *ours, size_t n)
{
	unsigned char *to = theirs;
	size_t good = 0;

	while (good < n) {
		size_t here = three_writable(to + good, n - good);

		if (here == 0) {
			here = in_page(to + good, n - good);
			if (!writable(to + good, here))
				break;
		}
		good += here;
	}
	if (good > 0)
		memcpy(theirs, ours, good);
	return good;
}

/* The next segment's rest, at most n; 0 at the end of the list. */
static size_t segment(struct bv_cursor *c, size_t n, unsigned char **at)
{
	while (c->count > 0 && c->done == c->iov->iov_len) {
		c->iov++;
		c->count--;
		c->done = 0;
	}
	if (c->count <= 0)
		return 0;
	*at = (unsigned char *)c->iov->iov_base + c->done;
	return n < c->iov->iov_len - c->done ? n : c->iov->iov_len - c->done;
}

size_t bv_user_gather(void *ours, struct bv_cursor *from, size_t n)
{
	size_t total = 0;

	while (total < n) {
		unsigned char *at;
		size_t here = segment(from, n - total, &at), copied;

		if (here == 0)
			break;
		copied = bv_user_copy_in((unsigned char *)ours + total, at, here);
		from->done += copied;
		total += copied;
		if (copied < here)
			break;
	}
	return total;
}

size_t bv_user_scatter(struct bv_cursor *to, const void *ours, size_t n)
{
	size_t total = 0;

	while (total < n) {
		unsigned char *at;
		size_t here = segment(to, n - total, &at), copied;

		if (here == 0)
			break;
		copied = bv_user_copy_out(at, (const unsigned char *)ours + total,
					  here);
		to->done += copied;
		total += copied;
		if (copied < here)
			break;
	}
	return total;
}
