/* uring_post: completions; see uring.h.
 *
 * Each thread that sends them has a small ring of its own, made when it is
 * first needed. It is known to the kernel by an index of that thread's, and
 * its descriptor is closed at once: nothing that the program could close,
 * or find in its way. */
#include <string.h>
#include <sys/mman.h>

#include <blkverify/own.h>
#include <blkverify/policy.h>
#include <blkverify/thread.h>

#include "../src/raw.h"
#include "guard.h"
#include "uring.h"

/* A ring of ours. */
struct sender {
	int index;                   /* as registered with this thread */
	unsigned char *queue;        /* what is shared with the kernel */
	size_t length;
	unsigned *sq_tail, *sq_array, sq_mask;
	unsigned *cq_head, *cq_tail, cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static __thread struct sender *mine;

enum { UNKNOWN, POSSIBLE, IMPOSSIBLE };
static atomic_int possible;

static int setup(struct io_uring_params *params)
{
	memset(params, 0, sizeof(*params));
	return (int)raw_call(SYS_io_uring_setup, 2, (long)params, 0, 0, 0, 0);
}

static int enroll(int fd, unsigned code, void *argument, unsigned count)
{
	return (int)raw_call(SYS_io_uring_register, fd, code, (long)argument,
			     count, 0, 0);
}

/* Newer requests than those known here may well be left out. */
enum { OPS = 64 };
static _Atomic uint64_t ops;         /* bit n: the kernel has opcode n */

static bool has_message(int fd)
{
	_Alignas(8) unsigned char room[sizeof(struct io_uring_probe) +
				       OPS * sizeof(struct io_uring_probe_op)];
	struct io_uring_probe *probe = (void *)room;
	uint64_t found = 0;

	memset(room, 0, sizeof(room));
	if (enroll(fd, IORING_REGISTER_PROBE, probe, OPS) < 0)
		return false;
	for (unsigned i = 0; i < OPS; i++)
		if (probe->ops[i].flags & IO_URING_OP_SUPPORTED)
			found |= (uint64_t)1 << i;
	atomic_store(&ops, found);
	return found >> IORING_OP_MSG_RING & 1;
}

bool bv_post_knows(unsigned opcode)
{
	return opcode < OPS && atomic_load(&ops) >> opcode & 1;
}

/* The index by which this thread may enter fd, or a negative errno. */
static int take_index(int fd)
{
	struct io_uring_rsrc_update update = {
		.offset = ~0u, .data = (uint64_t)fd,
	};
	int result = enroll(fd, IORING_REGISTER_RING_FDS, &update, 1);

	return result < 0 ? result : result == 1 ? (int)update.offset : -EBUSY;
}

static void give_index(int fd, int index)
{
	struct io_uring_rsrc_update update = { .offset = (unsigned)index };

	enroll(fd, IORING_UNREGISTER_RING_FDS, &update, 1);
}

bool bv_post_possible(void)
{
	struct io_uring_params params;
	int fd, index = -1;

	if (atomic_load(&possible) != UNKNOWN)
		return atomic_load(&possible) == POSSIBLE;
	fd = setup(&params);
	/* Out of descriptors or memory: asked again next time. */
	if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
		return false;
	if (fd >= 0 && has_message(fd))
		index = take_index(fd);
	if (index >= 0)
		give_index(fd, index);
	if (fd >= 0)
		raw_close(fd);
	atomic_store(&possible, index >= 0 ? POSSIBLE : IMPOSSIBLE);
	return index >= 0;
}

static void describe(struct sender *s, const struct io_uring_params *p)
{
	unsigned char *queue = s->queue;

	s->sq_tail = (unsigned *)(void *)(queue + p->sq_off.tail);
	s->sq_array = (unsigned *)(void *)(queue + p->sq_off.array);
	s->sq_mask = *(unsigned *)(void *)(queue + p->sq_off.ring_mask);
	s->cq_head = (unsigned *)(void *)(queue + p->cq_off.head);
	s->cq_tail = (unsigned *)(void *)(queue + p->cq_off.tail);
	s->cq_mask = *(unsigned *)(void *)(queue + p->cq_off.ring_mask);
	s->cqes = (struct io_uring_cqe *)(void *)(queue + p->cq_off.cqes);
}

static void *map(size_t length, int flags, int fd, uint64_t offset)
{
	return raw_mmap(NULL, length, PROT_READ | PROT_WRITE, flags, fd, offset);
}

/* Both queues in one mapping: IORING_FEAT_SINGLE_MMAP is older than
 * messages. */
static bool map_ring(struct sender *s, int fd, const struct io_uring_params *p)
{
	size_t array = p->sq_off.array + p->sq_entries * sizeof(unsigned);

	s->length = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	if (s->length < array)
		s->length = array;
	s->queue = map(s->length, MAP_SHARED | MAP_POPULATE, fd,
		       IORING_OFF_SQ_RING);
	s->sqes = map(p->sq_entries * sizeof(struct io_uring_sqe),
		      MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQES);
	if (raw_is_error(s->queue) || raw_is_error(s->sqes))
		return false;
	describe(s, p);
	return true;
}

static void unmap(struct sender *s, const struct io_uring_params *p)
{
	if (!raw_is_error(s->queue))
		raw_munmap(s->queue, s->length);
	if (!raw_is_error(s->sqes))
		raw_munmap(s->sqes, p->sq_entries * sizeof(struct io_uring_sqe));
	raw_munmap(s, sizeof(*s));
}

static struct sender *make_sender(void)
{
	struct io_uring_params params;
	struct sender *s = map(sizeof(*s), MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd;

	if (raw_is_error(s))
		return NULL;
	fd = setup(&params);
	if (fd < 0) {
		raw_munmap(s, sizeof(*s));
		return NULL;
	}
	s->index = map_ring(s, fd, &params) ? take_index(fd) : -1;
	raw_close(fd);
	if (s->index >= 0)
		return s;
	unmap(s, &params);
	return NULL;
}

static void __attribute__((noreturn)) give_up(int error)
{
	static struct bv_text why;

	text_add(&why, "io_uring: a completion cannot be sent: ");
	text_errno(&why, error);
	bv_policy_fatal(&why);
}

/* One message, carried out at once. Returns 0 or a negative errno. */
static int send(struct sender *s, const struct io_uring_sqe *message)
{
	unsigned tail = *s->sq_tail, head = *s->cq_head;
	unsigned submit = 1;
	int result;

	s->sqes[tail & s->sq_mask] = *message;
	s->sq_array[tail & s->sq_mask] = tail & s->sq_mask;
	__atomic_store_n(s->sq_tail, tail + 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(s->cq_tail, __ATOMIC_ACQUIRE) == head) {
		result = (int)raw_call(SYS_io_uring_enter, s->index, submit, 1,
				       IORING_ENTER_GETEVENTS |
				       IORING_ENTER_REGISTERED_RING, 0, 0);
		if (result == 1)
			submit = 0;
		else if (result < 0 && result != -EINTR && result != -EAGAIN &&
			 result != -EBUSY)
			give_up(-result);
	}
	result = s->cqes[head & s->cq_mask].res;
	__atomic_store_n(s->cq_head, head + 1, __ATOMIC_RELEASE);
	return result;
}

void bv_post(struct bv_uring *ring, uint64_t user_data, int result)
{
	static const struct timespec while_ = { 0, 1000000 };
	struct io_uring_sqe message = {
		.opcode = IORING_OP_MSG_RING, .len = (uint32_t)result,
		.off = user_data,
		/* Its eventfd is told only of what a worker of the kernel's
		 * completes. */
		.flags = ring->async_event ? IOSQE_ASYNC : 0,
	};
	int error = -EAGAIN;

	/* The descriptor may have to move (own.h), and memory be short for a
	 * while. */
	for (int tries = 0; tries < 10000; tries++) {
		if (!mine)
			mine = make_sender();
		message.fd = ring->post_fd;
		error = mine ? send(mine, &message) : -ENOMEM;
		if (error >= 0)
			return;
		raw_call(SYS_nanosleep, (long)&while_, 0, 0, 0, 0, 0);
	}
	give_up(-error);
}

/* Indexes are the parent's threads'. */
void bv_post_forked(void)
{
	mine = NULL;
}
