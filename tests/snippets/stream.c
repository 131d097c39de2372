/*
 * stream CALL:HOW FILE OFFSET LENGTH BYTE: reads or fills the range through a stdio stream on FILE that CALL makes.
 * HOW is "read" or "write"; "stdin", "stdout" and "stderr" put FILE over their descriptor first; "empty" opens with mode "w".
 * dprintf and its like write their text at OFFSET instead.
 * stream --list: every CALL:HOW, one a line.
 */
#include "client.h"
#include <execinfo.h>
#include <stdarg.h>

CALL(fopen, FILE *, (const char *, const char *))
CALL(fopen64, FILE *, (const char *, const char *))
CALL(_IO_fopen, FILE *, (const char *, const char *))
CALL(freopen, FILE *, (const char *, const char *, FILE *))
CALL(freopen64, FILE *, (const char *, const char *, FILE *))
CALL(fdopen, FILE *, (int, const char *))
CALL(_IO_fdopen, FILE *, (int, const char *))
CALL(dprintf, int, (int, const char *, ...))
CALL(vdprintf, int, (int, const char *, va_list))
CALL(__dprintf_chk, int, (int, int, const char *, ...))
CALL(__vdprintf_chk, int, (int, int, const char *, va_list))
CALL(backtrace_symbols_fd, void, (void *const *, int, int))
CALL(__backtrace_symbols_fd, void, (void *const *, int, int))

static int err_fd;

/* what goes wrong is told on descriptor 2: 1 may be the file */
static int failed(const char *what)
{
	dprintf(err_fd, "%s: %s\n", what, errno_name(errno));
	return 1;
}

static int read_from(FILE *f, long at, size_t n)
{
	void *buf = buffer(n, 0xee);

	if (!f)
		return failed("no stream");
	if (fseek(f, at, SEEK_SET))
		return failed("fseek");
	errno = 0;
	if (fread(buf, 1, n, f) != n)
		return failed("fread");
	dprintf(err_fd, "digest=%016llx\n", (unsigned long long)digest(buf, n));
	return 0;
}

static int write_to(FILE *f, long at, size_t n, int byte)
{
	void *buf = buffer(n, byte);

	if (!f)
		return failed("no stream");
	if (fseek(f, at, SEEK_SET))
		return failed("fseek");
	/* once: a second attempt at the same bytes would be refused a second time */
	setvbuf(f, NULL, _IONBF, 0);
	if (fwrite(buf, 1, n, f) != n)
		return failed("fwrite");
	return 0;
}

static int vdprintf_chk(int fd, const char *format, ...)
{
	va_list list;
	int n;

	va_start(list, format);
	n = call___vdprintf_chk(fd, 1, format, list);
	va_end(list);
	return n;
}

static int vdprintf_plain(int fd, const char *format, ...)
{
	va_list list;
	int n;

	va_start(list, format);
	n = call_vdprintf(fd, format, list);
	va_end(list);
	return n;
}

static int text(const char *call, int fd)
{
	void *here[1] = { (void *)text };
	int n = -2;

	if (!strcmp(call, "dprintf"))
		n = call_dprintf(fd, "%s %d %g", "text", 17, 1.5);
	else if (!strcmp(call, "__dprintf_chk"))
		n = call___dprintf_chk(fd, 1, "%s %d %g", "text", 17, 1.5);
	else if (!strcmp(call, "vdprintf"))
		n = vdprintf_plain(fd, "%s %d %g", "text", 17, 1.5);
	else if (!strcmp(call, "__vdprintf_chk"))
		n = vdprintf_chk(fd, "%s %d %g", "text", 17, 1.5);
	else if (strstr(call, "backtrace_symbols_fd")) {
		/* it has no result: what tells is whether the file position moved */
		off_t before = lseek(fd, 0, SEEK_CUR);

		if (*call == 'b')
			call_backtrace_symbols_fd(here, 1, fd);
		else if (call___backtrace_symbols_fd)
			call___backtrace_symbols_fd(here, 1, fd);
		else
			absent(call);
		n = lseek(fd, 0, SEEK_CUR) > before ? 0 : -1;
	} else
		usage("unknown call");
	return n < 0 ? failed(call) : 0;
}

int main(int argc, char **argv)
{
	char *call, *how;
	FILE *f = NULL;
	size_t n;
	long at;
	int fd, writing, byte;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		puts("fopen:read\nfopen:write\nfopen64:read\nfopen64:write\n_IO_fopen:read\nfreopen:read\nfreopen64:write\n"
			"fdopen:read\nfdopen:write\n_IO_fdopen:read\nfopen:empty\nfopen64:empty\n"
			"dprintf:write\n__dprintf_chk:write\nvdprintf:write\n__vdprintf_chk:write\nbacktrace_symbols_fd:write\n__backtrace_symbols_fd:write\n"
			"stdin:read\nstdout:write\nstderr:write");
		return 0;
	}
	if (argc != 6)
		usage("stream CALL:HOW FILE OFFSET LENGTH BYTE");
	call = strdup(argv[1]);
	how = strchr(call, ':');
	if (!how)
		usage("no HOW");
	*how++ = 0;
	at = (long)number(argv[3]);
	n = (size_t)number(argv[4]);
	byte = (int)number(argv[5]);
	writing = *how == 'w';
	err_fd = dup(2);
	if (strstr(call, "printf") || strstr(call, "backtrace")) {
		fd = open(argv[2], O_RDWR);
		if (fd == -1 || lseek(fd, at, SEEK_SET) != at)
			trouble("open");
		return text(call, fd);
	}
	if (!strcmp(how, "empty")) {
		f = !strcmp(call, "fopen") ? call_fopen(argv[2], "w") : call_fopen64(argv[2], "w");
		return f ? write_to(f, at, n, byte) : failed("no stream");
	}
	if (!strncmp(call, "std", 3)) {
		FILE *standard[] = { stdin, stdout, stderr };
		int number = !strcmp(call, "stdin") ? 0 : !strcmp(call, "stdout") ? 1 : 2;

		fd = open(argv[2], O_RDWR);
		if (fd == -1 || dup2(fd, number) != number)
			trouble("open");
		return writing ? write_to(standard[number], at, n, byte) : read_from(stdin, at, n);
	}
	if (!strcmp(call, "fdopen") || !strcmp(call, "_IO_fdopen")) {
		fd = open(argv[2], O_RDWR);
		if (fd == -1)
			trouble("open");
		f = *call == 'f' ? call_fdopen(fd, "r+") : call__IO_fdopen(fd, "r+");
	} else if (!strcmp(call, "fopen"))
		f = call_fopen(argv[2], writing ? "r+" : "r");
	else if (!strcmp(call, "fopen64"))
		f = call_fopen64(argv[2], writing ? "r+" : "r");
	else if (!strcmp(call, "_IO_fopen"))
		f = call__IO_fopen(argv[2], "r");
	else if (!strcmp(call, "freopen"))
		f = call_freopen(argv[2], writing ? "r+" : "r", fopen("/dev/null", "r"));
	else if (!strcmp(call, "freopen64"))
		f = call_freopen64(argv[2], writing ? "r+" : "r", fopen("/dev/null", "r"));
	else
		usage("unknown call");
	return writing ? write_to(f, at, n, byte) : read_from(f, at, n);
}
