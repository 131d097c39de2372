/* rawcall: see rawcall.h. */
#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "insn.h"
#include "rawcall.h"

/* Instructions looked back: the number is loaded within them. */
#define WINDOW 64

static unsigned kind_of(const struct cli_rawcalls *calls, int number)
{
	unsigned i = 0;

	while (i < calls->kinds && calls->kind[i].number != number)
		i++;
	return i;
}

static void count(struct cli_rawcalls *calls, int number)
{
	unsigned i = kind_of(calls, number);

	/* The last kind is for all that there is no room for. */
	if (i >= CLI_RAWCALL_KINDS - 1) {
		number = -1;
		i = kind_of(calls, number);
	}
	if (i == calls->kinds)
		calls->kind[calls->kinds++].number = number;
	calls->kind[i].count++;
	calls->count++;
}

/* ---- x86-64 ---- */

/* What is known of rax: how many instructions ago it got a value, and which. */
struct rax {
	unsigned age;                /* WINDOW: no load in sight */
	int number;                  /* -1: from elsewhere */
};

static int value_at(const unsigned char *p)
{
	int32_t value;

	memcpy(&value, p, sizeof(value));
	return value >= 0 && value < 4096 ? value : -1;
}

/* Does the instruction give rax a value? */
static bool loads_rax(const struct cli_insn *insn, int *number)
{
	unsigned reg = insn->modrm >> 3 & 7, rm = insn->modrm & 7;
	bool direct = insn->modrm >> 6 == 3;

	*number = -1;
	if (insn->map != 0 || insn->vector)
		return false;
	switch (insn->opcode) {
	case 0xb8:                   /* mov $n, %eax */
		*number = value_at(insn->immediate);
		return !insn->rex_b;
	case 0xc7:
		if (direct)
			*number = value_at(insn->immediate);
		return direct && rm == 0 && !insn->rex_b;
	case 0x31:
	case 0x33:                   /* xor %eax, %eax */
		*number = 0;
		return direct && reg == 0 && rm == 0 && !insn->rex_b &&
		       !insn->rex_r;
	case 0x89:                   /* mov %reg, %eax */
		return direct && rm == 0 && !insn->rex_b;
	case 0x8b:
	case 0x8d:
	case 0x63:                   /* mov, lea, movslq to %eax */
		return reg == 0 && !insn->rex_r;
	case 0x58:                   /* pop %rax */
		return !insn->rex_b;
	}
	return false;
}

static bool enters_kernel(const struct cli_insn *insn)
{
	if (insn->vector)
		return false;
	/* syscall, sysenter, int $0x80 */
	return (insn->map == 1 &&
		(insn->opcode == 0x05 || insn->opcode == 0x34)) ||
	       (insn->map == 0 && insn->opcode == 0xcd &&
		*insn->immediate == 0x80);
}

static void add_x86(struct cli_rawcalls *calls, const unsigned char *code,
		    size_t n)
{
	struct rax rax = { WINDOW, -1 };
	unsigned sound = WINDOW;     /* instructions since one that was none */
	struct cli_insn insn;
	int number;

	for (size_t at = 0; at < n; at += insn.length) {
		if (!cli_insn_read(code + at, n - at, &insn)) {
			insn.length = 1;
			sound = 0;
			continue;
		}
		if (enters_kernel(&insn) && sound >= WINDOW / 4 &&
		    rax.age < WINDOW)
			count(calls, rax.number);
		if (loads_rax(&insn, &number))
			rax = (struct rax){ 0, number };
		else if (rax.age < WINDOW)
			rax.age++;
		/* What a function returns is no number of ours. */
		if (insn.map == 0 && !insn.vector && insn.opcode == 0xe8)
			rax.number = -1;
		if (sound < WINDOW)
			sound++;
	}
}

/* ---- aarch64: instructions are words ---- */

#define SVC_0 0xd4000001u
#define MOVZ_X8(word) (((word) & 0x7fe0001fu) == 0x52800008u)

static void add_arm(struct cli_rawcalls *calls, const unsigned char *code,
		    size_t n)
{
	struct rax x8 = { WINDOW, -1 };
	uint32_t word;

	for (size_t at = 0; at + 4 <= n; at += 4) {
		memcpy(&word, code + at, sizeof(word));
		if (word == SVC_0)
			count(calls, x8.age < WINDOW ? x8.number : -1);
		if (MOVZ_X8(word))
			x8 = (struct rax){ 0, (int)(word >> 5 & 0xffff) };
		else if (x8.age < WINDOW)
			x8.age++;
	}
}

void cli_rawcalls_add(struct cli_rawcalls *calls, unsigned machine,
		      const unsigned char *code, size_t n)
{
	if (machine == EM_X86_64)
		add_x86(calls, code, n);
	else if (machine == EM_AARCH64)
		add_arm(calls, code, n);
}

/* ---- names ---- */

static const struct {
	int number;
	const char *name;
} names[] = {
#define NAME(call) { SYS_##call, #call }
	NAME(read), NAME(write), NAME(pread64), NAME(pwrite64), NAME(readv),
	NAME(writev), NAME(preadv), NAME(pwritev), NAME(preadv2),
	NAME(pwritev2), NAME(openat), NAME(close), NAME(lseek), NAME(fstat),
	NAME(mmap), NAME(munmap), NAME(mprotect), NAME(mremap), NAME(madvise),
	NAME(msync), NAME(fsync), NAME(fdatasync), NAME(ftruncate),
	NAME(fallocate), NAME(copy_file_range), NAME(sendfile), NAME(splice),
	NAME(ioctl), NAME(fcntl), NAME(dup), NAME(dup3), NAME(io_setup),
	NAME(io_destroy), NAME(io_submit), NAME(io_getevents),
	NAME(io_pgetevents), NAME(io_cancel), NAME(io_uring_setup),
	NAME(io_uring_enter), NAME(io_uring_register), NAME(clone),
	NAME(execve), NAME(exit), NAME(exit_group), NAME(futex), NAME(getpid),
	NAME(gettid), NAME(tgkill), NAME(rt_sigreturn), NAME(rt_sigaction),
	NAME(rt_sigprocmask), NAME(sigaltstack), NAME(clock_gettime),
	NAME(nanosleep), NAME(sched_yield), NAME(getrandom), NAME(membarrier),
	NAME(rseq), NAME(getcpu), NAME(epoll_pwait), NAME(recvmsg),
	NAME(sendmsg), NAME(memfd_create), NAME(userfaultfd), NAME(prctl),
#ifdef SYS_open
	NAME(open), NAME(dup2), NAME(stat), NAME(poll), NAME(fork),
	NAME(arch_prctl), NAME(gettimeofday),
#endif
};

const char *cli_rawcall_name(int number, char *text, size_t room)
{
	if (number < 0)
		return "number not seen";
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].number == number)
			return names[i].name;
	snprintf(text, room, "number %d", number);
	return text;
}
