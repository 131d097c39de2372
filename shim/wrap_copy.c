/* wrap_copy: copies that the kernel makes without showing us the bytes. Where
 * one end is a target they are made by reads and writes instead.
 */
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <blkverify/fdmap.h>
#include <blkverify/usermem.h>

#include "../src/raw.h"
#include "guard.h"
#include "ops.h"

/* Bytes of one step. */
#define STEP (256u * 1024)

/* Bytes of one call: MAX_RW_COUNT of Linux. */
#define MOST 0x7ffff000u

/* One end of a copy. */
struct end {
	struct bv_disk *disk;        /* NULL: not a target */
	int fd;
	off64_t *offset;             /* the program's; NULL: the position */
	off64_t at;                  /* where we are, unless the position */
};

/* The program's offsets may be at a bad address: EFAULT, as from the kernel. */
static int load_offset(struct end *e)
{
	if (!e->offset)
		return 0;
	return bv_user_copy_in(&e->at, e->offset, sizeof(e->at)) <
		       sizeof(e->at) ? -EFAULT : 0;
}

static int load_offsets(struct end *in, struct end *out)
{
	int result = load_offset(in);

	if (result == 0)
		result = load_offset(out);
	if (result == 0 && (in->at < 0 || out->at < 0))
		result = -EINVAL;
	return result;
}

static void store_offset(const struct end *e)
{
	if (e->offset)
		bv_user_copy_out(e->offset, &e->at, sizeof(e->at));
}

static ssize_t take(const char *call, struct end *e, void *bytes, size_t n)
{
	if (e->disk && e->offset)
		return op_pread(e->disk, call, e->fd, bytes, n, e->at);
	if (e->disk)
		return op_read(e->disk, call, e->fd, bytes, n);
	return e->offset ? real_pread64(e->fd, bytes, n, e->at)
			 : real_read(e->fd, bytes, n);
}

static ssize_t put(const char *call, struct end *e, const void *bytes, size_t n)
{
	if (e->disk && e->offset)
		return op_pwrite(e->disk, call, e->fd, bytes, n, e->at);
	if (e->disk)
		return op_write(e->disk, call, e->fd, bytes, n);
	return e->offset ? real_pwrite64(e->fd, bytes, n, e->at)
			 : real_write(e->fd, bytes, n);
}

/* What was read and could not be written goes back, as far as it can: the
 * kernel would not have taken it. */
static void untake(struct end *e, size_t n)
{
	if (!e->offset && n > 0)
		shim_lseek64(e->fd, -(off64_t)n, SEEK_CUR);
	else
		e->at -= (off64_t)n;
}

/* Cancellation is off, or half of a copy would be lost; but for who waits for
 * something to copy that does not come from a target. */
static ssize_t wait_for(const char *call, struct end *in, void *bytes, size_t n,
			int cancel)
{
	ssize_t got;
	int unused;

	if (in->disk)
		return take(call, in, bytes, n);
	pthread_setcancelstate(cancel, &unused);
	got = take(call, in, bytes, n);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &unused);
	return got;
}

/* One step; the bytes moved, 0 at the end of the file, or -1. */
static ssize_t step(const char *call, struct end *in, struct end *out,
		    unsigned char *bytes, size_t n, int cancel)
{
	ssize_t got = wait_for(call, in, bytes, n, cancel), done = 0, sent = 0;

	if (got <= 0)
		return got;
	in->at += got;
	while (done < got) {
		sent = put(call, out, bytes + done, (size_t)(got - done));
		if (sent <= 0)
			break;
		out->at += sent;
		done += sent;
	}
	if (done < got) {
		int error = errno;

		untake(in, (size_t)(got - done));
		errno = error;
	}
	return done > 0 ? done : sent;
}

/* Up to n bytes; stops at the first short step. */
static ssize_t copy_steps(const char *call, struct end *in, struct end *out,
			  void *bytes, size_t n, int cancel)
{
	size_t done = 0;

	while (done < n) {
		size_t want = n - done < STEP ? n - done : STEP;
		ssize_t moved = step(call, in, out, bytes, want, cancel);

		if (moved < 0 && done == 0)
			return -1;
		if (moved <= 0)
			break;
		done += (size_t)moved;
		if ((size_t)moved < want)
			break;
		cancel = PTHREAD_CANCEL_DISABLE;
	}
	return (ssize_t)done;
}

static void unmap(void *bytes)
{
	raw_munmap(bytes, STEP);
}

/* As copy_steps; the program's offsets follow. cancel is the state that who
 * waits is in. */
static ssize_t copy(const char *call, struct end *in, struct end *out, size_t n,
		    int cancel)
{
	int error = errno, former;
	ssize_t done;
	void *bytes = raw_mmap(NULL, STEP, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (raw_is_error(bytes)) {
		errno = ENOMEM;
		return -1;
	}
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &former);
	pthread_cleanup_push(unmap, bytes);
	done = copy_steps(call, in, out, bytes, n > MOST ? MOST : n,
			  cancel == PTHREAD_CANCEL_ENABLE ? former : cancel);
	pthread_cleanup_pop(1);
	pthread_setcancelstate(former, &former);
	if (done < 0)
		return done;
	store_offset(in);
	store_offset(out);
	errno = error;
	return done;
}

static ssize_t fail(int result)
{
	errno = -result;
	return -1;
}

static bool is_kind(int fd, mode_t kind)
{
	struct stat st;

	return raw_fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == kind;
}

static off64_t begins_at(const struct end *e)
{
	return e->offset ? e->at : raw_lseek(e->fd, 0, SEEK_CUR);
}

