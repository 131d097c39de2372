/* ops: what the rows of symbols.def call; one function per operation, in the
 * file of its family.
 *
 * Those of FD and CHK rows get the pair that the descriptor belongs to; all
 * get the name of the symbol the program called. They return what that
 * symbol returns, errno set accordingly.
 */
#ifndef BV_OPS_H
#define BV_OPS_H

#include <blkverify/disk.h>

#include "symbols.h"

/* wrap_rw.c */
ssize_t op_read(struct bv_disk *disk, const char *call, int fd, void *buf, size_t n);
ssize_t op_pread(struct bv_disk *disk, const char *call, int fd, void *buf, size_t n, off64_t offset);
ssize_t op_readv(struct bv_disk *disk, const char *call, int fd, const struct iovec *iov, int count);
ssize_t op_preadv(struct bv_disk *disk, const char *call, int fd, const struct iovec *iov, int count, off64_t offset);
ssize_t op_preadv2(struct bv_disk *disk, const char *call, int fd, const struct iovec *iov, int count, off64_t offset, int flags);
int op_eventfd_read(struct bv_disk *disk, const char *call, int fd, eventfd_t *value);
ssize_t op_write(struct bv_disk *disk, const char *call, int fd, const void *buf, size_t n);
ssize_t op_pwrite(struct bv_disk *disk, const char *call, int fd, const void *buf, size_t n, off64_t offset);
ssize_t op_writev(struct bv_disk *disk, const char *call, int fd, const struct iovec *iov, int count);
ssize_t op_pwritev(struct bv_disk *disk, const char *call, int fd, const struct iovec *iov, int count, off64_t offset);
ssize_t op_pwritev2(struct bv_disk *disk, const char *call, int fd, const struct iovec *iov, int count, off64_t offset, int flags);
int op_eventfd_write(struct bv_disk *disk, const char *call, int fd, eventfd_t value);

/* wrap_open.c */
int op_open(const char *call, int (*real)(const char *, int, mode_t), const char *path, int flags, mode_t mode);
int op_open_2(const char *call, int (*real)(const char *, int), const char *path, int flags);
int op_openat(const char *call, int (*real)(int, const char *, int, mode_t), int dirfd, const char *path, int flags, mode_t mode);
int op_openat_2(const char *call, int (*real)(int, const char *, int), int dirfd, const char *path, int flags);
int op_creat(const char *call, int (*real)(const char *, mode_t), const char *path, mode_t mode);
int op_open_by_handle(const char *call, int mountfd, struct file_handle *handle, int flags);
int op_openat2(const char *call, int dirfd, const char *path, const struct open_how *how, size_t size);

/* wrap_fd.c */
off64_t op_lseek(struct bv_disk *disk, const char *call, int fd, off64_t offset, int whence);
int op_made(const char *call, int fd);
int op_dup3(const char *call, int fd, int fd2, int flags);   /* flags -1: dup2 */
int op_fcntl(const char *call, int (*real)(int, int, void *), int fd, int command, void *argument);
int op_close(const char *call, int (*real)(int), int fd);
int op_close_range(const char *call, unsigned first, unsigned last, int flags);
void op_closefrom(const char *call, int low);
ssize_t op_recvmsg(const char *call, int fd, struct msghdr *message, int flags);
int op_recvmmsg(const char *call, int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout);

/* wrap_space.c */
int op_ftruncate(struct bv_disk *disk, const char *call, int fd, off64_t length);
int op_truncate(const char *call, const char *path, off64_t length);
int op_fallocate(struct bv_disk *disk, const char *call, int fd, int mode, off64_t offset, off64_t length);
int op_posix_fallocate(struct bv_disk *disk, const char *call, int fd, off64_t offset, off64_t length);

/* wrap_stat.c: result is what the real call returned */
int op_fstat(struct bv_disk *disk, const char *call, int (*real)(int, struct stat *), int fd, struct stat *st);
int op_stated(const char *call, int result, int fd, const struct stat *st);
int op_statxed(const char *call, int result, const struct statx *st);

