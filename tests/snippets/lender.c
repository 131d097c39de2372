/*
 * lender HOW FILE DIR: has the kernel read or write FILE by itself, and puts an end to it where it did. HOW is "mount" (as
 * ext4, at DIR), "fsconfig" (the same by the newer calls), "swapon", "acct", or an ioctl that puts a loop device over
 * FILE: "LOOP_SET_FD", "LOOP_CONFIGURE", "LOOP_CHANGE_FD" (on the loop device DIR).
 * lender --list: every HOW, one a line.
 */
#include "client.h"
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/swap.h>
#include <sys/syscall.h>

CALL(mount, int, (const char *, const char *, const char *, unsigned long, const void *))
CALL(fsconfig, int, (int, unsigned, const char *, const void *, int))
CALL(swapon, int, (const char *, int))
CALL(acct, int, (const char *))

static int mounted(const char *file, const char *directory)
{
	int ret = call_mount(file, directory, "ext4", MS_RDONLY, NULL), error = errno;

	if (ret == 0)
		umount(directory);
	errno = error;
	return result(ret);
}

static int configured(const char *file)
{
	int context = (int)syscall(SYS_fsopen, "ext4", 0), ret;

	if (context < 0 || !call_fsconfig)
		absent("fsconfig");
	/* FSCONFIG_SET_STRING, FSCONFIG_SET_FLAG, FSCONFIG_CMD_CREATE */
	ret = call_fsconfig(context, 1, "source", file, 0);
	if (ret == 0)
		ret = call_fsconfig(context, 0, "ro", NULL, 0);
	if (ret == 0)
		ret = call_fsconfig(context, 6, NULL, NULL, 0);
	return result(ret);
}

static int swapped(const char *file)
{
	int ret = call_swapon(file, 0), error = errno;

	if (ret == 0)
		swapoff(file);
	errno = error;
	return result(ret);
}

static int accounted(const char *file)
{
	int ret = call_acct(file), error = errno;

	call_acct(NULL);
	errno = error;
	if (ret && error == ENOSYS)
		absent("acct");
	return result(ret);
}

static int looped(const char *how, const char *file, const char *device)
{
	int fd = open(file, O_RDONLY), loop = open(device, O_RDWR), ret;
	struct loop_config config = { .fd = (unsigned)fd };

	if (fd < 0 || loop < 0)
		trouble("open");
	if (!strcmp(how, "LOOP_SET_FD"))
		ret = ioctl(loop, LOOP_SET_FD, fd);
	else if (!strcmp(how, "LOOP_CONFIGURE"))
		ret = ioctl(loop, LOOP_CONFIGURE, &config);
	else
		ret = ioctl(loop, LOOP_CHANGE_FD, fd);
	return result(ret);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--list")) {
		puts("mount\nfsconfig\nswapon\nacct\nLOOP_SET_FD\nLOOP_CONFIGURE\nLOOP_CHANGE_FD");
		return 0;
	}
	if (argc != 4)
		usage("lender HOW FILE DIR");
	if (!strcmp(argv[1], "mount"))
		return mounted(argv[2], argv[3]);
	if (!strcmp(argv[1], "fsconfig"))
		return configured(argv[2]);
	if (!strcmp(argv[1], "swapon"))
		return swapped(argv[2]);
	if (!strcmp(argv[1], "acct"))
		return accounted(argv[2]);
	if (!strncmp(argv[1], "LOOP_", 5))
		return looped(argv[1], argv[2], argv[3]);
	usage("unknown HOW");
}
