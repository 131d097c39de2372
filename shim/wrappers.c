/* wrappers: one function per row of symbols.def. */
#include <errno.h>
#include <unistd.h>

#include <blkverify/fdmap.h>

#include "ops.h"
#include "symbols.h"

/* (a, b) as further arguments; () as none. */
#define BV_ARGS(...) , ##__VA_ARGS__

#define CALL(find, fits, name, ret, params, args, op, opargs)                \
	ret shim_##name params                                                 \
	{                                                                    \
		struct bv_disk *disk = find(fd);                             \
                                                                             \
		if (__builtin_expect(!disk, 1) || !(fits))                   \
			return real_##name args;                             \
		return op(disk, #name BV_ARGS opargs);                   \
	}
#define FD(need, ...) CALL(bv_fd_disk, true, __VA_ARGS__)
#define CHK(need, ...) CALL(bv_fd_disk, n <= size, __VA_ARGS__)
#define AT(need, ...) CALL(bv_fd_guess, true, __VA_ARGS__)
#define ATCHK(need, ...) CALL(bv_fd_guess, n <= size, __VA_ARGS__)
#define MADE(need, name, ret, params, args, op, opargs)                      \
	ret shim_##name params                                                 \
	{                                                                    \
		return op(#name, real_##name args);                          \
	}
#define OWN(need, name, ret, params, args, op, opargs)                       \
	ret shim_##name params                                                 \
	{                                                                    \
		return op(#name BV_ARGS opargs);               \
	}
#define OWNV OWN
#define ASM(...)
#define HAND(need, name, ret, params)

#include "symbols.def"
