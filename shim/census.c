/* census: see census.h. */
#include <errno.h>
#include <stdint.h>

#include <blkverify/own.h>
#include <blkverify/thread.h>

#include "../src/raw.h"
#include "census.h"

/* Of the flags in /proc/PID/stat: a worker of io_uring's, which is a thread
 * of the process like any other (Linux 5.12). */
#define IS_WORKER 0x10u

struct entry {
	uint64_t inode;
	int64_t offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

static int number_of(const char *name)
{
	int number = 0;

	for (; *name >= '0' && *name <= '9'; name++)
		number = number * 10 + (*name - '0');
	return *name ? 0 : number;
}

/* "/proc/self/task/TID" and what follows. */
static void name_file(char *path, int tid, const char *after)
{
	static const char before[] = "/proc/self/task/";
	char digits[12], *digit = digits;

	for (const char *c = before; *c; c++)
		*path++ = *c;
	do {
		*digit++ = (char)('0' + tid % 10);
		tid /= 10;
	} while (tid);
	while (digit > digits)
		*path++ = *--digit;
	for (; *after; after++)
		*path++ = *after;
	*path = '\0';
}

/* Of the file, as much as there is room for. */
static ssize_t read_file(int tid, const char *file, char *line, size_t room)
{
	char path[48];
	ssize_t n;
	int fd;

	name_file(path, tid, file);
	fd = raw_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	n = raw_read(fd, line, room - 1);
	raw_close(fd);
	if (n >= 0)
		line[n] = '\0';
	return n;
}

bool bv_census_lives(int tid)
{
	char line[256], *at;
	unsigned flags = 0;

	if (read_file(tid, "/stat", line, sizeof(line)) <= 0)
		return false;
	/* The name, in brackets, may have anything in it. */
	at = line;
	for (char *c = line; *c; c++)
		if (*c == ')')
			at = c;
	if (at[0] != ')' || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
		return false;
	/* State, parent, group, session, terminal, its group: then flags. */
	at += 2;
	for (int field = 0; field < 6; field++) {
		while (*at && *at != ' ')
			at++;
		if (*at)
			at++;
	}
	for (; *at >= '0' && *at <= '9'; at++)
		flags = flags * 10 + (unsigned)(*at - '0');
	return !(flags & IS_WORKER);
}

static int digit_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ?
		       c - 'a' + 10 : -1;
}

/* The next of hexadecimal words that are written as " 0x1f"; false: there is
 * none. */
static bool next_word(const char **at, uint64_t *word)
{
	const char *c = *at;

	if (c[0] != ' ' || c[1] != '0' || c[2] != 'x')
		return false;
	*word = 0;
	for (c += 3; digit_of(*c) >= 0; c++)
		*word = *word * 16 + (unsigned)digit_of(*c);
	*at = c;
	return true;
}

/* "NUMBER WORD... SP PC", "running" or "-1 SP PC". */
void bv_census_waiting(int tid, struct bv_waiting *waiting)
{
	uint64_t word[8];
	const char *at;
	char line[256];
	long number = 0;

	waiting->number = -1;
	if (read_file(tid, "/syscall", line, sizeof(line)) <= 0)
		return;
	for (at = line; *at >= '0' && *at <= '9'; at++)
		number = number * 10 + (*at - '0');
	for (int i = 0; i < 8; i++)
		if (!next_word(&at, &word[i]))
			return;
	for (int i = 0; i < 6; i++)
		waiting->words[i] = (long)word[i];
	waiting->sp = word[6];
	waiting->pc = word[7];
	waiting->number = number;
}

static int visit_all(int fd, int (*visit)(int, void *), void *argument)
{
	_Alignas(8) char room[1024];
	long n;

	while ((n = raw_call(SYS_getdents64, fd, (long)room, sizeof(room), 0, 0,
			     0)) > 0)
		for (long at = 0; at < n;) {
			const struct entry *entry = (void *)(room + at);
			int tid = number_of(entry->name), result;

			at += entry->length;
			if (tid == 0 || tid == bv_thread_tid() ||
			    bv_thread_is_own(tid) || !bv_census_lives(tid))
				continue;
			result = visit(tid, argument);
			if (result)
				return result;
		}
	return (int)n;
}

int bv_census(int (*visit)(int tid, void *argument), void *argument)
{
	int fd, low, result;

	low = raw_openat(AT_FDCWD, "/proc/self/task",
			 O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (low < 0)
		return low;
	result = bv_own_dup(low, &fd);
	raw_close(low);
	if (result < 0)
		return result;
	result = visit_all(fd, visit, argument);
	bv_own_release(&fd);
	return result;
}
