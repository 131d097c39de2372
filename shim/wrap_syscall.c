/* wrap_syscall: system calls by number, from libc's syscall() or trapped
 * (trap.h). What has a wrapper goes through it; what makes descriptors in
 * other ways is noted. */
#include <sys/syscall.h>
#include <unistd.h>

#include <blkverify/fdmap.h>
#include <blkverify/late.h>
#include <blkverify/thread.h>

#include "../src/raw.h"
#include "guard.h"
#include "maps.h"
#include "ops.h"
#include "ring.h"
#include "task.h"
#include "uring.h"

#define PTR(word) ((void *)(word))
#define INT(word) ((int)(word))
#define LEN(word) ((size_t)(word))

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
	long pid;

	bv_late_settle();
	pid = real_syscall(number, w[0], w[1], w[2], w[3], w[4], w[5]);
	if (pid == 0 && raw_getpid() != bv_pid)
		bv_child_begun();
	return pid;
}

/* Those that work on the descriptor given first, and have a wrapper. On 64-bit
 * machines an offset is one word; preadv2 and pwritev2 have a second, unused
 * one. Here as below, for a target alone: a library behind us whose read() or
 * mmap() is made of syscall() (tcmalloc's is) would meet itself again. */
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

/* Those that may reach a target in other ways: do they? */
static bool is_near(long number, const long w[6])
{
	bool exists;

	switch (number) {
	case SYS_copy_file_range:
	case SYS_splice:
		return bv_fd_disk(INT(w[0])) || bv_fd_disk(INT(w[2]));
	case SYS_sendfile:
		return bv_fd_disk(INT(w[0])) || bv_fd_disk(INT(w[1]));
	case SYS_mmap:
		return bv_fd_disk(INT(w[4])) || bv_maps_any();
	case SYS_munmap:
	case SYS_mremap:
	case SYS_mprotect:
	case SYS_pkey_mprotect:
	case SYS_msync:
	case SYS_remap_file_pages:
		return bv_maps_any();
	case SYS_truncate:
		return bv_disk_at(AT_FDCWD, PTR(w[0]), 0, &exists);
	case SYS_ioctl:
		return bv_ioctl_concerns(INT(w[0]), (unsigned long)w[1],
					 PTR(w[2]));
	default:
		return true;
	}
}

static bool near_target(long number, const long w[6], long *r)
{
	if (!is_near(number, w))
		return false;
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
	case SYS_mount: *r = shim_mount(PTR(w[0]), PTR(w[1]), PTR(w[2]), (unsigned long)w[3], PTR(w[4])); break;
	case SYS_fsconfig: *r = shim_fsconfig(INT(w[0]), (unsigned)w[1], PTR(w[2]), PTR(w[3]), INT(w[4])); break;
	case SYS_swapon: *r = shim_swapon(PTR(w[0]), INT(w[1])); break;
	case SYS_acct: *r = shim_acct(PTR(w[0])); break;
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
	case SYS_openat2: *r = op_openat2("syscall", INT(w[0]), PTR(w[1]), PTR(w[2]), LEN(w[3])); break;
	case SYS_pidfd_getfd: *r = op_made("syscall", (int)real_syscall(SYS_pidfd_getfd, w[0], w[1], w[2], 0, 0, 0)); break;
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

/* Lengths. */
static bool tells(long number, const long w[6], long *r)
{
	switch (number) {
	case SYS_fstat: *r = op_stated("syscall", (int)real_syscall(number, w[0], w[1], 0, 0, 0, 0), INT(w[0]), PTR(w[1])); break;
	case SYS_newfstatat: *r = op_stated("syscall", (int)real_syscall(number, w[0], w[1], w[2], w[3], 0, 0), -1, PTR(w[2])); break;
	case SYS_statx: *r = op_statxed("syscall", (int)real_syscall(number, w[0], w[1], w[2], w[3], w[4], 0), PTR(w[4])); break;
#ifdef SYS_stat
	case SYS_stat: case SYS_lstat: *r = op_stated("syscall", (int)real_syscall(number, w[0], w[1], 0, 0, 0, 0), -1, PTR(w[1])); break;
#endif
	default: return false;
	}
	return true;
}

static bool on_ring(long number, const long w[6], long *r)
{
	switch (number) {
	case SYS_io_uring_setup:
		*r = finish(bv_uring_setup("io_uring_setup", (unsigned)w[0], PTR(w[1])));
		break;
	case SYS_io_uring_enter:
		*r = finish(bv_uring_enter("io_uring_enter", (unsigned)w[0], (unsigned)w[1], (unsigned)w[2], (unsigned)w[3], PTR(w[4]), LEN(w[5])));
		break;
	case SYS_io_uring_register:
		*r = finish(bv_uring_register("io_uring_register", (unsigned)w[0], (unsigned)w[1], PTR(w[2]), (unsigned)w[3]));
		break;
	default:
		return false;
	}
	return true;
}

static bool on_process(long number, const long w[6], long *r)
{
	switch (number) {
	case SYS_unshare: *r = op_unshare("syscall", INT(w[0])); break;
	case SYS_execve: *r = op_exec("syscall(execve)", PTR(w[0]), PTR(w[1]), PTR(w[2])); break;
	case SYS_execveat: *r = op_execveat("syscall(execveat)", INT(w[0]), PTR(w[1]), PTR(w[2]), PTR(w[3]), INT(w[4])); break;
	case SYS_exit: *r = op_exit_thread(INT(w[0])); break;
	case SYS_exit_group: op__exit("syscall", INT(w[0]));
#ifdef SYS_fork
	case SYS_fork:
#endif
	case SYS_clone: case SYS_clone3: *r = do_fork(number, w); break;
	default: return bv_signal_syscall(number, w, r);
	}
	return true;
}

bool bv_syscall(long number, const long w[6], long *result)
{
	return near_target(number, w, result) || moves(number, w, result) ||
	       bv_libaio_syscall(number, w, result) ||
	       (bv_fd_disk(INT(w[0])) && on_target(number, w, result)) ||
	       tells(number, w, result) || on_ring(number, w, result) ||
	       on_process(number, w, result);
}

long op_syscall(const char *call, long number, long a, long b, long c, long d,
		long e, long f)
{
	const long w[6] = { a, b, c, d, e, f };
	long result;

	(void)call;
	if (bv_disks == 0 || bv_thread.inside || !bv_syscall(number, w, &result))
		return real_syscall(number, a, b, c, d, e, f);
	return result;
}
