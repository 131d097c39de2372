/* What is seen through mappings of FILE (300 KB or so, of odd length), and of what was stored there.
 * maps WAY FILE; maps --list: every WAY, one a line. */
#include <aio.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

#include "maps.h"

/* some bytes here and there: in a page, across pages, across chunks, up to the end */
static void store(char *p, int byte)
{
	memset(p + 100, byte, 1);
	memset(p + 5000, byte, 300);
	memset(p + 3 * PAGE - 7, byte, 20);
	memset(p + CHUNK - 10, byte, 25);
	memset(p + 2 * CHUNK + 3, byte, 2 * PAGE);
	memset(p + size - 5, byte, 5);
}

static void read_back(void)
{
	static char bytes[1 << 20];
	struct iovec iov[3] = { { bytes, 7 }, { bytes + 7, 6000 }, { bytes + 6007, sizeof bytes - 6007 } };
	char *p = shared(size, 0);
	int other = beside("copy"), pipes[2];
	off_t from = CHUNK - 100;
	FILE *stream;

	see("load", p, size);
	store(p, 'a');
	see("load", p, size);
	see_file("pread");
	memset(p + 20000, 'b', 11);
	say("read", read(fd, bytes, 30000));
	see("read", bytes, 30000);
	memset(p, 'c', 9);
	lseek(fd, 3, SEEK_SET);
	say("readv", readv(fd, iov, 3));
	see("readv", bytes, size - 3);
	store(p, 'd');
	say("copy_file_range", copy_file_range(fd, &from, other, NULL, 100000, 0));
	store(p, 'e');
	from = 0;
	say("sendfile", sendfile(other, fd, &from, size));
	pread(other, bytes, 100000 + size, 0);
	see("copies", bytes, 100000 + size);
	if (pipe(pipes))
		trouble("pipe");
	store(p, 'f');
	from = 5000 - 10;
	say("splice", splice(fd, &from, pipes[1], NULL, 400, 0));
	say("read", read(pipes[0], bytes, 400));
	see("splice", bytes, 400);
	stream = fopen(path, "r");
	say("fread", (long long)fread(bytes, 1, size, stream));
	see("fread", bytes, size);
}

static void write_seen(void)
{
	char *p = shared(size, 0), bytes[3 * PAGE];
	struct iovec iov[2] = { { bytes, 10 }, { bytes + 10, 5000 } };
	int other = beside("copy");
	off_t to = CHUNK - 20;
	FILE *stream;

	memset(bytes, 'w', sizeof bytes);
	say("pwrite", pwrite(fd, bytes, sizeof bytes, 50));
	see("load", p, size);
	/* in the page of what is stored, over it, and beside it */
	memset(p + 20000, 's', 100);
	say("pwrite", pwrite(fd, bytes, 10, 20200));
	say("pwrite", pwrite(fd, bytes, 10, 20050));
	say("pwrite", pwrite(fd, bytes, 10, 20099));
	see("load", p, size);
	see_file("pread");
	lseek(fd, CHUNK - 5, SEEK_SET);
	say("writev", writev(fd, iov, 2));
	see("load", p, size);
	say("ftruncate", ftruncate(other, 1000));
	say("copy_file_range", copy_file_range(other, NULL, fd, &to, 1000, 0));
	see("load", p, size);
	stream = fopen(path, "r+");
	say("fputs", fputs("a stream", stream));
	say("fflush", fflush(stream));
	see("load", p, size);
	say("fsync", fsync(fd));
	say("pwrite", pwrite(fd, bytes, 10, 20070));
	see("load", p, size);
	see_file("pread");
}

static void twice(void)
{
	char *p = shared(size, 0), *q = shared(size - CHUNK, CHUNK), *r = map(size, PROT_READ, MAP_SHARED, 0);

	store(p, 'p');
	see("second", q, size - CHUNK);
	memset(q, 'q', 3 * PAGE);
	see("first", p, size);
	see("third", r, size);
	say("munmap", munmap(p, size));
	memset(q + 5000, 'r', 10);
	see("third", r, size);
	see_file("pread");
	say("munmap", munmap(q, size - CHUNK));
	see("third", r, size);
	see_file("pread");
}

