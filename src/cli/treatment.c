/* treatment: see treatment.h.
 *
 * The table is data of the shim's: how a row is carried out is nobody else's
 * business, that it is, and in which words, is.
 */
#include <stdlib.h>
#include <string.h>

#include "treatment.h"

/* A row whose words are missing does not compile. */
#define DOES(op, words) static const char words_of_##op[] = words;
#include "../../shim/treatments.def"

#define FD(need, name, ret, params, args, op, opargs)                        \
	{ #name, words_of_##op, true },
#define CHK FD
#define AT FD
#define ATCHK FD
#define MADE FD
#define OWN FD
#define OWNV FD
#define ASM(need, name, ...) { #name, words_of_##name, true },
#define HAND ASM
#define PASS(name, reason) { #name, reason, false },
const struct cli_treatment cli_treatment[] = {
#include "../../shim/symbols.def"
#include "../../shim/passed.def"
};

const size_t cli_treatments = sizeof(cli_treatment) / sizeof(*cli_treatment);

/* Indexes into it, by name. */
static unsigned short order[sizeof(cli_treatment) / sizeof(*cli_treatment)];
static bool ordered;

static int by_name(const void *a, const void *b)
{
	return strcmp(cli_treatment[*(const unsigned short *)a].function,
		      cli_treatment[*(const unsigned short *)b].function);
}

static int name_against(const void *name, const void *index)
{
	return strcmp(name,
		      cli_treatment[*(const unsigned short *)index].function);
}

size_t cli_treatment_find(const char *function)
{
	const unsigned short *found;

	for (size_t i = 0; !ordered && i < cli_treatments; i++)
		order[i] = (unsigned short)i;
	if (!ordered)
		qsort(order, cli_treatments, sizeof(*order), by_name);
	ordered = true;
	found = bsearch(function, order, cli_treatments, sizeof(*order),
			name_against);
	return found ? *found : cli_treatments;
}
