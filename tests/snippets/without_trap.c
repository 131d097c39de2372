/*
 * without_trap CMD...: runs CMD on a kernel that hands no system calls over, as one before 5.11: the filter stays with
 * it. Status 77 where no filter is to be had.
 */
#include "client.h"
#include "filter.h"
#include <sys/prctl.h>
#include <sys/syscall.h>

int main(int argc, char **argv)
{
	if (argc < 2)
		usage("without_trap CMD...");
	if (deny(SYS_prctl, 0, PR_SET_SYSCALL_USER_DISPATCH, SECCOMP_RET_ERRNO | EINVAL))
		absent("seccomp");
	execvp(argv[1], argv + 1);
	trouble("exec");
}
