/*
 * without_messages CMD...: runs CMD on a kernel that cannot tell which requests its rings take, as one before 5.6: the
 * filter stays with it. Status 77 where no filter is to be had.
 */
#include "client.h"
#include "filter.h"
#include <linux/io_uring.h>
#include <sys/syscall.h>

int main(int argc, char **argv)
{
	if (argc < 2)
		usage("without_messages CMD...");
	if (deny(SYS_io_uring_register, 1, IORING_REGISTER_PROBE, SECCOMP_RET_ERRNO | EINVAL))
		absent("seccomp");
	execvp(argv[1], argv + 1);
	trouble("exec");
}
