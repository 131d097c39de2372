/* proc: names under /proc, put together without stdio, and what threads are
 * said to do there. Async-signal-safe. */
#ifndef BV_PROC_H
#define BV_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Room for the longest. */
#define PROC_ROOM 64

static inline char *proc_add(char *to, const char *string)
{
	while (*string)
		*to++ = *string++;
	*to = '\0';
	return to;
}

static inline char *proc_number(char *to, unsigned number)
{
	char digits[10];
	unsigned n = 0;

	do {
		digits[n++] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	while (n)
		*to++ = digits[--n];
	*to = '\0';
	return to;
}

/* "/proc/PID/DIRECTORY/NUMBER"; pid 0 is the process itself. Returns the
 * end. */
static inline char *proc_name(char path[PROC_ROOM], unsigned pid,
			      const char *directory, unsigned number)
{
	char *at = proc_add(path, "/proc/");

	at = pid ? proc_number(at, pid) : proc_add(at, "self");
	at = proc_add(at, "/");
	at = proc_add(at, directory);
	at = proc_add(at, "/");
	return proc_number(at, number);
}

/* A thread's file, as much of it as there is room for, with a zero behind it.
 * Returns how many bytes, or a negative errno. pid 0 is the process itself. */
ssize_t bv_proc_read(unsigned pid, unsigned tid, const char *file, char *text,
		     size_t room);

/* Of /proc/PID/task/TID/stat; see proc(5). */
struct proc_stat {
	char state;                  /* Z, X: it has ended, and is still there */
	unsigned flags;              /* PF_... in the kernel's sources */
	unsigned threads;            /* of its process */
	unsigned exit_code;          /* as wait tells it; others see 0 */
};

/* False: nothing is known of it. Takes 1 KiB of stack. */
bool bv_proc_stat(unsigned pid, unsigned tid, struct proc_stat *stat);

/* The same out of that line, or of its beginning: what is not there is 0. */
bool bv_proc_parse(const char *line, struct proc_stat *stat);

/* By what was read of it, has the thread ended? */
bool bv_proc_is_gone(const struct proc_stat *stat);

#endif
