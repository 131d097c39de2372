/* insn: see insn.h. The encoding is that of the manuals of Intel and AMD,
 * "Instruction Format" and "Opcode Map", for 64-bit mode. */
#include <string.h>

#include "insn.h"

/* What follows an opcode. */
enum {
	M = 1,                       /* a ModR/M byte */
	B = 2,                       /* one byte */
	W = 4,                       /* two bytes */
	Z = 8,                       /* four bytes, two after a 66 prefix */
	BAD = 16,                    /* nothing that a program may do */
};

struct span {
	unsigned char first, last, form;
};

static const struct span one_byte[] = {
	{ 0x06, 0x07, BAD }, { 0x0e, 0x0e, BAD }, { 0x16, 0x17, BAD },
	{ 0x1e, 0x1f, BAD }, { 0x27, 0x27, BAD }, { 0x2f, 0x2f, BAD },
	{ 0x37, 0x37, BAD }, { 0x3f, 0x3f, BAD }, { 0x60, 0x61, BAD },
	{ 0x63, 0x63, M }, { 0x68, 0x68, Z }, { 0x69, 0x69, M | Z },
	{ 0x6a, 0x6a, B }, { 0x6b, 0x6b, M | B }, { 0x6c, 0x6f, BAD },
	{ 0x70, 0x7f, B }, { 0x80, 0x80, M | B }, { 0x81, 0x81, M | Z },
	{ 0x82, 0x82, BAD }, { 0x83, 0x83, M | B }, { 0x84, 0x8f, M },
	{ 0x9a, 0x9a, BAD }, { 0xa8, 0xa8, B }, { 0xa9, 0xa9, Z },
	{ 0xb0, 0xb7, B }, { 0xc0, 0xc1, M | B }, { 0xc2, 0xc2, W },
	{ 0xc6, 0xc6, M | B }, { 0xc7, 0xc7, M | Z }, { 0xc8, 0xc8, W | B },
	{ 0xca, 0xca, W }, { 0xcd, 0xcd, B }, { 0xce, 0xce, BAD },
	{ 0xcf, 0xcf, BAD }, { 0xd0, 0xd3, M }, { 0xd4, 0xd6, BAD },
	{ 0xd8, 0xdf, M }, { 0xe0, 0xe3, B }, { 0xe4, 0xe7, BAD },
	{ 0xea, 0xea, BAD }, { 0xeb, 0xeb, B }, { 0xec, 0xef, BAD },
	{ 0xf1, 0xf1, BAD }, { 0xf6, 0xf7, M }, { 0xfa, 0xfb, BAD },
	{ 0xfe, 0xff, M },
};

/* All that are not here have a ModR/M byte. */
static const struct span two_byte[] = {
	{ 0x04, 0x04, BAD }, { 0x05, 0x05, 0 }, { 0x06, 0x0a, BAD },
	{ 0x0b, 0x0b, 0 }, { 0x0c, 0x0c, BAD }, { 0x0e, 0x0e, 0 },
	{ 0x0f, 0x0f, M | B }, { 0x20, 0x27, BAD }, { 0x30, 0x30, BAD },
	{ 0x31, 0x31, 0 }, { 0x32, 0x32, BAD }, { 0x33, 0x34, 0 },
	{ 0x35, 0x37, BAD }, { 0x39, 0x39, BAD }, { 0x3b, 0x3f, BAD },
	{ 0x70, 0x73, M | B }, { 0x77, 0x77, 0 }, { 0x7a, 0x7b, BAD },
	{ 0xa0, 0xa2, 0 }, { 0xa4, 0xa4, M | B }, { 0xa6, 0xa7, BAD },
	{ 0xa8, 0xa9, 0 }, { 0xaa, 0xaa, BAD }, { 0xac, 0xac, M | B },
	{ 0xba, 0xba, M | B }, { 0xc2, 0xc2, M | B }, { 0xc4, 0xc6, M | B },
	{ 0xc8, 0xcf, 0 },
};

/* Where the reading is. */
struct cursor {
	const unsigned char *p, *end;
	bool half, address, wide;    /* prefixes 66, 67, REX.W */
};

static unsigned form_in(const struct span *list, size_t count,
			unsigned char opcode, unsigned otherwise)
{
	for (size_t i = 0; i < count; i++)
		if (opcode >= list[i].first && opcode <= list[i].last)
			return list[i].form;
	return otherwise;
}
#define FORM_IN(list, opcode, otherwise) \
	form_in(list, sizeof(list) / sizeof(*(list)), opcode, otherwise)

static unsigned form_of(const struct cli_insn *insn)
{
	unsigned char opcode = insn->opcode;

	if (insn->map == 3)
		return M | B;
	if (insn->map == 2)
		return M;
	if (insn->map == 1 && opcode >= 0x80 && opcode <= 0x8f)
		return Z;
	if (insn->map == 1)
		return FORM_IN(two_byte, opcode, M);
	/* Eight kinds of arithmetic. */
	if (opcode < 0x40 && (opcode & 7) < 6)
		return (opcode & 7) < 4 ? M : (opcode & 7) == 4 ? B : Z;
	return FORM_IN(one_byte, opcode, 0);
}

static bool skip(struct cursor *c, size_t n)
{
	if ((size_t)(c->end - c->p) < n)
		return false;
	c->p += n;
	return true;
}

