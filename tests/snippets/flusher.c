/*
 * flusher SYMBOL FILE OFFSET LENGTH BYTE: fills the range, flushes by that symbol, reads the range back.
 * flusher --list: every SYMBOL, one a line.
 */
#include "client.h"

CALL(fsync, int, (int))
CALL(fdatasync, int, (int))
CALL(syncfs, int, (int))
CALL(sync, void, (void))
CALL(sync_file_range, int, (int, int64_t, int64_t, unsigned))

int main(int argc, char **argv)
{
	void *buf, *back;
	int64_t at;
	size_t n;
	int fd, ret;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		puts("fsync\nfdatasync\nsyncfs\nsync\nsync_file_range");
		return 0;
	}
	if (argc != 6)
		usage("flusher SYMBOL FILE OFFSET LENGTH BYTE");
	fd = open(argv[2], O_RDWR);
	if (fd == -1)
		trouble("open");
	at = number(argv[3]);
	n = (size_t)number(argv[4]);
	buf = buffer(n, (int)number(argv[5]));
	back = buffer(n, 0);
	if (result(pwrite(fd, buf, n, at)))
		return 1;
	if (!strcmp(argv[1], "fsync"))
		ret = call_fsync(fd);
	else if (!strcmp(argv[1], "fdatasync"))
		ret = call_fdatasync(fd);
	else if (!strcmp(argv[1], "syncfs"))
		ret = call_syncfs(fd);
	else if (!strcmp(argv[1], "sync"))
		call_sync(), ret = 0;
	else if (!strcmp(argv[1], "sync_file_range"))
		ret = call_sync_file_range(fd, at, (int64_t)n,
			SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
	else
		usage("unknown symbol");
	if (result(ret) || result(pread(fd, back, n, at)))
		return 1;
	if (memcmp(buf, back, n))
		trouble("read back something else");
	return 0;
}
