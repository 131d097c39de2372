/*
 * poller HOW FILE: reads FILE by Linux AIO, O_DIRECT, 4 KiB at a time, and waits for each completion by HOW.
 * poller --list: every HOW, one a line. In "select" and "peek" no function is called in which the library could see
 * that somebody waits.
 * poller manner FILE: what the functions say of other things while requests are in flight.
 * build: -laio
 */
#include "client.h"
#include <libaio.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>

CALL(poll, int, (struct pollfd *, nfds_t, int))
CALL(__poll, int, (struct pollfd *, nfds_t, int))
CALL(__poll_chk, int, (struct pollfd *, nfds_t, int, size_t))
CALL(ppoll, int, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *))
CALL(__ppoll_chk, int, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t))
CALL(epoll_wait, int, (int, struct epoll_event *, int, int))
CALL(epoll_pwait, int, (int, struct epoll_event *, int, int, const sigset_t *))
CALL(epoll_pwait2, int, (int, struct epoll_event *, int, const struct timespec *, const sigset_t *))

#define ROUNDS 100
#define AT_A_TIME 8

static io_context_t context;
static int fd, event, ep, quiet[2];
static char *buf;

static const struct timespec second = { 1, 0 };

static int by_poll(struct pollfd *p) { return call_poll(p, 1, -1); }
static int by___poll(struct pollfd *p) { return call___poll(p, 1, 1000); }
static int by___poll_chk(struct pollfd *p) { return call___poll_chk(p, 1, -1, sizeof(*p)); }
static int by_ppoll(struct pollfd *p) { return call_ppoll(p, 1, &second, NULL); }
static int by___ppoll_chk(struct pollfd *p) { return call___ppoll_chk(p, 1, NULL, NULL, sizeof(*p)); }

static int by_epoll_wait(struct pollfd *p)
{
	struct epoll_event got;

	(void)p;
	return call_epoll_wait(ep, &got, 1, -1);
}

static int by_epoll_pwait(struct pollfd *p)
{
	struct epoll_event got;
	sigset_t none;

	(void)p;
	sigemptyset(&none);
	return call_epoll_pwait(ep, &got, 1, 1000, &none);
}

static int by_epoll_pwait2(struct pollfd *p)
{
	struct epoll_event got;

	(void)p;
	if (!call_epoll_pwait2)
		absent("epoll_pwait2");
	return call_epoll_pwait2(ep, &got, 1, &second, NULL);
}

static int by_getevents(struct pollfd *p)
{
	(void)p;
	return 1;
}

static int by_select(struct pollfd *p)
{
	fd_set in;

	FD_ZERO(&in);
	FD_SET(p->fd, &in);
	return select(p->fd + 1, &in, NULL, NULL, NULL);
}

/* The head and the tail of the ring (linux/aio_abi.h, fs/aio.c). */
static int by_peek(struct pollfd *p)
{
	volatile uint32_t *ring = (uint32_t *)context;

	(void)p;
	while (ring[2] == ring[3])
		;
	return 1;
}

static const struct way {
	const char *name;
	int (*wait)(struct pollfd *p);
} ways[] = {
#define WAY(name) { #name, by_##name }
	WAY(poll), WAY(__poll), WAY(__poll_chk), WAY(ppoll), WAY(__ppoll_chk), WAY(epoll_wait), WAY(epoll_pwait),
	WAY(epoll_pwait2), WAY(getevents), WAY(select), WAY(peek),
};
#define WAYS (sizeof(ways) / sizeof(*ways))

static void submit(int count, size_t n, int notify)
{
	static struct iocb cb[AT_A_TIME];
	struct iocb *list[AT_A_TIME];

	for (int i = 0; i < count; i++) {
		io_prep_pread(list[i] = &cb[i], fd, buf + (size_t)i * n, n, (long long)n * i);
		if (notify)
			io_set_eventfd(&cb[i], event);
	}
	if (io_submit(context, count, list) != count)
		trouble("io_submit");
}

static void rounds(const struct way *way)
{
	struct io_event got = { .res = 0 };
	uint64_t sum = 0, count;

	for (int i = 0; i < ROUNDS; i++) {
		struct pollfd p = { .fd = event, .events = POLLIN };
		struct timespec at_once = { 0, 0 };
		int blind = way->wait == by_getevents;

		submit(1, 4096, 1);
		if (way->wait(&p) != 1)
			trouble(way->name);
		/* there by now */
		if (io_getevents(context, blind, 1, &got, blind ? NULL : &at_once) != 1 || got.res != 4096)
			trouble("io_getevents");
		/* of which one who looks at the ring is told a little later */
		while (eventfd_read(event, &count))
			if (errno != EAGAIN || way->wait != by_peek)
				trouble("eventfd");
		if (count != 1)
			trouble("eventfd");
		sum = sum * 31 + digest(buf, 4096);
	}
	printf("digest=%016llx\n", (unsigned long long)sum);
}

