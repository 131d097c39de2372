# What cannot be verified is refused loudly, or let through with a line, or ends the program: as BLKVERIFY_ON_UNVERIFIED says.
load functions

# what is verified unless the user says otherwise
export BLKVERIFY_MMAP=refuse

AT=4096
LENGTH=8192

# ---- the ways to do I/O that is not verified ----
#
# A word is CLIENT/CALL.

words_of() {
	[ -x "$BLK_SNIPPETS/$1" ] || return 0
	"$1" --list | sed "s,^,$1/,"
}

mappings=$(words_of mapping | grep -v anonymous)
# the other streams are verified: stdio.bats
streams=$(words_of stream | grep backtrace)

# perform WORD FILE: the command line for that word on FILE, in COMMAND
perform() { COMMAND=("${1%%/*}" "${1#*/}" "$2" $AT $LENGTH 0x5a); }

# called WORD: what the line must call it (some are known by the call that carries them)
called() {
	local call=${1#*/}
	case $1 in
	mapping/*) echo mmap ;;
	stream/*) echo backtrace_symbols_fd ;;
	*) echo "$call" ;;
	esac
}

fresh() {
	make_pair 64K
	cp "$TARGET" "$BATS_TEST_TMPDIR/before"
	head -c 64K /dev/urandom >"$BATS_TEST_TMPDIR/other"
	cp "$BATS_TEST_TMPDIR/other" "$BATS_TEST_TMPDIR/other.before"
}

# possible WORD: skips what this system cannot do even without the shim
possible() {
	perform "$1" "$BATS_TEST_TMPDIR/other"
	run "${COMMAND[@]}"
	cp "$BATS_TEST_TMPDIR/other.before" "$BATS_TEST_TMPDIR/other"
	skip_if_absent
	NATIVE=$output NATIVE_STATUS=$status
	[ "$status" = 0 ] || skip "not here: $output"
}

# ---- refuse: the call fails, one line, nothing is changed ----

refused() {
	fresh
	possible "$1"
	perform "$1" "$TARGET"
	run shim "${COMMAND[@]}"
	assert_status 1
	assert_one_line "$(called "$1")" "$TARGET"
	cmp "$TARGET" "$BATS_TEST_TMPDIR/before"
	assert_same_contents
}

@test "mappings of a target are refused" { for_each "$mappings" refused; }
@test "backtraces to a target are refused" { for_each "$streams" refused; }

# ---- the twin: the same on a file that is no target ----

let_alone() {
	fresh
	possible "$1"
	perform "$1" "$BATS_TEST_TMPDIR/other"
	run shim "${COMMAND[@]}"
	assert_silent "$NATIVE_STATUS"
	[ "$output" = "$NATIVE" ]
}

@test "none of it is refused on a file that is no target" {
	for_each "$mappings $streams" let_alone
}

# ---- warn: it goes through, with a line, and nothing that follows is a false alarm ----

warned() {
	fresh
	possible "$1"
	perform "$1" "$TARGET"
	BLKVERIFY_ON_UNVERIFIED=warn run shim "${COMMAND[@]}"
	assert_status "$NATIVE_STATUS"
	[ -n "$(blk_lines)" ] || fail_with "expected a line"
	[[ $(blk_lines) == *"$TARGET"* ]] || fail_with "expected the target to be named"
	[[ $(blk_lines) != *mismatch* ]] || fail_with "expected no mismatch"
	# the whole is read twice: the first may learn what was written, the second must agree
	run shim reader pread64 "$TARGET" 0 64K
	assert_status 0
	[[ $output != *mismatch* ]]
	run shim reader pread64 "$TARGET" 0 64K
	assert_clean
	assert_same_contents
	# what was not touched is verified as ever
	damage_shadow 50000
	run shim reader pread64 "$TARGET" 0 64K
	assert_mismatch read 97 50000
}

@test "with warn, mappings and backtraces go through" {
	for_each "$mappings $streams" warned
}

counted() {
	fresh
	possible "$1"
	perform "$1" "$TARGET"
	BLKVERIFY_ON_UNVERIFIED=warn BLKVERIFY_STATS=1 run shim "${COMMAND[@]}"
	assert_status 0
	assert_counted unverified
	assert_stat mismatches 0
}

@test "with warn, unverified transfers are counted" {
	for_each "mapping/mmap:read stream/backtrace_symbols_fd:write" counted
}

# the fault: what went through unverified is not taken on trust for ever
learns_once() {
	fresh
	possible "$1"
	perform "$1" "$TARGET"
	BLKVERIFY_ON_UNVERIFIED=warn run shim "${COMMAND[@]}"
	run shim reader pread64 "$TARGET" 0 64K
	assert_status 0
	damage_target $((AT + 100))
	run shim reader pread64 "$TARGET" 0 64K
	assert_mismatch read $(((AT + 100) / 512)) $((AT + 100))
}

@test "with warn, a range is learnt once and verified from then on" {
	for_each "mapping/mmap:write" learns_once
}

# ---- abort: the program ends there ----

aborted() {
	fresh
	possible "$1"
	perform "$1" "$TARGET"
	BLKVERIFY_ON_UNVERIFIED=abort run shim "${COMMAND[@]}"
	assert_status 134
	assert_one_line "$(called "$1")" "$TARGET"
	cmp "$TARGET" "$BATS_TEST_TMPDIR/before"
}

@test "with abort, unverified I/O ends the program" {
	for_each "mapping/mmap:read stream/backtrace_symbols_fd:write" aborted
}

# ---- the state file: what the whole run did, whoever did it ----

# state_of mismatches|unverified: that number of the last run (include/blkverify/state.h)
state_of() {
	local at
	case $1 in
	mismatches) at=104 ;;
	unverified) at=120 ;;
	esac
	od -An -tu8 -j "$at" -N 8 "$SHADOW.bvstate" | tr -d ' '
}

# counts NUMBER CMD...: so much of the run was unverified
counts() {
	local number=$1
	shift
	run shim "$@"
	[ "$(state_of unverified)" = "$number" ] || fail_with "expected $number, state file has $(state_of unverified)"
	[ "$(state_of mismatches)" = 0 ]
}

@test "refusals, and what was let through, are counted for the run, in whatever process" {
	local static="$BATS_TEST_TMPDIR/static"
	printf 'int main(void) { return 0; }\n' | ${CC:-cc} -static -x c -o "$static" - || skip "no static libc"
	make_pair 64K
	# the twin: nothing to count, also after a run that had something
	counts 0 diskio open "$TARGET" rw read 0 4096 write 0 512 aa
	counts 1 mapping mmap:read "$TARGET" 0 4096 0
	counts 2 sh -c 'mapping mmap:read "$0" 0 4096 0; device UNKNOWN "$0" 0 0; diskio open "$0" r read 0 512' "$TARGET"
	counts 0 diskio open "$TARGET" rw read 0 4096 write 0 512 aa
	# children that cannot be seen: not begun, or begun all the same
	counts 1 sh -c '"$0" "$1"; diskio open "$1" r read 0 512' "$static" "$TARGET"
	BLKVERIFY_ON_UNVERIFIED=warn counts 1 sh -c '"$0" "$1"; diskio open "$1" r read 0 512' "$static" "$TARGET"
	BLKVERIFY_ON_UNVERIFIED=abort counts 1 sh -c '"$0" "$1"' "$static" "$TARGET"
	# one that had no target in reach
	counts 0 sh -c '"$0"; diskio open "$1" r read 0 512' "$static" "$TARGET"
	# a child that is killed right after
	counts 1 sh -c 'mapping mmap:read "$0" 0 4096 0; kill -9 $$' "$TARGET"
	[ "$status" = 137 ]
	# a target that was replaced
	cp "$TARGET" "$TARGET.new"
	counts 1 diskio rename "$TARGET.new" "$TARGET" open "$TARGET" r read 0 512
	# and what is no refusal
	make_pair 64K
	damage_shadow 100
	run shim diskio open "$TARGET" r read 0 512
	[ "$(state_of mismatches)" = 1 ]
	[ "$(state_of unverified)" = 0 ]
}

# ---- rings that have nothing to do with targets ----

@test "a ring without targets works while a target is configured" {
	need_client uring_rw
	make_pair 64K
	run uring_rw none "$TARGET" 0 4096 0
	skip_if_absent
	local native=$output
	run shim uring_rw none "$TARGET" 0 4096 0
	assert_clean
	[ "$output" = "$native" ]
}

@test "anonymous memory is let alone whatever descriptor comes with it" {
	make_pair 64K
	for_each "$(words_of mapping | sed -n 's,^mapping/\(.*anonymous\)$,\1,p')" anonymous
}
anonymous() {
	run shim mapping "$1" "$TARGET" $AT $LENGTH 0x5a
	assert_clean
	assert_same_contents
}

ring_refused() {
	make_pair 64K
	run uring_rw "$1" "$TARGET" 0 4096 0
	[ "$status" = 0 ] || skip "no io_uring here"
	run without_trap true
	skip_if_absent
	run shim without_trap uring_rw "$1" "$TARGET" 0 4096 0
	assert_status 1
	[[ $output == *ENOSYS* ]]
	assert_one_line io_uring_setup "Syscall User Dispatch"
	BLKVERIFY_ON_UNVERIFIED=warn run shim without_trap uring_rw "$1" "$TARGET" 0 4096 0
	assert_status 0
	assert_one_line io_uring_setup "let through"
	BLKVERIFY_ON_UNVERIFIED=abort run shim without_trap uring_rw "$1" "$TARGET" 0 4096 0
	assert_status 134
	# without a target configured the shim is inert
	run env LD_PRELOAD="$BLK_LIB" without_trap uring_rw "$1" "$TARGET" 0 4096 0
	assert_clean
	# the twin: a kernel that can trap its submissions; what was let through is unknown
	make_pair 64K
	run shim uring_rw "$1" "$TARGET" 0 4096 0
	assert_clean
}

@test "a ring that is made by system calls is refused where these cannot be trapped" {
	need_client uring_rw
	for_each "raw setup" ring_refused
}

# ---- ioctls ----

ioctl_harmless() {
	run device "$1" "$TARGET" 0 0
	local native=$output native_status=$status
	run shim device "$1" "$TARGET" 0 0
	assert_silent "$native_status"
	[ "$output" = "$native" ]
}

@test "ioctls that move no data go through on a file and on a device" {
	make_pair 64K
	for_each "BLKGETSIZE64 BLKSSZGET FIGETBSZ FIONREAD TCGETS FS_IOC_GETFLAGS FS_IOC_FSGETXATTR FS_IOC_FIEMAP" ioctl_harmless
	if [ "$(id -u)" = 0 ] && losetup -f >/dev/null 2>&1; then
		make_loop_pair 1M
		for_each "BLKGETSIZE64 BLKSSZGET BLKFLSBUF TCGETS BLKPBSZGET BLKROGET BLKIOMIN HDIO_GETGEO" ioctl_harmless
	fi
}

@test "an unknown ioctl is refused on a target alone" {
	make_pair 64K
	cp "$TARGET" "$BATS_TEST_TMPDIR/other"
	run shim device UNKNOWN "$TARGET" 0 0
	assert_status 1
	# the number is what a bug report needs
	assert_one_line "ioctl 0xc0107eee refused" "$TARGET"
	run device UNKNOWN "$BATS_TEST_TMPDIR/other" 0 0
	local native=$output
	run shim device UNKNOWN "$BATS_TEST_TMPDIR/other" 0 0
	assert_silent 1
	[ "$output" = "$native" ]
	BLKVERIFY_ON_UNVERIFIED=abort run shim device UNKNOWN "$TARGET" 0 0
	assert_status 134
}

# ---- raw system calls through libc's syscall() ----

# either it is verified like the wrapped call, or it is refused
raw_call() {
	fresh
	possible "raw/$1"
	run shim raw "$1" "$TARGET" $AT $LENGTH 0x5a
	if [ "$status" = 0 ]; then
		assert_clean
		[ "$(grep ret= <<<"$output")" = "$(grep ret= <<<"$NATIVE")" ]
	else
		assert_status 1
		assert_one_line "" "$TARGET"
		cmp "$TARGET" "$BATS_TEST_TMPDIR/before"
	fi
	assert_same_contents
	fresh
	damage_shadow 5000
	run shim raw "$1" "$TARGET" $AT $LENGTH 0x5a
	case $1 in
	*read*) [ "$status" != 0 ] || fail_with "read a wrong byte without a word" ;;
	esac
	# with warn it goes through one way or the other
	fresh
	BLKVERIFY_ON_UNVERIFIED=warn run shim raw "$1" "$TARGET" $AT $LENGTH 0x5a
	assert_status 0
	run shim reader pread64 "$TARGET" 0 64K
	assert_status 0
	[[ $output != *mismatch* ]]
}

@test "raw system calls on a target are verified or refused" {
	for_each "$(raw --list)" raw_call
}

raw_let_alone() {
	fresh
	possible "raw/$1"
	run shim raw "$1" "$BATS_TEST_TMPDIR/other" $AT $LENGTH 0x5a
	assert_clean
	[ "$output" = "$NATIVE" ]
}

@test "raw system calls on other files are let alone" {
	for_each "$(raw --list)" raw_let_alone
}