/* wrap_sync.c */
int op_sync(struct bv_disk *disk, const char *call, int fd, int (*real)(int));
void op_sync_all(const char *call);
int op_sync_file_range(struct bv_disk *disk, const char *call, int fd, off64_t offset, off64_t n, unsigned flags);

/* wrap_mmap.c */
void *op_mmap(const char *call, void *address, size_t n, int protection, int flags, int fd, off64_t offset);
int op_munmap(const char *call, void *address, size_t n);
void *op_mremap(const char *call, void *old, size_t n, size_t wanted, int flags, void *address);
int op_remap_file_pages(const char *call, void *address, size_t n, int protection, size_t page, int flags);
int op_mprotect(const char *call, void *address, size_t n, int protection);
int op_pkey_mprotect(const char *call, void *address, size_t n, int protection, int key);
int op_msync(const char *call, void *address, size_t n, int flags);

/* wrap_copy.c */
ssize_t op_copy_file_range(const char *call, int in, off64_t *inoffset, int out, off64_t *outoffset, size_t n, unsigned flags);
ssize_t op_sendfile(const char *call, int out, int in, off64_t *offset, size_t n);
ssize_t op_splice(const char *call, int in, off64_t *inoffset, int out, off64_t *outoffset, size_t n, unsigned flags);

/* wrap_ioctl.c */
int op_ioctl(const char *call, int fd, unsigned long request, void *argument);
bool bv_ioctl_concerns(int fd, unsigned long request, const void *argument);   /* a target? */

