/* report: the text of a mismatch, as it arrives in the log.
 *
 * The log is a file in memory. Every line below is written out as it has to
 * be: other people's scrapers read the first, and people the rest.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <blkverify/log.h>
#include <blkverify/report.h>

#define DISK 131072

static unsigned char actual[DISK], should[DISK];
static char text[16384];
static int memory = -1;

static int open_log(void **state)
{
	char path[64];

	(void)state;
	memory = memfd_create("log", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
	return bv_log_open(path);
}

/* Bytes that repeat neither within a sector nor from sector to sector. */
static int fresh(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (size_t i = 0; i < DISK; i++) {
		seed = seed * 1103515245u + 12345u;
		should[i] = (unsigned char)(seed >> 16);
	}
	memcpy(actual, should, DISK);
	return 0;
}

static struct bv_mismatch read_of(uint64_t offset, uint64_t length)
{
	struct bv_mismatch m = {
		.difference = BV_DIFFERENCE_CONTENTS,
		.op = BV_OP_READ,
		.target = "/images/disk.raw",
		.shadow = "/images/disk.shadow",
		.call = "pread64",
		.fd = 7,
		.pid = 1234,
		.tid = 1235,
		.offset = offset,
		.length = length,
		.sector_size = 512,
		.actual = actual + offset % DISK,
		.should = should + offset % DISK,
		.data_offset = offset,
		.data_length = length,
	};

	return m;
}

/* What the report of m is, as one string in text. */
static void report(const struct bv_mismatch *m)
{
	ssize_t n;

	errno = EXDEV;
	bv_report_mismatch(m);
	assert_int_equal(errno, EXDEV);
	n = pread(memory, text, sizeof(text) - 1, 0);
	assert_true(n >= 0);
	text[n] = '\0';
	assert_int_equal(ftruncate(memory, 0), 0);
}

/* Line number n (from 1) of text, "" past the end. */
static const char *line(unsigned n)
{
	static char copy[8192];
	const char *s = text, *end;

	while (--n && s) {
		s = strchr(s, '\n');
		s = s ? s + 1 : NULL;
	}
	end = s ? strchr(s, '\n') : NULL;
	if (!end)
		return "";
	memcpy(copy, s, (size_t)(end - s));
	copy[end - s] = '\0';
	return copy;
}

#define has(string) assert_non_null(strstr(text, string))
#define lacks(string) assert_null(strstr(text, string))

static void test_first_line_of_the_contract(void **state)
{
	struct bv_mismatch m = read_of(65536, 4096);

	(void)state;
	actual[66560] ^= 0xff;
	report(&m);
	assert_string_equal(line(1), "blkverify: read sector_num=128 "
			    "nb_sectors=8 contents mismatch in sector 130 at "
			    "offset 66560");
}

static void test_first_line_of_a_return_value(void **state)
{
	struct bv_mismatch m = read_of(0, 512);

	(void)state;
	m.difference = BV_DIFFERENCE_RETURN;
	m.op = BV_OP_WRITE;
	m.got = -28;
	m.expected = 512;
	m.actual = m.should = NULL;
	m.data_length = 0;
	m.call = "pwritev";
	report(&m);
	assert_string_equal(text,
		"blkverify: write sector_num=0 nb_sectors=1 return value "
		"mismatch -28 != 512\n"
		"blkverify:   target /images/disk.raw\n"
		"blkverify:   shadow /images/disk.shadow\n"
		"blkverify:   process 1234, thread 1235, call pwritev, fd 7, "
		"512 bytes at 0\n"
		"blkverify:   target: ENOSPC\n");
	m.got = 512;
	m.expected = -5;
	report(&m);
	has("nb_sectors=1 return value mismatch 512 != -5\n");
	has("\nblkverify:   shadow: EIO\n");
	lacks("target: ");
	m.got = 0;
	m.expected = 1;
	report(&m);
	lacks("target: ");
	lacks("shadow: ");
}

