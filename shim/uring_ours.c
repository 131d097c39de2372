/* uring_ours: rings of our own; see uring.h.
 *
 * Each thread that needs one has a small ring, made when it is first needed.
 * It is known to the kernel by an index of that thread's, and its descriptor
 * is closed at once: nothing that the program could close, or find in its
 * way. */
#include <string.h>
#include <sys/mman.h>

#include <blkverify/policy.h>

#include "../src/raw.h"
#include "guard.h"
#include "uring.h"

struct ours {
	int index;                   /* as registered with this thread */
	unsigned char *queue;        /* what is shared with the kernel */
	size_t length;
	unsigned *sq_tail, *sq_array, sq_mask;
	unsigned *cq_head, *cq_tail, cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static __thread struct ours *mine;

enum { UNKNOWN, POSSIBLE, IMPOSSIBLE };
static atomic_int possible;

/* One request that is wrong must not keep back those behind it: then each has
 * its completion. */
static int setup(struct io_uring_params *params)
{
	memset(params, 0, sizeof(*params));
	params->flags = IORING_SETUP_SUBMIT_ALL;
	return (int)raw_call(SYS_io_uring_setup, BV_OURS_MOST, (long)params, 0,
			     0, 0, 0);
}

static int enroll(int fd, unsigned code, void *argument, unsigned count)
{
	return (int)raw_call(SYS_io_uring_register, fd, code, (long)argument,
			     count, 0, 0);
}

/* As many as an opcode has values: those that the kernel does not name, it
 * does not have. */
enum { OPS = 256 };
static _Atomic uint64_t ops[OPS / 64];   /* bit n: the kernel has opcode n */

static bool has_message(int fd)
{
	_Alignas(8) unsigned char room[sizeof(struct io_uring_probe) +
				       OPS * sizeof(struct io_uring_probe_op)];
	struct io_uring_probe *probe = (void *)room;

	memset(room, 0, sizeof(room));
	if (enroll(fd, IORING_REGISTER_PROBE, probe, OPS) < 0)
		return false;
	for (unsigned i = 0; i < OPS; i++)
		if (probe->ops[i].flags & IO_URING_OP_SUPPORTED)
			atomic_fetch_or(&ops[i / 64], (uint64_t)1 << i % 64);
	return bv_ours_knows(IORING_OP_MSG_RING);
}

bool bv_ours_knows(unsigned opcode)
{
	return opcode < OPS && atomic_load(&ops[opcode / 64]) >> opcode % 64 & 1;
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

bool bv_ours_possible(void)
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

static void describe(struct ours *o, const struct io_uring_params *p)
{
	unsigned char *queue = o->queue;

	o->sq_tail = (unsigned *)(void *)(queue + p->sq_off.tail);
	o->sq_array = (unsigned *)(void *)(queue + p->sq_off.array);
	o->sq_mask = *(unsigned *)(void *)(queue + p->sq_off.ring_mask);
	o->cq_head = (unsigned *)(void *)(queue + p->cq_off.head);
	o->cq_tail = (unsigned *)(void *)(queue + p->cq_off.tail);
	o->cq_mask = *(unsigned *)(void *)(queue + p->cq_off.ring_mask);
	o->cqes = (struct io_uring_cqe *)(void *)(queue + p->cq_off.cqes);
}

static void *map(size_t length, int flags, int fd, uint64_t offset)
{
	return raw_mmap(NULL, length, PROT_READ | PROT_WRITE, flags, fd, offset);
}

/* Both queues in one mapping: IORING_FEAT_SINGLE_MMAP is older than
 * messages. */
static bool map_ring(struct ours *o, int fd, const struct io_uring_params *p)
{
	size_t array = p->sq_off.array + p->sq_entries * sizeof(unsigned);

	o->length = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	if (o->length < array)
		o->length = array;
	o->queue = map(o->length, MAP_SHARED | MAP_POPULATE, fd,
		       IORING_OFF_SQ_RING);
	o->sqes = map(p->sq_entries * sizeof(struct io_uring_sqe),
		      MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQES);
	if (raw_is_error(o->queue) || raw_is_error(o->sqes))
		return false;
	describe(o, p);
	return true;
}

static void unmap(struct ours *o, const struct io_uring_params *p)
{
	if (!raw_is_error(o->queue))
		raw_munmap(o->queue, o->length);
	if (!raw_is_error(o->sqes))
		raw_munmap(o->sqes, p->sq_entries * sizeof(struct io_uring_sqe));
	raw_munmap(o, sizeof(*o));
}

static struct ours *make(void)
{
	struct io_uring_params params;
	struct ours *o = map(sizeof(*o), MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd, empty = -1;

	if (raw_is_error(o))
		return NULL;
	fd = setup(&params);
	if (fd < 0) {
		raw_munmap(o, sizeof(*o));
		return NULL;
	}
	o->index = map_ring(o, fd, &params) ? take_index(fd) : -1;
	/* Its table of files: one slot, for bv_post_file. */
	enroll(fd, IORING_REGISTER_FILES, &empty, 1);
	raw_close(fd);
	if (o->index >= 0)
		return o;
	unmap(o, &params);
	return NULL;
}

static void __attribute__((noreturn)) give_up(int error)
{
	static struct bv_text why;

	text_add(&why, "io_uring: a ring of the library's own fails: ");
	text_errno(&why, error);
	bv_policy_fatal(&why);
}

static int enter(unsigned submit, unsigned wait, unsigned flags, void *argument,
		 size_t size)
{
	return (int)raw_call(SYS_io_uring_enter, mine->index, submit, wait,
			     flags | IORING_ENTER_REGISTERED_RING,
			     (long)argument, (long)size);
}

int bv_ours_submit(const struct io_uring_sqe *sqes, unsigned count)
{
	unsigned tail;

	if (!mine)
		mine = make();
	if (!mine)
		return -ENOMEM;
	tail = *mine->sq_tail;
	for (unsigned i = 0; i < count; i++) {
		unsigned at = (tail + i) & mine->sq_mask;

		mine->sqes[at] = sqes[i];
		mine->sq_array[at] = at;
	}
	__atomic_store_n(mine->sq_tail, tail + count, __ATOMIC_RELEASE);
	while (count > 0) {
		int taken = enter(count, 0, 0, NULL, 0);

		if (taken > 0)
			count -= (unsigned)taken;
		else if (taken != -EINTR && taken != -EAGAIN && taken != -EBUSY)
			give_up(-taken);
	}
	return 0;
}

bool bv_ours_reap(struct io_uring_cqe *cqe, const struct timespec *patience)
{
	unsigned head = *mine->cq_head;
	struct io_uring_getevents_arg argument = {
		.ts = (uint64_t)(uintptr_t)patience,
	};

	while (__atomic_load_n(mine->cq_tail, __ATOMIC_ACQUIRE) == head) {
		int result = enter(0, 1, IORING_ENTER_GETEVENTS |
				   IORING_ENTER_EXT_ARG, &argument,
				   sizeof(argument));

		if (result == -ETIME)
			return false;
		if (result < 0 && result != -EINTR && result != -EAGAIN &&
		    result != -EBUSY)
			give_up(-result);
	}
	*cqe = mine->cqes[head & mine->cq_mask];
	__atomic_store_n(mine->cq_head, head + 1, __ATOMIC_RELEASE);
	return true;
}

/* Indexes are the parent's threads'. */
void bv_ours_forked(void)
{
	mine = NULL;
}
