/* stream: see stream.h. */
#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

#include <blkverify/fdmap.h>
#include <blkverify/policy.h>
#include <blkverify/verify.h>

#include "../src/raw.h"
#include "guard.h"
#include "ops.h"
#include "stream.h"

typedef ssize_t stream_read(FILE *stream, void *buf, ssize_t n);
typedef ssize_t stream_write(FILE *stream, const void *buf, ssize_t n);

static stream_read *real_stream_read;
static stream_write *real_stream_write;

/* glibc 2.36 and 2.41 have 14; fewer than the plain, wide, mapped and
 * cookie tables of one kind would mean that we look in the wrong place. */
#define FEWEST_SLOTS 4

static ssize_t hook_read(FILE *stream, void *buf, ssize_t n)
{
	struct bv_disk *disk = bv_fd_disk(fileno_unlocked(stream));
	int refused = disk ? bv_policy_unverified(disk, "stdio read",
						  -EOPNOTSUPP) : 0;

	if (refused < 0) {
		errno = -refused;
		return -1;
	}
	return real_stream_read(stream, buf, n);
}

struct flush {
	struct bv_change change;
	FILE *stream;
	const void *buf;
	ssize_t n, result;
};

static int apply(const struct bv_change *change)
{
	struct flush *f = (struct flush *)change;

	f->result = real_stream_write(f->stream, f->buf, f->n);
	return 0;
}

static ssize_t hook_write(FILE *stream, const void *buf, ssize_t n)
{
	int fd = fileno_unlocked(stream);
	struct bv_disk *disk = bv_fd_disk(fd);
	struct flush f = {
		.change = { .call = "stdio write", .fd = fd, .apply = apply,
			    .length = (uint64_t)n },
		.stream = stream, .buf = buf, .n = n,
	};
	int64_t offset;
	int refused;

	if (!disk)
		return real_stream_write(stream, buf, n);
	refused = bv_policy_unverified(disk, f.change.call, -EOPNOTSUPP);
	if (refused < 0) {
		errno = -refused;
		/* As the original: bytes written, and the error flag. */
		stream->_flags |= 0x20;
		return 0;
	}
	offset = raw_lseek(fd, 0, SEEK_CUR);
	f.change.offset = offset < 0 ? 0 : (uint64_t)offset;
	/* Where it lands in append mode, only the kernel knows. */
	if (raw_fcntl(fd, F_GETFL, 0) & O_APPEND)
		f.change.length = INT64_MAX;
	bv_change_blindly(disk, &f.change);
	return f.result;
}

struct search {
	uintptr_t read, write;       /* what to look for */
	unsigned found;
	int failed;
};

static void replace_in(struct search *s, uintptr_t start, uintptr_t end)
{
	for (uintptr_t *word = (uintptr_t *)start; word < (uintptr_t *)end;
	     word++) {
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
	};

	if (!s.read || !s.write)
		return -1;
	real_stream_read = (stream_read *)s.read;
	real_stream_write = (stream_write *)s.write;
	dl_iterate_phdr(search_object, &s);
	return s.found >= FEWEST_SLOTS && !s.failed ? 0 : -1;
}
