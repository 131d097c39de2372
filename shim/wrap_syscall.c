/* wrap_syscall: libc's syscall(). What has a wrapper goes through it; what
 * makes descriptors in other ways is noted; rings are refused. */
#include <sys/syscall.h>
#include <unistd.h>

#include <blkverify/fdmap.h>
#include <blkverify/policy.h>
#include <blkverify/pool.h>
#include <blkverify/thread.h>
#include <blkverify/verify.h>

#include "../src/raw.h"
#include "guard.h"
#include "ops.h"
#include "ring.h"
#include "task.h"
#include "uring.h"

#define PTR(word) ((void *)(word))
#define INT(word) ((int)(word))
#define LEN(word) ((size_t)(word))

/* Requests of such a ring may be submitted by an instruction of the
 * program's own, past everything here. */
static long do_uring_setup(const long w[6])
{
	int result = bv_policy_unverified(&bv_disk[0],
					  "syscall(io_uring_setup)", -ENOSYS);

	if (result < 0) {
		errno = -result;
		return -1;
	}
	for (unsigned i = 0; i < bv_disks; i++)
		bv_change_lasting(&bv_disk[i], 0, INT64_MAX);
	result = (int)real_syscall(SYS_io_uring_setup, w[0], w[1], 0, 0, 0, 0);
	if (result >= 0)
		bv_uring_gone(result);
	return result;
}

static long finish(int result)
{
	if (result < 0) {
		errno = -result;
		return -1;
	}
	return result;
}

/* A child without our memory is another process. */
static long do_fork(long number, const long w[6])
{
	long pid = real_syscall(number, w[0], w[1], w[2], w[3], w[4], w[5]);

	if (pid == 0 && raw_getpid() != bv_pid)
		bv_child_begun();
	return pid;
}

/* Those that work on the descriptor given first, and have a wrapper. On 64-bit
 * machines an offset is one word; preadv2 and pwritev2 have a second, unused
 * one. Asked for a target alone: for other files, a library behind us whose
 * read() is made of syscall() would meet itself again. */
static bool on_target(long number, const long w[6], long *r)
{
	switch (number) {
	case SYS_read: *r = shim_read(INT(w[0]), PTR(w[1]), LEN(w[2])); break;
	case SYS_write: *r = shim_write(INT(w[0]), PTR(w[1]), LEN(w[2])); break;
	case SYS_pread64: *r = shim_pread64(INT(w[0]), PTR(w[1]), LEN(w[2]), w[3]); break;
	case SYS_pwrite64: *r = shim_pwrite64(INT(w[0]), PTR(w[1]), LEN(w[2]), w[3]); break;
	case SYS_readv: *r = shim_readv(INT(w[0]), PTR(w[1]), INT(w[2])); break;
	case SYS_writev: *r = shim_writev(INT(w[0]), PTR(w[1]), INT(w[2])); break;
	case SYS_preadv: *r = shim_preadv64(INT(w[0]), PTR(w[1]), INT(w[2]), w[3]); break;
	case SYS_pwritev: *r = shim_pwritev64(INT(w[0]), PTR(w[1]), INT(w[2]), w[3]); break;
	case SYS_preadv2: *r = shim_preadv64v2(INT(w[0]), PTR(w[1]), INT(w[2]), w[3], INT(w[5])); break;
	case SYS_pwritev2: *r = shim_pwritev64v2(INT(w[0]), PTR(w[1]), INT(w[2]), w[3], INT(w[5])); break;
	case SYS_lseek: *r = shim_lseek64(INT(w[0]), w[1], INT(w[2])); break;
	case SYS_ftruncate: *r = shim_ftruncate64(INT(w[0]), w[1]); break;
	case SYS_fallocate: *r = shim_fallocate64(INT(w[0]), INT(w[1]), w[2], w[3]); break;
	case SYS_fsync: *r = shim_fsync(INT(w[0])); break;
	case SYS_fdatasync: *r = shim_fdatasync(INT(w[0])); break;
	case SYS_syncfs: *r = shim_syncfs(INT(w[0])); break;
	case SYS_sync_file_range: *r = shim_sync_file_range(INT(w[0]), w[1], w[2], (unsigned)w[3]); break;
	default: return false;
	}
	return true;
}

