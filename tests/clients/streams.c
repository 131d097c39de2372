/* stdio by the word:  streams open FILE r+ seek 4096 get 100 put 8 5a close
 *
 *   open FILE MODE | number FILE MODE (fdopen) | reopen FILE MODE (standard input) | over FILE MODE (the open stream)
 *   again MODE (freopen of its own file) | others (streams without a file: pipes, memory, cookies; says what they gave)
 *   close | quit (exit, nothing flushed or closed before) | drop (_exit) | hush (closes standard error)
 *   buffer none|line|full SIZE | flush | all (fflush of all) | child (forks; the child exits at once, and is waited for)
 *   seek OFF | end OFF (from the end) | rewind | tell | mark (fgetpos) | back (fsetpos) | fileno N (read there by pread)
 *   get N (fread) | chars N (getc) | unget C | line (getline) | gets N (fgets) | scan (fscanf of a word) | wide N (fgetwc)
 *   put N HEX (fwrite) | char HEX | text TEXT (fputs) | print TEXT N (fprintf) | wtext TEXT (fputws) | wchar CODE (fputwc)
 *
 * Says what each returned, and a digest of what was read. The exit status is 1 when one failed. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

static FILE *f;
static char **word;
static int failed;

static char *next(void)
{
	if (!*word) {
		fprintf(stderr, "streams: a word is missing\n");
		exit(2);
	}
	return *word++;
}

static long number(void)
{
	return strtol(next(), NULL, 0);
}

/* at once, and not through a stream: what was said survives an abort in the next call */
static void say(const char *op, long value, int bad, uint64_t digest)
{
	int error = errno;
	char line[200];
	int n = snprintf(line, sizeof line, "%s = %ld %s %llx\n", op, value, bad ? strerrorname_np(error) : "",
			 (unsigned long long)digest);

	failed |= bad;
	if (write(1, line, (size_t)n) < 0)
		failed = 1;
}

static uint64_t digest_of(const void *data, size_t n)
{
	const unsigned char *p = data;
	uint64_t h = 14695981039346656037ULL;

	while (n--)
		h = (h ^ *p++) * 1099511628211ULL;
	return h;
}

static void reading(const char *op)
{
	if (!strcmp(op, "get")) {
		size_t n = (size_t)number();
		char *bytes = calloc(1, n + 1);
		size_t got = fread(bytes, 1, n, f);

		say(op, (long)got, ferror(f), digest_of(bytes, got));
	} else if (!strcmp(op, "line")) {
		char *text = NULL;
		size_t size = 0;
		ssize_t n = getline(&text, &size, f);

		say(op, n, ferror(f), n > 0 ? digest_of(text, (size_t)n) : 0);
	} else if (!strcmp(op, "gets")) {
		int n = (int)number();
		char *text = calloc(1, (size_t)n), *got = fgets(text, n, f);

		say(op, got != NULL, ferror(f), got ? digest_of(text, strlen(text)) : 0);
	} else if (!strcmp(op, "scan")) {
		char text[256] = "";
		int n = fscanf(f, "%255s", text);

		say(op, n, ferror(f), digest_of(text, strlen(text)));
	} else {
		int wide = *op == 'w';
		long n = number(), got = 0;
		uint64_t h = 0;

		for (; got < n; got++) {
			long c = wide ? (long)fgetwc(f) : getc(f);

			if (c == (wide ? (long)WEOF : EOF))
				break;
			h = h * 31 + (uint64_t)c;
		}
		say(op, got, ferror(f), h);
	}
}

static void writing(const char *op)
{
	if (!strcmp(op, "put")) {
		size_t n = (size_t)number(), done;
		char *bytes = malloc(n + 1);

		memset(bytes, (int)strtol(next(), NULL, 16), n);
		done = fwrite(bytes, 1, n, f);
		say(op, (long)done, done < n, 0);
	} else if (!strcmp(op, "char")) {
		int c = putc((int)strtol(next(), NULL, 16), f);

		say(op, c, c == EOF, 0);
	} else if (!strcmp(op, "text")) {
		int result = fputs(next(), f);

		say(op, result >= 0, result < 0, 0);
	} else if (!strcmp(op, "print")) {
		const char *text = next();
		int n = fprintf(f, "%s %08ld\n", text, number());

		say(op, n, n < 0, 0);
	} else if (!strcmp(op, "wchar")) {
		wint_t c = fputwc((wchar_t)number(), f);

		say(op, (long)c, c == WEOF, 0);
	} else {
		const char *text = next();
		wchar_t wide[256];
		int result;

		mbstowcs(wide, text, 255);
		result = fputws(wide, f);
		say(op, result >= 0, result < 0, 0);
	}
}

/* True when it was one of these. */
static int opening(const char *op)
{
	const char *file = NULL, *mode;

	if (!strstr("open number reopen over again", op))
		return 0;
	if (strcmp(op, "again"))
		file = next();
	mode = next();
	if (!strcmp(op, "open"))
		f = fopen(file, mode);
	else if (!strcmp(op, "number"))
		f = fdopen(open(file, *mode == 'r' && !strchr(mode, '+') ? O_RDONLY : O_RDWR), mode);
	else
		f = freopen(file, mode, *op == 'r' ? stdin : f);
	if (!f)
		exit((say(op, -1, 1, 0), 1));
	return 1;
}

