/* A descriptor number that means another file than the shim last saw there. The target is opened and used through
 * libc; then, by system calls of our own that nobody can see, the number is closed (or replaced) and comes to mean
 * INNOCENT, which is written and read through libc.  stalefd TARGET INNOCENT close|dup2
 * Exit status 0: the innocent file holds exactly what was written to it. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long raw(long number, long a, long b, long c, long d)
{
#if defined __x86_64__
	register long r10 __asm__("r10") = d;
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
	return result;
#elif defined __aarch64__
	register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c,
		x3 __asm__("x3") = d;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
#else
#error "no system call instruction known"
#endif
}

static int complain(const char *what)
{
	fprintf(stderr, "stalefd: %s\n", what);
	return 1;
}

int main(int argc, char **argv)
{
	char out[4096], in[4096];
	int fd, other;

	if (argc != 4)
		return complain("usage: stalefd TARGET INNOCENT close|dup2");
	fd = open(argv[1], O_RDWR);
	if (fd < 0 || pread(fd, in, sizeof in, 0) != sizeof in)
		return complain("cannot read the target");
	if (!strcmp(argv[3], "close")) {
		raw(SYS_close, fd, 0, 0, 0);
		other = (int)raw(SYS_openat, AT_FDCWD, (long)argv[2], O_RDWR | O_CREAT, 0644);
	} else {
		other = (int)raw(SYS_openat, AT_FDCWD, (long)argv[2], O_RDWR | O_CREAT, 0644);
		raw(SYS_dup3, other, fd, 0, 0);
		raw(SYS_close, other, 0, 0, 0);
		other = fd;
	}
	if (other != fd)
		return complain("the number was not reused");
	memset(out, 0x5a, sizeof out);
	if (pwrite(fd, out, sizeof out, 0) != sizeof out || pread(fd, in, sizeof in, 0) != sizeof in || memcmp(in, out, sizeof in))
		return complain("the innocent file did not take the write");
	memset(out, 0xa5, sizeof out);
	if (lseek(fd, 0, SEEK_SET) || write(fd, out, sizeof out) != sizeof out || fsync(fd))
		return complain("the innocent file did not take the second write");
	if (lseek(fd, 0, SEEK_SET) || read(fd, in, sizeof in) != sizeof in || memcmp(in, out, sizeof in))
		return complain("the innocent file gave back something else");
	if (ftruncate(fd, 1000) || close(fd))
		return complain("the innocent file could not be cut");
	/* and the target is still verified */
	fd = open(argv[1], O_RDONLY);
	if (fd < 0 || pread(fd, in, sizeof in, 4096) != sizeof in)
		return complain("cannot read the target again");
	return 0;
}
