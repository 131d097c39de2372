/* rawcall: system calls that code makes by its own instructions, past libc and
 * so past any preloaded library. */
#ifndef BV_RAWCALL_H
#define BV_RAWCALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLI_RAWCALL_KINDS 24

struct cli_rawcalls {
	unsigned long count;         /* all of them */

	/* By the number that is loaded before, as far as that is seen. */
	struct {
		int number;          /* -1: not seen, or more kinds than these */
		unsigned long count;
	} kind[CLI_RAWCALL_KINDS];
	unsigned kinds;
};

/* Adds those in n bytes of code of machine (EM_X86_64 or EM_AARCH64). Data among
 * the code is told from it by what stands around: a system call is preceded by
 * the load of its number, and not by what is no instruction. */
void cli_rawcalls_add(struct cli_rawcalls *calls, unsigned machine,
		      const unsigned char *code, size_t n);

/* Words for number on this machine: "pread64", or "number 17". room is for
 * what has to be put together. */
const char *cli_rawcall_name(int number, char *text, size_t room);

#endif
