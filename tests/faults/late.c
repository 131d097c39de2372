/* A library that is loaded late (tests/snippets/loader.c), and reads a file by the functions that it finds. */
#include <fcntl.h>
#include <unistd.h>

int late_read(const char *path, long long offset);

int late_read(const char *path, long long offset)
{
	char sector[512];
	int fd = open(path, O_RDONLY), n;

	if (fd < 0)
		return -1;
	n = (int)pread(fd, sector, sizeof sector, (off_t)offset);
	close(fd);
	return n;
}
