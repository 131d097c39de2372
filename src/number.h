/* number: digits to numbers, without locale or errno. Private to config.c. */
#ifndef BV_NUMBER_H
#define BV_NUMBER_H

#include <stdint.h>

enum number { NUMBER_GOOD, NUMBER_BAD, NUMBER_TOO_LARGE };

/* Digits alone; *end is what follows them. No sign, no blank, no base. */
enum number bv_number_digits(const char *s, uint64_t *out, const char **end);

/* Digits and then K, M, G (powers of 1024) or nothing. */
enum number bv_number_size(const char *s, uint64_t *out);

#endif
