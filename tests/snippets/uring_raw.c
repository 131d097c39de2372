/*
 * uring_raw WAY FILE OFFSET LENGTH BYTE: reads or fills the range through a ring that is made by syscall() and entered by
 * an instruction of the client's own, as fio has it. What else a WAY is about, its function says.
 * uring_raw --list: every WAY, one a line. Status 77 where this kernel has no such rings.
 * build: -pthread
 */
#include "client.h"
#include "own_call.h"
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>

#define NO_MMAP (1u << 14)
#define NO_SQARRAY (1u << 16)
#define ENTRIES 64

struct ring {
	int fd;
	unsigned flags, mask, cq_mask, stride;
	unsigned *head, *tail, *array, *sq_flags, *cq_head, *cq_tail;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static int file;
static int64_t at;
static size_t length;
static unsigned char *buf;
static struct iovec iov[5];
static int pieces;
/* by whose instruction */
static long (*caller)(long number, long a, long b, long c, long d, long e, long f) = own_call_errno;

static long libc_call(long number, long a, long b, long c, long d, long e, long f)
{
	return syscall(number, a, b, c, d, e, f);
}

/* ---- rings ---- */

static void *shared(size_t bytes, int fd, off_t offset)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, offset);

	if (p == MAP_FAILED)
		trouble("mmap");
	return p;
}

static struct ring make_by(long (*how)(long, long, long, long, long, long, long), unsigned flags)
{
	struct io_uring_params p = { .flags = flags };
	struct ring ring;
	char *base, *sqes;

	if (flags & NO_MMAP) {
		base = shared(4096, -1, 0);
		sqes = shared(4096, -1, 0);
		memcpy(&p.cq_off.resv1 + 1, &base, sizeof(base));
		memcpy(&p.sq_off.resv1 + 1, &sqes, sizeof(sqes));
	}
	ring.fd = (int)how(SYS_io_uring_setup, flags & NO_MMAP ? 16 : ENTRIES, (long)&p, 0, 0, 0, 0);
	if (ring.fd < 0) {
		if (errno == EINVAL)
			absent("such a ring");
		exit(result(-1));
	}
	if (!(flags & NO_MMAP)) {
		base = shared(p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe) + 8 * ENTRIES, ring.fd, IORING_OFF_SQ_RING);
		sqes = shared(p.sq_entries * sizeof(struct io_uring_sqe) * (flags & IORING_SETUP_SQE128 ? 2 : 1), ring.fd,
			IORING_OFF_SQES);
	}
	ring.flags = flags;
	ring.stride = flags & IORING_SETUP_SQE128 ? 2 : 1;
#define WORD(offset) ((unsigned *)(void *)(base + p.offset))
	ring.mask = *WORD(sq_off.ring_mask);
	ring.cq_mask = *WORD(cq_off.ring_mask);
	ring.head = WORD(sq_off.head);
	ring.tail = WORD(sq_off.tail);
	ring.sq_flags = WORD(sq_off.flags);
	ring.array = flags & NO_SQARRAY ? NULL : WORD(sq_off.array);
	ring.cq_head = WORD(cq_off.head);
	ring.cq_tail = WORD(cq_off.tail);
	ring.sqes = (void *)sqes;
	ring.cqes = (void *)WORD(cq_off.cqes);
	return ring;
}

static struct ring make(unsigned flags) { return make_by(libc_call, flags); }

/* a request, not yet handed over */
static struct io_uring_sqe *request(struct ring *r, unsigned char opcode, const void *addr, unsigned len, int64_t offset)
{
	unsigned tail = *r->tail & r->mask;
	struct io_uring_sqe *sqe = &r->sqes[tail * r->stride];

	memset(sqe, 0, sizeof(*sqe) * r->stride);
	sqe->opcode = opcode;
	sqe->fd = file;
	sqe->addr = (uintptr_t)addr;
	sqe->len = len;
	sqe->off = (uint64_t)offset;
	sqe->user_data = 7;
	if (r->array)
		r->array[tail] = tail;
	return sqe;
}

static void hand_over(struct ring *r)
{
	__atomic_store_n(r->tail, *r->tail + 1, __ATOMIC_RELEASE);
}

static int enter(struct ring *r, unsigned count, unsigned wait, unsigned flags)
{
	return (int)caller(SYS_io_uring_enter, r->fd, count, wait, flags, 0, 0);
}

static bool take(struct ring *r, int *res)
{
	unsigned head = *r->cq_head;

	if (head == __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE))
		return false;
	*res = r->cqes[head & r->cq_mask].res;
	__atomic_store_n(r->cq_head, head + 1, __ATOMIC_RELEASE);
	return true;
}