static void test_first_line_of_a_size(void **state)
{
	struct bv_mismatch m = read_of(5, 7);

	(void)state;
	m.difference = BV_DIFFERENCE_SIZE;
	m.op = BV_OP_SIZE;
	m.call = "fstat";
	m.got = 1024;
	m.expected = 1536;
	report(&m);
	assert_string_equal(line(1), "blkverify: size sector_num=0 "
			    "nb_sectors=3 size mismatch 1024 != 1536");
	assert_string_equal(line(5),
			    "blkverify:   target is 512 bytes shorter than "
			    "shadow");
	assert_string_equal(line(6), "");
	m.got = 1537;
	m.expected = 1024;
	report(&m);
	assert_string_equal(line(1), "blkverify: size sector_num=0 "
			    "nb_sectors=4 size mismatch 1537 != 1024");
	has("\nblkverify:   target is 513 bytes longer than shadow\n");
	m.got = 0;
	m.expected = 1;
	report(&m);
	assert_string_equal(line(1), "blkverify: size sector_num=0 "
			    "nb_sectors=1 size mismatch 0 != 1");
	has("\nblkverify:   target is 1 bytes shorter than shadow\n");
	m.got = 1;
	m.expected = 0;
	report(&m);
	has("\nblkverify:   target is 1 bytes longer than shadow\n");
	m.got = 0;
	m.expected = -1;
	report(&m);
	assert_string_equal(line(1), "blkverify: size sector_num=0 "
			    "nb_sectors=0 size mismatch 0 != -1");
	lacks("bytes longer");
	m.got = -1;
	m.expected = 0;
	report(&m);
	lacks("bytes shorter");
}

static void test_first_line_of_a_shadow_failure(void **state)
{
	struct bv_mismatch m = read_of(0, 512);

	(void)state;
	m.difference = BV_DIFFERENCE_SHADOW;
	m.op = BV_OP_WRITE;
	m.got = -ENOSPC;
	report(&m);
	assert_string_equal(text,
		"blkverify: write sector_num=0 nb_sectors=1 shadow failure "
		"ENOSPC\n"
		"blkverify:   target /images/disk.raw\n"
		"blkverify:   shadow /images/disk.shadow\n"
		"blkverify:   process 1234, thread 1235, call pread64, fd 7, "
		"512 bytes at 0\n");
	m.got = 100;
	m.expected = 512;
	report(&m);
	assert_string_equal(line(1), "blkverify: write sector_num=0 "
			    "nb_sectors=1 shadow failure 100 != 512");
	m.got = 0;
	report(&m);
	has("nb_sectors=1 shadow failure 0 != 512\n");
}

/* Every line of one report, in order. */
static void test_whole_report(void **state)
{
	struct bv_mismatch m = read_of(1024, 2048);

	(void)state;
	memset(should + 1500, 'A', 100);
	memset(actual + 1500, 'A', 100);
	memcpy(actual + 1536, "\x01target\x7f", 8);
	memcpy(should + 1536, "\x01shadow\x7f", 8);
	m.persistence = BV_LASTING;
	report(&m);
	assert_string_equal(text,
		"blkverify: read sector_num=2 nb_sectors=4 contents mismatch "
		"in sector 3 at offset 1537\n"
		"blkverify:   target /images/disk.raw\n"
		"blkverify:   shadow /images/disk.shadow\n"
		"blkverify:   process 1234, thread 1235, call pread64, fd 7, "
		"2048 bytes at 1024\n"
		"blkverify:   still there when read again: lasting\n"
		"blkverify:   sectors 3-3 (1), bytes 1537-1542\n"
		"blkverify:   6 of 512 bytes differ\n"
		"blkverify:   00000005f0 both     41 41 41 41 41 41 41 41 41 "
		"41 41 41 41 41 41 41  |AAAAAAAAAAAAAAAA|\n"
		"blkverify:   0000000600 expected 01 73 68 61 64 6f 77 7f 41 "
		"41 41 41 41 41 41 41  |.shadow.AAAAAAAA|\n"
		"blkverify:   0000000600 actual   01 74 61 72 67 65 74 7f 41 "
		"41 41 41 41 41 41 41  |.target.AAAAAAAA|\n"
		"blkverify:                          ^^ ^^ ^^ ^^ ^^ ^^\n"
		"blkverify:   0000000610 both     41 41 41 41 41 41 41 41 41 "
		"41 41 41 41 41 41 41  |AAAAAAAAAAAAAAAA|\n"
		"blkverify:   0000000620 both     41 41 41 41 41 41 41 41 41 "
		"41 41 41 41 41 41 41  |AAAAAAAAAAAAAAAA|\n");
}

