/*
 * device REQUEST FILE OFFSET LENGTH: one ioctl on FILE, by name. FS_IOC_FIEMAP has room for 8 extents, unless LENGTH is 0.
 * device --list: every REQUEST, one a line.
 */
#include "client.h"
#include <stddef.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/hdreg.h>
#include <sys/ioctl.h>

#ifndef BLKDISCARD
#define BLKDISCARD _IO(0x12, 119)
#endif
#ifndef BLKSECDISCARD
#define BLKSECDISCARD _IO(0x12, 125)
#endif
#ifndef BLKZEROOUT
#define BLKZEROOUT _IO(0x12, 127)
#endif
/* of nobody's */
#define UNKNOWN _IOWR('~', 0xee, char[16])

int main(int argc, char **argv)
{
	static const struct { const char *name; unsigned long request; } requests[] = {
		{ "BLKDISCARD", BLKDISCARD }, { "BLKSECDISCARD", BLKSECDISCARD }, { "BLKZEROOUT", BLKZEROOUT },
		{ "UNKNOWN", UNKNOWN }, { "BLKGETSIZE64", BLKGETSIZE64 }, { "BLKSSZGET", BLKSSZGET },
		{ "BLKGETSIZE", BLKGETSIZE },
		{ "BLKFLSBUF", BLKFLSBUF }, { "FIGETBSZ", FIGETBSZ }, { "FIONREAD", FIONREAD }, { "TCGETS", 0x5401 },
		{ "BLKPBSZGET", BLKPBSZGET }, { "BLKROGET", BLKROGET }, { "BLKIOMIN", BLKIOMIN }, { "HDIO_GETGEO", HDIO_GETGEO },
		{ "FS_IOC_GETFLAGS", FS_IOC_GETFLAGS }, { "FS_IOC_FSGETXATTR", FS_IOC_FSGETXATTR },
		{ "FS_IOC_FIEMAP", FS_IOC_FIEMAP },
	};
	uint64_t argument[64] = { 0 };
	const uint32_t extents = 8;
	int fd;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++)
			puts(requests[i].name);
		return 0;
	}
	if (argc != 5)
		usage("device REQUEST FILE OFFSET LENGTH");
	fd = open(argv[2], O_RDWR);
	if (fd == -1)
		trouble("open");
	argument[0] = (uint64_t)number(argv[3]);
	argument[1] = (uint64_t)number(argv[4]);
	if (!strcmp(argv[1], "FS_IOC_FIEMAP") && argument[1])
		memcpy((char *)argument + offsetof(struct fiemap, fm_extent_count), &extents, sizeof(extents));
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++)
		if (!strcmp(argv[1], requests[i].name)) {
			int failed = result(ioctl(fd, requests[i].request, argument));

			/* what comes back in the first words, where something does */
			if (!failed && strncmp(argv[1], "BLKD", 4) && strncmp(argv[1], "BLKZ", 4))
				printf("argument=%llx %llx\n", (unsigned long long)argument[0], (unsigned long long)argument[1]);
			return failed;
		}
	usage("unknown request");
}
