/* Where FILE (300 KB or so, of odd length) is mapped: pieces unmapped, mapped over, moved, made longer; and what
 * calls say that cannot be done.
 * places WAY FILE; places --list: every WAY, one a line. */
#include <sys/resource.h>

#include "maps.h"

#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* room for n bytes, of which nothing else is in the way */
static char *room(size_t n)
{
	char *p = mmap(NULL, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || munmap(p, n))
		trouble("room");
	return p;
}

static char *at(char *place, size_t n, int flags, int from, off_t offset)
{
	char *p = mmap(place, n, both, flags | MAP_FIXED, from, offset);

	if (p != place)
		trouble("mmap at a place");
	return p;
}

/* ---- unmapped ---- */

static void unmap_middle(void)
{
	char *p = shared(size, 0);

	mark(p, size, 'a');
	say("munmap", munmap(p + 20 * PAGE, 3 * PAGE));
	touch("there", p + 20 * PAGE + 9, 0);
	see("before", p, 20 * PAGE);
	see("behind", p + 23 * PAGE, 60000);
	see_file("pread");
	mark(p, 20 * PAGE, 'b');
	mark(p + 23 * PAGE, size - 23 * PAGE, 'c');
	say("msync", msync(p + 23 * PAGE, 10 * PAGE, MS_SYNC));
	say("munmap", munmap(p + 5 * PAGE, 17 * PAGE));
	see_file("pread");
	say("munmap", munmap(p, size));
	see_file("pread");
}

