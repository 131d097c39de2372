/* wrap_stdio: streams on a target are refused where they are made; what
 * reaches one all the same is caught in its vtable (stream.c). */
#include <execinfo.h>

#include <blkverify/fdmap.h>
#include <blkverify/policy.h>
#include <blkverify/verify.h>

#include "guard.h"
#include "ops.h"

int op_refuse(struct bv_disk *disk, const char *call, int refusal)
{
	int refused = bv_policy_unverified(disk, call, refusal);

	if (refused < 0)
		errno = -refused;
	return -1;
}

/* True: the stream must not come to be; errno says why. */
static bool refused(struct bv_disk *disk, const char *call)
{
	int result = disk ? bv_policy_unverified(disk, call, -EOPNOTSUPP) : 0;

	if (result < 0)
		errno = -result;
	return result < 0;
}

static struct bv_disk *disk_at(const char *path)
{
	int error = errno;
	bool exists;
	struct bv_disk *disk = bv_disks == 0 || !path ? NULL :
			       bv_disk_at(AT_FDCWD, path, 0, &exists);

	errno = error;
	return disk;
}

/* A target that did not exist before, and was made by this very call. */
static FILE *check_made(const char *call, FILE *stream, bool checked)
{
	int error = errno;
	struct bv_disk *disk;

	if (!stream || bv_disks == 0)
		return stream;
	bv_fd_forget(fileno(stream));
	disk = checked ? NULL : bv_fd_disk(fileno(stream));
	if (refused(disk, call)) {
		error = errno;
		fclose(stream);
		stream = NULL;
	}
	errno = error;
	return stream;
}

FILE *op_fopen(const char *call, FILE *(*real)(const char *, const char *),
	       const char *path, const char *mode)
{
	struct bv_disk *disk = disk_at(path);

	if (refused(disk, call))
		return NULL;
	return check_made(call, real(path, mode), disk != NULL);
}

/* A refusal closes the stream, as a failure of freopen does. */
FILE *op_freopen(const char *call,
		 FILE *(*real)(const char *, const char *, FILE *),
		 const char *path, const char *mode, FILE *stream)
{
	struct bv_disk *disk = path ? disk_at(path) :
			       bv_disks ? bv_fd_disk(fileno(stream)) : NULL;
	int error;

	if (refused(disk, call)) {
		error = errno;
		fclose(stream);
		errno = error;
		return NULL;
	}
	return check_made(call, real(path, mode, stream), disk != NULL);
}

FILE *op_fdopen(struct bv_disk *disk, const char *call, int fd,
		const char *mode)
{
	return refused(disk, call) ? NULL : real_fdopen(fd, mode);
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

void op_backtrace_symbols_fd(const char *call, void *const *buffer, int size,
			     int fd)
{
	struct bv_disk *disk = bv_fd_disk(fd);

	if (refused(disk, call))
		return;
	/* Where it ends, only libc knows. */
	if (disk)
		bv_change_lasting(disk, 0, INT64_MAX);
	real_backtrace_symbols_fd(buffer, size, fd);
}