static void private(void)
{
	char *p = map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0), *q = shared(size, 0), bytes[100];

	memset(p + 10000, 'p', 100);
	see("private", p, size);
	see("shared", q, size);
	see_file("pread");
	memset(bytes, 'w', sizeof bytes);
	say("pwrite", pwrite(fd, bytes, 100, 10050));
	say("pwrite", pwrite(fd, bytes, 100, 90000));
	memset(q + 150000, 'q', 100);
	see("private", p, size);
	say("msync", msync(p, size, MS_SYNC));
	say("munmap", munmap(p, size));
	see_file("pread");
}

/* one that is private alone, by a descriptor for reading */
static void private_read(void)
{
	char *p;

	fd = open(path, O_RDONLY);
	p = map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
	store(p, 'p');
	see("private", p, size);
	say("close", close(fd));
	see("private", p, size);
	say("munmap", munmap(p, size));
}

/* ---- what is written back when: the process dies by SIGKILL right after ---- */

static char *stored(void)
{
	char *p = shared(size, 0);

	store(p, 'k');
	return p;
}

static void die(long long ret)
{
	say("ret", ret);
	raise(SIGKILL);
}

static void kill_msync(void) { die(msync(stored(), size, MS_SYNC)); }
static void kill_msync_part(void) { die(msync(stored() + PAGE, size - PAGE, MS_SYNC) | msync(stored(), PAGE, MS_SYNC)); }
static void kill_invalidate(void) { die(msync(stored(), size, MS_SYNC | MS_INVALIDATE)); }
static void kill_async(void) { die(msync(stored(), size, MS_ASYNC)); }
static void kill_fsync(void) { stored(); die(fsync(fd)); }
static void kill_fdatasync(void) { stored(); die(fdatasync(fd)); }
static void kill_syncfs(void) { stored(); die(syncfs(fd)); }
static void kill_munmap(void) { die(munmap(stored(), size)); }
static void kill_other_fd(void) { stored(); die(fsync(open(path, O_RDONLY))); }

/* everything of everybody */
static void kill_sync(void)
{
	stored();
	sync();
	die(0);
}

static void kill_aio_fsync(void)
{
	struct aiocb cb = { .aio_fildes = fd };
	const struct aiocb *list[] = { &cb };

	stored();
	say("aio_fsync", aio_fsync(O_SYNC, &cb));
	aio_suspend(list, 1, NULL);
	die(aio_return(&cb));
}

/* Linux AIO */
static void kill_io_fsync(void)
{
	struct iocb cb = { .aio_fildes = (unsigned)fd, .aio_lio_opcode = IOCB_CMD_FSYNC }, *list[] = { &cb };
	struct io_event event;
	aio_context_t context = 0;

	stored();
	say("io_setup", syscall(SYS_io_setup, 4, &context));
	say("io_submit", syscall(SYS_io_submit, context, 1, list));
	say("io_getevents", syscall(SYS_io_getevents, context, 1, 1, &event, NULL));
	die(event.res);
}

