/* wrap_dl: libraries loaded later.
 *
 * One that is loaded with RTLD_DEEPBIND finds libc before the shim, and one in
 * a namespace of its own has a libc of its own: what they do would not be
 * seen.
 */
#include <dlfcn.h>

#include <blkverify/disk.h>
#include <blkverify/log.h>

#include "guard.h"
#include "ops.h"
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
