/* What goes without the shim and, on a target, does not, or not for ever.
 * maplimits WAY FILE; maplimits --list: every WAY, one a line. */
#include "maps.h"

/* mapped as it is, and not touched */
static void whole(void)
{
	try("to read", size, PROT_READ, MAP_SHARED, open(path, O_RDONLY), 0);
	try("to write", size, both, MAP_SHARED, fd, 0);
	try("privately", size, both, MAP_PRIVATE, fd, 0);
	try("a page", PAGE, both, MAP_SHARED, fd, 0);
}

/* so much address space, in case the file grows */
static void beyond(void)
{
	char *p = map((size_t)1 << 40, PROT_READ, MAP_SHARED, 0);

	touch("first", p, 0);
	touch("last", p + size - 1, 0);
	say("ftruncate", ftruncate(fd, 10 << 20));
	touch("far", p + (9 << 20), 0);
	touch("beyond", p + ((size_t)1 << 39), 0);
	see_file("pread");
	try("another", size, both, MAP_SHARED, fd, 0);
	say("munmap", munmap(p, (size_t)1 << 40));
	say("ftruncate", ftruncate(fd, (off_t)size));
}

/* how many mappings there can be: at least 900, and what is stored in all of them arrives */
static void thousand(void)
{
	enum { MOST = 1100 };
	static char *p[MOST];
	int n = 0;

	while (n < MOST) {
		p[n] = mmap(NULL, PAGE, both, MAP_SHARED, fd, n % 70 * PAGE);
		if (p[n] == MAP_FAILED)
			break;
		n++;
	}
	say("mmap", n < MOST ? -1 : 0);
	say("enough", n >= 900);
	for (int i = 0; i < n; i++)
		p[i][i] = 'm';
	see_file("pread");
	/* one less, one more */
	say("munmap", munmap(p[0], PAGE));
	try("another", PAGE, both, MAP_SHARED, fd, 0);
}

/* how often one can be cut in two */
static void cut(void)
{
	char *p = shared(2200 * PAGE, 0);
	int n = 0;

	mark(p, size, 'c');
	while (n < 1100 && !munmap(p + (2 * n + 1) * PAGE, PAGE))
		n++;
	say("munmap", n < 1100 ? -1 : 0);
	say("enough", n >= 900);
	see_file("pread");
	mark(p, PAGE, 'd');
	say("all", munmap(p, 2200 * PAGE));
	see_file("pread");
}

static void reorder(void)
{
	char *p = shared(20 * PAGE, 0);

	mark(p, 20 * PAGE, 'r');
	say("remap_file_pages", remap_file_pages(p, PAGE, 0, 3, 0));
	see("loads", p, 20 * PAGE);
}

/* stores behind the end of the file, in its last page, when it becomes longer: file systems differ */
static void tail(void)
{
	char *p = shared(size, 0);

	memset(p + size, 't', 300);
	say("ftruncate", ftruncate(fd, (off_t)size + 2000));
	p[size + 10] = 't';
	memset(p + size + 2000, 'u', 10);
	say("pwrite", pwrite(fd, "w", 1, (off_t)size + 2500));
}

static void page(void)
{
	char *p = shared(PAGE, 0);

	memset(p + 10, 'p', 10);
	see_file("pread");
	say("msync", msync(p, PAGE, MS_SYNC));
}

/* a child becomes BLK_HIDDEN, which nobody may look at */
static void hidden(void)
{
	char *p = shared(size, 0), c;
	int begun[2];
	pid_t pid;

	if (pipe2(begun, O_CLOEXEC))
		trouble("pipe");
	pid = fork();
	if (!pid) {
		execl(getenv("BLK_HIDDEN"), "hidden", "20", (char *)NULL);
		_exit(1);
	}
	close(begun[1]);
	if (read(begun[0], &c, 1))
		trouble("read");
	say("munmap", munmap(p, size));
	say("close", close(fd));
	fd = open(path, O_RDWR);
	see_file("pread");
	kill(pid, SIGKILL);
}

/* one that dies with stores nobody has asked to write back */
static void killed(void)
{
	char *p = shared(size, 0);

	mark(p, size, 'k');
	raise(SIGKILL);
}

static const struct way ways[] = {
#define WAY(name) { #name, name }
	WAY(whole), WAY(beyond), WAY(thousand), WAY(cut), WAY(reorder), WAY(tail), WAY(page), WAY(hidden), WAY(killed),
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return go(ways, argc, argv);
}