static void test_sector_numbers(void **state)
{
	static const struct {
		uint64_t offset, length;
		unsigned sector_size;
		const char *begin;
	} all[] = {
		{ 0, 1, 512, "sector_num=0 nb_sectors=1 " },
		{ 511, 1, 512, "sector_num=0 nb_sectors=1 " },
		{ 511, 2, 512, "sector_num=0 nb_sectors=2 " },
		{ 512, 512, 512, "sector_num=1 nb_sectors=1 " },
		{ 513, 512, 512, "sector_num=1 nb_sectors=2 " },
		{ 4095, 4098, 4096, "sector_num=0 nb_sectors=3 " },
		{ 8192, 4096, 4096, "sector_num=2 nb_sectors=1 " },
		{ 1000, 0, 512, "sector_num=1 nb_sectors=0 " },
		{ 65536, 65537, 65536, "sector_num=1 nb_sectors=2 " },
		/* to the end of everything */
		{ 1024, UINT64_MAX, 512,
		  "sector_num=2 nb_sectors=36028797018963966 " },
		{ 0, UINT64_MAX, 512,
		  "sector_num=0 nb_sectors=36028797018963968 " },
		/* never given, but never a division by zero */
		{ 1024, 512, 0, "sector_num=2 nb_sectors=1 " },
	};
	struct bv_mismatch m;

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		m = read_of(all[i].offset, all[i].length);
		m.difference = BV_DIFFERENCE_RETURN;
		m.sector_size = all[i].sector_size;
		report(&m);
		assert_memory_equal(text + strlen("blkverify: read "),
				    all[i].begin, strlen(all[i].begin));
	}
}

static void test_every_operation(void **state)
{
	static const char *const words[BV_OP_COUNT] = {
		"blkverify: read s", "blkverify: write s", "blkverify: zero s",
		"blkverify: discard s", "blkverify: resize s",
		"blkverify: flush s", "blkverify: map s", "blkverify: size s",
	};
	struct bv_mismatch m = read_of(0, 512);

	(void)state;
	m.difference = BV_DIFFERENCE_RETURN;
	for (int op = 0; op < BV_OP_COUNT; op++) {
		m.op = (enum bv_op)op;
		report(&m);
		assert_memory_equal(text, words[op], strlen(words[op]));
	}
}

static void test_large_sectors(void **state)
{
	struct bv_mismatch m = read_of(8192, 16384);

	(void)state;
	m.sector_size = 4096;
	actual[12287] ^= 1;
	actual[12288] ^= 1;
	actual[20480] ^= 0x0c;
	report(&m);
	assert_string_equal(line(1), "blkverify: read sector_num=2 "
			    "nb_sectors=4 contents mismatch in sector 2 at "
			    "offset 12287");
	assert_string_equal(line(5),
			    "blkverify:   sectors 2-3 (2), bytes 12287-12288");
	assert_string_equal(line(6),
			    "blkverify:   sectors 5-5 (1), bytes 20480-20480");
	has("\nblkverify:   in the first run 2 of 8192 bytes differ\n");
}

static void test_persistence(void **state)
{
	struct bv_mismatch m = read_of(0, 512);

	(void)state;
	actual[0] ^= 3;
	report(&m);
	lacks("read again");
	m.persistence = BV_LASTING;
	report(&m);
	assert_string_equal(line(5), "blkverify:   still there when read "
			    "again: lasting");
	m.persistence = BV_TRANSIENT;
	report(&m);
	assert_string_equal(line(5), "blkverify:   gone when read again: "
			    "transient");
	m.difference = BV_DIFFERENCE_SIZE;
	report(&m);
	has("\nblkverify:   gone when read again: transient\n");
}