static void positioning(const char *op)
{
	static fpos_t mark;
	int result = 0;

	if (!strcmp(op, "rewind"))
		rewind(f);
	else if (!strcmp(op, "mark"))
		result = fgetpos(f, &mark);
	else if (!strcmp(op, "back"))
		result = fsetpos(f, &mark);
	else
		result = fseeko(f, number(), *op == 's' ? SEEK_SET : SEEK_END);
	say(op, result, result, 0);
}

static ssize_t cookie_read(void *cookie, char *bytes, size_t n)
{
	memset(bytes, *(char *)cookie, n);
	return (ssize_t)n;
}

static ssize_t cookie_write(void *cookie, const char *bytes, size_t n)
{
	return *(char *)cookie == *bytes ? (ssize_t)n : -1;
}

/* text is what was said there and then: arguments are evaluated in no order */
static void said(const char *what, int good, const char *text, size_t n)
{
	say(what, good, !good, digest_of(text, n));
}

static void by_pipe(char *text)
{
	FILE *pipe = popen("echo from a pipe", "r");
	int good = fgets(text, 100, pipe) != NULL;

	said("pipe", good && !pclose(pipe), text, strlen(text));
	pipe = popen("cat >/dev/null", "w");
	good = fputs("to a pipe", pipe) >= 0;
	said("pipe", good && !pclose(pipe), "", 0);
}

static void in_memory(char *text)
{
	char memory[1000] = "some words", *grown = NULL;
	size_t size = 0;
	FILE *stream = fmemopen(memory, sizeof memory, "r+");
	int good = fgets(text, 5, stream) && fprintf(stream, "%d", 17) == 2;

	good &= !fclose(stream);
	said("memory", good, memory, 20);
	stream = open_memstream(&grown, &size);
	good = fprintf(stream, "%1000d", 17) == 1000;
	good &= !fclose(stream);
	said("memory", good, grown, size);
	free(grown);
}

static void by_cookie(char *text)
{
	char letter = 'c';
	cookie_io_functions_t functions = { .read = cookie_read, .write = cookie_write };
	FILE *stream = fopencookie(&letter, "r", functions);
	int good = fread(text, 1, 100, stream) == 100;

	good &= !fclose(stream);
	said("cookie", good, text, 100);
	stream = fopencookie(&letter, "w", functions);
	good = fputs("ccc", stream) >= 0;
	good &= !fclose(stream);
	said("cookie", good, "", 0);
}

static void by_number(const char *op)
{
	char bytes[4096];
	size_t n = (size_t)number();
	ssize_t got = pread(fileno(f), bytes, n < sizeof bytes ? n : sizeof bytes, ftello(f));

	say(op, got, got < 0, got > 0 ? digest_of(bytes, (size_t)got) : 0);
}

static void step(const char *op)
{
	int result = 0;

	errno = 0;
	if (opening(op))
		return;
	if (!strcmp(op, "close")) {
		result = fclose(f);
		say(op, result, result, 0);
	} else if (!strcmp(op, "quit")) {
		exit(failed);
	} else if (!strcmp(op, "drop")) {
		_exit(failed);
	} else if (!strcmp(op, "hush")) {
		close(2);
	} else if (!strcmp(op, "buffer")) {
		const char *how = next();

		setvbuf(f, NULL, *how == 'n' ? _IONBF : *how == 'l' ? _IOLBF : _IOFBF, (size_t)number());
	} else if (!strcmp(op, "flush") || !strcmp(op, "all")) {
		result = fflush(*op == 'f' ? f : NULL);
		say(op, result, result, 0);
	} else if (!strcmp(op, "child")) {
		pid_t child = fork();

		if (child == 0)
			exit(0);
		waitpid(child, &result, 0);
		say(op, result, result, 0);
	} else if (strstr("seek end rewind mark back", op)) {
		positioning(op);
	} else if (!strcmp(op, "others")) {
		char text[100] = "";

		by_pipe(text);
		in_memory(text);
		by_cookie(text);
	} else if (!strcmp(op, "fileno")) {
		by_number(op);
	} else if (!strcmp(op, "tell")) {
		say(op, ftello(f), 0, 0);
	} else if (!strcmp(op, "unget")) {
		result = ungetc((int)number(), f);
		say(op, result, result == EOF, 0);
	} else if (strstr("get chars line gets scan wide", op)) {
		reading(op);
	} else if (strstr("put char text print wtext wchar", op)) {
		writing(op);
	} else {
		fprintf(stderr, "streams: what is %s?\n", op);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	(void)argc;
	if (!setlocale(LC_ALL, "C.UTF-8"))
		setlocale(LC_ALL, "");
	word = argv + 1;
	while (*word)
		step(next());
	return failed;
}
