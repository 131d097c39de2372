/* wrap_open: making descriptors from paths.
 *
 * A new descriptor is not classified here: its first use asks the kernel. All
 * that opening itself can do to a target is to truncate or to create it.
 */
#include <stdint.h>

#include <blkverify/fdmap.h>
#include <blkverify/usermem.h>
#include <blkverify/verify.h>

#include "../src/raw.h"
#include "guard.h"
#include "ops.h"

/* The call as it was made: which of the functions, with what. */
struct opening {
	struct bv_change change;
	int (*open)(const char *, int, mode_t);
	int (*openat)(int, const char *, int, mode_t);
	int (*creat)(const char *, mode_t);
	const struct open_how *how;
	size_t size;
	int dirfd, flags;
	mode_t mode;
	int fd;
};

static int really_open(struct opening *o)
{
	const char *path = o->change.path;
	long result;

	if (o->open)
		return o->open(path, o->flags, o->mode);
	if (o->openat)
		return o->openat(o->dirfd, path, o->flags, o->mode);
	if (o->creat)
		return o->creat(path, o->mode);
	/* glibc has it from 2.43 on only. */
	result = raw_call(SYS_openat2, o->dirfd, (long)path, (long)o->how,
			  (long)o->size, 0, 0);
	if (result < 0)
		errno = (int)-result;
	return result < 0 ? -1 : (int)result;
}

static int apply(const struct bv_change *change)
{
	struct opening *o = (struct opening *)change;

	o->fd = really_open(o);
	return o->fd < 0 ? -errno : 0;
}

/* O_TRUNC on a target: the resize that it is. */
static int open_truncating(struct bv_disk *disk, struct opening *o)
{
	struct bv_guard guard;
	int result;

	bv_guard_enter(&guard);
	o->change.op = BV_OP_RESIZE;
	o->change.fd = -1;
	o->change.apply = apply;
	result = bv_change(disk, &o->change);
	if (result < 0 && o->fd >= 0) {
		/* The shadow failed after the target was opened. */
		raw_close(o->fd);
		o->fd = -1;
	}
	bv_guard_leave(&guard, result);
	return o->fd;
}

static int do_open(const char *call, struct opening *o)
{
	struct bv_disk *disk = NULL;
	bool exists;

	o->change.call = call;
	o->fd = -1;
	if (o->flags & O_TRUNC && !(o->flags & O_PATH) && bv_disks > 0)
		disk = bv_disk_at(o->dirfd, o->change.path, 0, &exists);
	if (disk && !disk->block)
		open_truncating(disk, o);
	else
		o->fd = really_open(o);
	if (o->fd >= 0) {
		int error = errno;

		bv_fd_forget(o->fd);
		/* A target that did not exist at start may be this one. */
		if (o->flags & O_CREAT)
			bv_fd_disk(o->fd);
		errno = error;
	}
	return o->fd;
}

int op_open(const char *call, int (*real)(const char *, int, mode_t),
	    const char *path, int flags, mode_t mode)
{
	struct opening o = {
		.change.path = path, .open = real, .dirfd = AT_FDCWD,
		.flags = flags, .mode = mode,
	};

	return do_open(call, &o);
}

int op_openat(const char *call, int (*real)(int, const char *, int, mode_t),
	      int dirfd, const char *path, int flags, mode_t mode)
{
	struct opening o = {
		.change.path = path, .openat = real, .dirfd = dirfd,
		.flags = flags, .mode = mode,
	};

	return do_open(call, &o);
}

/* Fortified: the program ends when the mode is missing. */
static bool needs_mode(int flags)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;
}

int op_open_2(const char *call, int (*real)(const char *, int),
	      const char *path, int flags)
{
	if (needs_mode(flags))
		return real(path, flags);
	return op_open(call, real_open64, path, flags, 0);
}

int op_openat_2(const char *call, int (*real)(int, const char *, int),
		int dirfd, const char *path, int flags)
{
	if (needs_mode(flags))
		return real(dirfd, path, flags);
	return op_openat(call, real_openat64, dirfd, path, flags, 0);
}

int op_creat(const char *call, int (*real)(const char *, mode_t),
	     const char *path, mode_t mode)
{
	struct opening o = {
		.change.path = path, .creat = real, .dirfd = AT_FDCWD,
		.flags = O_CREAT | O_WRONLY | O_TRUNC, .mode = mode,
	};

	return do_open(call, &o);
}

int op_openat2(const char *call, int dirfd, const char *path,
	       const struct open_how *how, size_t size)
{
	struct open_how copy = { 0 };
	struct opening o = {
		.change.path = path, .dirfd = dirfd, .how = how, .size = size,
	};

	bv_user_copy_in(&copy, how, size < sizeof(copy) ? size : sizeof(copy));
	o.flags = (int)copy.flags;
	return do_open(call, &o);
}

/* There is no path to look up beforehand, so truncation is a step of its
 * own. */
int op_open_by_handle(const char *call, int mountfd, struct file_handle *handle,
		      int flags)
{
	int truncate = bv_disks > 0 ? flags & O_TRUNC : 0;
	int fd = real_open_by_handle_at(mountfd, handle, flags & ~truncate);

	(void)call;
	if (fd < 0)
		return fd;
	bv_fd_forget(fd);
	if (truncate && shim_ftruncate64(fd, 0) < 0) {
		int error = errno;

		raw_close(fd);
		errno = error;
		return -1;
	}
	return fd;
}