static void test_paths_are_quoted(void **state)
{
	struct bv_mismatch m = read_of(0, 512);

	(void)state;
	m.difference = BV_DIFFERENCE_RETURN;
	m.target = "/with\nnewline";
	m.shadow = "/with\\and\x1b";
	report(&m);
	assert_string_equal(line(2), "blkverify:   target /with\\nnewline");
	assert_string_equal(line(3), "blkverify:   shadow /with\\\\and\\x1b");
	m.target = m.shadow = m.call = NULL;
	report(&m);
	assert_string_equal(line(2), "blkverify:   target (unknown)");
	assert_string_equal(line(3), "blkverify:   shadow (unknown)");
	assert_string_equal(line(4), "blkverify:   process 1234, thread 1235, "
			    "call (unknown), fd 7, 512 bytes at 0");
}

static void test_runs(void **state)
{
	struct bv_mismatch m = read_of(0, 8192);

	(void)state;
	actual[10] ^= 1;
	actual[511] ^= 1;
	actual[1023] ^= 1;           /* next sector, other end: one run */
	actual[1536] ^= 1;           /* after a gap of one sector */
	actual[8191] ^= 1;           /* the last byte */
	report(&m);
	assert_string_equal(line(5), "blkverify:   sectors 0-1 (2), bytes "
			    "10-1023");
	assert_string_equal(line(6), "blkverify:   sectors 3-3 (1), bytes "
			    "1536-1536");
	assert_string_equal(line(7), "blkverify:   sectors 15-15 (1), bytes "
			    "8191-8191");
	assert_string_equal(line(8), "blkverify:   in the first run 3 of 1024 "
			    "bytes differ");
}

/* Requests need not begin or end with a sector. */
static void test_unaligned_runs(void **state)
{
	struct bv_mismatch m = read_of(700, 400);

	(void)state;
	memset(actual + 700, 0xee, 400);
	memset(should + 700, 0x11, 400);
	report(&m);
	assert_string_equal(line(1), "blkverify: read sector_num=1 "
			    "nb_sectors=2 contents mismatch in sector 1 at "
			    "offset 700");
	assert_string_equal(line(5), "blkverify:   sectors 1-2 (2), bytes "
			    "700-1099");
	assert_string_equal(line(6), "blkverify:   400 of 400 bytes differ");
	m = read_of(1023, 2);
	memcpy(actual + 1023, "..", 2);
	memcpy(should + 1023, ".x", 2);
	report(&m);
	assert_string_equal(line(1), "blkverify: read sector_num=1 "
			    "nb_sectors=2 contents mismatch in sector 2 at "
			    "offset 1024");
	assert_string_equal(line(5), "blkverify:   sectors 2-2 (1), bytes "
			    "1024-1024");
	assert_string_equal(line(6), "blkverify:   1 of 1 bytes differ");
	assert_string_equal(line(7),
		"blkverify:   00000003f0 both                                "
		"                  2e  |               .|");
	assert_string_equal(line(8),
		"blkverify:   0000000400 expected 78                         "
		"                      |x               |");
	assert_string_equal(line(9),
		"blkverify:   0000000400 actual   2e                         "
		"                      |.               |");
	assert_string_equal(line(10),
		"blkverify:                       ^^");
	assert_string_equal(line(11), "");
}

static void spoil_every_other(unsigned runs)
{
	for (unsigned i = 0; i < runs; i++)
		actual[i * 1024 + 5] ^= 0x81;
}

static void test_as_many_runs_as_are_listed(void **state)
{
	struct bv_mismatch m = read_of(0, DISK);

	(void)state;
	spoil_every_other(64);
	report(&m);
	assert_string_equal(line(5), "blkverify:   sectors 0-0 (1), bytes "
			    "5-5");
	assert_string_equal(line(68), "blkverify:   sectors 126-126 (1), "
			    "bytes 64517-64517");
	assert_string_equal(line(69), "blkverify:   in the first run 1 of 512 "
			    "bytes differ");
}

static void test_more_runs_than_are_listed(void **state)
{
	struct bv_mismatch m = read_of(0, DISK);

	(void)state;
	spoil_every_other(65);
	report(&m);
	assert_string_equal(line(68), "blkverify:   sectors 126-126 (1), "
			    "bytes 64517-64517");
	assert_string_equal(line(69), "blkverify:   and 1 more run of 1 "
			    "sector");
	assert_string_equal(line(70), "blkverify:   in the first run 1 of 512 "
			    "bytes differ");
	spoil_every_other(65);
	spoil_every_other(70);
	actual[69 * 1024 + 512] ^= 0x81;
	report(&m);
	assert_string_equal(line(69), "blkverify:   and 6 more runs of 7 "
			    "sectors");
}

