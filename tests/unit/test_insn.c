/* insn: lengths of instructions, as the assembler made them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Before cmocka's macros. */
#include "../../src/cli/insn.c"

#include <cmocka.h>

static const struct {
	size_t length;
	const char *bytes, *text;
} known[] = {
	{ 1, "\xc3", "ret" },
	{ 1, "\x90", "nop" },
	{ 1, "\x53", "push %rbx" },
	{ 2, "\x41\x54", "push %r12" },
	{ 5, "\xb8\x11\x00\x00\x00", "mov $0x11,%eax" },
	{ 10, "\x48\xb8\x88\x77\x66\x55\x44\x33\x22\x11", "movabs $0x1122334455667788,%rax" },
	{ 4, "\x66\xb8\x22\x11", "mov $0x1122,%ax" },
	{ 2, "\xb0\x05", "mov $0x5,%al" },
	{ 3, "\x48\x89\xe5", "mov %rsp,%rbp" },
	{ 2, "\x8b\x08", "mov (%rax),%ecx" },
	{ 5, "\x48\x8b\x44\x24\x08", "mov 0x8(%rsp),%rax" },
	{ 7, "\x8b\x94\x8b\x45\x23\x01\x00", "mov 0x12345(%rbx,%rcx,4),%edx" },
	{ 7, "\x48\x8b\x05\x34\x12\x00\x00", "mov 0x1234(%rip),%rax" },
	{ 8, "\x48\x8b\x04\xcd\x78\x56\x34\x12", "mov 0x12345678(,%rcx,8),%rax" },
	{ 9, "\x64\x48\x8b\x04\x25\x28\x00\x00\x00", "mov %fs:0x28,%rax" },
	{ 9, "\xa0\x88\x77\x66\x55\x44\x33\x22\x11", "movabs 0x1122334455667788,%al" },
	{ 3, "\xc6\x00\x01", "movb $0x1,(%rax)" },
	{ 7, "\xc7\x40\x08\x01\x00\x00\x00", "movl $0x1,0x8(%rax)" },
	{ 6, "\x66\xc7\x40\x08\x01\x00", "movw $0x1,0x8(%rax)" },
	{ 12, "\x48\xc7\x84\x24\x00\x01\x00\x00\x01\x00\x00\x00", "movq $0x1,0x100(%rsp)" },
	{ 3, "\x83\xc0\x01", "add $0x1,%eax" },
	{ 5, "\x05\x00\x10\x00\x00", "add $0x1000,%eax" },
	{ 4, "\x66\x05\x00\x10", "add $0x1000,%ax" },
	{ 6, "\x81\xc1\x00\x10\x00\x00", "add $0x1000,%ecx" },
	{ 5, "\x66\x81\x00\x00\x10", "addw $0x1000,(%rax)" },
	{ 4, "\x48\x83\xc1\x01", "add $0x1,%rcx" },
	{ 2, "\xa8\x01", "test $0x1,%al" },
	{ 3, "\xf6\xc1\x01", "test $0x1,%cl" },
	{ 6, "\xf7\xc1\x00\x10\x00\x00", "test $0x1000,%ecx" },
	{ 5, "\x66\xf7\x00\x00\x10", "testw $0x1000,(%rax)" },
	{ 5, "\xa9\x00\x10\x00\x00", "test $0x1000,%eax" },
	{ 2, "\xf7\xd1", "not %ecx" },
	{ 2, "\xf6\x18", "negb (%rax)" },
	{ 4, "\x48\x6b\xc8\x64", "imul $0x64,%rax,%rcx" },
	{ 7, "\x48\x69\xc8\xe8\x03\x00\x00", "imul $0x3e8,%rax,%rcx" },
	{ 4, "\x48\xc1\xe0\x03", "shl $0x3,%rax" },
	{ 3, "\x48\xd1\xe0", "shl %rax" },
	{ 2, "\x6a\x01", "push $0x1" },
	{ 5, "\x68\xe8\x03\x00\x00", "push $0x3e8" },
	{ 5, "\xe8\x00\x00\x00\x00", "call 0xba" },
	{ 2, "\xeb\x00", "jmp 0xbc" },
	{ 5, "\xe9\x00\x00\x00\x00", "jmp 0xc1" },
	{ 2, "\xff\xe0", "jmp *%rax" },
	{ 6, "\x0f\x84\x00\x00\x00\x00", "je 0xc9" },
	{ 2, "\x74\x00", "je 0xcb" },
	{ 4, "\xc8\x10\x00\x00", "enter $0x10,$0x0" },
	{ 3, "\xc2\x08\x00", "ret $0x8" },
	{ 4, "\xf0\x0f\xb1\x0a", "lock cmpxchg %ecx,(%rdx)" },
	{ 2, "\xf3\xa4", "rep movsb %ds:(%rsi),%es:(%rdi)" },
	{ 2, "\x66\x90", "xchg %ax,%ax" },
	{ 4, "\xf3\x0f\x1e\xfa", "endbr64" },
	{ 6, "\x2e\x66\x0f\x1f\x04\x00", "cs nopw (%rax,%rax,1)" },
	{ 2, "\x0f\x05", "syscall" },
	{ 2, "\x0f\x34", "sysenter" },
	{ 2, "\xcd\x80", "int $0x80" },
	{ 1, "\xcc", "int3" },
	{ 2, "\x0f\xa2", "cpuid" },
	{ 2, "\x0f\x31", "rdtsc" },
	{ 3, "\x48\x0f\xc8", "bswap %rax" },
	{ 3, "\x0f\xb6\x08", "movzbl (%rax),%ecx" },
	{ 4, "\x0f\xba\xe0\x03", "bt $0x3,%eax" },
	{ 5, "\x48\x0f\xa4\xc1\x03", "shld $0x3,%rax,%rcx" },
	{ 3, "\x0f\x29\x00", "movaps %xmm0,(%rax)" },
	{ 5, "\x66\x0f\x70\xc8\x01", "pshufd $0x1,%xmm0,%xmm1" },
	{ 4, "\x0f\xc2\xc8\x01", "cmpltps %xmm0,%xmm1" },
	{ 5, "\x66\x0f\x38\x00\xc8", "pshufb %xmm0,%xmm1" },
	{ 6, "\x66\x0f\x3a\x0f\xc8\x01", "palignr $0x1,%xmm0,%xmm1" },
	{ 5, "\xf2\x0f\x38\xf0\x08", "crc32b (%rax),%ecx" },
	{ 3, "\xc5\xf8\x77", "vzeroupper" },
	{ 4, "\xc5\xf4\x58\xd0", "vaddps %ymm0,%ymm1,%ymm2" },
	{ 5, "\xc5\xfd\x70\xc8\x01", "vpshufd $0x1,%ymm0,%ymm1" },
	{ 6, "\xc4\xe3\xfd\x00\xc8\x01", "vpermq $0x1,%ymm0,%ymm1" },
	{ 5, "\xc4\xe2\x75\x00\x10", "vpshufb (%rax),%ymm1,%ymm2" },
	{ 7, "\x62\xf1\xfe\x48\x6f\x40\x01", "vmovdqu64 0x40(%rax),%zmm0" },
	{ 7, "\x62\xf3\x75\x48\x25\xd0\x01", "vpternlogd $0x1,%zmm0,%zmm1,%zmm2" },
	{ 7, "\x62\xf1\x7d\x48\x70\xc8\x01", "vpshufd $0x1,%zmm0,%zmm1" },
	{ 5, "\x8f\xe9\x78\x80\xc8", "vfrczps %xmm0,%xmm1" },
	{ 6, "\x8f\xe8\x78\xc0\xc8\x01", "vprotb $0x1,%xmm0,%xmm1" },
	{ 2, "\xd9\xe8", "fld1" },
	{ 2, "\xdb\x00", "fildl (%rax)" },
	{ 3, "\x67\x8b\x08", "mov (%eax),%ecx" },
	{ 1, "\xd7", "xlat %ds:(%rbx)" },
	{ 2, "\xe2\x00", "loop 0x15b" },
};

