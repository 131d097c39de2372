# The shim's table against what there is: nothing that does I/O may be missing from it, and it may not claim what is not so.
load functions

COVERAGE="$BLK_SRCDIR/tests/coverage"
TABLE=("$BLK_SRCDIR/shim/symbols.def" "$BLK_SRCDIR/shim/passed.def")

setup_file() {
	"$BLK_SRCDIR/tests/coverage/universe" >"$BATS_FILE_TMPDIR/universe"
	cut -f 1 "$BATS_FILE_TMPDIR/universe" >"$BATS_FILE_TMPDIR/names"
}

# entries FILE...: the symbols of the table; rows FILE...: their names; wrapped FILE...: names of those that are wrapped
entries() { "$COVERAGE/table" "$@" | grep -E '^(wrapped|passed) '; }
rows() { entries "$@" | cut -d ' ' -f 2 | sort -u; }
wrapped() { "$COVERAGE/table" "$@" | sed -n 's/^wrapped \([^ ]*\).*/\1/p' | sort -u; }

# without PATTERN: the table without the rows that match, as one file
without() {
	grep -v -E "$1" "${TABLE[@]}" -h >"$BATS_TEST_TMPDIR/broken.def"
	! cmp -s <(cat "${TABLE[@]}") "$BATS_TEST_TMPDIR/broken.def"
	echo "$BATS_TEST_TMPDIR/broken.def"
}

# ---- the universe ----

# missing_from NAMES TABLE...: names that the table does not have
missing_from() {
	local names=$1
	shift
	comm -23 <(sort -u "$names") <(rows "$@")
}

@test "the universe is there at all" {
	# one of each kind; a broken search would find nothing and pass everything below
	for name in read pread64 __pread64_chk __open64_2 __libc_pread fread __fread_chk _IO_fread fread_unlocked aio_read64 \
		preadv64v2 posix_fallocate64 truncate64 copy_file_range syscall mmap fcntl64 getwchar __isoc99_fscanf dup3; do
		grep -q -x "$name" "$BATS_FILE_TMPDIR/names" || fail_with "$name is not in the universe"
	done
	[ "$(wc -l <"$BATS_FILE_TMPDIR/names")" -gt 500 ]
}

@test "every symbol that does I/O is in the table" {
	run missing_from "$BATS_FILE_TMPDIR/names" "${TABLE[@]}"
	[ -z "$output" ] || fail_with "not in the table:"
}

newly_missing() { missing_from "$BATS_FILE_TMPDIR/names" "$@" | comm -23 - "$BATS_TEST_TMPDIR/known"; }