static unsigned history_calls;

static void say_history(const struct bv_mismatch *m)
{
	history_calls++;
	assert_string_equal(m->history_data, "data");
	bv_log_say("  history");
}

static void test_history_comes_last(void **state)
{
	struct bv_mismatch m = read_of(0, 512);

	(void)state;
	actual[500] ^= 3;
	m.history = say_history;
	m.history_data = "data";
	history_calls = 0;
	report(&m);
	assert_int_equal(history_calls, 1);
	assert_string_equal(text + strlen(text) - 21,
			    "blkverify:   history\n");
	m.difference = BV_DIFFERENCE_RETURN;
	report(&m);
	assert_int_equal(history_calls, 2);
}

/* ---- a part of a larger request ---- */

static void test_piece(void **state)
{
	struct bv_mismatch m = read_of(4096, 8192);
	static const char note[] = "\nblkverify:   only bytes 8192-10239 of "
				   "the request are looked at here\n";

	(void)state;
	actual[9000] ^= 0x81;
	report(&m);
	lacks("only bytes");
	m.actual += 4096;
	m.should += 4096;
	m.data_offset = 8192;
	m.data_length = 2048;
	report(&m);
	assert_string_equal(line(1), "blkverify: read sector_num=8 "
			    "nb_sectors=16 contents mismatch in sector 17 at "
			    "offset 9000");
	has(note);
	/* the end of the request, but not its beginning */
	m.length = 6144;
	report(&m);
	has(note);
	/* the beginning, but not the end */
	m.offset = 8192;
	report(&m);
	has(note);
	/* more than the request, for a caller that reads whole sectors */
	m.offset = 8200;
	m.length = 2000;
	report(&m);
	lacks("only bytes");
	m.data_length = 2008;
	report(&m);
	lacks("only bytes");
	m.data_length = 2007;
	report(&m);
	has("only bytes 8192-10198 of the request");
}

/* A mapped shadow may have changed since it was compared. */
static void test_no_difference_any_more(void **state)
{
	struct bv_mismatch m = read_of(1024, 512);

	(void)state;
	report(&m);
	assert_string_equal(text,
		"blkverify: read sector_num=2 nb_sectors=1 contents mismatch "
		"in sector 2 at offset 1024\n"
		"blkverify:   target /images/disk.raw\n"
		"blkverify:   shadow /images/disk.shadow\n"
		"blkverify:   process 1234, thread 1235, call pread64, fd 7, "
		"512 bytes at 1024\n"
		"blkverify:   the bytes at hand are equal by now\n");
	m.actual = m.should = NULL;
	m.data_length = 0;
	report(&m);
	has("contents mismatch in sector 2 at offset 1024\n");
	has("equal by now\n");
}

/* ---- kinds of damage ---- */

static void test_one_bit(void **state)
{
	struct bv_mismatch m = read_of(0, 2048);

	(void)state;
	should[700] = 0x11;
	actual[700] = 0x01;
	report(&m);
	has("\nblkverify:   looks like a flipped bit: one bit differs, "
	    "expected 11, actual 01\n");
	for (unsigned bit = 0; bit < 8; bit++) {
		actual[700] = (unsigned char)(0x11 ^ 1u << bit);
		report(&m);
		has("looks like a flipped bit: one bit differs, expected 11");
	}
	actual[700] = 0x03;
	report(&m);
	lacks("looks like");
	actual[700] = 0x91;
	report(&m);
	has("one bit differs, expected 11, actual 91\n");
	actual[701] ^= 1;
	report(&m);
	lacks("looks like");
	memcpy(actual, should, 2048);
	actual[0] = should[0] ^ 4;
	report(&m);
	has("looks like a flipped bit: one bit differs, ");
}

