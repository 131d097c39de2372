/* prototypes: does each row of symbols.def have the type that libc's headers
 * give the symbol? Asm labels bind any declaration to any symbol, so nothing
 * else would notice a parameter that is too narrow. Compiling is the test.
 *
 * Rows for names that no header declares (fortified and double-underscore
 * spellings, other libraries) stand in UNDECLARED; those are aliases of rows
 * that are checked, or follow the pattern of <bits/unistd.h>.
 */
#undef NDEBUG
#include <aio.h>
#include <assert.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <threads.h>
#include <unistd.h>
#include <wordexp.h>

struct io_uring;
struct open_how;

/* A row's function type against libc's. An attribute or a top-level
 * qualifier makes no difference. */
#define SAME(name, ret, params)                                              \
	_Static_assert(__builtin_types_compatible_p(__typeof__(name),        \
						    ret params),             \
		       #name ": not the type that libc declares");

#define CHECK_1(name, ret, params)
#define CHECK_0(name, ret, params) SAME(name, ret, params)
#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)

/* UNDECLARED_name is defined, as "~, 1", for those that are left out. */
#define SECOND(a, b, ...) b
#define LEFT_OUT_(...) SECOND(__VA_ARGS__, 0, 0)
#define LEFT_OUT(name) LEFT_OUT_(UNDECLARED_##name, 0)

#define UNDECLARED___poll ~, 1
#define UNDECLARED___poll_chk ~, 1
#define UNDECLARED___read ~, 1
#define UNDECLARED___read_chk ~, 1
#define UNDECLARED___pread64 ~, 1
#define UNDECLARED___libc_pread ~, 1
#define UNDECLARED___pread_chk ~, 1
#define UNDECLARED___pread64_chk ~, 1
#define UNDECLARED___write ~, 1
#define UNDECLARED___munmap ~, 1
#define UNDECLARED___mprotect ~, 1
#define UNDECLARED___pwrite64 ~, 1
#define UNDECLARED___libc_pwrite ~, 1
#define UNDECLARED___open ~, 1
#define UNDECLARED___open64 ~, 1
#define UNDECLARED___open_2 ~, 1
#define UNDECLARED___open64_2 ~, 1
#define UNDECLARED___openat_2 ~, 1
#define UNDECLARED___openat64_2 ~, 1
#define UNDECLARED_openat2 ~, 1
#define UNDECLARED___lseek ~, 1
#define UNDECLARED_llseek ~, 1
#define UNDECLARED___dup2 ~, 1
#define UNDECLARED___fcntl ~, 1
#define UNDECLARED___libc_fcntl64 ~, 1
#define UNDECLARED___backtrace_symbols_fd ~, 1
#define UNDECLARED___close ~, 1
#define UNDECLARED___mmap ~, 1
#define UNDECLARED__IO_fopen ~, 1
#define UNDECLARED__IO_fdopen ~, 1
#define UNDECLARED___vdprintf_chk ~, 1
#define UNDECLARED___fxstat ~, 1
#define UNDECLARED___fstat64 ~, 1
#define UNDECLARED___fxstat64 ~, 1
#define UNDECLARED___xstat ~, 1
#define UNDECLARED___xstat64 ~, 1
#define UNDECLARED___lxstat ~, 1
#define UNDECLARED___lxstat64 ~, 1
#define UNDECLARED___fxstatat ~, 1
#define UNDECLARED___fxstatat64 ~, 1
#define UNDECLARED_fstat64 ~, 1
#define UNDECLARED_stat64 ~, 1
#define UNDECLARED_lstat64 ~, 1
#define UNDECLARED_fstatat64 ~, 1
#define UNDECLARED_io_uring_queue_init ~, 1
#define UNDECLARED_io_uring_queue_init_params ~, 1
#define UNDECLARED_io_uring_queue_init_mem ~, 1
#define UNDECLARED_io_uring_queue_mmap ~, 1
#define UNDECLARED_io_uring_queue_exit ~, 1
#define UNDECLARED_io_uring_submit_and_wait_min_timeout ~, 1
#define UNDECLARED_io_uring_submit_and_wait_reg ~, 1
#define UNDECLARED___io_uring_get_cqe ~, 1
#define UNDECLARED_io_uring_register_files_sparse ~, 1
#define UNDECLARED_io_uring_unregister_files ~, 1
#define UNDECLARED_io_uring_register_eventfd ~, 1
#define UNDECLARED_io_uring_register_eventfd_async ~, 1
#define UNDECLARED_io_uring_register_restrictions ~, 1
#define UNDECLARED_io_submit ~, 1
#define UNDECLARED___longjmp_chk ~, 1
#define UNDECLARED_io_setup ~, 1
#define UNDECLARED_io_destroy ~, 1
#define UNDECLARED_io_cancel ~, 1
#define UNDECLARED_io_getevents ~, 1
#define UNDECLARED_io_pgetevents ~, 1
#define UNDECLARED_io_queue_init ~, 1
#define UNDECLARED_io_queue_release ~, 1
#define UNDECLARED_io_queue_run ~, 1
#define UNDECLARED_io_queue_wait ~, 1
#define UNDECLARED_io_uring_submit ~, 1
#define UNDECLARED_io_uring_submit_and_wait ~, 1
#define UNDECLARED_io_uring_submit_and_wait_timeout ~, 1
#define UNDECLARED_io_uring_submit_and_get_events ~, 1
#define UNDECLARED_io_uring_wait_cqes ~, 1
#define UNDECLARED_io_uring_wait_cqe_timeout ~, 1
#define UNDECLARED_io_uring_enter ~, 1
#define UNDECLARED_io_uring_enter2 ~, 1
#define UNDECLARED_io_uring_setup ~, 1
#define UNDECLARED_io_uring_register ~, 1
#define UNDECLARED_io_uring_register_files ~, 1
#define UNDECLARED_io_uring_register_files_tags ~, 1
#define UNDECLARED_io_uring_register_files_update ~, 1
#define UNDECLARED_io_uring_register_files_update_tag ~, 1
#define UNDECLARED___sigaction ~, 1
#define UNDECLARED_bsd_signal ~, 1
#define UNDECLARED___sysv_signal ~, 1
#define UNDECLARED___sigsuspend ~, 1
#define UNDECLARED___ppoll_chk ~, 1
#define UNDECLARED___libc_system ~, 1
#define UNDECLARED__IO_popen ~, 1
#define UNDECLARED_pidfd_spawn ~, 1
#define UNDECLARED_pidfd_spawnp ~, 1
/* struct aiocb64 is another type of the same layout, and so the shim uses
 * one for both. */
#define UNDECLARED_aio_read64 ~, 1
#define UNDECLARED_aio_write64 ~, 1
#define UNDECLARED_lio_listio64 ~, 1
#define UNDECLARED_aio_fsync64 ~, 1
#define UNDECLARED_aio_suspend64 ~, 1
#define UNDECLARED_aio_cancel64 ~, 1

_Static_assert(sizeof(struct aiocb64) == sizeof(struct aiocb),
	       "one layout for both");

#define FD(need, name, ret, params, args, op, opargs)                        \
	PASTE(CHECK_, LEFT_OUT(name))(name, ret, params)
#define CHK FD
#define AT FD
#define ATCHK FD
#define MADE FD
#define OWN FD
#define ASM FD
/* What libc declares variadic can be checked for its return type alone. */
#define OWNV(need, name, ret, params, args, op, opargs)
#define HAND(need, name, ret, params)                                        \
	PASTE(CHECK_, LEFT_OUT(name))(name, ret, params)
#define UNDECLARED___dprintf_chk ~, 1

/* Libc would rather have nobody use some of them. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include "../../shim/symbols.def"

int main(void)
{
	return 0;
}
