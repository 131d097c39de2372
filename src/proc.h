/* proc: names under /proc, put together without stdio. */
#ifndef BV_PROC_H
#define BV_PROC_H

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

#endif