static void test_lost(void **state)
{
	struct bv_mismatch m = read_of(0, 4096);

	(void)state;
	memset(actual + 512, 0, 1024);
	report(&m);
	has("\nblkverify:   looks like lost data: target reads as zero\n");
	actual[1535] = 1;
	report(&m);
	lacks("looks like");
	m.op = BV_OP_MAP;
	actual[1535] = 0;
	report(&m);
	assert_string_equal(line(1), "blkverify: map sector_num=0 "
			    "nb_sectors=8 contents mismatch in sector 1 at "
			    "offset 512");
	has("\nblkverify:   looks like lost data: target reads as zero\n");
}

static void test_stray(void **state)
{
	struct bv_mismatch m = read_of(0, 4096);

	(void)state;
	memset(should + 512, 0, 1024);
	report(&m);
	has("\nblkverify:   looks like stray data: zero is expected\n");
	should[512] = 1;
	report(&m);
	lacks("looks like");
}

static void test_first_of_several_runs(void **state)
{
	struct bv_mismatch m = read_of(0, 4096);

	(void)state;
	memset(actual + 512, 0, 512);
	actual[2048] ^= 0xff;
	report(&m);
	has("\nblkverify:   first run looks like lost data: target reads as "
	    "zero\n");
	has("\nblkverify:   in the first run ");
}

static void test_misplaced(void **state)
{
	struct bv_mismatch m = read_of(16384, 8192);

	(void)state;
	memcpy(actual + 18432, should + 20480, 1024);
	report(&m);
	has("\nblkverify:   looks like misplaced data, from offset 20480: "
	    "bytes 18432-19455 belong there\n");
	memcpy(actual + 18432, should + 16896, 1024);
	report(&m);
	has("\nblkverify:   looks like misplaced data, from offset 16896: "
	    "bytes 18432-19455 belong there\n");
	/* to and from the piece's ends */
	memcpy(actual + 18432, should + 23552, 1024);
	report(&m);
	has("from offset 23552: bytes 18432-19455 ");
	memcpy(actual + 18432, should + 16384, 1024);
	report(&m);
	has("from offset 16384: bytes 18432-19455 ");
	/* not by a whole number of sectors */
	memcpy(actual + 18432, should + 20481, 1024);
	report(&m);
	lacks("looks like");
	/* from outside the piece */
	memcpy(actual + 18432, should + 65536, 1024);
	report(&m);
	lacks("looks like");
	/* nearly */
	memcpy(actual + 18432, should + 20480, 1024);
	actual[19455] ^= 1;
	report(&m);
	lacks("looks like");
}

/* Everything a sector too late, or too early: the outermost came from, or
 * went, where the piece does not reach. */
static void test_misplaced_past_the_ends(void **state)
{
	struct bv_mismatch m = read_of(16384, 4096);

	(void)state;
	memcpy(actual + 16384, should + 16384 - 512, 4096);
	report(&m);
	has("\nblkverify:   looks like misplaced data, from offset 16384: "
	    "bytes 16896-20479 belong there\n");
	memcpy(actual + 16384, should + 16384 + 512, 4096);
	report(&m);
	has("\nblkverify:   looks like misplaced data, from offset 16896: "
	    "bytes 16384-19967 belong there\n");
	/* by all but one sector */
	memcpy(actual + 16384, should + 16384 + 3584, 4096);
	report(&m);
	has("from offset 19968: bytes 16384-16895 belong there\n");
}

static void test_misplaced_in_several_ways(void **state)
{
	struct bv_mismatch m = read_of(0, 4096);

	(void)state;
	memset(should + 1024, 0xaa, 512);
	memset(should + 2048, 0xaa, 1024);
	memcpy(actual, should, DISK);
	memset(actual + 3072, 0xaa, 512);
	report(&m);
	has("\nblkverify:   looks like misplaced data, from offset 2560 "
	    "(others that fit: 2): bytes 3072-3583 belong there\n");
}

/* Less than a sector is found elsewhere too easily. */
static void test_misplaced_part_of_a_sector(void **state)
{
	struct bv_mismatch m = read_of(100, 4096);

	(void)state;
	memcpy(actual + 100, should + 100 + 1024, 412);
	report(&m);
	has("sectors 0-0 (1), bytes ");
	lacks("looks like");
	memcpy(actual + 512, should + 512 + 1024, 512);
	report(&m);
	has("from offset 1124: bytes 100-1023 belong there\n");
}