/* Those that may reach a target in other ways. */
static bool near_target(long number, const long w[6], long *r)
{
	switch (number) {
	case SYS_copy_file_range: *r = shim_copy_file_range(INT(w[0]), PTR(w[1]), INT(w[2]), PTR(w[3]), LEN(w[4]), (unsigned)w[5]); break;
	case SYS_sendfile: *r = shim_sendfile64(INT(w[0]), INT(w[1]), PTR(w[2]), LEN(w[3])); break;
	case SYS_splice: *r = shim_splice(INT(w[0]), PTR(w[1]), INT(w[2]), PTR(w[3]), LEN(w[4]), (unsigned)w[5]); break;
	case SYS_munmap: *r = shim_munmap(PTR(w[0]), LEN(w[1])); break;
	case SYS_mremap: *r = (long)shim_mremap(PTR(w[0]), LEN(w[1]), LEN(w[2]), INT(w[3]), PTR(w[4])); break;
	case SYS_mprotect: *r = shim_mprotect(PTR(w[0]), LEN(w[1]), INT(w[2])); break;
	case SYS_pkey_mprotect: *r = op_pkey_mprotect("syscall", PTR(w[0]), LEN(w[1]), INT(w[2]), INT(w[3])); break;
	case SYS_sync: shim_sync(); *r = 0; break;
	case SYS_msync: *r = shim_msync(PTR(w[0]), LEN(w[1]), INT(w[2])); break;
	case SYS_remap_file_pages: *r = shim_remap_file_pages(PTR(w[0]), LEN(w[1]), INT(w[2]), LEN(w[3]), INT(w[4])); break;
	case SYS_mmap: *r = (long)shim_mmap64(PTR(w[0]), LEN(w[1]), INT(w[2]), INT(w[3]), INT(w[4]), w[5]); break;
	case SYS_truncate: *r = shim_truncate64(PTR(w[0]), w[1]); break;
	case SYS_ioctl: *r = shim_ioctl(INT(w[0]), (unsigned long)w[1], PTR(w[2])); break;
	default: return false;
	}
	return true;
}

static int sys_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	return (int)real_syscall(SYS_openat, dirfd, (long)path, flags, mode, 0, 0);
}

static int sys_fcntl(int fd, int command, void *argument)
{
	return (int)real_syscall(SYS_fcntl, fd, command, (long)argument, 0, 0, 0);
}

static int sys_close(int fd)
{
	return (int)real_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

/* Descriptors. */
static bool moves(long number, const long w[6], long *r)
{
	switch (number) {
	case SYS_openat: *r = op_openat("syscall", sys_openat, INT(w[0]), PTR(w[1]), INT(w[2]), (mode_t)w[3]); break;
	case SYS_dup: *r = op_made("syscall", (int)real_syscall(SYS_dup, w[0], 0, 0, 0, 0, 0)); break;
	case SYS_dup3: *r = shim_dup3(INT(w[0]), INT(w[1]), INT(w[2])); break;
	case SYS_fcntl: *r = op_fcntl("syscall", sys_fcntl, INT(w[0]), INT(w[1]), PTR(w[2])); break;
	case SYS_close: *r = op_close("syscall", sys_close, INT(w[0])); break;
	case SYS_close_range: *r = op_close_range("syscall", (unsigned)w[0], (unsigned)w[1], INT(w[2])); break;
	case SYS_recvmsg: *r = shim_recvmsg(INT(w[0]), PTR(w[1]), INT(w[2])); break;
	case SYS_recvmmsg: *r = shim_recvmmsg(INT(w[0]), PTR(w[1]), (unsigned)w[2], INT(w[3]), PTR(w[4])); break;
	case SYS_open_by_handle_at: *r = shim_open_by_handle_at(INT(w[0]), PTR(w[1]), INT(w[2])); break;
#ifdef SYS_open
	case SYS_open: *r = op_openat("syscall", sys_openat, AT_FDCWD, PTR(w[0]), INT(w[1]), (mode_t)w[2]); break;
	case SYS_creat: *r = op_openat("syscall", sys_openat, AT_FDCWD, PTR(w[0]), O_CREAT | O_WRONLY | O_TRUNC, (mode_t)w[1]); break;
	case SYS_dup2: *r = shim_dup2(INT(w[0]), INT(w[1])); break;
#endif
	default: return false;
	}
	return true;
}

long op_syscall(const char *call, long number, long a, long b, long c, long d,
		long e, long f)
{
	const long w[6] = { a, b, c, d, e, f };
	long result;

	if (bv_disks == 0 || bv_thread.inside)
		return real_syscall(number, a, b, c, d, e, f);
	if (near_target(number, w, &result) || moves(number, w, &result) ||
	    bv_libaio_syscall(number, w, &result) ||
	    (bv_fd_disk(INT(a)) && on_target(number, w, &result)))
		return result;
	switch (number) {
	case SYS_openat2:
		return op_openat2("syscall", INT(a), PTR(b), PTR(c), LEN(d));
	case SYS_pidfd_getfd:
		return op_made(call, (int)real_syscall(number, a, b, c, 0, 0, 0));
	case SYS_io_uring_setup:
		return do_uring_setup(w);
	case SYS_io_uring_enter:
		return finish(bv_uring_enter("syscall(io_uring_enter)",
					     (unsigned)a, (unsigned)b,
					     (unsigned)c, (unsigned)d, PTR(e),
					     LEN(f)));
	case SYS_io_uring_register:
		return finish(bv_uring_register("syscall(io_uring_register)",
						(unsigned)a, (unsigned)b,
						PTR(c), (unsigned)d));
	case SYS_unshare:
		return op_unshare(call, INT(a));
	case SYS_execve:
		return op_exec("syscall(execve)", PTR(a), PTR(b), PTR(c));
	case SYS_execveat:
		return op_execveat("syscall(execveat)", INT(a), PTR(b), PTR(c),
				   PTR(d), INT(e));
	case SYS_exit_group:
		op__exit(call, INT(a));
#ifdef SYS_fork
	case SYS_fork:
#endif
	case SYS_clone:
	case SYS_clone3:
		return do_fork(number, w);
	default:
		return real_syscall(number, a, b, c, d, e, f);
	}
}
