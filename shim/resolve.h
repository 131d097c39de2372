/* resolve: finding what the wrappers replace. */
#ifndef BV_RESOLVE_H
#define BV_RESOLVE_H

#include <stdbool.h>

#include "symbols.h"

/* Binds every required symbol by dlsym(RTLD_NEXT). Nothing else may run
 * before it has: dlsym allocates only when it fails, and these do not fail
 * on a libc that is supported. Returns NULL, or the name that is missing or
 * bound to ourselves. */
const char *bv_resolve_required(void);

/* Binds the optional ones; those that are absent stay absent. */
void bv_resolve_optional(void);

/* What a wrapper calls before its real function is known: starts the shim,
 * and looks for late ones. After it the pointer is callable: where there is
 * nothing to call, it sets ENOSYS. True when it is only now that the shim has
 * started: then the wrapper took a target for any other file. */
bool bv_resolve(enum bv_symbol symbol);

/* What a program is to find that looked for name in a library and found that:
 * our function, where it replaces just this one of libc, libaio or liburing.
 * A function that another preloaded library has put in between stays: it may
 * be that one which asks. */
void *bv_resolve_ours(const char *name, void *found);

#endif
