/* Locks on FILE, of each kind: a mapping takes none away, and leaves none behind.
 * maplocks WAY FILE; maplocks --list: every WAY, one a line. */
#include <sys/file.h>

#include "maps.h"

static int on_lock;                 /* which command tries */

/* by a description of its own; a signal would tell that it waits */
static void try_lock(char *p)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1 };
	int own = open(path, O_RDWR);

	(void)p;
	say("locked for others", on_lock == LOCK_EX ? flock(own, LOCK_EX | LOCK_NB) : fcntl(own, on_lock, &lock));
}

static void is_locked(const char *when)
{
	puts(when);
	fflush(stdout);
	done(child(try_lock, NULL));
}

static void locks(int command)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1 };
	char *p;

	on_lock = command;
	say("lock", command == LOCK_EX ? flock(fd, LOCK_EX) : fcntl(fd, command, &lock));
	is_locked("at first");
	p = shared(size, 0);
	is_locked("mapped");
	mark(p, size, 'l');
	say("msync", msync(p, size, MS_SYNC));
	is_locked("written back");
	say("munmap", munmap(p, size));
	is_locked("unmapped");
	see("mapped anew", p = map(size, PROT_READ, MAP_SHARED, 0), size);
	is_locked("mapped anew");
	say("munmap", munmap(p, size));
	say("close", close(fd));
	is_locked("closed");
}

static void posix_locks(void) { locks(F_SETLK); }
static void ofd_locks(void) { locks(F_OFD_SETLK); }
static void flocks(void) { locks(LOCK_EX); }

/* closing any descriptor of the file lets go of the process's own locks, and nothing else does */
static void posix_locks_closed(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1 };
	char *p = shared(size, 0);

	on_lock = F_SETLK;
	say("lock", fcntl(fd, F_SETLK, &lock));
	is_locked("mapped");
	say("close of another", close(open(path, O_RDONLY)));
	is_locked("closed another");
	say("lock", fcntl(fd, F_SETLK, &lock));
	say("munmap", munmap(p, size));
	is_locked("unmapped");
	say("close", close(fd));
	is_locked("closed");
	/* mapped by a descriptor that is closed at once, before there is a lock */
	fd = open(path, O_RDWR);
	p = shared(size, 0);
	say("close", close(fd));
	fd = open(path, O_RDWR);
	say("lock", fcntl(fd, F_SETLK, &lock));
	is_locked("mapped before");
	mark(p, size, 'l');
	say("munmap", munmap(p, size));
	is_locked("unmapped");
	see_file("reads");
}

static const struct way ways[] = {
#define WAY(name) { #name, name }
	WAY(posix_locks), WAY(posix_locks_closed), WAY(ofd_locks), WAY(flocks),
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return go(ways, argc, argv);
}
