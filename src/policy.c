/* policy: see include/blkverify/policy.h. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/statfs.h>

#include <blkverify/compare.h>
#include <blkverify/disk.h>
#include <blkverify/history.h>
#include <blkverify/late.h>
#include <blkverify/log.h>
#include <blkverify/policy.h>
#include <blkverify/thread.h>

#include "raw.h"

static enum bv_on_mismatch on_mismatch;
static enum bv_on_error on_error;
static enum bv_on_unverified on_unverified;
static unsigned sector_size = 512;
static bool stats, maps;
static atomic_bool counted;          /* this process, on any pair */

/* One line at a time: the texts below are static. The holder blocks signals,
 * so a handler of its own thread cannot want it. */
static _Atomic uint32_t saying;

static raw_sigset begin_saying(void)
{
	raw_sigset mask = raw_block_signals();

	while (atomic_exchange(&saying, 1))
		raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	return mask;
}

static void end_saying(raw_sigset mask)
{
	atomic_store(&saying, 0);
	raw_sigmask(mask);
}

void bv_policy_start(const struct bv_config *config)
{
	on_mismatch = config->on_mismatch;
	on_error = config->on_error;
	on_unverified = config->on_unverified;
	sector_size = config->sector_size;
	stats = config->stats;
	maps = config->mmap == BV_MMAP_MEMFD;
	atomic_store(&counted, false);
}

/* As abort(3): whatever the program has made of SIGABRT, the process ends by
 * it. */
static void __attribute__((noreturn)) die(void)
{
	struct raw_sigaction standard = { 0 };  /* SIG_DFL */
	int tid = raw_gettid(), pid = raw_getpid();

	/* A handler of the program's may come to run, and stay. */
	bv_late_dies();
	raw_block_signals();
	raw_unblock_signal(SIGABRT);
	raw_tgkill(pid, tid, SIGABRT);
	raw_sigaction(SIGABRT, &standard, NULL);
	raw_tgkill(pid, tid, SIGABRT);
	raw_exit(127);
}

/* For a debugger. One SIGCONT is to be enough: whoever else has come upon
 * something waits for the first, who ends the process. */
static void stop(void)
{
	static const struct timespec while_he_stops_it = { 1, 0 };
	static atomic_flag stopped = ATOMIC_FLAG_INIT;

	if (atomic_flag_test_and_set(&stopped))
		raw_call(SYS_nanosleep, (long)&while_he_stops_it, 0, 0, 0, 0, 0);
	else
		raw_kill(raw_getpid(), SIGSTOP);
}

static int act(void)
{
	switch (on_mismatch) {
	case BV_MISMATCH_EXIT:
		raw_exit(1);
	case BV_MISMATCH_EIO:
		return -EIO;
	case BV_MISMATCH_LOG:
		return 0;
	case BV_MISMATCH_STOP:
		stop();
		die();
	case BV_MISMATCH_ABORT:
		break;
	}
	die();
}

void bv_policy_die(void)
{
	struct raw_sigaction standard = { 0 };

	raw_sigaction(SIGABRT, &standard, NULL);
	die();
}

/* What is remembered of operations that changed the bytes in question. */
static void tell_history(const struct bv_mismatch *m)
{
	static struct bv_text line;
	const struct bv_disk *disk = m->history_data;
	struct bv_past past = { 0 };
	uint64_t sequence = 0, start = m->offset, end = m->offset + m->length;

	if (m->difference == BV_DIFFERENCE_CONTENTS) {
		start = m->data_offset + bv_compare_first(m->actual, m->should,
							  m->data_length);
		end = start + 1;
	}

	for (int told = 0; told < 8; told++) {
		if (!bv_history_before(disk, sequence, start, end, &past))
			return;
		sequence = past.sequence;
		text_clear(&line);
		text_add(&line, told ? "  and before it: " : "  changed by: ");
		text_add(&line, bv_op_name((enum bv_op)past.op));
		text_add(&line, " offset=");
		text_u64(&line, past.offset);
		text_add(&line, " length=");
		text_u64(&line, past.length);
		text_add(&line, " result=");
		text_i64(&line, past.result);
		text_add(&line, " process ");
		text_i64(&line, past.pid);
		text_add(&line, " thread ");
		text_i64(&line, past.tid);
		text_add(&line, ", operation ");
		text_u64(&line, past.sequence);
		text_add(&line, ", ");
		text_time(&line, past.time / 1000000000u);
		bv_log_line(&line);
	}
}

