/* symbols: what symbols.def says, as C declarations.
 *
 * For each row shim_NAME, our function, is exported under the name itself, and
 * real_NAME is what it replaces. Names are given by asm label: redefining
 * pread and pread64 after <unistd.h> fails under _FILE_OFFSET_BITS=64 and
 * under _FORTIFY_SOURCE, and a label does not.
 */
#ifndef BV_SYMBOLS_H
#define BV_SYMBOLS_H

#include <aio.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/openat2.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <threads.h>
#include <wordexp.h>

struct io_uring;

#define BV_EXPORTED __attribute__((visibility("default")))

/* Index of each row with a real function, for resolve.c. */
#define FD(need, name, ...) BV_SYM_##name,
#define CHK FD
#define AT FD
#define ATCHK FD
#define MADE FD
#define OWN FD
#define OWNV FD
#define ASM FD
#define HAND(need, name, ...)
enum bv_symbol {
#include "symbols.def"
	BV_SYMBOLS
};
#undef FD
#undef HAND

#define FD(need, name, ret, params, args, op, opargs)                        \
	extern ret (*real_##name) params;                                    \
	ret shim_##name params __asm__(#name) BV_EXPORTED;
#define HAND(need, name, ret, params)                                        \
	ret shim_##name params __asm__(#name) BV_EXPORTED;
#include "symbols.def"
#undef FD
#undef CHK
#undef AT
#undef ATCHK
#undef MADE
#undef OWN
#undef OWNV
#undef ASM
#undef HAND

#endif
