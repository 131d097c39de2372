/*
 * System calls by an instruction of the client's own: own_call(number, a, b, c, d, e, f) gives what the kernel gives, a
 * negative errno on failure, and leaves errno alone. own_syscall(number, ...) is used like libc's syscall().
 */
#ifndef OWN_CALL_H
#define OWN_CALL_H

#include <errno.h>
#include <stddef.h>

__attribute__((unused)) static long own_call(long number, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		: "rcx", "r11", "memory");
	return ret;
#else
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
#endif
}

__attribute__((unused)) static long own_call_errno(long number, long a, long b, long c, long d, long e, long f)
{
	long ret = own_call(number, a, b, c, d, e, f);

	if (ret < 0 && ret > -4096) {
		errno = (int)-ret;
		return -1;
	}
	return ret;
}

/* whatever is missing is 0 */
#define own_syscall(...) own_syscall_(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define own_syscall_(number, a, b, c, d, e, f, ...) \
	own_call_errno(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#endif
