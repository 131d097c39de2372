/* gate: the one place where the engine enters the kernel; see raw.h.
 *
 * In assembler: the arguments of a function become those of a system call, as
 * in libc's syscall(), and the instruction returns to who called that.
 */
#include "raw.h"

extern const char raw_own_gate[] __attribute__((visibility("hidden")));

const void *raw_gate = raw_own_gate;

#if defined(__x86_64__)
__asm__(".text\n"
	".globl raw_call, raw_own_gate\n"
	".hidden raw_call, raw_own_gate\n"
	".type raw_call, @function\n"
	"raw_call:\n"
	"	.cfi_startproc\n"
	"	movq	%rdi, %rax\n"
	"	movq	%rsi, %rdi\n"
	"	movq	%rdx, %rsi\n"
	"	movq	%rcx, %rdx\n"
	"	movq	%r8, %r10\n"
	"	movq	%r9, %r8\n"
	"	movq	8(%rsp), %r9\n"
	"	jmp	*raw_gate(%rip)\n"
	"raw_own_gate:\n"
	"	syscall\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size raw_call, . - raw_call\n");
#elif defined(__aarch64__)
/* To get there by ret is not to ask for a landing pad (BTI). */
__asm__(".text\n"
	".globl raw_call, raw_own_gate\n"
	".hidden raw_call, raw_own_gate\n"
	".type raw_call, %function\n"
	"raw_call:\n"
	"	.cfi_startproc\n"
	"	mov	x8, x0\n"
	"	mov	x0, x1\n"
	"	mov	x1, x2\n"
	"	mov	x2, x3\n"
	"	mov	x3, x4\n"
	"	mov	x4, x5\n"
	"	mov	x5, x6\n"
	"	adrp	x16, raw_gate\n"
	"	ldr	x16, [x16, #:lo12:raw_gate]\n"
	"	ret	x16\n"
	"raw_own_gate:\n"
	"	svc	#0\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size raw_call, . - raw_call\n");
#else
#error "libblkverify knows the system call instruction of x86-64 and aarch64 only"
#endif
