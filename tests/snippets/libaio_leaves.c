/*
 * libaio_leaves FILE direct|cached: reads of FILE and of itself by Linux AIO; then the main thread leaves, and a moment
 * later the last one does. The process ends with status 0.
 * build: -laio -lpthread
 */
#include "client.h"
#include <libaio.h>
#include <pthread.h>

static void *last(void *argument)
{
	usleep(100000);
	return argument;
}

static void read_both(const int fd[2])
{
	struct iocb cb[2], *cbs[2] = { &cb[0], &cb[1] };
	struct io_event event[2];
	io_context_t context = NULL;
	char *buf = aligned_alloc(4096, 8192);

	if (io_setup(8, &context))
		trouble("io_setup");
	for (int times = 0; times < 50; times++) {
		for (int i = 0; i < 2; i++)
			io_prep_pread(&cb[i], fd[i], buf + 4096 * i, 4096, 0);
		if (io_submit(context, 2, cbs) != 2 || io_getevents(context, 2, 2, event, NULL) != 2 ||
		    event[0].res != 4096 || event[1].res != 4096)
			trouble("read");
	}
}

int main(int argc, char **argv)
{
	pthread_t thread;
	int fd[2];

	if (argc != 3)
		return 2;
	fd[0] = open(argv[1], O_RDONLY | (!strcmp(argv[2], "direct") ? O_DIRECT : 0));
	fd[1] = open("/proc/self/exe", O_RDONLY);
	if (fd[0] < 0)
		fd[0] = open(argv[1], O_RDONLY);
	if (fd[0] < 0 || fd[1] < 0)
		trouble("open");
	read_both(fd);
	if (pthread_create(&thread, NULL, last, NULL))
		return 1;
	pthread_exit(NULL);
}
