/* wrap_dl: libraries loaded later.
 *
 * One that is loaded with RTLD_DEEPBIND finds libc before the shim, and one in
 * a namespace of its own has a libc of its own: what they do would not be
 * seen. Nor would what a program finds in libc by its handle, as foreign
 * function interfaces do.
 */
#include <dlfcn.h>
#include <string.h>

#include <blkverify/disk.h>
#include <blkverify/log.h>
#include <blkverify/thread.h>

#include "guard.h"
#include "ops.h"
#include "resolve.h"
#include "wrap_dl.h"

/* dlopen looks for the library in directories that belong to the one that
 * calls (RUNPATH, $ORIGIN), and knows it by the return address. So this is a
 * jump: the flag is taken off and nothing else touched. */
__attribute__((visibility("hidden"), used)) int bv_dlopen_mask = ~0;

#if defined(__x86_64__)
__asm__(".text\n"
	".globl dlopen\n"
	".type dlopen, @function\n"
	"dlopen:\n"
	"	.byte 0xf3, 0x0f, 0x1e, 0xfa\n"   /* endbr64 */
	"	andl	bv_dlopen_mask(%rip), %esi\n"
	"	jmp	*real_dlopen(%rip)\n"
	".size dlopen, . - dlopen\n");
#else
__asm__(".text\n"
	".globl dlopen\n"
	".type dlopen, %function\n"
	"dlopen:\n"
	"	hint	#34\n"                    /* bti c */
	"	adrp	x16, bv_dlopen_mask\n"
	"	ldr	w16, [x16, #:lo12:bv_dlopen_mask]\n"
	"	and	w1, w1, w16\n"
	"	adrp	x16, real_dlopen\n"
	"	ldr	x16, [x16, #:lo12:real_dlopen]\n"
	"	br	x16\n"
	".size dlopen, . - dlopen\n");
#endif

/* Who asks for the next definition after its own, or for the first of all, is
 * known by the return address, and finds us where we are. Who asks a library
 * by its handle finds what is in there. */
__attribute__((visibility("hidden"), used))
void *bv_dlsym(void *handle, const char *name);

void *bv_dlsym(void *handle, const char *name)
{
	void *found = bv_real_dlsym(handle, name);

	return found && bv_disks > 0 && !bv_thread.inside ?
		       bv_resolve_ours(name, found) : found;
}

/* A sanitizer asks before anything of ours has begun, and must be answered as
 * it is: this neither starts us nor comes between. */
__attribute__((visibility("hidden"), used)) void bv_find_dlsym(void);

void bv_find_dlsym(void)
{
	void *found = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");

	memcpy(&bv_real_dlsym, &found, sizeof(found));
}

void *bv_first_dlsym(void *handle, const char *name);

__attribute__((visibility("hidden"), used))
void *(*bv_real_dlsym)(void *, const char *) = bv_first_dlsym;

#if defined(__x86_64__)
__asm__(".text\n"
	".globl dlsym\n"
	".type dlsym, @function\n"
	"dlsym:\n"
	"	.byte 0xf3, 0x0f, 0x1e, 0xfa\n"   /* endbr64 */
	"	leaq	1(%rdi), %rax\n"          /* RTLD_NEXT: -1, RTLD_DEFAULT: 0 */
	"	cmpq	$1, %rax\n"
	"	ja	bv_dlsym\n"
	"	jmp	*bv_real_dlsym(%rip)\n"
	".size dlsym, . - dlsym\n"
	".globl bv_first_dlsym\n"
	".hidden bv_first_dlsym\n"
	".type bv_first_dlsym, @function\n"
	"bv_first_dlsym:\n"
	"	.byte 0xf3, 0x0f, 0x1e, 0xfa\n"
	"	pushq	%rdi\n"
	"	pushq	%rsi\n"
	"	subq	$8, %rsp\n"
	"	call	bv_find_dlsym\n"
	"	addq	$8, %rsp\n"
	"	popq	%rsi\n"
	"	popq	%rdi\n"
	"	jmp	*bv_real_dlsym(%rip)\n"
	".size bv_first_dlsym, . - bv_first_dlsym\n");
#else
__asm__(".text\n"
	".globl dlsym\n"
	".type dlsym, %function\n"
	"dlsym:\n"
	"	hint	#34\n"                    /* bti c */
	"	add	x16, x0, #1\n"
	"	cmp	x16, #1\n"
	"	b.hi	bv_dlsym\n"
	"	adrp	x16, bv_real_dlsym\n"
	"	ldr	x16, [x16, #:lo12:bv_real_dlsym]\n"
	"	br	x16\n"
	".size dlsym, . - dlsym\n"
	".globl bv_first_dlsym\n"
	".hidden bv_first_dlsym\n"
	".type bv_first_dlsym, %function\n"
	"bv_first_dlsym:\n"
	"	hint	#34\n"
	"	stp	x29, x30, [sp, #-32]!\n"
	"	stp	x0, x1, [sp, #16]\n"
	"	bl	bv_find_dlsym\n"
	"	ldp	x0, x1, [sp, #16]\n"
	"	ldp	x29, x30, [sp], #32\n"
	"	adrp	x16, bv_real_dlsym\n"
	"	ldr	x16, [x16, #:lo12:bv_real_dlsym]\n"
	"	br	x16\n"
	".size bv_first_dlsym, . - bv_first_dlsym\n");
#endif

void bv_dl_start(void)
{
	bv_dlopen_mask = ~RTLD_DEEPBIND;
}

void *op_dlmopen(const char *call, Lmid_t namespace, const char *path, int flags)
{
	(void)call;
	if (bv_disks == 0)
		return real_dlmopen(namespace, path, flags);
	if (namespace == LM_ID_BASE)
		return real_dlmopen(namespace, path, flags & ~RTLD_DEEPBIND);
	bv_log_say("dlmopen refused: a library in a namespace of its own cannot "
		   "be verified");
	/* dlerror tells of a library of this name. */
	return real_dlopen("dlmopen, refused by libblkverify", RTLD_LAZY);
}