/* A zero sector is nobody's in particular. */
static void test_zeros_are_not_misplaced(void **state)
{
	struct bv_mismatch m = read_of(0, 4096);

	(void)state;
	memset(should, 0, 512);
	memset(actual, 0, 512);
	memcpy(actual + 1024, "x", 1);
	memset(actual + 1536, 0, 2560);
	memset(should + 3584, 0, 512);
	memcpy(actual + 3584, "data", 4);
	report(&m);
	lacks("looks like");
}

/* ---- the dump ---- */

static unsigned dump_rows(void)
{
	unsigned rows = 0;

	for (const char *s = text; (s = strstr(s, " both ")); s++)
		rows++;
	for (const char *s = text; (s = strstr(s, " expected ")); s++)
		rows++;
	return rows;
}

static void test_dump_at_the_beginning(void **state)
{
	struct bv_mismatch m = read_of(0, 4096);

	(void)state;
	memset(should, 0x20, 4096);
	memset(actual, 0x20, 4096);
	actual[0] = 0x7e;
	actual[15] = 0x7f;
	actual[16] = 0x1f;
	actual[18] = 0x80;
	report(&m);
	assert_string_equal(strstr(text, "4 of 512 bytes differ\n"),
		"4 of 512 bytes differ\n"
		"blkverify:   0000000000 expected 20 20 20 20 20 20 20 20 20 "
		"20 20 20 20 20 20 20  |                |\n"
		"blkverify:   0000000000 actual   7e 20 20 20 20 20 20 20 20 "
		"20 20 20 20 20 20 7f  |~              .|\n"
		"blkverify:                       ^^                         "
		"                  ^^\n"
		"blkverify:   0000000010 expected 20 20 20 20 20 20 20 20 20 "
		"20 20 20 20 20 20 20  |                |\n"
		"blkverify:   0000000010 actual   1f 20 80 20 20 20 20 20 20 "
		"20 20 20 20 20 20 20  |. .             |\n"
		"blkverify:                       ^^    ^^\n"
		"blkverify:   0000000020 both     20 20 20 20 20 20 20 20 20 "
		"20 20 20 20 20 20 20  |                |\n"
		"blkverify:   0000000030 both     20 20 20 20 20 20 20 20 20 "
		"20 20 20 20 20 20 20  |                |\n");
}

static void test_dump_at_the_beginning_of_a_piece(void **state)
{
	struct bv_mismatch m = read_of(1024, 512);

	(void)state;
	actual[1024] ^= 0xff;
	report(&m);
	lacks(" 00000003f0 ");
	has("\nblkverify:   0000000400 expected ");
	has("\nblkverify:   0000000430 both     ");
	lacks(" 0000000440 ");
	assert_int_equal(dump_rows(), 4);
	/* the second row of a disk has one before it */
	m = read_of(0, 512);
	actual[16] ^= 0xff;
	report(&m);
	has("\nblkverify:   0000000000 both     ");
	has("\nblkverify:   0000000030 both     ");
	assert_int_equal(dump_rows(), 4);
}

static void test_dump_at_the_end(void **state)
{
	struct bv_mismatch m = read_of(0, 4096);

	(void)state;
	actual[4095] ^= 0xff;
	report(&m);
	has("\nblkverify:   0000000fe0 both     ");
	has("\nblkverify:   0000000ff0 expected ");
	has("\nblkverify:   0000000ff0 actual   ");
	assert_int_equal(dump_rows(), 2);
	lacks(" 0000001000 ");
}

/* An offset of more than ten digits must not push the marks aside. */
static void test_dump_of_a_large_disk(void **state)
{
	struct bv_mismatch m = read_of(0, 512);

	(void)state;
	memset(should, '.', 512);
	memset(actual, '.', 512);
	actual[17] = '!';
	m.offset = m.data_offset = UINT64_C(1) << 40;
	report(&m);
	assert_string_equal(line(1), "blkverify: read sector_num=2147483648 "
			    "nb_sectors=1 contents mismatch in sector "
			    "2147483648 at offset 1099511627793");
	has("\nblkverify:   0000010000000010 actual   2e 21 2e");
	has("\nblkverify:                                ^^\n");
	m.offset = m.data_offset = (UINT64_C(1) << 40) - 512;
	report(&m);
	has("\nblkverify:   fffffffe10 actual   2e 21 2e");
	has("\nblkverify:                          ^^\n");
}

