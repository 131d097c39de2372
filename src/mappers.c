/* mappers: see mappers.h. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <blkverify/thread.h>

#include "mappers.h"
#include "proc.h"
#include "raw.h"

/* The kernel's, of getdents64(2). */
struct entry {
	uint64_t inode;
	int64_t offset;
	uint16_t length;             /* of all of it */
	uint8_t type;
	char name[];
};

/* Counted anew each time: one of them may have died in the middle of it. */
static void count(struct bv_state *state)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < BV_MAPPERS; i++)
		n += atomic_load(&state->mapper[i]) != 0;
	if (n == 0)
		atomic_store(&state->memory_inode, 0);
	atomic_store(&state->mapped, n);
}

static void take_out(struct bv_state *state, uint32_t pid)
{
	for (unsigned i = 0; i < BV_MAPPERS; i++)
		if (atomic_load(&state->mapper[i]) == pid)
			atomic_store(&state->mapper[i], 0);
	count(state);
}

/* ---- what one of them has ---- */

/* A memory file, by the text of its link: nothing else of the process's is
 * touched, which might be slow to answer, or take it amiss. */
static bool is_memory(int directory, const char *name)
{
	static const char kind[] = "/memfd:blkverify-";
	char link[sizeof(kind) - 1];
	long n = raw_call(SYS_readlinkat, directory, (long)name, (long)link,
			  sizeof(link), 0, 0);

	return n == (long)sizeof(link) && !memcmp(link, kind, sizeof(link));
}

static int *slot_for(const struct bv_state *state, int fd, int *bytes,
		     int *agreed)
{
	struct stat st;

	if (raw_fstat(fd, &st) < 0 ||
	    st.st_dev != atomic_load(&state->memory_device))
		return NULL;
	return st.st_ino == atomic_load(&state->memory_inode) ? bytes :
	       st.st_ino == atomic_load(&state->agreed_inode) ? agreed : NULL;
}

static int open_entry(const struct bv_state *state, int directory,
		      const char *name, int *bytes, int *agreed)
{
	int fd, *slot;

	if (!is_memory(directory, name))
		return 0;
	fd = raw_openat(directory, name, O_RDWR | O_CLOEXEC, 0);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	slot = slot_for(state, fd, bytes, agreed);
	if (slot && *slot < 0)
		*slot = fd;
	else
		raw_close(fd);
	return 0;
}

static int open_all(const struct bv_state *state, int directory, int *bytes,
		    int *agreed)
{
	_Alignas(8) char entries[1024];
	int result = 0;

	while (result == 0 && (*bytes < 0 || *agreed < 0)) {
		long n = raw_call(SYS_getdents64, directory, (long)entries,
				  sizeof(entries), 0, 0, 0), at = 0;

		if (n <= 0)
			return (int)n;
		while (at < n && result == 0) {
			const struct entry *e =
				(const struct entry *)(const void *)(entries + at);

			result = open_entry(state, directory, e->name, bytes,
					    agreed);
			at += e->length;
		}
	}
	return result;
}

/* -ESRCH: it has none, and is not who was in the list. */
static int open_files(const struct bv_state *state, uint32_t pid, int *bytes,
		      int *agreed)
{
	char path[PROC_ROOM];
	int directory, result;

	*bytes = *agreed = -1;
	proc_add(proc_number(proc_add(path, "/proc/"), pid), "/fd");
	directory = raw_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC,
			       0);
	/* Without /proc everybody looks dead. */
	if (directory == -ENOENT)
		return raw_kill((int)pid, 0) == -ESRCH ? -ESRCH : -EACCES;
	if (directory < 0)
		return directory;
	result = open_all(state, directory, bytes, agreed);
	raw_close(directory);
	if (*bytes >= 0 && *agreed >= 0)
		return 0;
	if (*bytes >= 0)
		raw_close(*bytes);
	if (*agreed >= 0)
		raw_close(*agreed);
	return result < 0 ? result : -ESRCH;
}

/* A descriptor of ours may be on its way to another number (bv_own_yield). */
static int open_files_twice(const struct bv_state *state, uint32_t pid,
			    int *bytes, int *agreed)
{
	int result = open_files(state, pid, bytes, agreed);

	return result == -ESRCH ? open_files(state, pid, bytes, agreed) : result;
}

/* ---- the list ---- */

static bool put_in(struct bv_state *state)
{
	for (unsigned i = 0; i < BV_MAPPERS; i++)
		if (atomic_load(&state->mapper[i]) == 0) {
			atomic_store(&state->mapper[i], (uint32_t)bv_pid);
			count(state);
			return true;
		}
	return false;
}

/* Nobody takes himself out who ends. Not counted: the memory may be one that has
 * just been made, for who is about to be put in. */
static void take_out_the_dead(struct bv_state *state)
{
	for (unsigned i = 0; i < BV_MAPPERS; i++) {
		uint32_t pid = atomic_load(&state->mapper[i]);
		int bytes, agreed;

		switch (pid ? open_files_twice(state, pid, &bytes, &agreed) :
			      -ENOENT) {
		case 0:
			raw_close(bytes);
			raw_close(agreed);
			break;
		case -ESRCH:
			atomic_store(&state->mapper[i], 0);
		}
	}
}

int bv_mappers_enlist(struct bv_disk *disk)
{
	if (put_in(disk->state))
		return 0;
	take_out_the_dead(disk->state);
	return put_in(disk->state) ? 0 : -ENOMEM;
}

void bv_mappers_delist(struct bv_disk *disk)
{
	take_out(disk->state, (uint32_t)bv_pid);
}

void bv_mappers_publish(struct bv_disk *disk, int bytes_fd, int agreed_fd)
{
	struct bv_state *state = disk->state;
	struct stat bytes = { 0 }, agreed = { 0 };

	raw_fstat(bytes_fd, &bytes);
	raw_fstat(agreed_fd, &agreed);
	atomic_store(&state->memory_device, bytes.st_dev);
	atomic_store(&state->agreed_inode, agreed.st_ino);
	/* Last: it tells that there is one. */
	atomic_store(&state->memory_inode, bytes.st_ino);
}

int bv_mappers_take(struct bv_disk *disk, int *bytes_fd, int *agreed_fd)
{
	struct bv_state *state = disk->state;
	int result = -ENOENT;

	for (unsigned i = 0; i < BV_MAPPERS; i++) {
		uint32_t pid = atomic_load(&state->mapper[i]);
		int one = pid ? open_files_twice(state, pid, bytes_fd, agreed_fd) :
				-ENOENT;

		if (one == 0)
			return 0;
		if (one == -ESRCH)
			take_out(state, pid);
		else if (one != -ENOENT)
			result = one;
	}
	/* One that died before it was in the list has left its number. */
	count(state);
	return result;
}
