# Helpers shared by the .bats files: `load functions` at the top of each.
#
# `make check` gives:  BLK_LIB       absolute path of libblkverify.so
#                      BLK_SNIPPETS  directory of the built clients
#                      BLK_SRCDIR, BLK_BUILDDIR
# A test writes only under BATS_TEST_TMPDIR, and under SHM_DIR where it asks for tmpfs.
#
# make_pair sets TARGET and SHADOW; `run shim CMD...` runs CMD on that pair. BLKVERIFY_ variables in front
# of it reach CMD:  BLKVERIFY_ON_MISMATCH=log run shim CMD...

export LC_ALL=C
: "${BLK_LIB:?is not set: make check sets it}" "${BLK_SNIPPETS:?is not set: make check sets it}"
: "${BLK_SRCDIR:=${BATS_TEST_DIRNAME%/tests}}"
PATH="$BLK_SNIPPETS:$PATH"
# what the caller's shell may hold would change every test
unset LD_PRELOAD "${!BLKVERIFY_@}"
# the same suites once more, in the other mode; see Makefile.am
BLK_MODE=
LATE_LIB=$BLK_BUILDDIR/late/shim/.libs/libblkverify.so
case $BATS_TEST_DIRNAME in
*/pool)
	BLK_MODE=pool
	BLK_LIB=$LATE_LIB
	# it finds that one beside itself
	BLK_COMMAND=$BLK_BUILDDIR/late/blkverify
	export BLKVERIFY_MODE=pool
	;;
esac
# expected crashes leave no core files behind
ulimit -c 0

LOOPS=()
SHM_DIRS=()
SHADOWS=()

# ---- pairs ----

# make_pair SIZE [NAME]: TARGET with random contents and SHADOW, identical. SIZE as for head -c.
make_pair() {
	local name=${2:-disk}
	TARGET="$BATS_TEST_TMPDIR/$name.img"
	SHADOW="$BATS_TEST_TMPDIR/$name.shadow"
	# new files: what is remembered of old ones must not carry over
	forget "$SHADOW"
	rm -f "$TARGET" "$SHADOW"
	head -c "$1" /dev/urandom >"$TARGET"
	cp --reflink=never "$TARGET" "$SHADOW"
	# the inode may be one of a shadow that is gone
	forget "$SHADOW"
	SHADOWS+=("$SHADOW")
}

# states_of SHADOW: how its state files in memory are named, but for the user: of a device, and of one beside which
# there is no room or nothing may be written
states_of() {
	if [ -b "$1" ]; then
		echo "/dev/shm/blkverify-$(($(stat -c '%Hr * 256 + %Lr' "$1")))-0"
	else
		stat -c /dev/shm/blkverify-%d-%i "$1"
	fi
}

# forget SHADOW: removes its state files
forget() {
	[ ! -e "$1" ] || rm -f "$1.bvstate" "$(states_of "$1")"-*.bvstate
}

# make_pair_on_tmpfs SIZE: the same where there is no O_DIRECT alignment, no ZERO_RANGE and no disk.
make_pair_on_tmpfs() {
	[ "$(stat -f -c %T /dev/shm)" = tmpfs ] || skip "/dev/shm is not tmpfs"
	SHM_DIR=$(mktemp -d /dev/shm/blkverify-test.XXXXXX)
	SHM_DIRS+=("$SHM_DIR")
	TARGET="$SHM_DIR/disk.img"
	SHADOW="$SHM_DIR/disk.shadow"
	head -c "$1" /dev/urandom >"$TARGET"
	cp "$TARGET" "$SHADOW"
}

# make_loop_pair SIZE: the target is a loop device; IMAGE is the file below it, SHADOW a file.
make_loop_pair() {
	make_pair "$1"
	IMAGE=$TARGET
	attach_loop "$IMAGE"
	TARGET=$LOOP
}

# attach_loop FILE: LOOP becomes a loop device over FILE, detached at the end of the test.
attach_loop() {
	need_root
	LOOP=$(losetup --find --show "$1" 2>/dev/null) || skip "no loop device to be had"
	LOOPS+=("$LOOP")
}

# ---- running ----

# shim CMD...: runs CMD under the shim with TARGET and SHADOW. BLKVERIFY_TARGET, BLKVERIFY_SHADOW set by the test win.
shim() {
	env LD_PRELOAD="$BLK_LIB" BLKVERIFY_TARGET="${BLKVERIFY_TARGET-$TARGET}" \
		BLKVERIFY_SHADOW="${BLKVERIFY_SHADOW-$SHADOW}" "$@"
}

