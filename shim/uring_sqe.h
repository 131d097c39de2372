/* uring_sqe: what a request is, and what it does to the ring's table of files.
 * See uring.h. */
#ifndef BV_URING_SQE_H
#define BV_URING_SQE_H

#include <linux/io_uring.h>
#include <stdbool.h>

struct bv_disk;
struct bv_held;
struct bv_uring;

/* Linux 5.19 to 6.19: newer than Debian 12's headers. */
#define BV_OP_SEND_ZC 47
#define BV_OP_SENDMSG_ZC 48
#define BV_OP_READ_MULTISHOT 49
#define BV_OP_WAITID 50
#define BV_OP_FUTEX_WAIT 51
#define BV_OP_FUTEX_WAKE 52
#define BV_OP_FUTEX_WAITV 53
#define BV_OP_FIXED_FD_INSTALL 54
#define BV_OP_FTRUNCATE 55
#define BV_OP_BIND 56
#define BV_OP_LISTEN 57
#define BV_OP_RECV_ZC 58
#define BV_OP_EPOLL_WAIT 59
#define BV_OP_READV_FIXED 60
#define BV_OP_WRITEV_FIXED 61
#define BV_OP_PIPE 62
#define BV_OP_NOP128 63
#define BV_OP_URING_CMD128 64

/* <linux/blkdev.h>, Linux 6.12 */
#define BV_COMMAND_DISCARD 0x1200u

/* What a request means to us. */
enum bv_sqe_kind {
	BV_SQE_OPAQUE,               /* nobody can tell: not to be taken over */
	BV_SQE_HARMLESS,             /* no file contents */
	BV_SQE_NEUTRAL,              /* the same, and can be had in a chain */
	BV_SQE_DESCRIPTORS,          /* makes descriptors, out of sight */
	BV_SQE_CANCEL,               /* ends another request */
	BV_SQE_READ,
	BV_SQE_WRITE,
	BV_SQE_CHANGE,               /* length, space, barriers */
	BV_SQE_SPLICE,
	BV_SQE_OPEN,
	BV_SQE_CLOSE,
	BV_SQE_FILES,                /* fills slots of the ring's table */
	BV_SQE_SEND,                 /* a file to another ring's table */
	BV_SQE_INSTALL,              /* makes a descriptor of a slot's file */
	BV_SQE_COMMAND,              /* what it does is the file's affair */
	BV_SQE_MULTISHOT,            /* reads as often as there is something */
};

struct bv_sqe_view {
	enum bv_sqe_kind kind;
	struct bv_disk *disk;        /* the target it is about, or NULL */
	int fd;                      /* by which it is reached; -1: none */
	bool registered;             /* fd is a slot of the ring's table */
	bool moves;                  /* another ring could carry it out */
	bool selects;                /* the kernel chooses the buffer */

	bool fills;                  /* it puts filled (NULL: no target) */
	unsigned slot;               /* there */
	struct bv_disk *filled;
};

/* What requests before it in its chain will have made of the ring's table. */
struct bv_coming {
	bool any, unclear;           /* unclear: more than is told here */
	unsigned slot;
	struct bv_disk *disk;
};

/* Looks at a request; what it will do to the table is added to coming. */
void bv_sqe_look(const struct bv_uring *ring, const struct io_uring_sqe *sqe,
		 struct bv_coming *coming, struct bv_sqe_view *view);

/* Does this splice read from that file? */
bool bv_sqe_reads_from(const struct io_uring_sqe *sqe, int fd, bool registered);

/* It goes through unverified, and ends nobody knows when: what it may change
 * is not compared again. */
void bv_sqe_give_up(struct bv_disk *disk, const struct io_uring_sqe *sqe);

/* ---- for uring_sqe.c and uring_place.c alone ---- */

/* The file that a request works on; registered: fd is a slot. */
void bv_sqe_look_at_file(const struct bv_uring *ring,
			 const struct bv_coming *coming, bool registered,
			 int fd, struct bv_sqe_view *view);

/* Requests that put files into tables, take them out or make descriptors. */
void bv_sqe_look_at_place(const struct bv_uring *ring,
			  const struct io_uring_sqe *sqe,
			  struct bv_coming *coming, struct bv_sqe_view *view);

#endif