static void test_lengths(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		unsigned char room[32];
		struct cli_insn insn;

		/* What follows makes no difference. */
		for (int after = 0; after < 256; after += 51) {
			memset(room, after, sizeof(room));
			memcpy(room, known[i].bytes, known[i].length);
			if (!cli_insn_read(room, sizeof(room), &insn))
				fail_msg("%s: not read", known[i].text);
			if (insn.length != known[i].length)
				fail_msg("%s: %zu", known[i].text, insn.length);
		}
	}
}

static void test_cut_short(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		struct cli_insn insn;

		for (size_t n = 0; n < known[i].length; n++)
			if (cli_insn_read((const unsigned char *)known[i].bytes,
					  n, &insn))
				fail_msg("%s: %zu bytes of it", known[i].text,
					 n);
	}
}

static void test_what_is_none(void **state)
{
	static const char *const none[] = {
		"\x06", "\x0e", "\x60", "\x82\xc0\x01", "\x9a", "\xea", "\xec",
		"\xfa", "\x0f\x04", "\x0f\x22\xc0", "\x0f\x30", "\x0f\x3b",
		"\xc4\x00\x00\x00\x00", "\x62\x00\x00\x00\x00\x00",
		"\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		unsigned char room[32] = { 0 };
		struct cli_insn insn;

		memcpy(room, none[i], strlen(none[i]));
		if (cli_insn_read(room, sizeof(room), &insn))
			fail_msg("number %zu is read", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_what_is_none),
	};

	return cmocka_run_group_tests_name("insn", tests, NULL, NULL);
}