static void kill_range(void)
{
	stored();
	die(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
}

static void kill_over(void)
{
	char *p = stored();

	die(mmap(p, size, both, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p ? 0 : -1);
}

static void kill_moved_over(void)
{
	char *p = stored(), *q = map(size, both, MAP_PRIVATE | MAP_ANONYMOUS, 0);

	die(mremap(q, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, p) == p ? 0 : -1);
}

static void kill_shorter(void)
{
	char *p = stored();

	say("munmap", munmap(p, PAGE));
	die(mremap(p + PAGE, size - PAGE, PAGE, 0) == p + PAGE ? msync(p + PAGE, PAGE, MS_SYNC) : -1);
}

static void kill_hole(void)
{
	char *p = stored();

	/* what is there is written back, although the call fails */
	say("munmap", munmap(p + 4 * PAGE, PAGE));
	die(msync(p, size, MS_SYNC));
}

static void kill_unmapped_pieces(void)
{
	char *p = stored();

	say("munmap", munmap(p + PAGE, CHUNK - PAGE));
	say("munmap", munmap(p + CHUNK, size - CHUNK));
	die(munmap(p, PAGE));
}

static void kill_closed(void)
{
	char *p = stored();

	say("close", close(fd));
	die(msync(p, size, MS_SYNC));
}

static void odd_msync(void)
{
	char *p = shared(size, 0);

	say("unaligned", msync(p + 1, PAGE, MS_SYNC));
	say("both", msync(p, PAGE, MS_SYNC | MS_ASYNC));
	say("unknown", msync(p, PAGE, 64));
	say("nothing", msync(p, 0, MS_SYNC));
	say("no flag", msync(p, PAGE, 0));
	say("beyond", msync(p + (size + PAGE - 1) / PAGE * PAGE, 0, MS_SYNC));
	if (mlock(p, PAGE))
		trouble("mlock");
	say("locked", msync(p, PAGE, MS_SYNC | MS_INVALIDATE));
	say("munmap of nothing", munmap(p, 0));
	say("munmap unaligned", munmap(p + 8, PAGE));
	store(p, 'm');
	see_file("pread");
}

/* on a target that fails once */
static void failing_msync(void) { say("msync", msync(stored(), size, MS_SYNC)); }

/* ---- ends: what is stored is there when the process is gone ---- */

static void end_exit(void) { stored(); exit(7); }
static void end__exit(void) { stored(); _exit(7); }
static void end_quick_exit(void) { stored(); quick_exit(7); }
static void end_exit_group(void) { stored(); syscall(SYS_exit_group, 7); }
static void end_return(void) { stored(); }

static char *late;

static void store_late(void) { store(late, 'l'); }

static void end_atexit(void)
{
	late = shared(size, 0);
	atexit(store_late);
}

static void end_at_quick_exit(void)
{
	late = shared(size, 0);
	at_quick_exit(store_late);
	quick_exit(7);
}

static void end_exec(void)
{
	stored();
	execlp("cksum", "cksum", path, (char *)NULL);
	trouble("exec");
}

/* one that cannot be begun ends nothing */
static void end_exec_failed(void)
{
	char *p = stored();

	say("exec", execl("/nowhere", "nowhere", (char *)NULL));
	memset(p + 30000, 'x', 30000);
	see_file("pread");
}

static void end_system(void)
{
	char command[4200];

	snprintf(command, sizeof command, "cksum <'%s'", path);
	stored();
	say("system", system(command));
}

static void *leave(void *p)
{
	store(p, 't');
	exit(7);
}

static void end_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, leave, stored()))
		trouble("pthread_create");
	pthread_exit(NULL);
}

/* ---- raw system calls through libc ---- */

static void raw(void)
{
	char *p = (char *)syscall(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), *q;

	if (p == MAP_FAILED)
		trouble("mmap");
	store(p, 'r');
	see_file("pread");
	say("msync", syscall(SYS_msync, p, size, MS_SYNC));
	q = (char *)syscall(SYS_mremap, p, size, CHUNK, 0, NULL);
	say("mremap", q == p ? 0 : -1);
	store(map(size, PROT_READ | PROT_WRITE, MAP_SHARED, 0), 'q');
	memset(q, 'q', 50);
	say("munmap", syscall(SYS_munmap, q, CHUNK));
	see_file("pread");
	say("no such offset", syscall(SYS_mmap, NULL, size, PROT_READ, MAP_SHARED, fd, 1));
}

static void underscores(void)
{
	extern int call_munmap(void *, size_t) __asm__("__munmap") __attribute__((weak));
	char *p = shared(size, 0);

	store(p, 'u');
	say("__munmap", call_munmap ? call_munmap(p, size) : munmap(p, size));
	see_file("pread");
}

static const struct way ways[] = {
#define WAY(name) { #name, name }
	WAY(read_back), WAY(write_seen), WAY(twice), WAY(private), WAY(private_read),
	WAY(kill_msync), WAY(kill_msync_part), WAY(kill_invalidate), WAY(kill_fsync), WAY(kill_fdatasync),
	WAY(kill_sync), WAY(kill_aio_fsync), WAY(kill_io_fsync), WAY(kill_syncfs), WAY(kill_range), WAY(kill_async),
	WAY(kill_munmap), WAY(kill_other_fd), WAY(kill_over), WAY(kill_moved_over), WAY(kill_shorter), WAY(kill_hole),
	WAY(kill_unmapped_pieces), WAY(kill_closed), WAY(failing_msync), WAY(odd_msync),
	WAY(end_exit), WAY(end__exit), WAY(end_quick_exit), WAY(end_exit_group), WAY(end_return), WAY(end_atexit),
	WAY(end_at_quick_exit), WAY(end_exec), WAY(end_exec_failed), WAY(end_system), WAY(end_thread),
	WAY(raw), WAY(underscores),
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return go(ways, argc, argv);
}