/* wrap_mount.c */
int op_mount(const char *call, const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int op_fsconfig(const char *call, int fd, unsigned command, const char *key, const void *value, int aux);
int op_swapon(const char *call, const char *path, int flags);
int op_acct(const char *call, const char *path);

/* wrap_stdio.c */
FILE *op_fopen(const char *call, FILE *(*real)(const char *, const char *), const char *path, const char *mode);
FILE *op_freopen(const char *call, FILE *(*real)(const char *, const char *, FILE *), const char *path, const char *mode, FILE *stream);
FILE *op_fdopen(const char *call, FILE *(*real)(int, const char *), int fd, const char *mode);
int op_vdprintf(struct bv_disk *disk, const char *call, int fd, const char *format, va_list list);
int op_vdprintf_chk(struct bv_disk *disk, const char *call, int fd, int flag, const char *format, va_list list);
void op_backtrace_symbols_fd(const char *call, void *const *buffer, int size, int fd);

/* wrap_aio.c */
int op_aio(const char *call, int (*real)(struct aiocb *), struct aiocb *cb);
int op_lio_listio(const char *call, int (*real)(int, struct aiocb *const *, int, struct sigevent *), int mode, struct aiocb *const *list, int count, struct sigevent *event);
int op_aio_fsync(const char *call, int (*real)(int, struct aiocb *), int operation, struct aiocb *cb);
int op_aio_suspend(const char *call, int (*real)(const struct aiocb *const *, int, const struct timespec *), const struct aiocb *const *list, int count, const struct timespec *timeout);
int op_aio_cancel(const char *call, int (*real)(int, struct aiocb *), int fd, struct aiocb *cb);

/* wrap_libaio.c */
int op_io_setup(const char *call, int count, void **context);
int op_io_destroy(const char *call, void *context);
int op_io_submit(const char *call, void *context, long count, struct iocb **list);
int op_io_cancel(const char *call, void *context, struct iocb *cb, struct io_event *event);
int op_io_getevents(const char *call, void *context, long least, long most, struct io_event *events, struct timespec *timeout);
int op_io_pgetevents(const char *call, void *context, long least, long most, struct io_event *events, struct timespec *timeout, sigset_t *mask);
int op_io_queue_init(const char *call, int count, void **context);
int op_io_queue_release(const char *call, void *context);
int op_io_queue_run(const char *call, void *context);
int op_io_queue_wait(const char *call, void *context, struct timespec *timeout);
bool bv_libaio_syscall(long number, const long w[6], long *result);

/* wrap_uring.c */
int op_uring_queue_init(const char *call, unsigned entries, struct io_uring *ring, unsigned flags);
int op_uring_queue_init_params(const char *call, unsigned entries, struct io_uring *ring, void *params);
int op_uring_queue_init_mem(const char *call, unsigned entries, struct io_uring *ring, void *params, void *memory, size_t size);
int op_uring_queue_mmap(const char *call, int fd, void *params, struct io_uring *ring);
void op_uring_queue_exit(const char *call, struct io_uring *ring);
int op_uring_submit(const char *call, struct io_uring *ring);
int op_uring_submit_and_wait(const char *call, struct io_uring *ring, unsigned count);
int op_uring_submit_and_wait_timeout(const char *call, struct io_uring *ring, void **cqe, unsigned count, void *timeout, void *mask);
int op_uring_submit_and_wait_min_timeout(const char *call, struct io_uring *ring, void **cqe, unsigned count, void *timeout, unsigned minimum, void *mask);
int op_uring_submit_and_wait_reg(const char *call, struct io_uring *ring, void **cqe, unsigned count, int index);
int op_uring_submit_and_get_events(const char *call, struct io_uring *ring);
int op_uring_wait_cqes(const char *call, struct io_uring *ring, void **cqe, unsigned count, void *timeout, void *mask);
int op_uring_wait_cqe_timeout(const char *call, struct io_uring *ring, void **cqe, void *timeout);
int op_uring_get_cqe(const char *call, struct io_uring *ring, void **cqe, unsigned count, unsigned wait, void *mask);
int op_uring_enter(const char *call, unsigned fd, unsigned count, unsigned wait, unsigned flags, void *mask);
int op_uring_enter2(const char *call, unsigned fd, unsigned count, unsigned wait, unsigned flags, void *argument, size_t size);
int op_uring_setup(const char *call, unsigned entries, void *parameters);
int bv_uring_setup(const char *call, unsigned entries, void *parameters);   /* a negative errno */
int bv_uring_enter(const char *call, unsigned fd, unsigned count, unsigned wait, unsigned flags, void *argument, size_t size);   /* a negative errno */

/* wrap_uring_register.c */
int op_uring_register(const char *call, unsigned fd, unsigned code, const void *argument, unsigned count);
int op_uring_register_files(const char *call, struct io_uring *ring, const int *fds, unsigned count);
int op_uring_register_files_tags(const char *call, struct io_uring *ring, const int *fds, const void *tags, unsigned count);
int op_uring_register_files_sparse(const char *call, struct io_uring *ring, unsigned count);
int op_uring_register_files_update(const char *call, struct io_uring *ring, unsigned offset, const int *fds, unsigned count);
int op_uring_register_files_update_tag(const char *call, struct io_uring *ring, unsigned offset, const int *fds, const void *tags, unsigned count);
int op_uring_unregister_files(const char *call, struct io_uring *ring);
int op_uring_register_eventfd(const char *call, struct io_uring *ring, int fd);
int op_uring_register_eventfd_async(const char *call, struct io_uring *ring, int fd);
int op_uring_register_restrictions(const char *call, struct io_uring *ring, void *restrictions, unsigned count);
int bv_uring_register(const char *call, unsigned fd, unsigned code, const void *argument, unsigned count);   /* likewise */

/* wrap_syscall.c */
bool bv_syscall(long number, const long w[6], long *result);   /* true: it has a meaning here, and is done */
long op_syscall(const char *call, long number, long a, long b, long c, long d, long e, long f);

/* wrap_signal.c */
bool bv_signal_syscall(long number, const long w[6], long *result);
int op_sigaction(const char *call, int (*real)(int, const struct sigaction *, struct sigaction *), int number, const struct sigaction *action, struct sigaction *former);
sighandler_t op_signal(const char *call, sighandler_t (*real)(int, sighandler_t), int flags, int number, sighandler_t handler);
int op_sigprocmask(const char *call, int (*real)(int, const sigset_t *, sigset_t *), int how, const sigset_t *set, sigset_t *former);
int op_sigmask_bits(const char *call, int (*real)(int), int how, int mask);
int op_sighold(const char *call, int (*real)(int), int how, int number);
int op_sigignore(const char *call, int number);
sighandler_t op_sigset(const char *call, int number, sighandler_t disposition);
int op_sigpause(const char *call, int (*real)(int), int mask);
int op_sigsuspend(const char *call, int (*real)(const sigset_t *), const sigset_t *mask);
int op_prctl(const char *call, int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);

/* The mask as it may be while system calls are trapped. */
const sigset_t *bv_signal_fit(const sigset_t *mask, sigset_t *copy);

/* wrap_poll.c */
int op_poll(const char *call, struct pollfd *fds, nfds_t count, int timeout);
int op_poll_chk(const char *call, struct pollfd *fds, nfds_t count, int timeout, size_t size);
int op_ppoll(const char *call, struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask);
int op_ppoll_chk(const char *call, struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t size);
int op_pselect(const char *call, int count, fd_set *in, fd_set *out, fd_set *exceptional, const struct timespec *timeout, const sigset_t *mask);
int op_epoll_wait(const char *call, int fd, struct epoll_event *events, int most, int timeout);
int op_epoll_pwait(const char *call, int fd, struct epoll_event *events, int most, int timeout, const sigset_t *mask);
int op_epoll_pwait2(const char *call, int fd, struct epoll_event *events, int most, const struct timespec *timeout, const sigset_t *mask);

/* wrap_thread.c */
int op_pthread_create(const char *call, pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *), void *argument);
int op_thrd_create(const char *call, thrd_t *thread, int (*function)(void *), void *argument);