int bv_policy_mismatch(struct bv_disk *disk, struct bv_mismatch *m)
{
	bool ours = m->difference == BV_DIFFERENCE_SHADOW;
	raw_sigset mask = begin_saying();

	m->target = disk->target;
	m->shadow = disk->shadow;
	m->pid = raw_getpid();
	m->tid = bv_thread.asker ? bv_thread.asker : raw_gettid();
	m->time = bv_thread.asked;
	m->sector_size = sector_size;
	m->history = tell_history;
	m->history_data = disk;
	bv_policy_count_process(disk);
	atomic_fetch_add(ours ? &disk->count.errors : &disk->count.mismatches, 1);
	atomic_fetch_add(ours ? &disk->state->errors : &disk->state->mismatches,
			 1);
	if (ours)
		atomic_fetch_add(&disk->state->shadow_errors, 1);
	bv_report_mismatch(m);
	end_saying(mask);
	return act();
}

bool bv_policy_fails_calls(void)
{
	return on_mismatch == BV_MISMATCH_EIO;
}

bool bv_policy_is_io_failure(int error)
{
	switch (error) {
	case EIO:
	case ENOSPC:
	case EDQUOT:
	case ENXIO:
	case ENODEV:
	case EROFS:
	case EREMOTEIO:
	case EBADMSG:
	case EUCLEAN:
	case ESTALE:
	case ENOLINK:
	case ETIMEDOUT:
	case ENOTCONN:
	case ECONNABORTED:
	case ECONNREFUSED:
	case EHOSTDOWN:
	case ENOMEDIUM:
	case ENODATA:
	case EILSEQ:
		return true;
	default:
		return false;
	}
}

/* Every file of a FUSE mount whose other end was closed says so. */
bool bv_policy_unserved(struct bv_disk *disk)
{
	static struct bv_text line;
	static atomic_int said_by;
	struct statfs fs;
	raw_sigset mask;

	if (!atomic_load(&disk->state->served) ||
	    raw_call(SYS_fstatfs, disk->pin_fd, (long)&fs, 0, 0, 0, 0) !=
		    -ENOTCONN)
		return false;
	if (atomic_exchange(&said_by, bv_pid) == bv_pid)
		return true;
	mask = begin_saying();
	text_clear(&line);
	text_quoted(&line, disk->target);
	text_add(&line, ": not served any more, every use of it fails");
	bv_log_line(&line);
	end_saying(mask);
	return true;
}

bool bv_policy_reports_errors(struct bv_disk *disk)
{
	return on_error == BV_ERROR_MISMATCH && !bv_policy_unserved(disk);
}

void bv_policy_apart(struct bv_disk *disk)
{
	static struct bv_text line;
	static atomic_bool said;
	raw_sigset mask;

	if (atomic_exchange(&said, true))
		return;
	mask = begin_saying();
	bv_policy_count_unverified(disk);
	text_clear(&line);
	text_quoted(&line, disk->target);
	text_add(&line, ": mapped by a process whose memory cannot be reached: "
			"what it sees there may be old");
	bv_log_line(&line);
	end_saying(mask);
}

bool bv_policy_maps(void)
{
	return maps;
}

void bv_policy_count_process(struct bv_disk *disk)
{
	if (atomic_load_explicit(&disk->opened, memory_order_relaxed) ||
	    atomic_exchange(&disk->opened, true))
		return;
	atomic_fetch_add(&disk->state->processes, 1);
	if (!atomic_exchange(&counted, true))
		atomic_fetch_add(&disk->state->first_here, 1);
}

void bv_policy_count_error(struct bv_disk *disk)
{
	atomic_fetch_add(&disk->count.errors, 1);
	atomic_fetch_add(&disk->state->errors, 1);
}

void bv_policy_count_unverified(struct bv_disk *disk)
{
	atomic_fetch_add(&disk->count.unverified, 1);
	atomic_fetch_add(&disk->state->unverified, 1);
}