/* a hole, another file and memory between mappings of the target */
static void unmap_several(void)
{
	char *p = room(60 * PAGE);
	int other = beside("other");

	say("ftruncate", ftruncate(other, 10 * PAGE));
	at(p, 10 * PAGE, MAP_SHARED, fd, 0);
	at(p + 10 * PAGE, 10 * PAGE, MAP_SHARED, other, 0);
	at(p + 20 * PAGE, 10 * PAGE, MAP_SHARED, fd, 5 * PAGE);
	at(p + 30 * PAGE, 10 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	at(p + 50 * PAGE, 10 * PAGE, MAP_SHARED, fd, 40 * PAGE);
	mark(p, 40 * PAGE, 'a');
	mark(p + 50 * PAGE, 10 * PAGE, 'z');
	see("loaded", p, 40 * PAGE);
	say("munmap", munmap(p + 5 * PAGE, 50 * PAGE));
	see("rest", p, 5 * PAGE);
	see("rest", p + 55 * PAGE, 5 * PAGE);
	touch("gone", p + 5 * PAGE, 0);
	see_file("pread");
	mark(p, 5 * PAGE, 'm');
}

static void unmap_nothing(void)
{
	char *q = shared(size, 0), *p = room(60 * PAGE);

	mark(q, size, 'q');
	say("munmap of what is not mapped", munmap(p, 60 * PAGE));
	say("munmap of no length", munmap(q + 2 * PAGE, 0));
	say("munmap of no page", munmap(q + 1, PAGE));
	say("munmap of too much", munmap(q, (size_t)-1));
	see("loaded", q, size);
	see_file("pread");
}

/* ---- mapped over ---- */

static void over_by_memory(void)
{
	char *p = shared(size, 0);

	mark(p, size, 'a');
	at(p + 3 * PAGE, 2 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mark(p + 3 * PAGE, 2 * PAGE, 'x');
	see("loaded", p, size);
	see_file("pread");
	at(p, 16 * PAGE, MAP_SHARED, fd, 16 * PAGE);
	see("loaded", p, size);
	mark(p, 16 * PAGE, 'b');
	see("loaded", p, size);
	at(p + 10 * PAGE, 10 * PAGE, MAP_PRIVATE, fd, 0);
	mark(p, 30 * PAGE, 'c');
	see("loaded", p, size);
	see_file("pread");
	say("msync", msync(p, size, MS_SYNC));
	say("munmap", munmap(p, size));
	see_file("pread");
}

static void no_replace(void)
{
	char *p = shared(size, 0), *q = room(4 * PAGE);

	mark(p, size, 'a');
	say("in the way", mmap(p + PAGE, PAGE, both, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) == MAP_FAILED ? -1 : 0);
	say("free", mmap(q, 4 * PAGE, both, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) == q);
	say("memory in the way", mmap(p + PAGE, PAGE, both, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
		MAP_FAILED ? -1 : 0);
	mark(q, 4 * PAGE, 'b');
	see("loaded", p, size);
	say("unaligned", mmap(p + 5, PAGE, both, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ? -1 : 0);
	say("bad flags", mmap(p, PAGE, both, MAP_FIXED, fd, 0) == MAP_FAILED ? -1 : 0);
	see("loaded", p, size);
	see_file("pread");
}

/* ---- moved ---- */

static void *moved(const char *what, char *p, size_t n, size_t wanted, int flags, char *to)
{
	char *q = mremap(p, n, wanted, flags, to);

	say(what, q == MAP_FAILED ? -1 : !to || q == to);
	return q;
}

static void grow(void)
{
	char *p = room(80 * PAGE), *q;

	at(p, 10 * PAGE, MAP_SHARED, fd, 2 * PAGE);
	mark(p, 10 * PAGE, 'a');
	moved("in place", p, 10 * PAGE, 40 * PAGE, 0, NULL);
	see("loaded", p, 40 * PAGE);
	mark(p, 40 * PAGE, 'b');
	at(p + 40 * PAGE, PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	moved("no room", p, 40 * PAGE, 50 * PAGE, 0, NULL);
	q = moved("moved", p, 40 * PAGE, 60 * PAGE, MREMAP_MAYMOVE, NULL);
	touch("old", p, 0);
	see("loaded", q, 60 * PAGE);
	mark(q, 60 * PAGE, 'c');
	see_file("pread");
	say("munmap", munmap(q, 60 * PAGE));
	see_file("pread");
}

static void move_fixed(void)
{
	char *p = shared(20 * PAGE, 0), *q = shared(20 * PAGE, 30 * PAGE), *r = room(30 * PAGE), *s;

	mark(p, 20 * PAGE, 'a');
	mark(q, 20 * PAGE, 'q');
	moved("over a target's", p, 10 * PAGE, 12 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q + 4 * PAGE);
	see("loaded", q, 20 * PAGE);
	mark(q, 20 * PAGE, 'b');
	see_file("pread");
	moved("shorter", q + 4 * PAGE, 12 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, r);
	mark(r, 3 * PAGE, 'r');
	touch("old", q + 5 * PAGE, 0);
	touch("old", q + 9 * PAGE, 0);
	see_file("pread");
	s = map(2 * PAGE, both, MAP_PRIVATE | MAP_ANONYMOUS, 0);
	memset(s, 'm', 2 * PAGE);
	moved("memory over a target's", s, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, r + PAGE);
	see("loaded", r, 3 * PAGE);
	moved("overlapping", p + 10 * PAGE, 5 * PAGE, 5 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 12 * PAGE);
	moved("no flag", p + 10 * PAGE, 5 * PAGE, 5 * PAGE, MREMAP_FIXED, r + 20 * PAGE);
	moved("unaligned", p + 10 * PAGE + 1, 5 * PAGE, 5 * PAGE, 0, NULL);
	moved("to no length", p + 10 * PAGE, 5 * PAGE, 0, 0, NULL);
	moved("unmapped", r + 20 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE, NULL);
	mark(p + 10 * PAGE, 10 * PAGE, 'z');
	see_file("pread");
}

static void shrink(void)
{
	char *p = room(40 * PAGE);

	at(p, 20 * PAGE, MAP_SHARED, fd, 0);
	at(p + 20 * PAGE, 10 * PAGE, MAP_SHARED, fd, 50 * PAGE);
	at(p + 30 * PAGE, 10 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mark(p, 40 * PAGE, 'a');
	moved("over two", p, 28 * PAGE, 25 * PAGE, 0, NULL);
	touch("gone", p + 26 * PAGE, 0);
	see_file("pread");
	mark(p + 20 * PAGE, 5 * PAGE, 'b');
	say("msync", msync(p + 20 * PAGE, 5 * PAGE, MS_SYNC));
	mark(p, 25 * PAGE, 'c');
	see("loaded", p, 25 * PAGE);
	moved("down to a byte", p, 20 * PAGE, 1, 0, NULL);
	mark(p, PAGE, 'd');
	see("loaded", p, PAGE);
	see_file("pread");
	at(p + 29 * PAGE, PAGE, MAP_SHARED, fd, 7 * PAGE);
	mark(p + 29 * PAGE, PAGE, 'e');
	moved("memory, and a target's behind it", p + 28 * PAGE, 2 * PAGE, PAGE, 0, NULL);
	say("munmap", munmap(p, 40 * PAGE));
	see_file("pread");
}

static void copy_mapping(void)
{
	char *p = shared(20 * PAGE, PAGE), *q, *r;

	mark(p, 20 * PAGE, 'a');
	q = moved("of length 0", p + 3 * PAGE, 0, 40 * PAGE, MREMAP_MAYMOVE, NULL);
	see("copy", q, 40 * PAGE);
	mark(q, 40 * PAGE, 'b');
	see("first", p, 20 * PAGE);
	say("munmap", munmap(p, 20 * PAGE));
	mark(q, 40 * PAGE, 'c');
	see_file("pread");
	r = mremap(q, 40 * PAGE, 40 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	if (r == MAP_FAILED) {
		say("kept", -1);
	} else {
		mark(r, 40 * PAGE, 'd');
		see("old", q, 40 * PAGE);
		mark(q, 20 * PAGE, 'e');
		see("new", r, 40 * PAGE);
		say("munmap", munmap(q, 40 * PAGE));
	}
	see_file("pread");
}

/* ---- what cannot be done, and what can ---- */

static void modes(void)
{
	int in = open(path, O_RDONLY), out = open(path, O_WRONLY), name = open(path, O_PATH), append = open(path, O_RDWR | O_APPEND);
	char *p;

	p = try("O_RDONLY", size, PROT_READ, MAP_SHARED, in, 0);
	touch("store", p + 10, 1);
	say("mprotect", mprotect(p, PAGE, both));
	see("loaded", p, size);
	try("O_RDONLY to write", size, both, MAP_SHARED, in, 0);
	try("O_RDONLY privately", size, both, MAP_PRIVATE, in, 0);
	try("O_WRONLY", size, PROT_WRITE, MAP_SHARED, out, 0);
	try("O_WRONLY privately", size, PROT_READ, MAP_PRIVATE, out, 0);
	try("O_PATH", size, PROT_READ, MAP_SHARED, name, 0);
	p = try("O_APPEND", size, both, MAP_SHARED, append, 0);
	mark(p, size, 'a');
	say("fsync", fsync(append));
	see_file("pread");
	p = try("none", size, PROT_NONE, MAP_SHARED, fd, 0);
	touch("load", p + PAGE, 0);
	say("mprotect", mprotect(p, 4 * PAGE, both));
	mark(p, 4 * PAGE, 'n');
	touch("load", p + 5 * PAGE, 0);
	see_file("pread");
	say("munmap", munmap(p, size));
	see_file("pread");
}

/* one that could not be stored to at first */
static void unlocked(void)
{
	extern int call_mprotect(void *, size_t, int) __asm__("__mprotect") __attribute__((weak));
	char *p = try("to read", size, PROT_READ, MAP_SHARED, fd, 0), *q = try("the same", size, PROT_READ, MAP_SHARED, fd, 0);
	char *r = try("privately", size, PROT_READ, MAP_PRIVATE, fd, 0);
	int key = pkey_alloc(0, 0);

	say("fsync", fsync(fd));
	say("mprotect of a private one", mprotect(r, size, both));
	mark(r, size, 'p');
	say("mprotect", mprotect(p + 4 * PAGE, 2 * PAGE, both));
	mark(p + 4 * PAGE, 2 * PAGE, 'r');
	see_file("pread");
	/* by another mapping of the same range, which cannot be stored to */
	say("msync", msync(q, size, MS_SYNC));
	say("__mprotect", call_mprotect ? call_mprotect(p, PAGE, both) : mprotect(p, PAGE, both));
	mark(p, PAGE, 's');
	say("mprotect of nothing", mprotect(p + 200 * PAGE, PAGE, both));
	if (pkey_mprotect(q, size, both, key < 0 ? -1 : key))
		mprotect(q, size, both);
	mark(q, size, 'q');
	see("loaded", p, size);
}

static void wrong(void)
{
	try("offset", PAGE, PROT_READ, MAP_SHARED, fd, 100);
	try("length", 0, PROT_READ, MAP_SHARED, fd, 0);
	try("too long", (size_t)1 << 60, PROT_READ, MAP_SHARED, fd, 0);
	try("overflow", 16 * PAGE, PROT_READ, MAP_SHARED, fd, INT64_MAX - PAGE + 1);
	try("neither", PAGE, PROT_READ, 0, fd, 0);
	try("closed", PAGE, PROT_READ, MAP_SHARED, 500, 0);
	try("no descriptor", PAGE, PROT_READ, MAP_SHARED, -1, 0);
	try("DAX", PAGE, both, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
	try("unknown flag", PAGE, both, MAP_SHARED_VALIDATE | 0x800000, fd, 0);
	try("huge pages", PAGE, both, MAP_SHARED | MAP_HUGETLB, fd, 0);
	try("memory", PAGE, both, MAP_PRIVATE | MAP_ANONYMOUS, fd, 12345 * PAGE);
}

static void flagged(void)
{
	static const int flags[] = {
		MAP_SHARED_VALIDATE, MAP_SHARED | MAP_POPULATE, MAP_SHARED | MAP_LOCKED, MAP_SHARED | MAP_NORESERVE,
		MAP_SHARED | MAP_NONBLOCK | MAP_POPULATE, MAP_SHARED | MAP_STACK, MAP_SHARED | MAP_DENYWRITE,
	};
	struct rlimit none = { PAGE, PAGE };
	char *p;

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		p = try("mapped", size, both, flags[i], fd, 0);
		mark(p, size, 'a' + (int)i);
		see("loaded", p, size);
		if (i % 2)
			say("munmap", munmap(p, size));
		see_file("pread");
	}
	if (geteuid() == 0 && seteuid(65534))
		trouble("seteuid");
	setrlimit(RLIMIT_MEMLOCK, &none);
	try("too much locked", size, both, MAP_SHARED | MAP_LOCKED, fd, 0);
	see_file("pread");
}

static const struct way ways[] = {
#define WAY(name) { #name, name }
	WAY(unmap_middle), WAY(unmap_several), WAY(unmap_nothing), WAY(over_by_memory), WAY(no_replace),
	WAY(grow), WAY(move_fixed), WAY(shrink), WAY(copy_mapping),
	WAY(modes), WAY(unlocked), WAY(wrong), WAY(flagged),
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return go(ways, argc, argv);
}
