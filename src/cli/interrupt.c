/* interrupt: see interrupt.h. */
#include <signal.h>
#include <stddef.h>

#include "interrupt.h"

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };

static volatile sig_atomic_t came;

static void note(int number)
{
	came = number;
}

void cli_interrupt_begin(void)
{
	struct sigaction old, action = { .sa_handler = note };

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		if (sigaction(signals[i], NULL, &old) == 0 &&
		    old.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
}

bool cli_interrupted(void)
{
	return came != 0;
}

void cli_interrupt_end(void)
{
	if (!came)
		return;
	signal(came, SIG_DFL);
	raise(came);
}
