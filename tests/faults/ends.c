/* A library that uses a file before main and after it. ENDS_FILE is the file, ENDS_WHEN says when:
 *   constructor destructor    in one of its own
 *   thread                    in a thread that its constructor starts, and waits for
 *   atexit quick              in a handler that exit or quick_exit runs
 *   stream                    a stream of its own, never closed: what was put there is flushed when all else is over
 * It reads 4096 bytes at 20480 and writes 512 bytes of 'e' at 0. Says so, when all went well, on standard error. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void use(void)
{
	char block[4096];
	int fd = open(getenv("ENDS_FILE"), O_RDWR), good;

	good = pread(fd, block, sizeof block, 20480) == sizeof block;
	memset(block, 'e', 512);
	good &= pwrite(fd, block, 512, 0) == 512;
	close(fd);
	if (good)
		dprintf(2, "ends: done in %s\n", getenv("ENDS_WHEN"));
}

static void *in_thread(void *argument)
{
	use();
	return argument;
}

static void open_stream(void)
{
	char block[4096];
	FILE *stream = fopen(getenv("ENDS_FILE"), "r+");

	fseek(stream, 20480, SEEK_SET);
	if (fread(block, 1, sizeof block, stream) != sizeof block)
		return;
	rewind(stream);
	for (int i = 0; i < 512; i++)
		putc('e', stream);
	dprintf(2, "ends: done in stream\n");
}

static int is_when(const char *when)
{
	return getenv("ENDS_WHEN") && !strcmp(getenv("ENDS_WHEN"), when);
}

static void __attribute__((constructor)) begin(void)
{
	pthread_t thread;

	if (is_when("constructor"))
		use();
	if (is_when("atexit"))
		atexit(use);
	if (is_when("quick"))
		at_quick_exit(use);
	if (is_when("stream"))
		open_stream();
	if (is_when("thread") && !pthread_create(&thread, NULL, in_thread, NULL))
		pthread_join(thread, NULL);
}

static void __attribute__((destructor)) end(void)
{
	if (is_when("destructor"))
		use();
}
