/* stream: see stream.h. */
#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

#include <blkverify/fdmap.h>
#include <blkverify/late.h>
#include <blkverify/verify.h>

#include "../src/raw.h"
#include "guard.h"
#include "ops.h"
#include "stream.h"

/* _IO_ERR_SEEN and, in _flags2, _IO_FLAGS2_NOTCANCEL (the letter c in a mode),
 * which <stdio.h> does not give names to. */
#define ERROR_SEEN 0x20
#define NO_CANCELLATION 2

typedef ssize_t stream_read(FILE *stream, void *buf, ssize_t n);
typedef ssize_t stream_write(FILE *stream, const void *buf, ssize_t n);
typedef int stream_close(FILE *stream);

static stream_read *real_stream_read;
static stream_write *real_stream_write;
static stream_close *real_stream_close;

/* glibc 2.36 and 2.41 have 14; fewer than the plain, wide, mapped and
 * cookie tables of one kind would mean that we look in the wrong place. */
#define FEWEST_SLOTS 4

static void enter(struct bv_guard *guard, const FILE *stream)
{
	if (stream->_flags2 & NO_CANCELLATION)
		bv_guard_enter_quietly(guard);
	else
		bv_guard_enter(guard);
}

static ssize_t hook_read(FILE *stream, void *buf, ssize_t n)
{
	int fd = fileno_unlocked(stream);
	struct bv_disk *disk = bv_fd_disk(fd);

	struct iovec iov = { buf, (size_t)n };
	struct bv_request request = {
		.call = "stdio read", .fd = fd, .iov = &iov, .count = 1,
		.plain = true, .position = true,
	};
	struct bv_guard guard;

	if (!disk)
		return real_stream_read(stream, buf, n);
	enter(&guard, stream);
	return bv_guard_leave(&guard, bv_read(disk, &request));
}

struct flush {
	struct bv_request request;
	FILE *stream;
};

/* The original does more than write(2): it keeps the stream's idea of the
 * position, and from 2.42 on more than that. */
static ssize_t put(const struct bv_request *request, const void *bytes,
		   size_t n)
{
	const struct flush *flush = (const struct flush *)request;
	ssize_t done = real_stream_write(flush->stream, bytes, (ssize_t)n);

	return done == 0 && n > 0 ? -errno : done;
}

/* As the original, returns how much was written, with the stream's error
 * flag set when that is not all. */
static ssize_t hook_write(FILE *stream, const void *buf, ssize_t n)
{
	int fd = fileno_unlocked(stream);
	struct bv_disk *disk = bv_fd_disk(fd);
	struct iovec iov = { (void *)buf, (size_t)n };
	struct flush flush = {
		.request = { .call = "stdio write", .fd = fd, .iov = &iov,
			     .count = 1, .position = true, .put = put },
		.stream = stream,
	};
	struct bv_guard guard;
	ssize_t done;

	if (!disk)
		return real_stream_write(stream, buf, n);
	enter(&guard, stream);
	done = bv_write(disk, &flush.request);
	if (bv_guard_leave(&guard, done) >= 0)
		return done;
	stream->_flags |= ERROR_SEEN;
	return 0;
}

/* As close(2), which it calls inside libc. */
static int hook_close(FILE *stream)
{
	int late = atomic_load(&bv_late_pending) > 0 &&
		   bv_fd_disk(fileno_unlocked(stream)) ? bv_late_drain() : 0;
	int result = real_stream_close(stream);

	if (result < 0 || late == 0)
		return result;
	errno = -late;
	return -1;
}

struct search {
	uintptr_t read, write, close;  /* what to look for */
	unsigned found;
	int failed;
};

static void replace_in(struct search *s, uintptr_t start, uintptr_t end)
{
	for (uintptr_t *word = (uintptr_t *)start; word < (uintptr_t *)end;
	     word++) {
		if (*word == s->close) {
			*word = (uintptr_t)hook_close;
			continue;
		}
		if (*word == s->read)
			*word = (uintptr_t)hook_read;
		else if (*word == s->write)
			*word = (uintptr_t)hook_write;
		else
			continue;
		s->found++;
	}
}

static unsigned count_in(const struct search *s, uintptr_t start, uintptr_t end)
{
	unsigned found = 0;

	for (const uintptr_t *word = (const uintptr_t *)start;
	     word < (const uintptr_t *)end; word++)
		found += *word == s->read || *word == s->write;
	return found;
}

static int protect(uintptr_t start, uintptr_t end, int protection)
{
	return (int)raw_call(SYS_mprotect, (long)start, (long)(end - start),
			     protection, 0, 0, 0);
}

/* RELRO: what ld.so made read-only after it had relocated it. */
static int search_object(struct dl_phdr_info *object, size_t size, void *data)
{
	struct search *s = data;

	(void)size;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];
		uintptr_t start = object->dlpi_addr + p->p_vaddr;
		uintptr_t end = (start + p->p_memsz) & ~(uintptr_t)4095;

		start &= ~(uintptr_t)4095;
		if (p->p_type != PT_GNU_RELRO || start >= end ||
		    count_in(s, start, end) < FEWEST_SLOTS)
			continue;
		if (protect(start, end, PROT_READ | PROT_WRITE) < 0) {
			s->failed = 1;
			return 1;
		}
		replace_in(s, start, end);
		s->failed |= protect(start, end, PROT_READ) < 0;
		return 1;
	}
	return 0;
}

int bv_stream_start(void)
{
	struct search s = {
		.read = (uintptr_t)dlsym(RTLD_DEFAULT, "_IO_file_read"),
		.write = (uintptr_t)dlsym(RTLD_DEFAULT, "_IO_file_write"),
		.close = (uintptr_t)dlsym(RTLD_DEFAULT, "_IO_file_close"),
	};

	if (!s.read || !s.write || !s.close)
		return -1;
	real_stream_read = (stream_read *)s.read;
	real_stream_write = (stream_write *)s.write;
	real_stream_close = (stream_close *)s.close;
	dl_iterate_phdr(search_object, &s);
	return s.found >= FEWEST_SLOTS && !s.failed ? 0 : -1;
}
