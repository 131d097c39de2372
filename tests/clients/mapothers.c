/* Processes that come to FILE (300 KB or so, of odd length) each on its own, before anything is mapped: what one stores and
 * writes, the other loads and reads.
 * mapothers WAY FILE; mapothers --list: every WAY, one a line. Those called hold wait for a byte on standard input. */
#include <dirent.h>

#include "maps.h"

static void map_on_its_own(char *p)
{
	fd = open(path, O_RDWR);
	take(there);
	see_file("other reads");
	p = shared(size, 0);
	see("other loads", p, size);
	give(back);
	take(there);
	see("other loads", p, size);
	see_file("other reads");
	mark(p, size, 'o');
	give(back);
	take(there);
	see("other loads", p, size);
	memset(p + 1000, 'k', 5000);
	raise(SIGKILL);
}

static void unrelated(void)
{
	char *p, bytes[100];
	pid_t pid;

	make_turns();
	pid = child(map_on_its_own, NULL);
	p = shared(size, 0);
	mark(p, size, 'a');
	give(there);
	take(back);
	memset(bytes, 'w', sizeof bytes);
	say("pwrite", pwrite(fd, bytes, 100, CHUNK - 50));
	mark(p + 2 * CHUNK, CHUNK, 'b');
	give(there);
	take(back);
	see("loads", p, size);
	see_file("reads");
	say("fallocate", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3 * PAGE, CHUNK));
	give(there);
	done(pid);
	see("loads", p, size);
	see_file("reads");
}

/* one that never maps it writes, cuts off and makes longer */
static void write_only(char *p)
{
	char bytes[1000];

	(void)p;
	memset(bytes, 'o', sizeof bytes);
	take(there);
	see_file("other reads");
	say("other: pwrite", pwrite(fd, bytes, sizeof bytes, 2 * CHUNK - 500));
	say("other: pwrite", pwrite(fd, bytes, sizeof bytes, (off_t)size));
	give(back);
	take(there);
	say("other: ftruncate", ftruncate(fd, CHUNK + 5));
	give(back);
}

static void writer(void)
{
	char *p;
	pid_t pid;

	make_turns();
	pid = child(write_only, NULL);
	p = shared(size + CHUNK, 0);
	mark(p, size, 'a');
	give(there);
	take(back);
	see("loads", p, size + 1000);
	mark(p, size + 1000, 'b');
	see_file("reads");
	give(there);
	take(back);
	touch("behind", p + 2 * CHUNK, 0);
	see("loads", p, CHUNK + 5);
	done(pid);
	see_file("reads");
}

/* by an exec in between, which writes back what its process has stored: nothing */
static void copy_by_cp(char *p)
{
	char copy[4200];

	(void)p;
	snprintf(copy, sizeof copy, "%s.copy", path);
	take(there);
	execlp("cp", "cp", "--sparse=always", "--reflink=never", path, copy, (char *)NULL);
	trouble("exec");
}

/* what was stored in a hole is no hole, for others neither */
static void sparse_copy(void)
{
	static char bytes[1 << 20];
	char copy[4200], *p;
	ssize_t n;
	pid_t pid;

	if (ftruncate(fd, 0) || ftruncate(fd, (off_t)size))
		trouble("ftruncate");
	make_turns();
	pid = child(copy_by_cp, NULL);
	p = shared(size, 0);
	memset(p + 5000, 's', 10);
	memset(p + 30 * PAGE - 5, 's', 10);
	p[size - 1] = 's';
	give(there);
	done(pid);
	say("data", lseek(fd, 0, SEEK_DATA));
	say("hole", lseek(fd, PAGE, SEEK_HOLE));
	say("data", lseek(fd, 3 * PAGE, SEEK_DATA));
	say("hole", lseek(fd, 30 * PAGE - 1, SEEK_HOLE));
	say("data", lseek(fd, 40 * PAGE, SEEK_DATA));
	snprintf(copy, sizeof copy, "%s.copy", path);
	n = pread(open(copy, O_RDONLY), bytes, sizeof bytes, 0);
	say("copied", n);
	see("copy", bytes, n > 0 ? (size_t)n : 0);
	unlink(copy);
}

/* memory that is nobody's file */
static int memories(void)
{
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;
	char text[64];
	int count = 0;

	while ((entry = readdir(directory))) {
		ssize_t n = readlinkat(dirfd(directory), entry->d_name, text, sizeof text);

		count += n > 7 && !memcmp(text, "/memfd:", 7);
	}
	closedir(directory);
	return count;
}

static void read_again(char *p)
{
	(void)p;
	take(there);
	see_file("other reads");
	give(back);
	take(there);
	see_file("other reads");
	say("memories", memories());
	give(back);
}

/* when nobody has it mapped any more */
static void left_behind(void)
{
	pid_t pid;
	char *p;

	make_turns();
	pid = child(read_again, NULL);
	p = shared(size, 0);
	mark(p, size, 'a');
	give(there);
	take(back);
	say("munmap", munmap(p, size));
	say("close", close(fd));
	say("memories", memories());
	give(there);
	take(back);
	done(pid);
}

/* ---- until something comes in, others do what they do ---- */

static void wait_for_byte(void)
{
	char c;

	puts("ready");
	fflush(stdout);
	if (read(0, &c, 1) != 1)
		trouble("read");
}

static void hold(void)
{
	char *p = shared(size, 0);

	mark(p, size, 'h');
	wait_for_byte();
	see("loads", p, size);
	memset(p + 9000, 'H', 3);
}

static void hold_store(void)
{
	char *p = shared(size, 0), bytes[4] = "";

	wait_for_byte();
	memset(p + 9000, 'S', 3);
	say("msync", msync(p, size, MS_SYNC));
	say("pread", pread(fd, bytes, 3, 9000));
	puts(bytes);
}

static void hold_again(void)
{
	char *p = shared(size, 0);

	wait_for_byte();
	say("munmap", munmap(p, size));
	see("loads", shared(size, 0), 10);
}

static const struct way ways[] = {
#define WAY(name) { #name, name }
	WAY(unrelated), WAY(writer), WAY(sparse_copy), WAY(left_behind), WAY(hold), WAY(hold_store), WAY(hold_again),
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return go(ways, argc, argv);
}
