/* wrap_copy: copies that the kernel makes without showing us the bytes. */
#include <blkverify/fdmap.h>
#include <blkverify/policy.h>
#include <blkverify/verify.h>

#include "../src/raw.h"
#include "guard.h"
#include "ops.h"

/* The call as it was made. The change part is the destination's. */
struct copy {
	struct bv_change change;
	ssize_t (*real)(const struct copy *copy);
	int in, out;
	off64_t *inoffset, *outoffset;
	size_t n;
	unsigned flags;
	ssize_t result;
};

static int apply(const struct bv_change *change)
{
	struct copy *copy = (struct copy *)change;

	copy->result = copy->real(copy);
	return copy->result < 0 ? -errno : 0;
}

/* Refused, or let through and the destination unknown. */
static ssize_t copy_unverified(struct copy *copy, int refusal)
{
	struct bv_disk *from = bv_fd_disk(copy->in);
	struct bv_disk *to = bv_fd_disk(copy->out);
	int error = errno, refused;

	if (!from && !to)
		return copy->real(copy);
	refused = bv_policy_unverified(to ? to : from, copy->change.call,
				       refusal);
	if (refused < 0) {
		errno = -refused;
		return -1;
	}
	errno = error;
	if (!to)
		return copy->real(copy);
	copy->change.offset = copy->outoffset ?
		(uint64_t)*copy->outoffset :
		(uint64_t)raw_lseek(copy->out, 0, SEEK_CUR);
	copy->change.length = copy->n;
	copy->change.fd = copy->out;
	copy->change.apply = apply;
	bv_change_blindly(to, &copy->change);
	return copy->result;
}

static ssize_t really_copy_file_range(const struct copy *c)
{
	return real_copy_file_range(c->in, c->inoffset, c->out, c->outoffset,
				    c->n, c->flags);
}

static ssize_t really_sendfile(const struct copy *c)
{
	return real_sendfile64(c->out, c->in, c->inoffset, c->n);
}

static ssize_t really_splice(const struct copy *c)
{
	return real_splice(c->in, c->inoffset, c->out, c->outoffset, c->n,
			   c->flags);
}

ssize_t op_copy_file_range(const char *call, int in, off64_t *inoffset, int out,
			   off64_t *outoffset, size_t n, unsigned flags)
{
	struct copy copy = {
		.change.call = call, .real = really_copy_file_range,
		.in = in, .inoffset = inoffset, .out = out,
		.outoffset = outoffset, .n = n, .flags = flags,
	};

	return copy_unverified(&copy, -EOPNOTSUPP);
}

ssize_t op_sendfile(const char *call, int out, int in, off64_t *offset, size_t n)
{
	struct copy copy = {
		.change.call = call, .real = really_sendfile,
		.in = in, .inoffset = offset, .out = out, .n = n,
	};

	return copy_unverified(&copy, -EINVAL);
}

ssize_t op_splice(const char *call, int in, off64_t *inoffset, int out,
		  off64_t *outoffset, size_t n, unsigned flags)
{
	struct copy copy = {
		.change.call = call, .real = really_splice,
		.in = in, .inoffset = inoffset, .out = out,
		.outoffset = outoffset, .n = n, .flags = flags,
	};

	return copy_unverified(&copy, -EINVAL);
}
