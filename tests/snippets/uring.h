/*
 * What the clients of rings share. Each is called NAME WAY FILE: it does things with rings on FILE, and prints what came
 * of them, the same each time. FILE has 64 KiB or more, is written to, and keeps its length. NAME --list: every WAY;
 * NAME --refused: those that are refused when FILE is a target.
 */
#ifndef URING_H
#define URING_H

#include "client.h"
#include <liburing.h>

#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif

static struct io_uring ring;
static const char *path;
static int fd;
static uint64_t tag;

__attribute__((unused)) static const char *word(int res)
{
	static char text[2][32];
	static int turn;
	char *to = text[turn ^= 1];

	if (res < 0)
		return errno_name(-res);
	snprintf(to, sizeof(text[0]), "%d", res);
	return to;
}

__attribute__((unused)) static void say(const char *what, int res)
{
	printf("%s: %s\n", what, word(res));
}

__attribute__((unused)) static void need(const char *what, int res)
{
	if (res >= 0)
		return;
	errno = -res;
	trouble(what);
}

__attribute__((unused)) static void make(unsigned entries, unsigned flags)
{
	int res = io_uring_queue_init(entries, &ring, flags);

	if (res == -ENOSYS || res == -EPERM)
		absent("io_uring");
	if (res == -EINVAL)
		absent("such a ring");
	need("io_uring_queue_init", res);
	tag = 0;
}

__attribute__((unused)) static struct io_uring_sqe *sqe(void)
{
	struct io_uring_sqe *s = io_uring_get_sqe(&ring);

	if (!s) {
		errno = ENOSPC;
		trouble("io_uring_get_sqe");
	}
	return s;
}

/* the next request gets the next number */
__attribute__((unused)) static struct io_uring_sqe *numbered(struct io_uring_sqe *s)
{
	s->user_data = ++tag;
	return s;
}

__attribute__((unused)) static struct io_uring_sqe *reads(int from, void *buf, unsigned n, uint64_t at)
{
	struct io_uring_sqe *s = sqe();

	io_uring_prep_read(s, from, buf, n, at);
	return numbered(s);
}

__attribute__((unused)) static struct io_uring_sqe *writes(int to, const void *buf, unsigned n, uint64_t at)
{
	struct io_uring_sqe *s = sqe();

	io_uring_prep_write(s, to, buf, n, at);
	return numbered(s);
}

__attribute__((unused)) static struct io_uring_sqe *nop(void)
{
	struct io_uring_sqe *s = sqe();

	io_uring_prep_nop(s);
	return numbered(s);
}

__attribute__((unused)) static void link_next(struct io_uring_sqe *s, unsigned flags)
{
	s->flags |= flags;
}

__attribute__((unused)) static void fixed(unsigned slot, char *buf, unsigned n, uint64_t at)
{
	reads((int)slot, buf, n, at)->flags |= IOSQE_FIXED_FILE;
}

/* the link of the request last made */
__attribute__((unused)) static void linked(unsigned flags)
{
	link_next(&ring.sq.sqes[(ring.sq.sqe_tail - 1) & *ring.sq.kring_mask], flags);
}

/* ends of a pipe */
static int ends[2];

__attribute__((unused)) static void make_pipe(void)
{
	need("pipe", pipe(ends));
}

/* waits for n completions and prints them, in order of their coming or of their numbers */
__attribute__((unused)) static void reap(unsigned n, int sorted)
{
	struct { uint64_t number; int res; unsigned flags; } got[256], one;

	for (unsigned i = 0; i < n; i++) {
		struct __kernel_timespec soon = { 5, 0 };
		struct io_uring_cqe *cqe;

		need("a completion", io_uring_wait_cqe_timeout(&ring, &cqe, &soon));
		got[i].number = cqe->user_data;
		got[i].res = cqe->res;
		got[i].flags = cqe->flags;
		io_uring_cqe_seen(&ring, cqe);
		for (unsigned j = i; sorted && j > 0 && got[j - 1].number > got[j].number; j--) {
			one = got[j];
			got[j] = got[j - 1];
			got[j - 1] = one;
		}
	}
	for (unsigned i = 0; i < n; i++)
		printf("  #%lld: %s flags %x\n", (long long)got[i].number, word(got[i].res), got[i].flags);
}

__attribute__((unused)) static void none_left(void)
{
	struct io_uring_cqe *cqe;

	usleep(20000);
	say("and then", io_uring_peek_cqe(&ring, &cqe));
}

__attribute__((unused)) static void go(unsigned n)
{
	say("submitted", io_uring_submit(&ring));
	reap(n, 1);
}

__attribute__((unused)) static void show(const char *what, const void *buf, size_t n)
{
	printf("%s %016llx\n", what, (unsigned long long)digest(buf, n));
}

/* ---- the ways ---- */

struct way {
	const char *name;
	void (*run)(void);
};

static void list(const struct way *ways)
{
	for (; ways->name; ways++)
		puts(ways->name);
}

static int find_and_run(const struct way *ways, const char *name)
{
	for (; ways->name; ways++)
		if (!strcmp(name, ways->name)) {
			ways->run();
			return 1;
		}
	return 0;
}

/* both lists end with an empty entry */
static int run_way(int argc, char **argv, const struct way *ways, const struct way *refused)
{
	if (argc == 2 && !strcmp(argv[1], "--list")) {
		list(ways);
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "--refused")) {
		list(refused);
		return 0;
	}
	if (argc != 3)
		usage("WAY FILE");
	path = argv[2];
	fd = open(path, O_RDWR);
	if (fd == -1)
		trouble("open");
	if (!find_and_run(ways, argv[1]) && !find_and_run(refused, argv[1]))
		usage("WAY FILE");
	return 0;
}

#endif