/* May not return. */
static int say_unverified(struct bv_disk *disk, const char *call, int refusal,
			  bool through)
{
	static struct bv_text line;
	raw_sigset mask = begin_saying();

	bv_policy_count_unverified(disk);
	if (on_unverified != BV_UNVERIFIED_WARN)
		atomic_fetch_add(&disk->state->refused, 1);
	text_clear(&line);
	text_add(&line, call);
	text_add(&line, through ? " let through unverified: " : " refused: ");
	text_quoted(&line, disk->target);
	if (refusal == -EROFS && !disk->shadow_writable) {
		text_add(&line, ": its shadow ");
		text_quoted(&line, disk->shadow);
		text_add(&line, " is read-only");
	} else {
		text_add(&line, ": cannot be verified");
	}
	if (!through && on_unverified != BV_UNVERIFIED_ABORT) {
		text_add(&line, ", fails with ");
		text_errno(&line, -refusal);
	}
	bv_log_line(&line);
	end_saying(mask);
	if (on_unverified == BV_UNVERIFIED_ABORT)
		die();
	return through ? 0 : refusal;
}

int bv_policy_unverified(struct bv_disk *disk, const char *call, int refusal)
{
	return say_unverified(disk, call, refusal,
			      on_unverified == BV_UNVERIFIED_WARN);
}

int bv_policy_impossible(struct bv_disk *disk, const char *call, int refusal)
{
	return say_unverified(disk, call, refusal, false);
}

void bv_policy_uncompared(struct bv_disk *disk, uint64_t offset, uint64_t length,
			  int pid)
{
	static struct bv_text line;
	raw_sigset mask = begin_saying();

	text_clear(&line);
	text_quoted(&line, disk->target);
	text_add(&line, ": read of process ");
	text_i64(&line, pid);
	text_add(&line, " at offset ");
	text_u64(&line, offset);
	text_add(&line, ", length ");
	text_u64(&line, length);
	text_add(&line, ", was never compared: the process ended");
	bv_log_line(&line);
	end_saying(mask);
}

void bv_policy_fatal(const struct bv_text *why)
{
	bv_log_line(why);
	raw_exit(125);
}

void bv_policy_forked(void)
{
	atomic_store(&saying, 0);
	atomic_store(&counted, false);
	for (unsigned i = 0; i < bv_disks; i++) {
		struct bv_counters *count = &bv_disk[i].count;

		atomic_store(&bv_disk[i].opened, false);
		atomic_store(&count->reads, 0);
		atomic_store(&count->read_bytes, 0);
		atomic_store(&count->writes, 0);
		atomic_store(&count->write_bytes, 0);
		atomic_store(&count->mismatches, 0);
		atomic_store(&count->errors, 0);
		atomic_store(&count->unverified, 0);
	}
}

static void add_count(struct bv_text *line, const char *name, uint64_t value)
{
	text_char(line, ' ');
	text_add(line, name);
	text_char(line, '=');
	text_u64(line, value);
}

void bv_policy_stats(void)
{
	static struct bv_text line;
	static atomic_int said_by;

	/* Once a process: exit(3) may be followed by _exit(2), and a child
	 * of fork has its own to say. */
	if (!stats || atomic_exchange(&said_by, bv_pid) == bv_pid)
		return;
	for (unsigned i = 0; i < bv_disks; i++) {
		const struct bv_disk *disk = &bv_disk[i];

		if (!atomic_load(&disk->opened) &&
		    !atomic_load(&disk->count.errors) &&
		    !atomic_load(&disk->count.unverified))
			continue;
		text_clear(&line);
		text_add(&line, "stats target=");
		text_quoted(&line, disk->target);
		add_count(&line, "reads", atomic_load(&disk->count.reads));
		add_count(&line, "read_bytes", atomic_load(&disk->count.read_bytes));
		add_count(&line, "writes", atomic_load(&disk->count.writes));
		add_count(&line, "write_bytes", atomic_load(&disk->count.write_bytes));
		add_count(&line, "mismatches", atomic_load(&disk->count.mismatches));
		add_count(&line, "errors", atomic_load(&disk->count.errors));
		add_count(&line, "unverified", atomic_load(&disk->count.unverified));
		bv_log_line(&line);
	}
}
