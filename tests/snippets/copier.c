/*
 * copier CALL FROM TO OFFSET LENGTH: copies the range between the two files inside the kernel, to the same offset.
 * copier --list: every CALL, one a line.
 */
#include "client.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

CALL(sendfile, ssize_t, (int, int, int64_t *, size_t))
CALL(sendfile64, ssize_t, (int, int, int64_t *, size_t))

int main(int argc, char **argv)
{
	int64_t at, in_at, out_at;
	ssize_t ret = -1;
	int from, to, p[2];
	size_t n;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		puts("copy_file_range\nsendfile\nsendfile64\nsplice\nFICLONE\nFICLONERANGE\nFIDEDUPERANGE\nraw_copy_file_range\n"
			"raw_sendfile");
		return 0;
	}
	if (argc != 6)
		usage("copier CALL FROM TO OFFSET LENGTH");
	from = open(argv[2], O_RDONLY);
	to = open(argv[3], O_RDWR);
	if (from == -1 || to == -1 || pipe(p))
		trouble("open");
	in_at = out_at = at = number(argv[4]);
	n = (size_t)number(argv[5]);
	if (!strcmp(argv[1], "copy_file_range"))
		ret = copy_file_range(from, &in_at, to, &out_at, n, 0);
	else if (!strcmp(argv[1], "raw_copy_file_range"))
		ret = syscall(SYS_copy_file_range, from, &in_at, to, &out_at, n, 0);
	else if (strstr(argv[1], "sendfile")) {
		if (lseek(to, at, SEEK_SET) != at)
			trouble("lseek");
		ret = !strcmp(argv[1], "sendfile") ? call_sendfile(to, from, &in_at, n) :
			!strcmp(argv[1], "sendfile64") ? call_sendfile64(to, from, &in_at, n) :
			syscall(SYS_sendfile, to, from, &in_at, n);
	} else if (!strcmp(argv[1], "splice")) {
		/* LENGTH at most what a pipe holds */
		ret = splice(from, &in_at, p[1], NULL, n, 0);
		if (ret > 0)
			ret = splice(p[0], NULL, to, &out_at, (size_t)ret, 0);
	} else if (!strcmp(argv[1], "FICLONE"))
		ret = ioctl(to, FICLONE, from);
	else if (!strcmp(argv[1], "FICLONERANGE")) {
		struct file_clone_range range = { from, (uint64_t)at, n, (uint64_t)at };

		ret = ioctl(to, FICLONERANGE, &range);
	} else if (!strcmp(argv[1], "FIDEDUPERANGE")) {
		struct file_dedupe_range *range = calloc(1, sizeof(*range) + sizeof(range->info[0]));

		range->src_offset = (uint64_t)at;
		range->src_length = n;
		range->dest_count = 1;
		range->info[0].dest_fd = to;
		range->info[0].dest_offset = (uint64_t)at;
		ret = ioctl(from, FIDEDUPERANGE, range);
	} else
		usage("unknown call");
	return result(ret);
}
