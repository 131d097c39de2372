/* FILE (300 KB or so, of odd length) becomes shorter, longer, and gets holes, under its mappings.
 * lengths WAY FILE; lengths --list: every WAY, one a line. */
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "maps.h"

static void shorter(void)
{
	char *p = shared(size, 0), bytes[10] = "truncated";

	mark(p, size, 'a');
	say("ftruncate", ftruncate(fd, 100001));
	touch("last byte", p + 100000, 0);
	touch("behind it", p + 100001, 0);
	touch("next page", p + 102400, 0);
	touch("chunks away", p + 250000, 1);
	see("loaded", p, 100001);
	memset(p + 99990, 'b', 11);
	see_file("pread");
	/* nothing comes back */
	say("ftruncate", ftruncate(fd, 200000));
	see("loaded", p, 200000);
	memset(p + 199000, 'c', 10);
	say("pwrite", pwrite(fd, bytes, 10, 290000));
	see("loaded", p, 290010);
	see_file("pread");
	say("truncate", truncate(path, 5));
	touch("next page", p + PAGE, 1);
	see("loaded", p, PAGE);
	say("open", close(open(path, O_RDWR | O_TRUNC)));
	touch("first page", p, 1);
	say("munmap", munmap(p, size));
}

static void past_end(void)
{
	char *p = shared(600000, 0), bytes[5000];

	touch("last byte", p + size - 1, 0);
	touch("behind it", p + size, 0);
	touch("next page", p + size + PAGE, 0);
	memset(bytes, 'p', sizeof bytes);
	say("pwrite", pwrite(fd, bytes, sizeof bytes, 400000));
	see("loaded", p, 405000);
	mark(p, 405000, 'a');
	see_file("pread");
	say("fallocate", fallocate(fd, 0, 500000, 10));
	memset(p + 500005, 'f', 5);
	see("loaded", p, 500010);
	see_file("pread");
	/* a mapping that begins behind the end */
	p = shared(CHUNK, 32 * CHUNK);
	touch("behind", p, 1);
	say("ftruncate", ftruncate(fd, 33 * CHUNK - 100));
	touch("behind", p, 1);
	see("loaded", p, CHUNK);
	say("pread", pread(fd, bytes, 100, 32 * CHUNK));
	see("pread", bytes, 100);
}

/* stores behind the end, in the last page, are nobody's */
static void tail(void)
{
	char *p = shared(size, 0), bytes[10] = "written";

	memset(p + size - 10, 't', 400);
	see_file("pread");
	say("msync", msync(p, size, MS_SYNC));
	say("munmap", munmap(p, size));
	see_file("pread");
	say("pwrite", pwrite(fd, bytes, 10, (off_t)size + 1000));
}

static void punched(void)
{
	char *p = shared(size + CHUNK, 0), *q = map(size, both, MAP_PRIVATE, 0);

	mark(p, size, 'a');
	mark(q + 40 * PAGE, PAGE, 'q');
	say("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 100000));
	see("shared", p, size);
	see("private", q, size);
	mark(p, 10 * PAGE, 'b');
	say("zero", fallocate(fd, FALLOC_FL_ZERO_RANGE, 150000, 1000));
	say("zero further", fallocate(fd, FALLOC_FL_ZERO_RANGE, (off_t)size - 1000, 5000));
	see("shared", p, size + 4000);
	see_file("pread");
}

/* on a device; on a file both fail */
static void discarded(void)
{
	uint64_t range[2] = { 3 * PAGE + 512, CHUNK }, zeros[2] = { 40 * PAGE, 3 * PAGE };
	char *p = shared(size, 0), *q = map(size, both, MAP_PRIVATE, 0);

	mark(p, size, 'a');
	mark(q + 5 * PAGE, PAGE, 'q');
	say("fsync", fsync(fd));
	mark(p + 2 * PAGE, 20 * PAGE, 'b');
	say("discard", ioctl(fd, BLKDISCARD, range));
	see("shared", p, size);
	see("private", q, size);
	see_file("pread");
	mark(p + 39 * PAGE, 5 * PAGE, 'c');
	say("zero", ioctl(fd, BLKZEROOUT, zeros));
	see("shared", p, size);
	see_file("pread");
	mark(p, 5 * PAGE, 'd');
	say("msync", msync(p, size, MS_SYNC));
	see_file("pread");
}

static void advised(void)
{
	char *p = shared(size, 0), *q = map(size, both, MAP_PRIVATE, 0);

	mark(p, size, 'a');
	mark(q, size, 'q');
	say("DONTNEED", madvise(p, size, MADV_DONTNEED));
	say("DONTNEED", madvise(q, 20 * PAGE, MADV_DONTNEED));
	see("shared", p, size);
	see("private", q, size);
	say("REMOVE", madvise(p + 10 * PAGE, 20 * PAGE, MADV_REMOVE));
	see("shared", p, size);
	see_file("pread");
	mark(p + 15 * PAGE, PAGE, 'b');
	say("posix", posix_madvise(p, size, POSIX_MADV_WILLNEED));
	say("FREE", madvise(p, PAGE, MADV_FREE));
	say("msync", msync(p, size, MS_SYNC));
	see_file("pread");
}

static const struct way ways[] = {
#define WAY(name) { #name, name }
	WAY(shorter), WAY(past_end), WAY(tail), WAY(punched), WAY(discarded), WAY(advised),
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return go(ways, argc, argv);
}
