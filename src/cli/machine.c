/* machine: see machine.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <blkverify/program.h>

#include "machine.h"

/* Newer than Debian 12's headers. */
#define OP_MSG_RING 40
#define NOP_INJECT_RESULT 1u
#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_OFF 0
#endif

static bool is_found(const char *program)
{
	char found[PATH_MAX];

	return bv_program_find(program, getenv("PATH"), found, sizeof(found));
}

const char *cli_machine_fuse(void)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return geteuid() == 0 || is_found("fusermount3") ?
			       NULL :
			       "fusermount3: not found; it is in the Debian "
			       "package fuse3";
	}
	if (errno == EACCES || errno == EPERM)
		return "/dev/fuse: permission denied; it has to be readable "
		       "and writable, and a container has to be given it";
	return "/dev/fuse: not there; modprobe fuse makes it, and a container "
	       "has to be given it";
}

const char *cli_machine_temporary(void)
{
	const char *directory = getenv("TMPDIR");

	return directory && directory[0] == '/' ? directory : "/tmp";
}

/* ---- io_uring, as far as one request goes ---- */

#define ENTRIES 2

struct ring {
	int fd;
	struct io_uring_params p;
	unsigned char *rings;        /* both, in one mapping */
	struct io_uring_sqe *sqe;
};

static uint32_t *word(const struct ring *ring, uint32_t offset)
{
	return (uint32_t *)(void *)(ring->rings + offset);
}

static size_t ring_bytes(const struct ring *ring)
{
	return ring->p.cq_off.cqes +
	       ring->p.cq_entries * sizeof(struct io_uring_cqe);
}

static bool map_ring(struct ring *ring)
{
	void *rings, *sqe;

	/* Linux 5.4; before, there was nothing to inject either. */
	if (!(ring->p.features & IORING_FEAT_SINGLE_MMAP))
		return false;
	rings = mmap(NULL, ring_bytes(ring), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQ_RING);
	sqe = mmap(NULL, ENTRIES * sizeof(*ring->sqe), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQES);
	if (rings == MAP_FAILED || sqe == MAP_FAILED)
		return false;
	ring->rings = rings;
	ring->sqe = sqe;
	return true;
}

/* A request to do nothing, and to say that 7 came of it. */
static bool injects(struct ring *ring)
{
	const struct io_uring_cqe *cqe;

	if (!map_ring(ring))
		return false;
	memset(ring->sqe, 0, sizeof(*ring->sqe));
	ring->sqe->opcode = IORING_OP_NOP;
	ring->sqe->rw_flags = NOP_INJECT_RESULT;
	ring->sqe->len = 7;
	*word(ring, ring->p.sq_off.array) = 0;
	__atomic_store_n(word(ring, ring->p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS,
		    NULL, 0) != 1)
		return false;
	cqe = (void *)(ring->rings + ring->p.cq_off.cqes);
	return __atomic_load_n(word(ring, ring->p.cq_off.tail),
			       __ATOMIC_ACQUIRE) == 1 && cqe->res == 7;
}

static bool knows(const struct ring *ring, unsigned op)
{
	union {
		struct io_uring_probe probe;
		char room[sizeof(struct io_uring_probe) +
			  256 * sizeof(struct io_uring_probe_op)];
	} u;

	memset(&u, 0, sizeof(u));
	return syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_PROBE,
		       &u, 256) == 0 &&
	       op < u.probe.ops_len &&
	       u.probe.ops[op].flags & IO_URING_OP_SUPPORTED;
}

static const char *why_no_ring(int error)
{
	return error == ENOSYS ? "the kernel has none, or a filter hides it" :
	       error == EPERM || error == EACCES ?
		       "not allowed: see /proc/sys/kernel/io_uring_disabled, "
		       "or the container's filter" :
		       "it cannot be set up";
}

static void look_for_uring(struct cli_machine *machine)
{
	struct ring ring = { .fd = -1 };

	ring.fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &ring.p);
	if (ring.fd < 0) {
		machine->uring = why_no_ring(errno);
		machine->message = machine->inject = "no io_uring";
		return;
	}
	if (!knows(&ring, OP_MSG_RING))
		machine->message = "the kernel is older than 5.18";
	if (!injects(&ring))
		machine->inject = "the kernel is older than 6.10";
	if (ring.rings) {
		munmap(ring.rings, ring_bytes(&ring));
		munmap(ring.sqe, ENTRIES * sizeof(*ring.sqe));
	}
	close(ring.fd);
}

void cli_machine_look(struct cli_machine *machine)
{
	*machine = (struct cli_machine){ .fuse = cli_machine_fuse() };
	if (!is_found("qemu-storage-daemon"))
		machine->daemon = CLI_NO_DAEMON;
	look_for_uring(machine);
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0) < 0)
		machine->dispatch = "the kernel has none, on this machine or in "
				    "this version";
}