/* wrap_exec.c */
int op_exec(const char *call, const char *path, char *const argv[], char *const envp[]);
int op_execp(const char *call, const char *file, char *const argv[], char *const envp[]);
int op_fexecve(const char *call, int fd, char *const argv[], char *const envp[]);
int op_execveat(const char *call, int dirfd, const char *path, char *const argv[], char *const envp[], int flags);
int op_spawn(const char *call, int (*real)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const [], char *const []), bool search, pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]);
int op_system(const char *call, int (*real)(const char *), const char *command);
FILE *op_popen(const char *call, FILE *(*real)(const char *, const char *), const char *command, const char *mode);
int op_wordexp(const char *call, const char *words, wordexp_t *result, int flags);

/* wrap_dl.c */
void *op_dlmopen(const char *call, Lmid_t namespace, const char *path, int flags);

/* wrap_proc.c */
void op_longjmp(const char *call, void (*real)(struct __jmp_buf_tag *, int), struct __jmp_buf_tag *env, int value) __attribute__((noreturn));
void bv_child_begun(void);   /* in the child of any kind of fork */
void bv_leave(void);         /* the process is about to end */
pid_t op__Fork(const char *call);
int op_clone(const char *call, int (*entry)(void *), void *stack, int flags, void *argument, void *parent, void *tls, void *child);
int op_unshare(const char *call, int flags);
void op__exit(const char *call, int status) __attribute__((noreturn));
long op_exit_thread(int status);
void op_abort(const char *call) __attribute__((noreturn));
void op_assert(const char *call, const char *assertion, const char *file, int line) __attribute__((noreturn));
void op_assert_fail(const char *call, const char *assertion, const char *file, unsigned line, const char *function) __attribute__((noreturn));
void op_assert_perror_fail(const char *call, int error, const char *file, unsigned line, const char *function) __attribute__((noreturn));

#endif
