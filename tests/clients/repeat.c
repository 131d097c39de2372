/* The same operation again and again: reads and writes each of the next SIZE bytes; a copy of the descriptor, or FILE
 * opened again, and closed.  repeat FILE pread|pwrite|dup|open SIZE COUNT */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* a name that a profiler can be told */
__attribute__((noinline)) static int once(const char *what, const char *file, int fd, void *bytes, size_t size, off_t at)
{
	if (!strcmp(what, "pread"))
		return pread(fd, bytes, size, at) != (ssize_t)size;
	if (!strcmp(what, "pwrite"))
		return pwrite(fd, bytes, size, at) != (ssize_t)size;
	return close(!strcmp(what, "dup") ? dup(fd) : open(file, O_RDONLY));
}

int main(int argc, char **argv)
{
	size_t size = argc == 5 ? strtoul(argv[3], NULL, 0) : 0;
	int fd = argc == 5 ? open(argv[1], O_RDWR) : -1;
	off_t length = fd < 0 ? 0 : lseek(fd, 0, SEEK_END), at = 0;
	void *bytes;

	if (size == 0 || length < (off_t)size || posix_memalign(&bytes, 4096, size)) {
		fprintf(stderr, "usage: repeat FILE pread|pwrite|dup|open SIZE COUNT\n");
		return 2;
	}
	memset(bytes, 0x5a, size);
	for (int count = atoi(argv[4]); count > 0; count--, at += (off_t)size) {
		if (at + (off_t)size > length)
			at = 0;
		if (once(argv[2], argv[1], fd, bytes, size, at))
			return 1;
	}
	return 0;
}
