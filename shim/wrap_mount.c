/* wrap_mount: what has the kernel read and write a file by itself, from then
 * on, where nobody can see it: a file system that is mounted, swap space,
 * process accounting. Not on a target, nor on what shares its storage.
 */
#include <linux/mount.h>
#include <string.h>
#include <unistd.h>

#include <blkverify/alias.h>
#include <blkverify/policy.h>
#include <blkverify/usermem.h>
#include <blkverify/verify.h>

#include "../src/raw.h"
#include "guard.h"
#include "ops.h"

static bool is_refused(const char *call, const char *path)
{
	struct bv_disk *disk = bv_disks > 0 ? bv_alias_at(path) : NULL;
	int result = disk ? bv_policy_unverified(disk, call, -EPERM) : 0;

	if (result < 0) {
		errno = -result;
		return true;
	}
	if (disk)
		bv_change_lasting(disk, 0, INT64_MAX);
	return false;
}

/* Many a file system takes any word for its source. */
static bool is_refused_source(const char *call, const char *path)
{
	struct stat st;

	return bv_disks > 0 && raw_fstatat(AT_FDCWD, path, &st, 0) == 0 &&
	       S_ISBLK(st.st_mode) && is_refused(call, path);
}

/* Of these, the source is no device to be read, or is not looked at. */
#define NOTHING_NEW                                                          \
	(MS_REMOUNT | MS_BIND | MS_MOVE | MS_UNBINDABLE | MS_PRIVATE |       \
	 MS_SLAVE | MS_SHARED)

int op_mount(const char *call, const char *source, const char *target,
	     const char *type, unsigned long flags, const void *data)
{
	if (!(flags & NOTHING_NEW) && is_refused_source(call, source))
		return -1;
	return real_mount(source, target, type, flags, data);
}

int op_fsconfig(const char *call, int fd, unsigned command, const char *key,
		const void *value, int aux)
{
	static const char source[] = "source";
	char given[sizeof(source)] = "";

	if (command == FSCONFIG_SET_STRING || command == FSCONFIG_SET_PATH)
		bv_user_copy_in(given, key, sizeof(given));
	if (!memcmp(given, source, sizeof(source)) &&
	    is_refused_source(call, value))
		return -1;
	return (int)real_syscall(SYS_fsconfig, fd, (long)command, (long)key,
				 (long)value, aux, 0);
}

int op_swapon(const char *call, const char *path, int flags)
{
	return is_refused(call, path) ? -1 : real_swapon(path, flags);
}

int op_acct(const char *call, const char *path)
{
	return path && is_refused(call, path) ? -1 : real_acct(path);
}
