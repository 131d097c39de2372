/* A descriptor that begins to append while another one of the same description is in use.
 *   appendlater FILE copy|child|syscall     what sets O_APPEND: another number, another process, libc's syscall()
 * Writes 100 bytes at offset 50 before and after: the second ones land at the end. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int set(const char *how, int fd)
{
	int status;

	if (!strcmp(how, "copy"))
		return fcntl(dup(fd), F_SETFL, O_APPEND);
	if (!strcmp(how, "syscall"))
		return (int)syscall(SYS_fcntl, fd, F_SETFL, O_APPEND);
	if (fork() == 0)
		_exit(fcntl(fd, F_SETFL, O_APPEND) ? 1 : 0);
	return wait(&status) < 0 || status ? -1 : 0;
}

int main(int argc, char **argv)
{
	char bytes[100];
	int fd;

	if (argc != 3 || (fd = open(argv[1], O_RDWR)) < 0) {
		fprintf(stderr, "usage: appendlater FILE copy|child|syscall\n");
		return 2;
	}
	memset(bytes, 0x5a, sizeof bytes);
	for (int i = 0; i < 3; i++)
		if (pwrite(fd, bytes, sizeof bytes, 50) != sizeof bytes)
			return 1;
	if (set(argv[2], fd) < 0 || pwrite(fd, bytes, sizeof bytes, 50) != sizeof bytes)
		return 1;
	return 0;
}