# need_client NAME: skips where that client was not built (no libaio, no liburing).
need_client() { [ -x "$BLK_SNIPPETS/$1" ] || skip "client $1 was not built"; }
need_root() { [ "$(id -u)" = 0 ] || skip "needs root"; }
need_program() { command -v "$1" >/dev/null || skip "no $1"; }

# skip_if_absent: after run; clients exit 77 for a symbol that this libc or kernel does not have.
skip_if_absent() { [ "$status" != 77 ] || skip "${output:-not on this system}"; }

# for_each "WORDS" FUNCTION [ARG...]: calls FUNCTION ARG... WORD for each, goes on after a failure, and names all
# that failed at the end. WORDS is usually $(client --list). A word skipped is not a failure.
for_each() {
	local word words=$1 failed=() failure log="$BATS_TEST_TMPDIR/for_each.log"
	shift
	[ -n "$words" ] || fail_with "for_each: no words" || return
	for word in $words; do
		# a shell of its own, so that set -e holds in it whatever the callers are
		set +e
		(
			skip() { exit 77; }
			# what this word attaches is its own to detach
			LOOPS=() SHM_DIRS=() SHADOWS=()
			trap clean_up EXIT
			trap 'echo "at: $BASH_COMMAND"' ERR
			set -eE
			"$@" "$word"
		) >"$log" 2>&1
		failure=$?
		set -e
		case $failure in
		0) ;;
		77) echo "# $word: skipped" >&3 ;;
		*)
			failed+=("$word")
			echo "---- $word:"
			cat "$log"
			;;
		esac
	done
	[ ${#failed[@]} = 0 ] || {
		echo "failed: ${failed[*]}"
		return 1
	}
}

# ---- bytes ----

# fill FILE OFFSET LENGTH BYTE: BYTE as two hex digits. Never changes the length of the file by truncation.
fill() {
	head -c "$3" /dev/zero | tr '\0' "\\$(printf %o "0x$4")" |
		dd of="$1" bs=65536 seek="$2" oflag=seek_bytes iflag=fullblock conv=notrunc status=none
}

# damage FILE OFFSET: the byte there becomes its complement.
damage() {
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	[ -n "$byte" ] || fail_with "damage: $1 has no byte at $2" || return
	fill "$1" "$2" 1 "$(printf %02x $((byte ^ 255)))"
}
damage_shadow() { damage "$SHADOW" "$1"; }
damage_target() { damage "$TARGET" "$1"; }

# bytes FILE OFFSET LENGTH: as lower case hex digits, without blanks.
bytes() { od -An -v -tx1 -j "$2" -N "$3" "$1" | tr -d ' \n'; }

# ---- what must hold ----

fail_with() {
	printf '%s\n' "$@" "status: ${status-}" "output:" "${output-}" >&2
	return 1
}

# blk_lines: the shim's own lines in $output without the summary.
blk_lines() { grep '^blkverify: ' <<<"$output" | grep -v '^blkverify: stats ' || :; }

assert_status() { [ "$status" = "$1" ] || fail_with "expected status $1"; }

# assert_clean: status 0 and not a word of the shim's.
assert_clean() {
	[ "$status" = 0 ] || fail_with "expected a clean run" || return
	[ -z "$(blk_lines)" ] || fail_with "expected no line of the shim"
}

# assert_silent STATUS: that status, and not a word of the shim's.
assert_silent() {
	assert_status "$1" || return
	[ -z "$(blk_lines)" ] || fail_with "expected no line of the shim"
}

assert_same_contents() {
	cmp "$TARGET" "$SHADOW" || fail_with "target and shadow differ"
}

# assert_filled FILE OFFSET LENGTH BYTE: every byte of the range is BYTE (two hex digits).
assert_filled() {
	cmp -n "$3" -i "$2:0" "$1" <(head -c "$3" /dev/zero | tr '\0' "\\$(printf %o "0x$4")") ||
		fail_with "$1 is not all $4 from $2, length $3"
}

# own_lines: the shim's, without those on what was left by a run that a mismatch ended with other reads in flight. Only
# in pool mode is there any.
own_lines() {
	if [ "$BLK_MODE" = pool ]; then
		blk_lines | grep -Ev 'was never compared: the process ended$|were not compared when the last run was killed$'
	else
		blk_lines
	fi
}

# settle: in pool mode, has what a run left that a mismatch ended said here, and not by the next run
settle() { [ "$BLK_MODE" != pool ] || shim true >"$BATS_TEST_TMPDIR/left" 2>&1 || :; }

