/* uring_place: requests that put files into a ring's table, take them out of
 * it, or make descriptors; see uring_sqe.h. */
#include <blkverify/fdmap.h>
#include <blkverify/usermem.h>

#include "symbols.h"
#include "uring.h"

/* A slot of the table gets another file; what stands there now goes. */
static void look_at_slot(const struct bv_uring *ring, unsigned slot,
			 struct bv_disk *filled, struct bv_sqe_view *view)
{
	struct bv_held *held = bv_files_at(ring, slot);

	view->fills = true;
	view->slot = slot;
	view->filled = filled;
	view->disk = filled ? filled : held ? held->disk : NULL;
}

static int open_flags(const struct io_uring_sqe *sqe)
{
	struct open_how how = { 0 };

	if (sqe->opcode == IORING_OP_OPENAT)
		return (int)sqe->open_flags;
	/* A bad pointer is the kernel's to refuse. */
	bv_user_copy_in(&how, (const void *)(uintptr_t)sqe->off, sizeof(how));
	return (int)how.flags;
}

/* A pair whose target may be this very file, once it is created. */
static struct bv_disk *awaited(void)
{
	for (unsigned i = 0; i < bv_disks; i++)
		if (!atomic_load(&bv_disk[i].bound))
			return &bv_disk[i];
	return NULL;
}

/* Opening does something to a target when it empties it, or puts it where
 * only the ring finds it. */
static void look_at_path(const struct bv_uring *ring,
			 const struct io_uring_sqe *sqe,
			 struct bv_sqe_view *view)
{
	bool direct = sqe->file_index != 0, exists;
	int flags = open_flags(sqe);
	struct bv_disk *disk;

	if (!direct && (!(flags & O_TRUNC) || flags & O_PATH))
		return;
	disk = bv_disk_at(sqe->fd, (const char *)(uintptr_t)sqe->addr, 0,
			  &exists);
	if (!direct && disk && disk->block)
		disk = NULL;
	if (!disk && !exists && direct && flags & O_CREAT)
		disk = awaited();
	if (direct && sqe->file_index != IORING_FILE_INDEX_ALLOC)
		look_at_slot(ring, sqe->file_index - 1, disk, view);
	else
		view->disk = disk;
	/* Somebody else may open what we may not. */
	if (sqe->personality || (direct && !bv_post_sends_files()))
		view->kind = BV_SQE_OPAQUE;
}

static void look_at_close(const struct bv_uring *ring,
			  const struct bv_coming *coming,
			  const struct io_uring_sqe *sqe,
			  struct bv_sqe_view *view)
{
	unsigned slot = sqe->file_index - 1;

	bv_sqe_look_at_file(ring, coming, sqe->file_index != 0,
			    sqe->file_index ? (int)slot : sqe->fd, view);
	if (sqe->file_index == 0 || !view->disk)
		return;
	view->fills = true;
	view->slot = slot;
}

static bool chooses_slots(uint64_t offset)
{
	return (uint32_t)offset == IORING_FILE_INDEX_ALLOC;
}

static void look_at_update(const struct bv_uring *ring,
			   struct bv_coming *coming,
			   const struct io_uring_sqe *sqe,
			   struct bv_sqe_view *view)
{
	const int *fds = (const int *)(uintptr_t)sqe->addr;
	bool chooses = chooses_slots(sqe->off);
	struct bv_disk *about = NULL;

	for (unsigned i = 0; i < sqe->len; i++) {
		struct bv_disk *disk;
		int fd = -1;

		if (bv_user_copy_in(&fd, &fds[i], sizeof(fd)) < sizeof(fd))
			break;
		if (fd == IORING_REGISTER_FILES_SKIP)
			continue;
		disk = fd < 0 ? NULL : bv_fd_disk(fd);
		if (chooses)
			view->disk = disk;
		else
			look_at_slot(ring, (unsigned)sqe->off + i, disk, view);
		about = about ? about : view->disk;
	}
	view->disk = about;
	if (sqe->len > 1)
		coming->unclear = true;
	if (about && chooses && !bv_post_sends_files())
		view->kind = BV_SQE_OPAQUE;
}

/* A file of a slot goes to another ring. */
static void look_at_message(const struct bv_uring *ring,
			    const struct bv_coming *coming,
			    const struct io_uring_sqe *sqe,
			    struct bv_sqe_view *view)
{
	struct bv_uring *other = bv_uring_at(sqe->fd);
	struct bv_held *former = NULL;

	if (sqe->addr != IORING_MSG_SEND_FD) {
		view->kind = BV_SQE_HARMLESS;
		return;
	}
	bv_sqe_look_at_file(ring, coming, true, (int)sqe->addr3, view);
	if (view->disk && (!other || !bv_post_reaches(other) ||
			   !bv_post_sends_files()))
		view->kind = BV_SQE_OPAQUE;
	if (view->disk || !other || sqe->file_index == 0 ||
	    sqe->file_index == IORING_FILE_INDEX_ALLOC)
		return;
	/* What comes there, the kernel alone knows. */
	former = bv_files_at(other, sqe->file_index - 1);
	if (former) {
		view->kind = BV_SQE_OPAQUE;
		view->disk = former->disk;
	}
}

/* Sockets and pipes, straight into the table. */
static void look_at_made(const struct bv_uring *ring,
			 const struct io_uring_sqe *sqe,
			 struct bv_sqe_view *view)
{
	unsigned ends = sqe->opcode == BV_OP_PIPE ? 2 : 1;

	if (sqe->file_index == 0 || sqe->file_index == IORING_FILE_INDEX_ALLOC)
		return;
	for (unsigned i = 0; i < ends && !view->disk; i++)
		look_at_slot(ring, sqe->file_index - 1 + i, NULL, view);
	if (view->disk)
		view->kind = BV_SQE_OPAQUE;
}

void bv_sqe_look_at_place(const struct bv_uring *ring,
			  const struct io_uring_sqe *sqe,
			  struct bv_coming *coming, struct bv_sqe_view *view)
{
	switch (view->kind) {
	case BV_SQE_OPEN:
		look_at_path(ring, sqe, view);
		break;
	case BV_SQE_CLOSE:
		look_at_close(ring, coming, sqe, view);
		break;
	case BV_SQE_FILES:
		look_at_update(ring, coming, sqe, view);
		break;
	case BV_SQE_SEND:
		look_at_message(ring, coming, sqe, view);
		break;
	case BV_SQE_INSTALL:
		if (sqe->flags & IOSQE_FIXED_FILE)
			bv_sqe_look_at_file(ring, coming, true, sqe->fd, view);
		break;
	default:
		look_at_made(ring, sqe, view);
		break;
	}
}
