/* insn: how long an instruction of x86-64 is, and little else.
 *
 * Enough to walk from one to the next, so that bytes inside another one are not
 * taken for a system call.
 */
#ifndef BV_INSN_H
#define BV_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cli_insn {
	size_t length;               /* bytes */
	unsigned map;                /* 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A */
	bool vector;                 /* by a VEX, EVEX or XOP prefix */
	unsigned char opcode;
	unsigned char modrm;         /* 0 where there is none */
	bool rex_b, rex_r;           /* the upper eight registers */
	const unsigned char *immediate;  /* the last bytes of it, or its end */
};

/* Takes the instruction at p, of n bytes that are there, apart. False when
 * that is none, or none that a program could carry out. */
bool cli_insn_read(const unsigned char *p, size_t n, struct cli_insn *insn);

#endif