static int tell(int res)
{
	if (res < 0)
		errno = -res;
	if (result(res < 0 ? -1 : res))
		return 1;
	printf("digest=%016llx\n", (unsigned long long)digest(buf, length));
	return 0;
}

/* hands over what was requested, and waits */
static int finish(struct ring *r)
{
	int ret, res;

	hand_over(r);
	ret = enter(r, 1, 1, IORING_ENTER_GETEVENTS);
	if (ret != 1) {
		printf("entered: %d ", ret);
		return result(-1);
	}
	return take(r, &res) ? tell(res) : 2;
}

static int read_all(struct ring *r)
{
	request(r, IORING_OP_READ, buf, (unsigned)length, at);
	return finish(r);
}

/* ---- the ways ---- */

static int with_flags(unsigned flags)
{
	struct ring r = make(flags);

	return read_all(&r);
}

static int way_read(void) { return with_flags(0); }
/* the second of them is not at twice the size of one */
static int way_sqe128(void)
{
	struct ring r = make(IORING_SETUP_SQE128);

	return read_all(&r) || read_all(&r);
}

static int way_no_sqarray(void) { return with_flags(NO_SQARRAY); }
static int way_no_mmap(void) { return with_flags(NO_MMAP); }
static int way_deferred(void) { return with_flags(IORING_SETUP_SINGLE_ISSUER | (1u << 13)); }

static int way_libc(void)
{
	caller = libc_call;
	return with_flags(0);
}

/* its making, too */
static int way_own(void)
{
	struct ring r = make_by(own_call_errno, 0);

	return read_all(&r);
}

static int way_readv(void)
{
	struct ring r = make(0);

	request(&r, IORING_OP_READV, iov, (unsigned)pieces, at);
	return finish(&r);
}

static int way_write(void)
{
	struct ring r = make(0);

	request(&r, IORING_OP_WRITE, buf, (unsigned)length, at);
	return finish(&r);
}

static int way_fixed(void)
{
	struct iovec whole = { buf, length };
	struct ring r = make(0);

	if (syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_BUFFERS, &whole, 1))
		trouble("buffers");
	request(&r, IORING_OP_READ_FIXED, buf, (unsigned)length, at);
	return finish(&r);
}

static int way_files(void)
{
	struct ring r = make(0);
	struct io_uring_sqe *sqe;

	if (caller(SYS_io_uring_register, r.fd, IORING_REGISTER_FILES, (long)&file, 1, 0, 0))
		return result(-1);
	sqe = request(&r, IORING_OP_READ, buf, (unsigned)length, at);
	sqe->fd = 0;
	sqe->flags = IOSQE_FIXED_FILE;
	return finish(&r);
}

/* Submits as fio and liburing do where the kernel polls: says nothing as long as the flag does not ask for it, and
 * never says how many. */
static int way_sqpoll(void)
{
	struct ring r = make(IORING_SETUP_SQPOLL);
	int res, sum = 0, ret = 0;

	for (int i = 0; i < 4; i++) {
		request(&r, IORING_OP_READ, buf + length / 4 * (size_t)i, (unsigned)length / 4, at + (int64_t)length / 4 * i);
		hand_over(&r);
	}
	atomic_thread_fence(memory_order_seq_cst);
	if (__atomic_load_n(r.sq_flags, __ATOMIC_ACQUIRE) & IORING_SQ_NEED_WAKEUP)
		ret = enter(&r, 0, 0, IORING_ENTER_SQ_WAKEUP);
	for (int done = 0; done < 4 && ret == 0;)
		if (take(&r, &res)) {
			sum += res;
			done++;
		}
	return ret ? result(-1) : tell(sum);
}

/* what enter says where the kernel polls */
static int way_sqpoll_counts(void)
{
	struct ring r = make(IORING_SETUP_SQPOLL);
	int res, ret;

	request(&r, IORING_OP_READ, buf, (unsigned)length, at);
	hand_over(&r);
	ret = enter(&r, 5, 0, IORING_ENTER_SQ_WAKEUP);
	printf("entered: %d\n", ret);
	ret = enter(&r, 0, 1, IORING_ENTER_SQ_WAKEUP | IORING_ENTER_GETEVENTS);
	printf("waited: %d\n", ret);
	printf("entered with nothing: %d\n", enter(&r, 3, 0, IORING_ENTER_SQ_WAKEUP));
	return take(&r, &res) ? tell(res) : 2;
}

