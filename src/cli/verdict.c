/* verdict: see verdict.h. */
#include <stddef.h>
#include <stdint.h>
#include <sys/file.h>

#include <blkverify/disk.h>
#include <blkverify/text.h>

#include "../raw.h"
#include "cli.h"
#include "verdict.h"

#define MISMATCH 120
#define NOTHING_VERIFIED 121
#define UNVERIFIED 122

struct totals {
	uint64_t processes, reads, writes, mismatches, errors, shadow_errors;
	uint64_t unverified, refused;
};

/* A run that others are part of begins where they are. */
static struct totals before[BV_MAX_PAIRS];
static uint64_t runs[BV_MAX_PAIRS];
static const char *name[BV_MAX_PAIRS];

static void read_totals(const struct bv_state *state, struct totals *t)
{
	*t = (struct totals){
		.processes = atomic_load(&state->first_here),
		.reads = atomic_load(&state->reads),
		.writes = atomic_load(&state->writes),
		.mismatches = atomic_load(&state->mismatches),
		.errors = atomic_load(&state->errors),
		.shadow_errors = atomic_load(&state->shadow_errors),
		.unverified = atomic_load(&state->unverified),
		.refused = atomic_load(&state->refused),
	};
}

static void add_since(struct totals *sum, const struct totals *now,
		      const struct totals *then)
{
	sum->processes += now->processes - then->processes;
	sum->reads += now->reads - then->reads;
	sum->writes += now->writes - then->writes;
	sum->mismatches += now->mismatches - then->mismatches;
	sum->errors += now->errors - then->errors;
	sum->shadow_errors += now->shadow_errors - then->shadow_errors;
	sum->unverified += now->unverified - then->unverified;
	sum->refused += now->refused - then->refused;
}

void cli_verdict_begin(const char *const *images)
{
	for (unsigned i = 0; i < bv_disks; i++) {
		struct bv_state *state = bv_disk[i].state;

		runs[i] = atomic_fetch_add(&state->runs, 1) + 1;
		atomic_store(&state->served, images != NULL);
		name[i] = images ? images[i] : bv_disk[i].target_given;
		read_totals(state, &before[i]);
		if (bv_disk[i].joined)
			cli_say("%s: in use by another run, and what that finds "
				"counts here as well", bv_disk[i].shadow_given);
	}
}

/* ---- the line ---- */

static void add_number(struct bv_text *line, uint64_t n, const char *one,
		       const char *many)
{
	text_u64(line, n);
	text_char(line, ' ');
	text_add(line, n == 1 ? one : many);
}

static void add_some(struct bv_text *line, uint64_t n, const char *one,
		     const char *many)
{
	if (n == 0)
		return;
	text_add(line, ", ");
	add_number(line, n, one, many);
}

static void add_verified(struct bv_text *line, const struct totals *t)
{
	if (t->processes == 0) {
		text_add(line, "nothing was verified: no process used ");
		text_quoted(line, name[0]);
		text_add(line, bv_disks > 1 ? " or another target" : "");
		text_add(line, " by way of the library");
		return;
	}
	add_number(line, t->processes, "process, ", "processes, ");
	add_number(line, t->reads, "read, ", "reads, ");
	add_number(line, t->writes, "write verified", "writes verified");
	if (t->mismatches == 0)
		text_add(line, ", no mismatch");
}

/* Of several pairs, one that nobody used: forgotten, like as not. */
static void add_unused(struct bv_text *line, const struct totals *t)
{
	for (unsigned i = 0; i < bv_disks && t->processes > 0; i++)
		if (atomic_load(&bv_disk[i].state->processes) == 0) {
			text_add(line, ", nothing on ");
			text_quoted(line, name[i]);
		}
}

/* Processes that still have a state file, once we have let go of it. */
static void add_others(struct bv_text *line)
{
	bool another = false, running = false;

	for (unsigned i = 0; i < bv_disks; i++) {
		another |= atomic_load(&bv_disk[i].state->runs) > runs[i];
		running |= raw_flock(bv_disk[i].state_fd, LOCK_EX | LOCK_NB) < 0;
	}
	if (another)
		text_add(line, "; another run began meanwhile, and is counted");
	if (running)
		text_add(line, "; others are still at it");
}

static void say(const struct totals *t)
{
	static struct bv_text line;

	text_clear(&line);
	add_verified(&line, t);
	add_some(&line, t->mismatches, "mismatch", "mismatches");
	add_some(&line, t->errors - t->shadow_errors, "failure of the target",
		 "failures of the target");
	add_some(&line, t->shadow_errors, "failure of the shadow",
		 "failures of the shadow");
	add_some(&line, t->refused, "call refused", "calls refused");
	add_some(&line, t->unverified - t->refused,
		 "call let through unverified", "calls let through unverified");
	add_unused(&line, t);
	add_others(&line);
	cli_say("%s", line.bytes);
}

int cli_verdict(int status, bool sound)
{
	struct totals sum = { 0 }, now;

	for (unsigned i = 0; i < bv_disks; i++) {
		read_totals(bv_disk[i].state, &now);
		add_since(&sum, &now, &before[i]);
	}
	say(&sum);
	/* What the shadow failed to take, nobody can compare. */
	if (sum.mismatches || sum.shadow_errors)
		return MISMATCH;
	if (!sound)
		return CLI_UNUSABLE;
	if (sum.unverified > sum.refused)
		return UNVERIFIED;
	/* A library that could not start has said why, and ends a process with
	 * that. */
	if (sum.processes == 0 && status != CLI_UNUSABLE)
		return NOTHING_VERIFIED;
	return status;
}
