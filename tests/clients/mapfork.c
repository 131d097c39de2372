/* A process and its children, who have FILE (300 KB or so, of odd length) mapped together.
 * mapfork WAY FILE; mapfork --list: every WAY, one a line. */
#include "maps.h"

static void load_and_store(char *p)
{
	take(there);
	see("child loads", p, size);
	mark(p, size, 'c');
	give(back);
	take(there);
	see_file("child reads");
	give(back);
}

static void related(void)
{
	char *p = shared(size, 0), bytes[100];
	pid_t pid;

	make_turns();
	mark(p, size, 'a');
	pid = child(load_and_store, p);
	memset(p + 50000, 'p', 50000);
	give(there);
	take(back);
	see("parent loads", p, size);
	see_file("parent reads");
	memset(bytes, 'w', sizeof bytes);
	say("pwrite", pwrite(fd, bytes, 100, CHUNK - 50));
	give(there);
	take(back);
	done(pid);
	see("parent loads", p, size);
	mark(p, size, 'z');
}

static void leave_last(char *p)
{
	take(there);
	see("child loads", p, size);
	mark(p, size, 'l');
	see_file("child reads");
}

static void parent_unmaps_first(void)
{
	char *p = shared(size, 0);
	pid_t pid;

	make_turns();
	pid = child(leave_last, p);
	mark(p, size, 'a');
	say("munmap", munmap(p, size));
	give(there);
	done(pid);
	see_file("parent reads");
}

static void parent_closes_first(void)
{
	char *p = shared(size, 0);
	pid_t pid;

	make_turns();
	pid = child(leave_last, p);
	mark(p, size, 'a');
	say("munmap", munmap(p, size));
	say("close", close(fd));
	give(there);
	done(pid);
	fd = open(path, O_RDWR);
	see_file("parent reads");
	see("mapped anew", shared(size, 0), size);
}

/* one that is gone before its child does anything */
static void exit_first(char *p)
{
	pid_t parent = getpid();

	p = shared(size, 0);
	if (fork()) {
		mark(p, size, 'a');
		exit(0);
	}
	while (getppid() == parent)
		usleep(1000);
	see("child loads", p, size);
	mark(p, size, 'o');
	see_file("child reads");
}

static void parent_exits_first(void)
{
	pid_t pid;
	char c;

	make_turns();
	pid = child(exit_first, NULL);
	/* the end of the grandchild */
	close(there[1]);
	if (read(there[0], &c, 1))
		trouble("read");
	done(pid);
	see_file("reads");
}

static void exit_at_once(char *p)
{
	mark(p, size, 'e');
	_exit(0);
}

static void child_exits_first(void)
{
	char *p = shared(size, 0);

	mark(p, size, 'a');
	done(child(exit_at_once, p));
	see("loads", p, size);
	mark(p + CHUNK, CHUNK, 'b');
	see_file("reads");
}

static void be_killed(char *p)
{
	mark(p, size, 'k');
	raise(SIGKILL);
}

static void killed_child(void)
{
	char *p = shared(size, 0);

	done(child(be_killed, p));
	see("loads", p, size);
	see_file("reads");
	say("msync", msync(p, size, MS_SYNC));
}

/* more than any list of them has room for, one after the other */
static void many_children(void)
{
	char *p = shared(size, 0);
	int status, bad = 0;

	for (int i = 0; i < 200; i++) {
		pid_t pid = fork();

		if (!pid) {
			p[i * 1000] = (char)i;
			_exit(0);
		}
		waitpid(pid, &status, 0);
		bad |= status;
	}
	say("bad", bad);
	see("loads", p, size);
	see_file("reads");
}

/* the child is somebody else by then, who has no mapping */
static void exec_elsewhere(char *p)
{
	mark(p, 2 * CHUNK, 'x');
	execlp("cksum", "cksum", path, (char *)NULL);
	trouble("exec");
}

static void executing_child(void)
{
	char *p = shared(size, 0);

	mark(p, size, 'a');
	done(child(exec_elsewhere, p));
	see("loads", p, size);
	say("munmap", munmap(p, size));
	see_file("reads");
}

static const struct way ways[] = {
#define WAY(name) { #name, name }
	WAY(related), WAY(parent_unmaps_first), WAY(parent_closes_first), WAY(parent_exits_first), WAY(child_exits_first),
	WAY(killed_child), WAY(many_children), WAY(executing_child),
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return go(ways, argc, argv);
}
