/* number: see number.h. */
#include <stdbool.h>

#include "number.h"

enum number bv_number_digits(const char *s, uint64_t *out, const char **end)
{
	bool over = false;

	if (*s < '0' || *s > '9')
		return NUMBER_BAD;
	for (*out = 0; *s >= '0' && *s <= '9'; s++) {
		over |= __builtin_mul_overflow(*out, 10u, out);
		over |= __builtin_add_overflow(*out, (unsigned)(*s - '0'), out);
	}
	*end = s;
	return over ? NUMBER_TOO_LARGE : NUMBER_GOOD;
}

enum number bv_number_size(const char *s, uint64_t *out)
{
	const char *end;
	enum number verdict = bv_number_digits(s, out, &end);
	uint64_t unit = 1;

	if (verdict == NUMBER_BAD)
		return verdict;
	switch (*end) {
	case 'G': unit *= 1024; /* fall through */
	case 'M': unit *= 1024; /* fall through */
	case 'K': unit *= 1024; end++;
	}
	if (*end)
		return NUMBER_BAD;
	if (__builtin_mul_overflow(*out, unit, out))
		return NUMBER_TOO_LARGE;
	return verdict;
}
