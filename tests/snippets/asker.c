/*
 * asker HOW FILE OFFSET LENGTH: reads the range by a function that it has asked for by name. HOW is "libc" (of libc's
 * handle), "again" (the same by its other name), "program" (of the program's handle), "default", "next" (RTLD_DEFAULT,
 * RTLD_NEXT), or "thread": by an instruction of its own in a thread that was made by such a function.
 * asker --list: every HOW, one a line.
 */
#include "client.h"
#include "own_call.h"
#include <dlfcn.h>
#include <pthread.h>
#include <sys/syscall.h>

static int fd;
static int64_t at;
static size_t length;
static void *buf;

static void *reads(void *unused)
{
	(void)unused;
	return (void *)own_syscall(SYS_pread64, fd, buf, length, at);
}

static void *ask(void *handle, const char *name)
{
	void *found = handle || !strcmp(name, "pread64") ? dlsym(handle, name) : NULL;

	if (!found)
		trouble(name);
	return found;
}

static void *opened(const char *name)
{
	void *handle = dlopen(name, RTLD_NOW);

	if (!handle)
		trouble("dlopen");
	return handle;
}

static long in_thread(void)
{
	int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	int (*join)(pthread_t, void **);
	pthread_t thread;
	void *ret;

	create = (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))
		ask(opened("libpthread.so.0"), "pthread_create");
	join = (int (*)(pthread_t, void **))ask(opened("libc.so.6"), "pthread_join");
	if (create(&thread, NULL, reads, NULL) || join(thread, &ret))
		trouble("thread");
	return (long)ret;
}

int main(int argc, char **argv)
{
	ssize_t (*read_at)(int, void *, size_t, off64_t);
	void *found = NULL;
	long ret;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		puts("libc\nagain\nprogram\ndefault\nnext\nthread");
		return 0;
	}
	if (argc != 5)
		usage("asker HOW FILE OFFSET LENGTH");
	fd = open(argv[2], O_RDWR);
	if (fd == -1)
		trouble("open");
	at = number(argv[3]);
	length = (size_t)number(argv[4]);
	buf = buffer(length, 0xee);
	if (!strcmp(argv[1], "libc"))
		found = ask(opened("libc.so.6"), "pread64");
	else if (!strcmp(argv[1], "again"))
		found = ask(opened("libc.so.6"), "__pread64");
	else if (!strcmp(argv[1], "program"))
		found = ask(opened(NULL), "pread64");
	else if (!strcmp(argv[1], "default"))
		found = ask(RTLD_DEFAULT, "pread64");
	else if (!strcmp(argv[1], "next"))
		found = ask(RTLD_NEXT, "pread64");
	else if (strcmp(argv[1], "thread"))
		usage("unknown way");
	read_at = (ssize_t (*)(int, void *, size_t, off64_t))found;
	ret = read_at ? read_at(fd, buf, length, at) : in_thread();
	if (result(ret))
		return 1;
	printf("digest=%016llx\n", (unsigned long long)digest(buf, length));
	return 0;
}