/* the table's index in place of a descriptor: the twin of what older kernels say */
static int way_ring_fds(void)
{
	struct ring r = make(0);
	struct io_uring_rsrc_update update = { .offset = ~0u, .data = (uint64_t)r.fd };
	int ret = (int)caller(SYS_io_uring_register, r.fd, IORING_REGISTER_RING_FDS, (long)&update, 1, 0, 0), res;

	if (ret != 1)
		return errno == EINVAL ? read_all(&r) : result(-1);
	request(&r, IORING_OP_READ, buf, (unsigned)length, at);
	hand_over(&r);
	caller(SYS_io_uring_enter, (long)update.offset, 1, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING, 0, 0);
	return take(&r, &res) ? tell(res) : 2;
}

/* ---- threads and processes ---- */

static struct ring ours;
static atomic_int stage;
static int status;

static void *submits(void *unused)
{
	while (stage == 0)
		;
	status = read_all(&ours);
	return unused;
}

static void *submits_blocked(void *unused)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	stage = -1;
	while (stage < 1)
		;
	status = read_all(&ours);
	return unused;
}

/* waits in a system call meanwhile, which must not notice */
static int ends[2];
static void *submits_woken(void *unused)
{
	char byte;

	stage = -1;
	if (read(ends[0], &byte, 1) != 1)
		trouble("read");
	status = read_all(&ours);
	return unused;
}

/* BEFORE: the thread is there when the ring is made */
static int in_thread(void *(*function)(void *), bool before)
{
	pthread_t thread;

	if (!before)
		ours = make(0);
	if (pthread_create(&thread, NULL, function, NULL))
		trouble("pthread_create");
	if (function != submits)
		while (stage == 0)
			;
	if (before) {
		usleep(20000);
		ours = make(0);
	}
	stage = 1;
	if (function == submits_woken && write(ends[1], "x", 1) != 1)
		trouble("write");
	pthread_join(thread, NULL);
	return status;
}

static int way_thread_before(void) { return in_thread(submits, true); }
static int way_thread_after(void) { return in_thread(submits, false); }
static int way_thread_blocked(void) { return in_thread(submits_blocked, true); }
static int way_thread_waits(void)
{
	if (pipe(ends))
		trouble("pipe");
	return in_thread(submits_woken, true);
}

/* those who wait with a time limit, all signals blocked, while the ring is made: nothing may interrupt them */
static char waited[5][80];
static int quiet[2];
#define WAITER(index, call) do { \
		int ret = call; \
		snprintf(waited[index], sizeof(waited[index]), #call ": %d %s", ret, ret < 0 ? errno_name(errno) : ""); \
	} while (0)

static void *waits(void *which)
{
	struct timespec tenth = { 0, 100000000 };
	struct timeval tenth_ = { 0, 100000 };
	struct pollfd poll_in = { quiet[0], POLLIN, 0 };
	struct epoll_event event;
	sigset_t all;
	fd_set in;
	sem_t semaphore;
	struct timespec soon;
	int fd = epoll_create1(0);

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	FD_ZERO(&in);
	FD_SET(quiet[0], &in);
	sem_init(&semaphore, 0, 0);
	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_sec++;
	switch ((intptr_t)which) {
	case 0: WAITER(0, select(quiet[0] + 1, &in, NULL, NULL, &tenth_)); break;
	case 1: WAITER(1, poll(&poll_in, 1, 100)); break;
	case 2: WAITER(2, nanosleep(&tenth, NULL)); break;
	case 3: WAITER(3, epoll_wait(fd, &event, 1, 100)); break;
	case 4: WAITER(4, sem_timedwait(&semaphore, &soon)); break;
	}
	return NULL;
}

static int way_waiters(void)
{
	pthread_t thread[5];

	if (pipe(quiet))
		trouble("pipe");
	for (intptr_t i = 0; i < 5; i++)
		if (pthread_create(&thread[i], NULL, waits, (void *)i))
			trouble("pthread_create");
	usleep(40000);
	ours = make(0);
	for (int i = 0; i < 5; i++) {
		pthread_join(thread[i], NULL);
		puts(waited[i]);
	}
	return read_all(&ours);
}

/* with a mask of all but one while it waits, whose handler reads */
static volatile int came;
static void comes(int number)
{
	came += number == SIGALRM && own_syscall(SYS_pread64, file, buf, length, at) == (ssize_t)length;
}