/* Nothing outside the piece is looked at: under a sanitizer these arrays end
 * where the piece does. */
static void test_nothing_beyond_the_piece(void **state)
{
	static unsigned char a[3000], b[3000];
	struct bv_mismatch m = read_of(0, 3000);

	(void)state;
	m.actual = a;
	m.should = b;
	for (uint64_t start = 0; start < 1030; start += 103) {
		m.offset = m.data_offset = start;
		for (size_t i = 0; i < 3000; i += 97) {
			memset(a, 1, sizeof(a));
			memset(b, 1, sizeof(b));
			memset(a + i, 2, sizeof(a) - i);
			report(&m);
			assert_non_null(strstr(line(5), "-"));
			memset(a, 2, i + 1);
			memset(a + i + 1, 1, sizeof(a) - i - 1);
			report(&m);
			assert_non_null(strstr(line(5), "-"));
		}
	}
}

static void test_random_damage(void **state)
{
	struct bv_mismatch m;
	unsigned seed = 9;

	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		size_t at, length;

		seed = seed * 1103515245u + 12345u;
		at = (seed >> 8) % 60000;
		seed = seed * 1103515245u + 12345u;
		length = (seed >> 8) % 5000 + 1;
		memmove(actual + at, actual + (seed >> 4) % 60000, length);
		m = read_of(at, length);
		m.sector_size = 512u << round % 8;
		report(&m);
		assert_memory_equal(text, "blkverify: read sector_num=", 27);
		if (round % 16 == 15)
			memcpy(actual, should, DISK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_first_line_of_the_contract, fresh),
		cmocka_unit_test_setup(test_first_line_of_a_return_value,
				       fresh),
		cmocka_unit_test_setup(test_first_line_of_a_size, fresh),
		cmocka_unit_test_setup(test_first_line_of_a_shadow_failure,
				       fresh),
		cmocka_unit_test_setup(test_whole_report, fresh),
		cmocka_unit_test_setup(test_sector_numbers, fresh),
		cmocka_unit_test_setup(test_every_operation, fresh),
		cmocka_unit_test_setup(test_large_sectors, fresh),
		cmocka_unit_test_setup(test_persistence, fresh),
		cmocka_unit_test_setup(test_paths_are_quoted, fresh),
		cmocka_unit_test_setup(test_runs, fresh),
		cmocka_unit_test_setup(test_unaligned_runs, fresh),
		cmocka_unit_test_setup(test_as_many_runs_as_are_listed, fresh),
		cmocka_unit_test_setup(test_more_runs_than_are_listed, fresh),
		cmocka_unit_test_setup(test_history_comes_last, fresh),
		cmocka_unit_test_setup(test_piece, fresh),
		cmocka_unit_test_setup(test_no_difference_any_more, fresh),
		cmocka_unit_test_setup(test_one_bit, fresh),
		cmocka_unit_test_setup(test_lost, fresh),
		cmocka_unit_test_setup(test_stray, fresh),
		cmocka_unit_test_setup(test_first_of_several_runs, fresh),
		cmocka_unit_test_setup(test_misplaced, fresh),
		cmocka_unit_test_setup(test_misplaced_past_the_ends, fresh),
		cmocka_unit_test_setup(test_misplaced_in_several_ways, fresh),
		cmocka_unit_test_setup(test_misplaced_part_of_a_sector, fresh),
		cmocka_unit_test_setup(test_zeros_are_not_misplaced, fresh),
		cmocka_unit_test_setup(test_dump_at_the_beginning, fresh),
		cmocka_unit_test_setup(test_dump_at_the_beginning_of_a_piece,
				       fresh),
		cmocka_unit_test_setup(test_dump_at_the_end, fresh),
		cmocka_unit_test_setup(test_dump_of_a_large_disk, fresh),
		cmocka_unit_test_setup(test_nothing_beyond_the_piece, fresh),
		cmocka_unit_test_setup(test_random_damage, fresh),
	};

	return cmocka_run_group_tests_name("report", tests, open_log, NULL);
}