/* As the kernel checks it, and in its order (generic_copy_file_checks, Linux
 * 6.1): the end of the file shortens a copy before it may overlap. */
static int check_range(const struct end *in, const struct end *out, uint64_t n,
		       unsigned flags)
{
	uint64_t from = (uint64_t)begins_at(in), to = (uint64_t)begins_at(out);
	int modes[2] = { raw_fcntl(in->fd, F_GETFL, 0),
			 raw_fcntl(out->fd, F_GETFL, 0) };
	struct stat files[2];

	if (raw_fstat(in->fd, &files[0]) < 0 ||
	    raw_fstat(out->fd, &files[1]) < 0)
		return -EBADF;
	if (flags)
		return -EINVAL;
	if (S_ISDIR(files[0].st_mode) || S_ISDIR(files[1].st_mode))
		return -EISDIR;
	if (!S_ISREG(files[0].st_mode) || !S_ISREG(files[1].st_mode))
		return -EINVAL;
	if ((modes[0] & O_ACCMODE) == O_WRONLY ||
	    (modes[1] & O_ACCMODE) == O_RDONLY || modes[1] & O_APPEND)
		return -EBADF;
	if (from + n < from || to + n < to)
		return -EOVERFLOW;
	if (from > INT64_MAX || to > INT64_MAX)
		return -EINVAL;
	if (from >= (uint64_t)files[0].st_size)
		n = 0;
	else if (n > (uint64_t)files[0].st_size - from)
		n = (uint64_t)files[0].st_size - from;
	if (files[0].st_dev == files[1].st_dev &&
	    files[0].st_ino == files[1].st_ino && to + n > from &&
	    to < from + n)
		return -EINVAL;
	return 0;
}

ssize_t op_copy_file_range(const char *call, int in, off64_t *inoffset, int out,
			   off64_t *outoffset, size_t n, unsigned flags)
{
	struct end from = { bv_fd_disk(in), in, inoffset, 0 };
	struct end to = { bv_fd_disk(out), out, outoffset, 0 };
	int result;

	if (!from.disk && !to.disk)
		return real_copy_file_range(in, inoffset, out, outoffset, n,
					    flags);
	pthread_testcancel();
	result = load_offset(&from);
	if (result == 0)
		result = load_offset(&to);
	if (result == 0)
		result = check_range(&from, &to, n, flags);
	return result < 0 ? fail(result) :
			    copy(call, &from, &to, n, PTHREAD_CANCEL_DISABLE);
}

ssize_t op_sendfile(const char *call, int out, int in, off64_t *offset, size_t n)
{
	struct end from = { bv_fd_disk(in), in, offset, 0 };
	struct end to = { bv_fd_disk(out), out, NULL, 0 };
	int result;

	if (!from.disk && !to.disk)
		return real_sendfile64(out, in, offset, n);
	result = load_offsets(&from, &to);
	/* sendfile(2): not to a file opened with O_APPEND, and not from a
	 * pipe or a socket. */
	if (result == 0 && (raw_fcntl(out, F_GETFL, 0) & O_APPEND ||
			    raw_lseek(in, 0, SEEK_CUR) < 0))
		result = -EINVAL;
	return result < 0 ? fail(result) :
			    copy(call, &from, &to, n, PTHREAD_CANCEL_DISABLE);
}

/* How many bytes a pipe takes without blocking; what splice would not wait
 * for is not waited for here. A cancellation point where it waits. */
static ssize_t room_in(int pipe, bool wait)
{
	struct pollfd p = { .fd = pipe, .events = POLLOUT };
	int size = raw_fcntl(pipe, F_GETPIPE_SZ, 0), used = 0, error = errno;

	if (wait)
		poll(&p, 1, -1);
	errno = error;
	if (size < 0 || raw_ioctl(pipe, FIONREAD, &used) < 0)
		return -EINVAL;
	/* Each write may begin a page of its own. */
	if (size - used < PIPE_BUF)
		return wait ? 1 : -EAGAIN;
	return size - used;
}

ssize_t op_splice(const char *call, int in, off64_t *inoffset, int out,
		  off64_t *outoffset, size_t n, unsigned flags)
{
	struct end from = { bv_fd_disk(in), in, inoffset, 0 };
	struct end to = { bv_fd_disk(out), out, outoffset, 0 };
	bool wait = !(flags & SPLICE_F_NONBLOCK);
	ssize_t most;
	int result;

	if (!from.disk && !to.disk)
		return real_splice(in, inoffset, out, outoffset, n, flags);
	pthread_testcancel();
	if (n == 0)
		return 0;
	if (n > STEP)
		n = STEP;
	result = load_offsets(&from, &to);
	if (result == 0 && from.disk) {
		most = is_kind(out, S_IFIFO) && !outoffset ?
			       room_in(out, wait && !(raw_fcntl(out, F_GETFL, 0) &
						      O_NONBLOCK)) : -EINVAL;
		if (most < 0)
			result = (int)most;
		else if ((size_t)most < n)
			n = (size_t)most;
	} else if (result == 0) {
		struct pollfd p = { .fd = in, .events = POLLIN };
		struct timespec now = { 0, 0 };

		if (!is_kind(in, S_IFIFO) || inoffset ||
		    raw_fcntl(out, F_GETFL, 0) & O_APPEND)
			result = -EINVAL;
		else if (!wait && raw_call(SYS_ppoll, (long)&p, 1, (long)&now,
					   0, sizeof(raw_sigset), 0) == 0)
			result = -EAGAIN;
	}
	return result < 0 ? fail(result) :
			    copy(call, &from, &to, n, PTHREAD_CANCEL_ENABLE);
}
