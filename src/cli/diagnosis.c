/* diagnosis: see diagnosis.h. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "cli.h"
#include "diagnosis.h"
#include "treatment.h"

#define WIDTH 78

void cli_diagnosis_note(struct cli_diagnosis *d, const char *format, ...)
{
	va_list list;

	fputs("not covered: ", d->problems);
	va_start(list, format);
	vfprintf(d->problems, format, list);
	va_end(list);
	fputc('\n', d->problems);
	d->count++;
}

/* ---- files ---- */

static const char *base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool begins_as_one_of(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (!strncmp(name, *list, strlen(*list)))
			return true;
	return false;
}

/* Libc calls itself past any preloaded library, and is looked after where it
 * is called. */
static bool is_libc(const char *path)
{
	static const char *const part[] = {
		"libc.so.", "ld-linux", "libm.so.", "libmvec.so.",
		"libpthread.so.", "libdl.so.", "librt.so.", "libresolv.so.",
		"libutil.so.", "libanl.so.", "libnss_files.so.",
		"libnss_dns.so.", "libnss_compat.so.", "libnss_hesiod.so.",
		"libthread_db.so.", "libBrokenLocale.so.", NULL
	};

	return begins_as_one_of(base(path), part);
}

/* Their system calls are their own, but all functions that lead there are in
 * the table. */
static bool is_caught_above(const char *path)
{
	static const char *const library[] = { "liburing.so.", "libaio.so.",
					       NULL };

	return begins_as_one_of(base(path), library);
}

static void read_calls(struct cli_diagnosis *d, size_t file)
{
	const struct cli_object *object = &d->object[file];

	for (size_t i = 0; i < object->imports; i++) {
		size_t at = cli_treatment_find(object->import[i]);

		if (at < cli_treatments)
			d->calls[at * d->closure.files + file] = true;
	}
}

int cli_diagnosis_read(struct cli_diagnosis *d)
{
	const char *why;

	d->object = calloc(d->closure.files, sizeof(*d->object));
	d->calls = calloc(cli_treatments * d->closure.files, sizeof(*d->calls));
	if (!d->object || !d->calls) {
		cli_say("no memory");
		return -1;
	}
	for (size_t i = 0; i < d->closure.files; i++)
		d->object[i].fd = -1;
	for (size_t i = 0; i < d->closure.files; i++) {
		if (cli_object_open(&d->object[i], d->closure.file[i], &why) <
		    0) {
			cli_say("%s: %s", d->closure.file[i], why);
			return -1;
		}
		if (!is_libc(d->closure.file[i]))
			read_calls(d, i);
	}
	return 0;
}

void cli_diagnosis_free(struct cli_diagnosis *d)
{
	for (size_t i = 0; d->object && i < d->closure.files; i++)
		cli_object_close(&d->object[i]);
	free(d->object);
	free(d->calls);
	cli_closure_free(&d->closure);
}

/* ---- what is called ---- */

static bool is_called(const struct cli_diagnosis *d, size_t treatment)
{
	return memchr(d->calls + treatment * d->closure.files, true,
		      d->closure.files) != NULL;
}

/* Words to fill lines with. */
struct lines {
	size_t indent, column;
};

static void begin_lines(struct lines *l, size_t indent)
{
	printf("%*s", (int)indent, "");
	l->indent = l->column = indent;
}

static void put_word(struct lines *l, const char *word, size_t n,
		     const char *behind)
{
	bool first = l->column == l->indent;

	if (!first && l->column + 1 + n + strlen(behind) > WIDTH) {
		printf("\n%*s", (int)l->indent, "");
		l->column = l->indent;
		first = true;
	}
	l->column += (size_t)printf("%s%.*s%s", first ? "" : " ", (int)n, word,
				    behind);
}

