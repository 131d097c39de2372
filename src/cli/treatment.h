/* treatment: what becomes of a call of each function, as the shim's table has
 * it. */
#ifndef BV_TREATMENT_H
#define BV_TREATMENT_H

#include <stdbool.h>
#include <stddef.h>

struct cli_treatment {
	const char *function;
	const char *words;           /* what is done, or why nothing is */
	bool caught;                 /* else it is left alone */
};

/* All functions of the table, in its order. */
extern const struct cli_treatment cli_treatment[];
extern const size_t cli_treatments;

/* Index of the function in it, or cli_treatments when it is not there. */
size_t cli_treatment_find(const char *function);

#endif