# assert_first_line REGEX: of the shim's lines. In pool mode, writes may have been in flight as well when a mismatch ended
# the last run.
assert_first_line() {
	local first
	if [[ $BLK_MODE = pool && $1 == *mismatch* ]]; then
		first=$(own_lines | grep -v ': contents unknown ' | head -n 1)
	else
		first=$(own_lines | head -n 1)
	fi
	[[ $first =~ $1 ]] || fail_with "expected first line: $1" || return
	[[ $first != *mismatch* ]] || settle
}

# assert_mismatch OP SECTOR OFFSET [STATUS]: contents mismatch there; STATUS is 134 (SIGABRT) unless given.
assert_mismatch() {
	assert_status "${4:-134}" || return
	assert_first_line "^blkverify: $1 sector_num=[0-9]+ nb_sectors=[0-9]+ contents mismatch in sector $2 at offset $3\$"
}

# assert_return_mismatch OP TARGET_RESULT SHADOW_RESULT [STATUS]
assert_return_mismatch() {
	assert_status "${4:-134}" || return
	assert_first_line "^blkverify: $1 sector_num=[0-9]+ nb_sectors=[0-9]+ return value mismatch $2 != $3\$"
}

# assert_size_mismatch TARGET_SIZE SHADOW_SIZE [STATUS]
assert_size_mismatch() {
	assert_status "${3:-134}" || return
	assert_first_line "^blkverify: size .*size mismatch $1 != $2\$"
}

# assert_one_line WORD...: exactly one line of the shim's, which has all the WORDs.
assert_one_line() {
	local line word
	line=$(blk_lines)
	[ -n "$line" ] && [ "$(wc -l <<<"$line")" = 1 ] || fail_with "expected exactly one line of the shim" || return
	for word; do
		[[ $line == *"$word"* ]] || fail_with "expected '$word' in: $line" || return
	done
}

# assert_bad_config VARIABLE VALUE: refused before main, in one line that names both.
assert_bad_config() {
	assert_status 125 || return
	assert_one_line "$@"
}

# stat_of NAME: that number of the summary line (BLKVERIFY_STATS=1) of the first process.
stat_of() { sed -n "s/^blkverify: stats .* $1=\([0-9]*\).*/\1/p" <<<"$output" | head -n 1; }

# assert_stat NAME NUMBER, assert_counted NAME (more than 0): needs BLKVERIFY_STATS=1.
assert_stat() { [ "$(stat_of "$1")" = "$2" ] || fail_with "expected $1=$2"; }
assert_counted() { [ "$(stat_of "$1")" -gt 0 ] 2>/dev/null || fail_with "expected $1 to be counted"; }

# assert_mode RUNNER...: what it runs on TARGET is in the mode of this suite. In pool mode there are threads of the library's.
assert_mode() {
	run "$@" bash -c 'read -r -N 512 <"$1"; sed -n "s/^Threads:.//p" "/proc/$$/status"; exit' - "$TARGET"
	[[ ${lines[0]} =~ ^[0-9]+$ ]] || fail_with "expected a number of threads" || return
	if [ "$BLK_MODE" = pool ]; then [ "${lines[0]}" -gt 1 ]; else [ "${lines[0]}" = 1 ]; fi || fail_with "not in the mode ${BLK_MODE:-sync}"
}

# in_sync CMD...: not in pool mode, in which a program may go on with a wrong byte up to its next barrier
in_sync() { [ "$BLK_MODE" = pool ] || "$@"; }

# ---- clean, and stopped when a byte is wrong ----

# clean_then_damaged CMD...: CMD passes as it is; then as after run, with another byte in the shadow at BAD, which is put right
clean_then_damaged() {
	run shim "$@"
	assert_clean || return
	assert_same_contents || return
	damage_shadow "$BAD"
	run shim "$@"
	damage_shadow "$BAD"
	settle
}

# caught_and_clean CMD...: it is CMD that is stopped
caught_and_clean() {
	clean_then_damaged "$@" || return
	assert_mismatch read $((BAD / 512)) "$BAD"
}

# noticed_and_clean CMD...: CMD or a child of its is, and CMD's status tells
noticed_and_clean() {
	clean_then_damaged "$@" || return
	[ "$status" != 0 ] || fail_with "damage was not seen" || return
	assert_first_line "^blkverify: read sector_num=[0-9]+ nb_sectors=[0-9]+ contents mismatch in sector $((BAD / 512)) at offset $BAD\$"
}

# ---- the end of a test ----

# a file with a teardown of its own calls this in it
clean_up() {
	local loop dir shadow
	for shadow in "${SHADOWS[@]}"; do forget "$shadow"; done
	for loop in "${LOOPS[@]}"; do
		forget "$loop"
		losetup -d "$loop" || :
	done
	for dir in "${SHM_DIRS[@]}"; do rm -rf "$dir"; done
}
teardown() { clean_up; }
