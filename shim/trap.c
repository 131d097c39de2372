/* trap: putting it in force; see trap.h. */
#include <elf.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <blkverify/disk.h>
#include <blkverify/late.h>
#include <blkverify/policy.h>
#include <blkverify/thread.h>
#include <blkverify/verify.h>

#include "../src/raw.h"
#include "sigsys.h"
#include "symbols.h"
#include "trap.h"

atomic_bool bv_trap_on;

static atomic_bool complete;     /* in every thread */
static _Atomic int starter;      /* the thread that is at it */
static _Atomic uint32_t births;  /* threads that are being made */

/* What the kernel lets pass. */
static uintptr_t text;
static size_t text_length;

/* ---- libc's instruction ---- */

#if defined(__x86_64__)
static const unsigned char gate[] = { 0x0f, 0x05, 0xc3 };
#else
static const unsigned char gate[] = { 0x01, 0x00, 0x00, 0xd4,
				      0xc0, 0x03, 0x5f, 0xd6 };
#endif

/* The executable segment of the object that a function is in. */
static bool find_text(const void *function)
{
	const Elf64_Ehdr *header;
	const Elf64_Phdr *segment;
	Dl_info info;

	if (!dladdr(function, &info))
		return false;
	header = info.dli_fbase;
	segment = (const void *)((const char *)header + header->e_phoff);
	for (unsigned i = 0; i < header->e_phnum; i++, segment++) {
		uintptr_t start = (uintptr_t)header + segment->p_vaddr;

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X) ||
		    (uintptr_t)function - start >= segment->p_memsz)
			continue;
		text = start;
		text_length = segment->p_memsz;
		return true;
	}
	return false;
}

/* Bytes that are the tail of some other instruction would do as well. */
static bool find_gate(void)
{
	const void *found;

	if (!find_text((const void *)gnu_get_libc_version))
		return false;
	found = memmem((const void *)text, text_length, gate, sizeof(gate));
	if (found)
		raw_gate = found;
	return found;
}

/* ---- one thread ---- */

/* No selector: nothing in an armed thread is ever let pass for a while. */
static int dispatch(unsigned mode, uintptr_t start, size_t length)
{
	return (int)raw_call(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, mode,
			     (long)start, (long)length, 0, 0);
}

int bv_trap_arm(void)
{
	return dispatch(PR_SYS_DISPATCH_ON, text, text_length);
}

/* The program's code would run past us in it. */
static void arm_or_end(const char *what)
{
	bv_sigsys_unblock();
	if (bv_trap_arm() == 0)
		return;
	if (bv_policy_unverified(&bv_disk[0], what, -EPERM) < 0) {
		bv_late_settle();
		raw_exit(125);
	}
	for (unsigned i = 0; i < bv_disks; i++)
		bv_change_lasting(&bv_disk[i], 0, INT64_MAX);
}

void bv_trap_thread(void)
{
	arm_or_end("a thread without Syscall User Dispatch");
}

bool bv_trap_birth_begin(void)
{
	atomic_fetch_add(&births, 1);
	return atomic_load(&bv_trap_on);
}

void bv_trap_birth_end(void)
{
	atomic_fetch_sub(&births, 1);
}

/* Who is being born now may not know yet; who is from now on arms itself. */
static bool births_over(void)
{
	static const struct timespec tick = { 0, 10 * 1000 * 1000 };

	for (int ticks = 0; atomic_load(&births) > 0; ticks++) {
		if (ticks == 100)
			return false;
		raw_call(SYS_nanosleep, (long)&tick, 0, 0, 0, 0, 0);
	}
	return true;
}

/* ---- all of it ---- */

static enum bv_trap start(void)
{
	if (atomic_load(&complete))
		return BV_TRAP_SET;
	if (!find_gate())
		return BV_TRAP_NO_GATE;
	/* To turn off what is not on does no harm. */
	if (dispatch(PR_SYS_DISPATCH_OFF, 0, 0) < 0)
		return BV_TRAP_NO_KERNEL;
	if (!atomic_load(&bv_trap_on)) {
		bv_sigsys_start(bv_trap_signal);
		atomic_store(&bv_trap_on, true);
	}
	if (bv_trap_arm() < 0)
		return BV_TRAP_NO_KERNEL;
	if (!births_over() || bv_trap_summon() < 0)
		return BV_TRAP_NO_THREADS;
	atomic_store(&complete, true);
	return BV_TRAP_SET;
}

enum bv_trap bv_trap_start(void)
{
	enum bv_trap result;
	raw_sigset mask;
	int nobody = 0;

	/* Who waits may be summoned meanwhile, so signals are not blocked
	 * before. A handler that interrupted the starter waits in vain. */
	while (!atomic_load(&complete) &&
	       !atomic_compare_exchange_weak(&starter, &nobody, raw_gettid())) {
		if (nobody == raw_gettid())
			return BV_TRAP_NO_THREADS;
		nobody = 0;
		raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	}
	if (atomic_load(&starter) != raw_gettid())
		return BV_TRAP_SET;
	mask = raw_block_signals();
	result = start();
	if (atomic_load(&bv_trap_on))
		bv_sigsys_lift(&mask);
	raw_sigmask(mask);
	atomic_store(&starter, 0);
	return result;
}

const char *bv_trap_missing(enum bv_trap trap)
{
	switch (trap) {
	case BV_TRAP_NO_KERNEL:
		return "there is no Syscall User Dispatch (Linux 5.11)";
	case BV_TRAP_NO_GATE:
		return "libc's system call instruction was not found";
	case BV_TRAP_NO_THREADS:
		return "a thread cannot be reached";
	default:
		return "nothing";
	}
}

void bv_trap_forked(void)
{
	atomic_store(&starter, 0);
	atomic_store(&births, 0);
	if (!atomic_load(&bv_trap_on))
		return;
	bv_trap_stack_forked();
	bv_sigsys_forked(bv_trap_signal);
	arm_or_end("a child without Syscall User Dispatch");
	atomic_store(&complete, true);
}
