/* wrap_ioctl: device and file system requests.
 *
 * Only those known to move or change no byte of the file pass; one that is
 * not known here is refused.
 */
#include <linux/blkzoned.h>
#include <linux/cdrom.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/hdreg.h>
#include <scsi/sg.h>
#include <sys/ioctl.h>

#include <blkverify/fdmap.h>
#include <blkverify/policy.h>
#include <blkverify/verify.h>

#include "guard.h"
#include "ops.h"

/* QEMU asks XFS for its direct I/O alignment with it, on any file system;
 * xfs/xfs_fs.h is not always installed. */
#define XFS_DIOINFO 0x800c581eul

static bool is_harmless(unsigned long request)
{
	switch (request) {
	case BLKROGET: case BLKRRPART: case BLKGETSIZE: case BLKGETSIZE64:
	case BLKFLSBUF: case BLKRAGET: case BLKRASET: case BLKFRAGET:
	case BLKFRASET: case BLKSECTGET: case BLKSSZGET: case BLKPBSZGET:
	case BLKBSZGET: case BLKBSZSET: case BLKIOMIN: case BLKIOOPT:
	case BLKALIGNOFF: case BLKDISCARDZEROES: case BLKROTATIONAL:
	case BLKREPORTZONE: case BLKGETZONESZ: case BLKGETNRZONES:
	case BLKROSET:
	case FIBMAP: case FIGETBSZ: case FS_IOC_FIEMAP: case FS_IOC_GETFLAGS:
	case FS_IOC_SETFLAGS: case FS_IOC_GETVERSION: case FS_IOC_FSGETXATTR:
	case FS_IOC_FSSETXATTR: case FS_IOC_GETFSLABEL: case XFS_DIOINFO:
	case HDIO_GETGEO:
	case CDROM_DRIVE_STATUS: case CDROM_MEDIA_CHANGED:
	case CDROM_GET_CAPABILITY:
	case SG_GET_VERSION_NUM: case SG_GET_SCSI_ID:
	case FIOCLEX: case FIONCLEX: case FIONBIO: case FIOASYNC: case FIONREAD:
	case FIOQSIZE: case TCGETS: case TIOCGWINSZ:
		return true;
	default:
		return false;
	}
}

/* Requests whose argument names another file that bytes are taken from, or
 * given to. */
static struct bv_disk *other_disk(unsigned long request, const void *argument)
{
	switch (request) {
	case FICLONE:
		return bv_fd_disk((int)(intptr_t)argument);
	case FICLONERANGE: {
		const struct file_clone_range *range = argument;

		return range ? bv_fd_disk((int)range->src_fd) : NULL;
	}
	default:
		return NULL;
	}
}

struct request {
	struct bv_change change;
	unsigned long number;
	void *argument;
	int result;
};

static int apply(const struct bv_change *change)
{
	struct request *r = (struct request *)change;

	r->result = real_ioctl(change->fd, r->number, r->argument);
	return r->result < 0 ? -errno : 0;
}

int op_ioctl(const char *call, int fd, unsigned long number, void *argument)
{
	struct request r = {
		.change = { .call = call, .fd = fd, .apply = apply,
			    .length = INT64_MAX },
		.number = number, .argument = argument,
	};
	struct bv_disk *disk = bv_fd_disk(fd), *other;
	int error = errno, refused;

	other = other_disk(number, argument);
	if ((!disk && !other) || (!other && is_harmless(number)))
		return real_ioctl(fd, number, argument);
	refused = bv_policy_unverified(disk ? disk : other, call, -EOPNOTSUPP);
	if (refused < 0) {
		errno = -refused;
		return -1;
	}
	errno = error;
	if (!disk)
		return real_ioctl(fd, number, argument);
	bv_change_blindly(disk, &r.change);
	return r.result;
}
