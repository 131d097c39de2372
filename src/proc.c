/* proc: see proc.h. */
#include <fcntl.h>

#include "proc.h"
#include "raw.h"

/* Fifty-two numbers, and a name. */
#define LONGEST 1024

ssize_t bv_proc_read(unsigned pid, unsigned tid, const char *file, char *text,
		     size_t room)
{
	char path[PROC_ROOM];
	ssize_t n;
	int fd;

	proc_add(proc_add(proc_name(path, pid, "task", tid), "/"), file);
	fd = raw_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	n = raw_read(fd, text, room - 1);
	raw_close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n;
}

static unsigned number_at(const char *text)
{
	unsigned number = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		number = number * 10 + (unsigned)(*text - '0');
	return number;
}

/* Where what follows the name begins, with the state, the third field: the
 * name, in brackets, may have anything in it. */
static const char *behind_name(const char *line)
{
	const char *behind = NULL;

	for (; *line; line++)
		if (line[0] == ')' && line[1] == ' ')
			behind = line + 2;
	return behind;
}

/* Numbered as in proc(5). */
static const char *field(const char *third, unsigned number)
{
	for (unsigned now = 3; now < number && *third; third++)
		now += *third == ' ';
	return third;
}

bool bv_proc_parse(const char *line, struct proc_stat *stat)
{
	const char *third = behind_name(line);

	*stat = (struct proc_stat){ 0 };
	if (!third || !*third)
		return false;
	stat->state = *third;
	stat->flags = number_at(field(third, 9));
	stat->threads = number_at(field(third, 20));
	stat->exit_code = number_at(field(third, 52));
	return true;
}

bool bv_proc_stat(unsigned pid, unsigned tid, struct proc_stat *stat)
{
	char line[LONGEST];

	*stat = (struct proc_stat){ 0 };
	return bv_proc_read(pid, tid, "stat", line, sizeof(line)) > 0 &&
	       bv_proc_parse(line, stat);
}

bool bv_proc_is_gone(const struct proc_stat *stat)
{
	return stat->state == 'Z' || stat->state == 'X';
}
