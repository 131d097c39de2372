/* resolve: see resolve.h. */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "resolve.h"
#include "stacked.h"
#include "start.h"
#include "wrap_dl.h"

enum need { REQ, OPT, LATE };

/* Until it is bound, a pointer leads to a function that binds it and goes on:
 * the fast path never asks. Where that is what starts us, the wrapper has
 * looked at nothing yet, and is called again. Where there is nothing to bind,
 * to one that says so. */
#define FD(need, name, ret, params, args, op, opargs)                        \
	static ret boot_##name params                                        \
	{                                                                    \
		if (bv_resolve(BV_SYM_##name))                               \
			return shim_##name args;                             \
		return real_##name args;                                     \
	}                                                                    \
	static ret absent_##name params                                      \
	{                                                                    \
		errno = ENOSYS;                                              \
		return (ret)-1;                                              \
	}                                                                    \
	ret (*real_##name) params = boot_##name;
#define CHK FD
#define AT FD
#define ATCHK FD
#define MADE FD
#define OWN FD
#define OWNV FD
#define ASM FD
#define HAND(need, name, ret, params)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include "symbols.def"
#pragma GCC diagnostic pop
#undef FD

#define FD(need, name, ret, params, args, op, opargs)                        \
	{ #name, (void **)&real_##name, (void *)shim_##name,                   \
	  (void *)boot_##name, (void *)absent_##name, need },
static const struct row {
	const char *name;
	void **real;
	void *ours, *boot, *absent;
	enum need need;
} rows[] = {
#include "symbols.def"
};

/* The next definition of it. Where there are several versions, the one that
 * programs are linked with today: before glibc 2.36 RTLD_NEXT gives the
 * oldest, which runs a shell on what is no program. */
static void *find_next(const char *name)
{
	void *found = NULL;

	if (!strncmp(name, "posix_spawn", 11))
		found = dlvsym(RTLD_NEXT, name, "GLIBC_2.15");
	return found ? found : bv_real_dlsym(RTLD_NEXT, name);
}

/* A second copy of us further down would make a circle. */
static bool bind_row(const struct row *row, void *found)
{
	if (!found || found == row->ours)
		return false;
	*row->real = found;
	return true;
}

const char *bv_resolve_required(void)
{
	for (size_t i = 0; i < BV_SYMBOLS; i++)
		if (rows[i].need == REQ &&
		    !bind_row(&rows[i], find_next(rows[i].name)))
			return rows[i].name;
	return NULL;
}

void bv_resolve_optional(void)
{
	for (size_t i = 0; i < BV_SYMBOLS; i++)
		if (rows[i].need == OPT && *rows[i].real == rows[i].boot &&
		    !bind_row(&rows[i], find_next(rows[i].name)))
			*rows[i].real = rows[i].absent;
}

/* Libraries that were loaded after us, or by dlopen with RTLD_LOCAL, are not
 * found by RTLD_NEXT; one that calls us is loaded, under one of these names. */
static void *find_late(const char *name)
{
	static const char *const libraries[] = {
		"liburing.so.2", "libaio.so.1", "libaio.so.1t64",
	};
	void *found = bv_real_dlsym(RTLD_NEXT, name);

	for (size_t i = 0; !found && i < sizeof(libraries) / sizeof(*libraries);
	     i++) {
		void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);

		if (!library)
			continue;
		found = bv_real_dlsym(library, name);
		dlclose(library);
	}
	return found;
}

bool bv_resolve(enum bv_symbol symbol)
{
	const struct row *row = &rows[symbol];
	bool was_started = bv_has_started();

	bv_start();
	if (*row->real == row->boot &&
	    !bind_row(row, row->need == LATE ? find_late(row->name) :
					       find_next(row->name)))
		*row->real = row->absent;
	return !was_started && bv_has_started();
}

void *bv_resolve_ours(const char *name, void *found)
{
	const struct row *match = NULL;

	for (size_t i = 0; i < BV_SYMBOLS; i++) {
		const struct row *row = &rows[i];

		if (row->need == LATE && *row->real == row->boot &&
		    !strcmp(row->name, name))
			bind_row(row, found);
		if (*row->real != found)
			continue;
		match = row;
		/* One function may have several names. */
		if (!strcmp(row->name, name))
			break;
	}
	return match && (match->need == LATE || bv_stacked_is_libc(found)) ?
		       match->ours : found;
}