@test "a symbol missing from the table is found" {
	missing_from "$BATS_FILE_TMPDIR/names" "${TABLE[@]}" >"$BATS_TEST_TMPDIR/known"
	run newly_missing "$(without '[ (]__pread64_chk,')"
	[ "$output" = __pread64_chk ]
	run newly_missing "$(without '[ (](fread_unlocked|fdatasync),')"
	[ "$output" = "fdatasync
fread_unlocked" ]
}

# ---- the table itself ----

twice() { entries "$@" | cut -d ' ' -f 2 | sort | uniq -d; }

@test "every symbol is in the table once" {
	run twice "${TABLE[@]}"
	[ -z "$output" ] || fail_with "more than once:"
}

@test "a symbol that is in the table twice is found" {
	cat "${TABLE[@]}" >"$BATS_TEST_TMPDIR/broken.def"
	echo 'PASS(pread64, "said elsewhere to be wrapped")' >>"$BATS_TEST_TMPDIR/broken.def"
	run twice "$BATS_TEST_TMPDIR/broken.def"
	[ "$output" = pread64 ]
}

unreasoned() { "$COVERAGE/table" "$@" | awk '$1 == "passed" && NF < 4 { print $2 }'; }

@test "what is passed is passed for a reason" {
	run unreasoned "${TABLE[@]}"
	[ -z "$output" ] || fail_with "no reason:"
	echo 'PASS(foo, "")' >"$BATS_TEST_TMPDIR/broken.def"
	run unreasoned "$BATS_TEST_TMPDIR/broken.def"
	[ "$output" = foo ]
}

# ---- COVERAGE.md ----

# say TABLE...: the document, or what is wrong with the table
say() { "$BLK_SRCDIR/scripts/coverage" "$@"; }
WORDS="$BLK_SRCDIR/shim/treatments.def"

@test "COVERAGE.md says what the table says" {
	say >"$BATS_TEST_TMPDIR/made"
	diff "$BLK_SRCDIR/COVERAGE.md" "$BATS_TEST_TMPDIR/made" || fail_with "make coverage brings it up to date"
	# each symbol in a line of its own
	run diff <(rows "${TABLE[@]}") <(sed -n 's/^| `\([^`]*\)` | .* |$/\1/p' "$BLK_SRCDIR/COVERAGE.md" | sort)
	[ -z "$output" ] || fail_with "in the table alone (<), in COVERAGE.md alone (>):"
}

@test "a symbol of which COVERAGE.md could not say what becomes is found" {
	run say "$WORDS" "${TABLE[@]}"
	[ "$status" = 0 ]
	echo 'FD(REQ, fdatasync2, int, (int fd), (fd), op_new, (fd))' >"$BATS_TEST_TMPDIR/new.def"
	run say "$WORDS" "${TABLE[@]}" "$BATS_TEST_TMPDIR/new.def"
	[ "$status" != 0 ]
	[[ $output == *"fdatasync2: what op_new does is not said"* ]]
	echo 'HAND(REQ, printf2, int, (const char *format, ...))' >"$BATS_TEST_TMPDIR/new.def"
	run say "$WORDS" "${TABLE[@]}" "$BATS_TEST_TMPDIR/new.def"
	[ "$status" != 0 ]
	[[ $output == *"printf2: what printf2 does is not said"* ]]
	# and what is said of nothing
	run say "$WORDS" "$(without 'op_mmap')"
	[ "$status" != 0 ]
	[[ $output == *"op_mmap is said to do something, but no symbol does it"* ]]
}

# claimed DOCUMENT WORDS: the symbols of which it says that, first of all
claimed() { sed -n "s/^| \`\([^\`]*\)\` | [^|]* | $2.* |\$/\1/p" "$1" | sort -u; }

# untested DOCUMENT: symbols that another test file does not hold to what is said of them. The lists are those it runs.
untested() {
	comm -23 <(claimed "$1" "verified read") <({ reader --list; echo eventfd_read; } | sort)
	comm -23 <(claimed "$1" "mirrored write") <({ writer --list; echo eventfd_write; stream --list | sed -n 's/:write$//p'; } | sort)
	comm -23 <(claimed "$1" "mirrored change of length") <(space --list | sed 's/:.*//' | sort -u)
	comm -23 <(claimed "$1" "checked against the shadow.s length") <(stater --list | sort)
	comm -23 <(claimed "$1" "made by verified reads and writes") <(copier --list | sort)
	comm -23 <(claimed "$1" "barrier (") <(flusher --list | sort)
}

@test "what COVERAGE.md calls verified, mirrored or checked is held to it" {
	local words
	for words in "verified read" "mirrored write" "mirrored change of length" "checked against the shadow.s length" \
		"made by verified reads and writes" "barrier ("; do
		[ -n "$(claimed "$BLK_SRCDIR/COVERAGE.md" "$words")" ] || fail_with "nothing is said to be: $words"
	done
	run untested "$BLK_SRCDIR/COVERAGE.md"
	[ -z "$output" ] || fail_with "said, and not tested:"
	# the twin: a row that would like to be one
	sed 's/^| `dup` | \(.*\) | .* |$/| `dup` | \1 | verified read |/' "$BLK_SRCDIR/COVERAGE.md" >"$BATS_TEST_TMPDIR/lie"
	run untested "$BATS_TEST_TMPDIR/lie"
	[ "$output" = dup ]
}

# ---- the library ----

# unlike TABLE...: exports of the library that are no rows, and rows that it does not export
unlike() { comm -3 <(nm -D --defined-only "$BLK_LIB" | awk '{ print $3 }' | sort -u) <(wrapped "$@"); }

@test "the library exports what the table says, no more and no less" {
	run unlike "${TABLE[@]}"
	[ -z "$output" ] || fail_with "exported alone (left), in the table alone (right):"
}

@test "an export too many and an export too few are found" {
	run unlike "$(without '[ (]__pread64_chk,')"
	[ "$output" = __pread64_chk ]
	cat "${TABLE[@]}" >"$BATS_TEST_TMPDIR/broken.def"
	echo 'READ(OPT, preadv65, ssize_t, (int fd), (fd), read, (fd))' >>"$BATS_TEST_TMPDIR/broken.def"
	run unlike "$BATS_TEST_TMPDIR/broken.def"
	[ "$output" = "	preadv65" ]
}

@test "exports carry no version, which would turn them off" {
	run nm -D --defined-only --with-symbol-versions "$BLK_LIB"
	[[ $output != *@* ]]
}

needed() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }

@test "the library needs libc alone" {
	run needed "$BLK_LIB"
	[ "$output" = libc.so.6 ]
}

@test "the library is linked as a preloaded one must be" {
	run readelf -dW "$BLK_LIB"
	for flag in NOW NODELETE INITFIRST; do
		[[ $output == *"$flag"* ]] || fail_with "no $flag"
	done
	[[ $output != *TEXTREL* ]]
	run readelf -lW "$BLK_LIB"
	[[ $(grep GNU_STACK <<<"$output") != *E* || $(grep GNU_STACK <<<"$output") == *"RW "* ]]
	# thread-local data comes out of the small reserve that is left for late libraries
	[ $((0x$(awk '$1 == "TLS" { print substr($6, 3) }' <<<"$output" | head -n 1)0 / 16)) -le 512 ]
}

# bound_outside LIBRARY: its own exports that it looks up by name
bound_outside() {
	comm -12 <(readelf -rW "$1" | awk '$3 ~ /JUMP_SLO|GLOB_DAT|R_X86_64_64|ABS64/ && NF > 4 { sub(/@.*/, "", $5); print $5 }' | sort -u) \
		<(nm -D --defined-only "$1" | awk '{ print $3 }' | sort -u)
}

@test "a wrapper that calls another one does not ask who has its name" {
	run bound_outside "$BLK_LIB"
	[ -z "$output" ] || fail_with "by name:"
	# the twin: a library that is linked as others are
	printf 'int first(void) { return 1; }\nint second(void) { return first(); }\n' |
		${CC:-cc} -w -shared -fPIC -fsemantic-interposition -x c -o "$BATS_TEST_TMPDIR/other.so" -
	run bound_outside "$BATS_TEST_TMPDIR/other.so"
	[ "$output" = first ]
}

@test "every wrapped symbol that libc has is found in it by the library" {
	# a required row that libc lacks could not be bound
	run comm -23 <("$COVERAGE/table" "${TABLE[@]}" | awk '$1 == "wrapped" && $3 == "REQ" { print $2 }' | sort -u) \
		<(nm -D --defined-only "$(${CC:-cc} -print-file-name=libc.so.6)" | awk '{ sub(/@.*/, "", $3); print $3 }' | sort -u)
	[ -z "$output" ] || fail_with "required, but not in libc:"
}

# ---- the engine ----

engine_objects() { find "$BLK_BUILDDIR/src" -name '*.o' ! -path '*/cli/*' | sort; }

# calls_out OBJECT...: undefined symbols that are rows of the table, or that must not be called before, after or inside main
calls_out() {
	nm -u "$@" | awk 'NF == 2 { print $2 }' | sort -u |
		grep -x -F -f <(rows "${TABLE[@]}"; printf '%s\n' malloc calloc realloc free posix_memalign aligned_alloc getenv \
			secure_getenv setenv atexit abort raise sleep usleep pthread_create pthread_once pthread_mutex_lock \
			pthread_mutex_unlock dlsym strerror localtime gmtime setlocale) || :
}

@test "the engine calls nothing that could come back into the shim" {
	[ -n "$(engine_objects)" ]
	# shellcheck disable=SC2046
	run calls_out $(engine_objects | grep -v 'thread\.o$')
	[ -z "$output" ] || fail_with "called by the engine:"
	# threads are made when work is handed over, and never inside an operation
	# shellcheck disable=SC2046
	run calls_out $(engine_objects | grep 'thread\.o$')
	[ "$output" = pthread_create ] || fail_with "called by what makes threads:"
}

