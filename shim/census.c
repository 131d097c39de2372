/* census: see census.h. */
#include <errno.h>
#include <stdint.h>

#include <blkverify/own.h>
#include <blkverify/thread.h>

#include "../src/proc.h"
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

bool bv_census_lives(int tid)
{
	struct proc_stat stat;

	return bv_proc_stat(0, (unsigned)tid, &stat) &&
	       !bv_proc_is_gone(&stat) && !(stat.flags & IS_WORKER);
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
	if (bv_proc_read(0, (unsigned)tid, "syscall", line, sizeof(line)) <= 0)
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
