/* Threads and processes store, write, load and read FILE, each its own bytes, which lie in between those of all others.
 * mapstress [OPTION...] FILE
 *   -p N  processes (1)        -t N  threads of each (4)      -s N  seconds (5)     -r N  seed (1)
 *   -f    the processes are no children of one that has it mapped: each opens and maps on its own
 *   -h    a signal handler reads and writes a byte of its thread's all the while, and interrupts mapping and writing
 *         back alone, no other reads and writes
 *   -k    children are begun all the while, which map, read, write back and end
 * What a worker stored or wrote last must be what it loads and reads, also after all are done. Makes FILE.expected, which
 * FILE must be equal to in the end. Says how many operations it did; status 1 when something was not as it should be.
 * build: -pthread */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <time.h>

#include "maps.h"

enum { MOST = 64 };

static struct { int processes, threads, seconds, apart, signals, children; uint64_t seed; } options = { 1, 4, 5, 0, 0, 0, 1 };
static struct { atomic_long operations, failures; atomic_int done; } *total;
static atomic_int over;
static int workers;

/* one thread of one process; its bytes are those at number, number + workers, ... */
struct worker {
	pthread_t thread;
	int number;
	volatile int fd;             /* also the handler's */
	uint64_t state;
	unsigned char *model;        /* what they should be */
	volatile unsigned char *map;
	size_t start, end;           /* of the file, mapped: whole pages */
};

static __thread struct worker *self;
static __thread volatile sig_atomic_t handlers_byte = -1;

static uint64_t step(struct worker *w)
{
	w->state ^= w->state << 13;
	w->state ^= w->state >> 7;
	w->state ^= w->state << 17;
	return w->state;
}

static void wrong(struct worker *w, const char *what, size_t at, int is, int should)
{
	if (atomic_fetch_add(&total->failures, 1) < 5)
		fprintf(stderr, "mapstress: worker %d: %s at %zu: %02x, should be %02x\n", w->number, what, at, is, should);
	atomic_store(&over, 1);
}

static void failed(const char *what)
{
	fprintf(stderr, "mapstress: %s: %s\n", what, strerrorname_np(errno));
	atomic_fetch_add(&total->failures, 1);
	atomic_store(&over, 1);
}

/* one of its own bytes in [start, end) */
static size_t own(struct worker *w, size_t start, size_t end)
{
	size_t n = (size_t)workers, at = start + step(w) % (end - start);

	at = at / n * n + (size_t)w->number;
	while (at >= end)
		at -= n;
	return at >= start ? at : at + n;
}

static void load(struct worker *w, size_t at)
{
	unsigned char is = w->map[at - w->start];

	if (is != w->model[at])
		wrong(w, "load", at, is, w->model[at]);
}

static void check(struct worker *w, const char *what, const unsigned char *bytes, size_t n, size_t at)
{
	for (size_t i = at; i < at + n; i++)
		if (i % (size_t)workers == (size_t)w->number && (int)i != handlers_byte && bytes[i - at] != w->model[i])
			wrong(w, what, i, bytes[i - at], w->model[i]);
}

static void read_some(struct worker *w)
{
	unsigned char bytes[300];
	size_t at = step(w) % (size - sizeof bytes);

	if (pread(w->fd, bytes, sizeof bytes, (off_t)at) != (ssize_t)sizeof bytes)
		failed("pread");
	check(w, "pread", bytes, sizeof bytes, at);
}

static void put(struct worker *w, size_t at, int byte)
{
	unsigned char c = (unsigned char)byte;

	if ((int)at == handlers_byte)
		return;
	w->model[at] = c;
	if (pwrite(w->fd, &c, 1, (off_t)at) != 1)
		failed("pwrite");
}