@test "an engine that calls out is found" {
	printf '#include <unistd.h>\n#include <stdlib.h>\nint f(int d, void *b) { return (int)pread(d, b, 1, 0) + !malloc(1); }\n' |
		${CC:-cc} -x c -c -o "$BATS_TEST_TMPDIR/broken.o" -
	run calls_out "$BATS_TEST_TMPDIR/broken.o"
	[ "$output" = "malloc
pread" ]
}

# ---- programs that do a lot of I/O ----

PROGRAMS="qemu-img qemu-io qemu-storage-daemon qemu-nbd qemu-system-x86_64 fio dd cp mke2fs debugfs sqlite3 bochs-bin bximage dosbox pdp11 vax nbdkit"

# io_imports FILE...: what they want from libc, libaio and liburing that looks like I/O
io_imports() {
	nm -D -u --with-symbol-versions "$@" 2>/dev/null |
		awk '$NF ~ /@(GLIBC|LIBAIO|LIBURING)/ { sub(/@.*/, "", $NF); print $NF }' | sort -u |
		grep -E 'read|write|open|creat|seek|truncate|fallocate|sync|dup|close|splice|sendfile|^tee$|map|advise|ioctl|fcntl|aio|io_|uring|put[cs]|get[cs]|getline|getdelim|print|scan|exec|spawn|fork|clone|system|syscall|link|rename|recvm|sendm|(^|_)exit$' |
		grep -v -E "$HARMLESS"
}

# those that the words above hit by accident: threads, locks, names, numbers, C++
HARMLESS='^_Z|^__cxa_|thread|^(get|set)context$|^getcwd$|^regexec$|^thrd_|^on_exit$|^__register_atfork$|^cap_|^iconv_|^dlclose$|(str|strn|wcs|__str|__strn)dup$|duplocale$|^(get|set)(serv|host|proto|net|rpc)|^(is|isw|__is)print|^__fdelt|^getopt|^__sched_|^sched_|^sem_|^nl_|^__res_|^__open_catalog$|^wcsdup$|^argz_create|^getsid$|^parse_printf_format$'

# libraries FILE...: what these are linked with, but for those whose functions the table is about
libraries() {
	ldd "$@" | awk '$2 == "=>" && $3 ~ /^\// && $1 !~ /^(libc|libaio|liburing|libpthread|librt|libdl)\./ { print $3 }' | sort -u
}

# in_table FILE...: what they and their libraries import is
in_table() {
	# shellcheck disable=SC2046
	io_imports "$@" $(libraries "$@") >"$BATS_TEST_TMPDIR/imports"
	[ -s "$BATS_TEST_TMPDIR/imports" ]
	run missing_from "$BATS_TEST_TMPDIR/imports" "${TABLE[@]}"
	[ -z "$output" ] || fail_with "they or their libraries want what is not in the table:"
}

covered() {
	local program
	program=$(command -v "$1") || skip "no $1"
	# a script in front of the program has no imports
	[ "$(head -c 4 "$program" | tail -c 3)" = ELF ] || skip "$1 is no binary"
	in_table "$program"
}

@test "what emulators and their libraries import is in the table" {
	for_each "$PROGRAMS" covered
}

@test "what emulators load while they run imports nothing that is not in the table" {
	local modules=()
	mapfile -t modules < <(find /usr/lib/*/bochs /usr/lib/*/qemu -name '*.so' 2>/dev/null)
	[ ${#modules[@]} -gt 0 ] || skip "no modules"
	in_table "${modules[@]}"
}

@test "an import that is missing from the table is found" {
	need_program qemu-img
	io_imports "$(command -v qemu-img)" >"$BATS_TEST_TMPDIR/imports"
	run missing_from "$BATS_TEST_TMPDIR/imports" "$(without '[ (](pread64|preadv64|preadv|pread|__pread64_chk),')"
	[[ $output == *pread* ]]
}

# ---- the clients ----

# uncalled TABLE...: wrapped symbols that no client calls by name
uncalled() {
	wrapped "$@" | grep -v -x -F -f <(cat "$BLK_SRCDIR"/tests/snippets/*.[ch] "$BLK_SRCDIR"/tests/clients/*.c 2>/dev/null |
		tr -c 'A-Za-z0-9_' '\n' | sort -u) || :
}

@test "every wrapped symbol is called by a client" {
	run uncalled "${TABLE[@]}"
	[ -z "$output" ] || fail_with "called by no client:"
}
