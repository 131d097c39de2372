/* wrap_stdio: what fopen and its kin do to a target themselves. Reads and
 * writes of the stream are caught in its vtable (stream.c).
 */
#include <execinfo.h>
#include <stdlib.h>
#include <string.h>

#include <blkverify/fdmap.h>
#include <blkverify/policy.h>
#include <blkverify/verify.h>

#include "guard.h"
#include "ops.h"

typedef FILE *opener(const char *path, const char *mode);
typedef FILE *reopener(const char *path, const char *mode, FILE *stream);

/* The call as it was made; a truncation, where it is one. */
struct opening {
	struct bv_change change;
	opener *open;
	reopener *reopen;
	FILE *stream;                /* reopen: the old one; then the result */
	char mode[128];              /* without the letter m */
};

/* With m in its mode, a stream maps the file and reads it past everything
 * here. It is a request for speed, no more (fopen(3), "Glibc notes"). A
 * character set may follow (",ccs=macintosh"), whose letters libc takes for
 * such requests when they are among the first seven. */
static void set_mode(struct opening *o, const char *mode)
{
	size_t n = 0;

	for (; *mode && *mode != ',' && n + 1 < sizeof(o->mode); mode++)
		if (*mode != 'm')
			o->mode[n++] = *mode;
	while (*mode == ',' && n < 7)
		o->mode[n++] = 'b';
	for (; *mode && n + 1 < sizeof(o->mode); mode++)
		o->mode[n++] = *mode;
	o->mode[n] = '\0';
}

static void really_open(struct opening *o)
{
	if (o->open)
		o->stream = o->open(o->change.path, o->mode);
	else
		o->stream = o->reopen(o->change.path, o->mode, o->stream);
}

static int apply(const struct bv_change *change)
{
	struct opening *o = (struct opening *)change;

	really_open(o);
	return o->stream ? 0 : -errno;
}

/* Mode w is O_TRUNC: the resize that it is. */
static void open_truncating(struct bv_disk *disk, struct opening *o)
{
	struct bv_guard guard;
	int result;

	bv_guard_enter(&guard);
	o->change.op = BV_OP_RESIZE;
	o->change.fd = -1;
	o->change.apply = apply;
	result = bv_change(disk, &o->change);
	if (result < 0 && o->stream) {
		/* The shadow failed after the target was opened. */
		fclose(o->stream);
		o->stream = NULL;
	}
	bv_guard_leave(&guard, result);
}

static struct bv_disk *disk_at(const char *path)
{
	int error = errno;
	bool exists;
	struct bv_disk *disk = bv_disk_at(AT_FDCWD, path, 0, &exists);

	errno = error;
	return disk;
}

/* The stream's descriptor may have been another file's before, closed by
 * libc without our seeing it. */
static FILE *opened(FILE *stream)
{
	int error = errno;

	if (stream && fileno(stream) >= 0) {
		bv_fd_forget(fileno(stream));
		/* A target that did not exist at start may be this one. */
		bv_fd_disk(fileno(stream));
	}
	errno = error;
	return stream;
}

FILE *op_fopen(const char *call, opener *real, const char *path,
	       const char *mode)
{
	struct opening o = {
		.change = { .call = call, .path = path }, .open = real,
	};
	struct bv_disk *disk;

	if (bv_disks == 0)
		return real(path, mode);
	disk = disk_at(path);
	if (!disk)
		return opened(real(path, mode));
	set_mode(&o, mode);
	if (o.mode[0] == 'w' && !disk->block)
		open_truncating(disk, &o);
	else
		really_open(&o);
	return opened(o.stream);
}

/* Without a path it reopens the file that the stream has. */
FILE *op_freopen(const char *call, reopener *real, const char *path,
		 const char *mode, FILE *stream)
{
	struct opening o = {
		.change = { .call = call, .path = path }, .reopen = real,
		.stream = stream,
	};
	struct bv_disk *disk;

	if (bv_disks == 0)
		return real(path, mode, stream);
	disk = path ? disk_at(path) : bv_fd_disk(fileno(stream));
	if (!disk)
		return opened(real(path, mode, stream));
	set_mode(&o, mode);
	if (o.mode[0] == 'w' && !disk->block)
		open_truncating(disk, &o);
	else
		really_open(&o);
	return opened(o.stream);
}

FILE *op_fdopen(const char *call, FILE *(*real)(int, const char *), int fd,
		const char *mode)
{
	struct opening o = { .change.call = call };

	if (!bv_fd_disk(fd))
		return real(fd, mode);
	set_mode(&o, mode);
	return real(fd, o.mode);
}

/* From glibc 2.37 on these write past the vtables. */
int op_vdprintf(struct bv_disk *disk, const char *call, int fd,
		const char *format, va_list list)
{
	char *text;
	int length = vasprintf(&text, format, list), written = 0;

	if (length < 0)
		return -1;
	while (written < length) {
		ssize_t n = op_write(disk, call, fd, text + written,
				     (size_t)(length - written));

		if (n < 0)
			break;
		written += (int)n;
	}
	free(text);
	return written < length ? -1 : length;
}

int op_vdprintf_chk(struct bv_disk *disk, const char *call, int fd, int flag,
		    const char *format, va_list list)
{
	/* What it checks (%n in writable memory) libc checks here as well
	 * when the program was built so. */
	(void)flag;
	return op_vdprintf(disk, call, fd, format, list);
}

int shim_dprintf(int fd, const char *format, ...)
{
	va_list list;
	int result;

	va_start(list, format);
	result = shim_vdprintf(fd, format, list);
	va_end(list);
	return result;
}

int shim___dprintf_chk(int fd, int flag, const char *format, ...)
{
	va_list list;
	int result;

	va_start(list, format);
	result = shim___vdprintf_chk(fd, flag, format, list);
	va_end(list);
	return result;
}

/* It exists for processes that cannot allocate any more, and there is no
 * other way to know what it would write. */
void op_backtrace_symbols_fd(const char *call, void *const *buffer, int size,
			     int fd)
{
	struct bv_disk *disk = bv_fd_disk(fd);

	if (disk && bv_policy_unverified(disk, call, -EOPNOTSUPP) < 0)
		return;
	/* Where it ends, only libc knows. */
	if (disk)
		bv_change_lasting(disk, 0, INT64_MAX);
	real_backtrace_symbols_fd(buffer, size, fd);
}