static int way_masked(void)
{
	struct io_uring_getevents_arg argument = { .sigmask_sz = 8 };
	uint64_t all_but = ~(1ull << (SIGALRM - 1));
	struct ring r = make(0);
	int ret;

	signal(SIGALRM, comes);
	argument.sigmask = (uintptr_t)&all_but;
	ualarm(10000, 0);
	ret = (int)caller(SYS_io_uring_enter, r.fd, 0, 1, IORING_ENTER_GETEVENTS, (long)&all_but, 8);
	printf("waited: %d %s\n", ret, errno_name(errno));
	ualarm(10000, 0);
	ret = (int)caller(SYS_io_uring_enter, r.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, (long)&argument,
		sizeof(argument));
	printf("waited: %d %s, came %d\n", ret, errno_name(errno), came);
	return read_all(&r);
}

static int c11(void *unused)
{
	(void)unused;
	return read_all(&ours);
}

static int way_c11_thread(void)
{
	thrd_t thread;
	int ret = 2;

	ours = make(0);
	if (thrd_create(&thread, c11, NULL) != thrd_success)
		trouble("thrd_create");
	thrd_join(thread, &ret);
	return ret;
}

static int in_child(pid_t pid)
{
	int ret;

	if (pid == 0) {
		ret = read_all(&ours);
		fflush(stdout);
		_exit(ret);
	}
	if (waitpid(pid, &ret, 0) != pid)
		trouble("waitpid");
	return WIFEXITED(ret) ? WEXITSTATUS(ret) : 128 + WTERMSIG(ret);
}

/* the last thread of the program's ends by an instruction, and the process with it */
static int way_exit(void)
{
	struct ring r = make(0);
	int ret = read_all(&r);

	fflush(stdout);
	own_call(SYS_exit, ret, 0, 0, 0, 0, 0);
	return 2;
}

static int way_child_of_fork(void)
{
	ours = make(0);
	return in_child(fork());
}

static int way_child_of_syscall(void)
{
	ours = make(0);
	return in_child((pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static int way_child_of_own(void)
{
	ours = make(0);
	return in_child((pid_t)own_call(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0));
}

static int way_child_makes(void)
{
	pid_t pid = fork();

	if (pid == 0)
		ours = make(0);
	return in_child(pid);
}

/* Three who hand over one after the other and enter side by side. None waits: another might take what it waits for. */
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static atomic_int taken;
static void *submits_many(void *failed)
{
	for (int i = 0; i < 1000; i++) {
		int res;

		pthread_mutex_lock(&order);
		request(&ours, IORING_OP_READ, buf, (unsigned)length, at);
		hand_over(&ours);
		pthread_mutex_unlock(&order);
		if (enter(&ours, 1, 0, 0) != 1)
			return failed;
		pthread_mutex_lock(&order);
		while (take(&ours, &res)) {
			taken++;
			if (res != (int)length)
				return failed;
		}
		pthread_mutex_unlock(&order);
	}
	return NULL;
}

static int way_side_by_side(void)
{
	pthread_t thread[3];
	void *failed = NULL, *one;

	ours = make(0);
	for (size_t i = 0; i < 3; i++)
		if (pthread_create(&thread[i], NULL, submits_many, &taken))
			trouble("pthread_create");
	for (size_t i = 0; i < 3; i++) {
		pthread_join(thread[i], &one);
		failed = one ? one : failed;
	}
	for (int res; taken < 3000 && !failed;)
		if (take(&ours, &res))
			taken++;
		else
			enter(&ours, 0, 1, IORING_ENTER_GETEVENTS);
	return failed ? 2 : tell((int)length);
}

#define WAYS(X) X(read) X(readv) X(write) X(fixed) X(files) X(sqpoll) X(sqpoll_counts) X(sqe128) X(no_sqarray) X(no_mmap) \
	X(deferred) X(libc) X(own) X(ring_fds) X(thread_before) X(thread_after) X(thread_blocked) X(thread_waits) X(waiters) X(masked) X(exit) \
	X(c11_thread) X(child_of_fork) X(child_of_syscall) X(child_of_own) X(child_makes) X(side_by_side)

/* Apart from the others: by another descriptor than its own, of which nobody knows what it is. */
static int way_copy(void)
{
	ours = make(0);
	ours.fd = dup(ours.fd);
	return read_all(&ours);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--list")) {
#define L(name) puts(#name);
		WAYS(L)
		return 0;
	}
	if (argc != 6)
		usage("uring_raw WAY FILE OFFSET LENGTH BYTE");
	file = open(argv[2], O_RDWR);
	if (file == -1)
		trouble("open");
	at = number(argv[3]);
	length = (size_t)number(argv[4]);
	buf = buffer(length, strstr(argv[1], "write") ? (int)number(argv[5]) : 0xee);
	pieces = cut(iov, buf, length);
#define W(name) if (!strcmp(argv[1], #name)) return way_##name();
	WAYS(W)
	W(copy)
	usage("unknown WAY");
}
