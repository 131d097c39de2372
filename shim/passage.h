/* passage: around what goes to the next in line: an allocator's functions may
 * be made of syscall() (tcmalloc's are), and must not come back to us. Signals
 * are blocked meanwhile. */
#ifndef BV_PASSAGE_H
#define BV_PASSAGE_H

#include <blkverify/thread.h>

#include "../src/raw.h"

struct passage {
	raw_sigset mask;
	bool inside;
};

static inline struct passage passage_begin(void)
{
	struct passage p = { .mask = raw_block_signals(),
			     .inside = bv_thread.inside };

	bv_thread.inside = true;
	return p;
}

static inline void passage_end(struct passage p)
{
	bv_thread.inside = p.inside;
	raw_sigmask(p.mask);
}

#endif