/* The ModR/M byte, and what it says of an address. */
static bool read_modrm(struct cursor *c, struct cli_insn *insn)
{
	unsigned mod, rm;
	size_t displacement;

	if (c->p >= c->end)
		return false;
	insn->modrm = *c->p++;
	mod = insn->modrm >> 6;
	rm = insn->modrm & 7;
	if (mod == 3)
		return true;
	displacement = mod == 1 ? 1 : mod == 2 || rm == 5 ? 4 : 0;
	if (rm == 4) {
		if (c->p >= c->end)
			return false;
		if (mod == 0 && (*c->p & 7) == 5)
			displacement = 4;
		c->p++;
	}
	return skip(c, displacement);
}

static size_t immediate_bytes(const struct cursor *c,
			      const struct cli_insn *insn, unsigned form)
{
	size_t n = 0;

	if (form & B)
		n += 1;
	if (form & W)
		n += 2;
	if (form & Z)
		n += c->half ? 2 : 4;
	if (insn->map != 0 || insn->vector)
		return n;
	/* TEST, one of the group of eight. */
	if (insn->opcode == 0xf6 && (insn->modrm & 0x30) == 0)
		n += 1;
	if (insn->opcode == 0xf7 && (insn->modrm & 0x30) == 0)
		n += c->half ? 2 : 4;
	if (insn->opcode >= 0xa0 && insn->opcode <= 0xa3)
		n += c->address ? 4 : 8;
	if (insn->opcode >= 0xb8 && insn->opcode <= 0xbf)
		n += c->wide ? 8 : c->half ? 2 : 4;
	/* A jump is 32 bits far whatever stands before it. */
	if (insn->opcode == 0xe8 || insn->opcode == 0xe9)
		n += 4;
	return n;
}

static void read_prefixes(struct cursor *c, struct cli_insn *insn)
{
	for (; c->p < c->end; c->p++) {
		if (*c->p == 0x66)
			c->half = true;
		else if (*c->p == 0x67)
			c->address = true;
		else if (!memchr("\xf2\xf3\x2e\x36\x3e\x26\x64\x65\xf0", *c->p,
				 9))
			break;
	}
	if (c->p < c->end && (*c->p & 0xf0) == 0x40) {
		c->wide = *c->p & 8;
		insn->rex_r = *c->p & 4;
		insn->rex_b = *c->p & 1;
		c->p++;
	}
}

/* VEX, EVEX and XOP: the map is in the prefix. */
static bool read_vector(struct cursor *c, struct cli_insn *insn)
{
	size_t size = *c->p == 0xc5 ? 2 : *c->p == 0x62 ? 4 : 3;
	unsigned map = 1;

	if ((size_t)(c->end - c->p) <= size)
		return false;
	if (size == 3)
		map = c->p[1] & 0x1f;
	if (size == 4)
		map = c->p[1] & 7;
	/* XOP's maps 8, 9 and 10 end in one byte, none and four. */
	insn->map = map == 8 ? 3 : map == 9 || map > 3 ? 2 : map;
	if (map == 0 || map > 10)
		return false;
	insn->vector = true;
	c->p += size;
	insn->opcode = *c->p++;
	if (insn->map == 1 && insn->opcode == 0x77)
		return true;
	return read_modrm(c, insn) && skip(c, map == 10 ? 4 : 0) &&
	       skip(c, insn->map == 3 ||
			       (insn->map == 1 &&
				FORM_IN(two_byte, insn->opcode, M) == (M | B)));
}

static bool is_vector(const struct cursor *c)
{
	if (*c->p == 0xc4 || *c->p == 0xc5 || *c->p == 0x62)
		return true;
	/* XOP, in place of a POP that does not exist. */
	return *c->p == 0x8f && c->p + 1 < c->end && (c->p[1] & 0x1f) >= 8;
}

static bool read_opcode(struct cursor *c, struct cli_insn *insn)
{
	insn->opcode = *c->p++;
	if (insn->opcode != 0x0f)
		return true;
	insn->map = 1;
	if (c->p >= c->end)
		return false;
	insn->opcode = *c->p++;
	if (insn->opcode != 0x38 && insn->opcode != 0x3a)
		return true;
	insn->map = insn->opcode == 0x38 ? 2 : 3;
	if (c->p >= c->end)
		return false;
	insn->opcode = *c->p++;
	return true;
}

bool cli_insn_read(const unsigned char *p, size_t n, struct cli_insn *insn)
{
	/* None is longer. */
	struct cursor c = { .p = p, .end = p + (n < 15 ? n : 15) };
	unsigned form;

	*insn = (struct cli_insn){ .length = 0 };
	read_prefixes(&c, insn);
	if (c.p >= c.end)
		return false;
	if (is_vector(&c)) {
		if (!read_vector(&c, insn))
			return false;
		insn->immediate = c.p;
	} else {
		if (!read_opcode(&c, insn))
			return false;
		form = form_of(insn);
		if (form & BAD || ((form & M) && !read_modrm(&c, insn)))
			return false;
		insn->immediate = c.p;
		if (!skip(&c, immediate_bytes(&c, insn, form)))
			return false;
	}
	insn->length = (size_t)(c.p - p);
	return true;
}