/* ---- other things ---- */

static void interrupted(int signal) { (void)signal; }

static void reap(void)
{
	struct io_event got[AT_A_TIME];

	printf("%d events\n", io_getevents(context, AT_A_TIME, AT_A_TIME, got, NULL));
}

static int lasted(const struct timespec *since)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int)((now.tv_sec - since->tv_sec) * 1000 + (now.tv_nsec - since->tv_nsec) / 1000000);
}

/* Requests are in flight while CALLED waits; a signal comes in a while if TOLD. */
#define WHILE(told, called) do { \
	struct itimerval soon = { .it_value = { 0, (told) ? 40000 : 0 } }; \
	struct timespec began; \
	submit(AT_A_TIME, 131072, 0); \
	clock_gettime(CLOCK_MONOTONIC, &began); \
	setitimer(ITIMER_REAL, &soon, NULL); \
	printf("%s: ", #called); \
	result(called); \
	printf("in time: %d\n", lasted(&began) >= 30 && lasted(&began) < 20000); \
	reap(); \
} while (0)

static void waits(void)
{
	struct pollfd p[2] = { { .fd = quiet[0], .events = POLLIN }, { .fd = -1 } };
	struct timespec tenth = { 0, 100000000 };
	struct epoll_event got;

	WHILE(0, call_poll(p, 2, 100));
	WHILE(0, call_ppoll(p, 2, &tenth, NULL));
	WHILE(0, call_epoll_wait(ep, &got, 1, 100));
	WHILE(0, call_epoll_pwait(ep, &got, 1, 100, NULL));
	WHILE(1, call_poll(p, 2, -1));
	WHILE(1, call_ppoll(p, 2, NULL, NULL));
	WHILE(1, call_epoll_wait(ep, &got, 1, -1));
}

static void answers(void)
{
	struct pollfd many[100], p[3] = { { .fd = quiet[0], .events = POLLIN, .revents = 7 }, { .fd = 9999, .revents = 7 },
		{ .fd = quiet[1], .events = POLLOUT, .revents = 7 } };
	struct timespec wrong = { 0, 1000000000 };
	struct epoll_event got;

	submit(AT_A_TIME, 131072, 0);
	result(call_poll(p, 3, -1));
	printf("%d %d %d\n", p[0].revents, p[1].revents, p[2].revents);
	result(call_poll(NULL, 0, 0));
	result(call_poll((struct pollfd *)8, 1, 10));
	result(call_poll(p, (nfds_t)1 << 40, 10));
	result(call_ppoll(p, 1, &wrong, NULL));
	for (int i = 0; i < 100; i++)
		many[i] = p[i == 99 ? 2 : 0];
	result(call_poll(many, 100, -1));
	printf("%d %d\n", many[0].revents, many[99].revents);
	result(call_epoll_wait(ep, &got, 0, 10));
	result(call_epoll_wait(quiet[0], &got, 1, 10));
	result(call_epoll_wait(9999, &got, 1, 10));
	reap();
}

int main(int argc, char **argv)
{
	struct epoll_event asked = { .events = EPOLLIN };
	struct sigaction action = { .sa_handler = interrupted, .sa_flags = SA_RESTART };
	unsigned i;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (i = 0; i < WAYS; i++)
			puts(ways[i].name);
		return 0;
	}
	if (argc != 3)
		usage("poller HOW FILE");
	fd = open(argv[2], O_RDONLY | O_DIRECT);
	event = eventfd(0, EFD_NONBLOCK);
	ep = epoll_create1(0);
	if (fd < 0 || event < 0 || pipe(quiet) || epoll_ctl(ep, EPOLL_CTL_ADD, event, &asked) || io_setup(32, &context))
		trouble("start");
	sigaction(SIGALRM, &action, NULL);
	buf = buffer(AT_A_TIME * 131072, 0);
	if (!strcmp(argv[1], "manner")) {
		waits();
		answers();
		return 0;
	}
	for (i = 0; i < WAYS; i++)
		if (!strcmp(argv[1], ways[i].name))
			return rounds(&ways[i]), 0;
	usage("unknown HOW");
}