static void print_text(const char *text, size_t indent)
{
	struct lines lines;

	begin_lines(&lines, indent);
	while (*text) {
		size_t n = strcspn(text, " ");

		put_word(&lines, text, n, "");
		text += n;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static void print_callers(const struct cli_diagnosis *d, size_t treatment)
{
	const char *function = cli_treatment[treatment].function;
	struct lines lines;

	begin_lines(&lines, 6);
	put_word(&lines, function, strlen(function), ":");
	for (size_t i = 0; i < d->closure.files; i++) {
		const char *name = base(d->closure.file[i]);

		if (d->calls[treatment * d->closure.files + i])
			put_word(&lines, name, strlen(name), "");
	}
	putchar('\n');
}

static bool alike(size_t a, size_t b)
{
	return cli_treatment[a].caught == cli_treatment[b].caught &&
	       !strcmp(cli_treatment[a].words, cli_treatment[b].words);
}

/* All that are treated as the first one is. */
static void print_group(const struct cli_diagnosis *d, size_t first)
{
	size_t last = first;
	struct lines lines;

	print_text(cli_treatment[first].words, 2);
	for (size_t i = first; i < cli_treatments; i++)
		if (alike(i, first) && is_called(d, i))
			last = i;
	if (!d->verbose)
		begin_lines(&lines, 6);
	for (size_t i = first; i <= last; i++) {
		const char *function = cli_treatment[i].function;

		if (!alike(i, first) || !is_called(d, i))
			continue;
		if (d->verbose)
			print_callers(d, i);
		else
			put_word(&lines, function, strlen(function),
				 i == last ? "" : ",");
	}
	if (!d->verbose)
		putchar('\n');
}

static bool is_first(const struct cli_diagnosis *d, size_t treatment)
{
	for (size_t i = 0; i < treatment; i++)
		if (alike(i, treatment) && is_called(d, i))
			return false;
	return is_called(d, treatment);
}

static void print_treatments(const struct cli_diagnosis *d, bool caught)
{
	bool any = false;

	for (size_t i = 0; i < cli_treatments; i++) {
		if (cli_treatment[i].caught != caught || !is_first(d, i))
			continue;
		if (!any)
			puts(caught ? "\nfunctions that are caught, and what "
				      "becomes of a call on a target:" :
				      "\nfunctions that are left alone, and "
				      "why:");
		any = true;
		print_group(d, i);
	}
}

/* ---- what is not covered ---- */

/* From the first ring on that a program makes by the function syscall, what
 * goes to rings is trapped without being asked for. */
static bool is_trapped(const struct cli_diagnosis *d,
		       const struct cli_object *o)
{
	for (unsigned i = 0; i < o->raw.kinds; i++)
		if (o->raw.kind[i].number != SYS_io_uring_enter &&
		    o->raw.kind[i].number != SYS_io_uring_register)
			return false;
	/* Not one that liburing makes. */
	for (size_t i = 0; i < o->imports; i++)
		if (!strncmp(o->import[i], "io_uring_", 9))
			return false;
	return d->trap;
}

static void print_rawcalls(struct cli_diagnosis *d, const struct cli_object *o)
{
	char words[CLI_RAWCALL_KINDS * 40], name[32];
	size_t n = 0;

	for (unsigned i = 0; i < o->raw.kinds; i++)
		n += (size_t)snprintf(words + n, sizeof(words) - n, "%s%s (%lu)",
				      i ? ", " : "",
				      cli_rawcall_name(o->raw.kind[i].number,
						       name, sizeof(name)),
				      o->raw.kind[i].count);
	printf("  %s%s%s%s: %s\n", o->path, o->runtime ? " (" : "",
	       o->runtime ? o->runtime : "", o->runtime ? ")" : "", words);
	if (is_caught_above(o->path))
		puts("      caught in the functions that lead there");
	else if (is_trapped(d, o))
		puts("      trapped from the first ring on");
	else
		cli_diagnosis_note(d, "%s: %lu system call%s by instructions "
				   "of its own: %s", o->path, o->raw.count,
				   o->raw.count == 1 ? "" : "s", words);
}

static void look_for_rawcalls(struct cli_diagnosis *d)
{
	bool any = false;

	for (size_t i = 0; i < d->closure.files; i++) {
		if (d->object[i].raw.count == 0 || is_libc(d->closure.file[i]))
			continue;
		if (!any)
			puts("\nsystem calls by instructions of their own:");
		any = true;
		print_rawcalls(d, &d->object[i]);
	}
}

/* A program's functions come before those of any library, ours included. A
 * sanitizer's call the next ones, which are ours. */
static void look_for_own_functions(struct cli_diagnosis *d)
{
	const struct cli_object *o = &d->object[0];

	for (size_t i = 0; i < o->exports; i++)
		if (!strncmp(o->export[i], "__sanitizer_", 12))
			return;
	for (size_t i = 0; i < o->exports; i++) {
		size_t at = cli_treatment_find(o->export[i]);

		if (at < cli_treatments && cli_treatment[at].caught)
			cli_diagnosis_note(d, "%s: has a function %s of its "
					   "own, which comes before the "
					   "library's", o->path, o->export[i]);
	}
}

/* Of a liburing that is newer than the table. */
static void look_for_new_functions(struct cli_diagnosis *d)
{
	for (size_t i = 0; i < d->closure.files; i++) {
		const struct cli_object *o = &d->object[i];

		for (size_t j = 0; j < o->imports; j++) {
			const char *name = o->import[j] +
					   strspn(o->import[j], "_");

			if (!strncmp(name, "io_uring_", 9) &&
			    cli_treatment_find(o->import[j]) == cli_treatments)
				cli_diagnosis_note(d, "%s: calls %s, which is "
						   "not known", o->path,
						   o->import[j]);
		}
	}
}

void cli_diagnosis_print(struct cli_diagnosis *d)
{
	print_treatments(d, true);
	print_treatments(d, false);
	look_for_rawcalls(d);
	look_for_own_functions(d);
	look_for_new_functions(d);
}
