/* stdio by the word:  streams open FILE r+ seek 4096 get 100 put 8 5a close
 *
 *   open FILE MODE | reopen FILE MODE (standard input) | close | quit (exit, nothing flushed or closed before)
 *   buffer none|line|full SIZE | flush | child (forks; the child exits at once, and is waited for)
 *   seek OFF | end OFF (from the end) | rewind | tell
 *   get N (fread) | chars N (getc) | unget C | line (getline) | scan (fscanf of a word) | wide N (fgetwc)
 *   put N HEX (fwrite) | char HEX | text TEXT (fputs) | print TEXT N (fprintf) | wtext TEXT (fputws)
 *
 * Says what each returned, and a digest of what was read. The exit status is 1 when one failed. */
#include <errno.h>
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
	} else {
		const char *text = next();
		wchar_t wide[256];
		int result;

		mbstowcs(wide, text, 255);
		result = fputws(wide, f);
		say(op, result >= 0, result < 0, 0);
	}
}

static void step(const char *op)
{
	int result = 0;

	errno = 0;
	if (!strcmp(op, "open") || !strcmp(op, "reopen")) {
		const char *file = next(), *mode = next();

		f = *op == 'o' ? fopen(file, mode) : freopen(file, mode, stdin);
		if (!f)
			exit((say(op, -1, 1, 0), 1));
	} else if (!strcmp(op, "close")) {
		result = fclose(f);
		say(op, result, result, 0);
	} else if (!strcmp(op, "quit")) {
		exit(failed);
	} else if (!strcmp(op, "buffer")) {
		const char *how = next();

		setvbuf(f, NULL, *how == 'n' ? _IONBF : *how == 'l' ? _IOLBF : _IOFBF, (size_t)number());
	} else if (!strcmp(op, "flush")) {
		result = fflush(f);
		say(op, result, result, 0);
	} else if (!strcmp(op, "child")) {
		pid_t child = fork();

		if (child == 0)
			exit(0);
		waitpid(child, &result, 0);
		say(op, result, result, 0);
	} else if (!strcmp(op, "seek") || !strcmp(op, "end")) {
		result = fseeko(f, number(), *op == 's' ? SEEK_SET : SEEK_END);
		say(op, result, result, 0);
	} else if (!strcmp(op, "rewind")) {
		rewind(f);
	} else if (!strcmp(op, "tell")) {
		say(op, ftell(f), 0, 0);
	} else if (!strcmp(op, "unget")) {
		result = ungetc((int)number(), f);
		say(op, result, result == EOF, 0);
	} else if (strstr("get chars line scan wide", op)) {
		reading(op);
	} else if (strstr("put char text print wtext", op)) {
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