/* to and fro: what is stored back to what it was is stored nevertheless */
static void store(struct worker *w)
{
	size_t at = own(w, w->start, w->end);
	unsigned char before = w->model[at];

	if ((int)at == handlers_byte)
		return;
	for (uint64_t i = 0, n = step(w) % (step(w) % 16 ? 16 : 10000); i < n; i++)
		w->map[at - w->start] = (unsigned char)(before + i % 3);
	w->map[at - w->start] = w->model[at] = step(w) % 2 ? before : (unsigned char)step(w);
	load(w, at);
}

static void unmap(struct worker *w)
{
	if (w->map && munmap((void *)(uintptr_t)w->map, w->end - w->start))
		failed("munmap");
	w->map = NULL;
}

/* another window; now and then over the old one */
static void map_window(struct worker *w)
{
	size_t start = step(w) % (size / PAGE - 2) * PAGE, n = (2 + step(w) % 40) * PAGE;
	void *place = NULL, *p;
	int flags = MAP_SHARED;

	if (start + n > size)
		n = size / PAGE * PAGE - start;
	if (w->map && step(w) % 2 && n >= w->end - w->start) {
		/* what is not mapped over must not be there */
		place = mmap(NULL, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		flags |= MAP_FIXED;
	}
	unmap(w);
	p = mmap(place, n, both, flags, w->fd, (off_t)start);
	if (p == MAP_FAILED)
		failed("mmap");
	w->map = p;
	w->start = start;
	w->end = start + n;
}

static void reopen(struct worker *w)
{
	int again = open(path, O_RDWR), old = w->fd;

	w->fd = again;
	if (again < 0 || close(old))
		failed("open");
}

static void flush(struct worker *w)
{
	size_t n = w->end - w->start, from = step(w) % (n / PAGE) * PAGE;

	switch (step(w) % 4) {
	case 0: if (fsync(w->fd)) failed("fsync"); break;
	case 1: if (sync_file_range(w->fd, 0, 0, SYNC_FILE_RANGE_WRITE)) failed("sync_file_range"); break;
	default:
		if (msync((char *)(uintptr_t)w->map + from, n - from, step(w) % 2 ? MS_SYNC : MS_ASYNC))
			failed("msync");
	}
}

static void one(struct worker *w)
{
	uint64_t what = step(w) % 1000;

	if (what < 600)
		store(w);
	else if (what < 800)
		load(w, own(w, w->start, w->end));
	else if (what < 880 && !options.signals)
		read_some(w);
	else if (what < 960 && !options.signals)
		put(w, own(w, 0, size), (int)step(w));
	else if (what > 980)
		flush(w);
	else if (what > 970)
		map_window(w);
	else if (what == 970)
		reopen(w);
	atomic_fetch_add_explicit(&total->operations, 1, memory_order_relaxed);
}

/* reads and writes the last byte of its thread's, whatever that is doing */
static void on_signal(int signo)
{
	struct worker *w = self;
	unsigned char c;
	int e = errno;

	(void)signo;
	if (w && handlers_byte >= 0) {
		size_t at = (size_t)handlers_byte;

		c = ++w->model[at];
		if (pwrite(w->fd, &c, 1, (off_t)at) != 1 || pread(w->fd, &c, 1, (off_t)at) != 1 || c != w->model[at])
			wrong(w, "handler", at, c, w->model[at]);
	}
	errno = e;
}

static void *work(void *argument)
{
	struct worker *w = argument;
	sigset_t alarm;

	self = w;
	w->fd = open(path, O_RDWR);
	if (w->fd < 0)
		trouble(path);
	map_window(w);
	if (options.signals) {
		handlers_byte = (int)own(w, size - (size_t)workers, size);
		sigemptyset(&alarm);
		sigaddset(&alarm, SIGALRM);
		pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
	}
	while (!atomic_load_explicit(&over, memory_order_relaxed))
		one(w);
	handlers_byte = -1;
	unmap(w);
	self = NULL;
	return NULL;
}

/* begun whatever the threads are doing */
static void begin_child(void)
{
	pid_t pid = fork();
	char *p, bytes[300];
	int status;

	if (pid < 0)
		failed("fork");
	if (pid == 0) {
		/* what hangs is ended, and seen */
		alarm(20);
		signal(SIGALRM, SIG_DFL);
		sigprocmask(SIG_SETMASK, &(sigset_t){ 0 }, NULL);
		p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
		_exit(p == MAP_FAILED || pread(fd, bytes, sizeof bytes, 5000) != (ssize_t)sizeof bytes || fsync(fd) ||
			munmap(p, size));
	}
	if (pid > 0 && (waitpid(pid, &status, 0) != pid || status)) {
		fprintf(stderr, "mapstress: a child ended with status %x\n", status);
		atomic_fetch_add(&total->failures, 1);
		atomic_store(&over, 1);
	}
}

static void finish(struct worker *w, int expected)
{
	unsigned char *bytes = malloc(size);

	if (pread(w->fd, bytes, size, 0) != (ssize_t)size)
		failed("pread");
	check(w, "in the end", bytes, size, 0);
	for (size_t at = (size_t)w->number; at < size; at += (size_t)workers)
		pwrite(expected, w->model + at, 1, (off_t)at);
	free(bytes);
}

static void process(int number, int expected)
{
	struct worker list[MOST] = { 0 };
	struct timespec tick = { 0, 1000000 };
	struct timespec now, end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	for (int i = 0; i < options.threads; i++) {
		struct worker *w = &list[i];

		w->number = number * options.threads + i;
		w->state = (options.seed * 1000003 + (uint64_t)w->number) * 7919 + 1;
		w->model = malloc(size);
		if (pread(fd, w->model, size, 0) != (ssize_t)size)
			trouble("pread");
		if (pthread_create(&w->thread, NULL, work, w))
			trouble("pthread_create");
	}
	do {
		nanosleep(&tick, NULL);
		for (int i = 0; options.signals && i < options.threads; i++)
			pthread_kill(list[i].thread, SIGALRM);
		if (options.children)
			begin_child();
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - end.tv_sec < options.seconds && !atomic_load(&over));
	atomic_store(&over, 1);
	for (int i = 0; i < options.threads; i++)
		pthread_join(list[i].thread, NULL);
	for (int i = 0; i < options.threads; i++)
		finish(&list[i], expected);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	int option, expected, status, bad = 0;
	char name[4096];
	sigset_t alarm;
	struct stat st;

	while ((option = getopt(argc, argv, "p:t:s:r:fhk")) != -1)
		switch (option) {
		case 'p': options.processes = atoi(optarg); break;
		case 't': options.threads = atoi(optarg); break;
		case 's': options.seconds = atoi(optarg); break;
		case 'r': options.seed = strtoul(optarg, NULL, 0); break;
		case 'f': options.apart = 1; break;
		case 'h': options.signals = 1; break;
		case 'k': options.children = 1; break;
		default: return 2;
		}
	path = argv[optind];
	workers = options.processes * options.threads;
	fd = path ? open(path, O_RDWR) : -1;
	if (fd < 0 || fstat(fd, &st) || options.threads > MOST)
		trouble("usage: mapstress [OPTION...] FILE");
	size = (size_t)st.st_size;
	snprintf(name, sizeof name, "%s.expected", path);
	expected = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
	total = mmap(NULL, sizeof *total, both, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	sigaction(SIGALRM, &action, NULL);
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, NULL);
	/* children inherit this mapping */
	if (!options.apart)
		shared(size, 0);
	for (int i = 1; i < options.processes; i++)
		if (!fork()) {
			process(i, expected);
			exit(0);
		}
	process(0, expected);
	while (wait(&status) > 0)
		bad |= status;
	printf("operations %ld\n", atomic_load(&total->operations));
	return bad || atomic_load(&total->failures) ? 1 : 0;
}
