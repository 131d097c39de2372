# Helpers for the tests of the command: `load functions`, `load qemu`, then `load command`. Each test is looked at in the
# end for what it leaves behind.

: "${BLK_COMMAND:?is not set: make check sets it}"

# exports are made in there, so what is left of them is found
export TMPDIR="$BATS_TEST_TMPDIR"

need_command() { [ -x "$BLK_COMMAND" ] || skip "the command was not built"; }

blkverify() { "$BLK_COMMAND" "$@"; }

# helped CALL: the long options that its --help names
helped() { blkverify "$1" --help | grep -o -E -e '^  (-., )?--.*' | grep -o -E -e '--[a-z-]+' | sort -u; }

# calls: those that the command has
calls() { blkverify --help | sed -n 's/^  \([a-z]*\) .*/\1/p'; }

# prepare_to_read: a pair, and READ, which reads all of it
prepare_to_read() {
	need_command
	make_pair 64K
	READ=(diskio open "$TARGET" r read 0 65536)
}

# watched [OPTION...] -- CMD...: CMD under the command, on TARGET and SHADOW
watched() { "$BLK_COMMAND" run -t "$TARGET" -s "$SHADOW" "$@"; }

# in_background CMD...: as background, without what the last one has said
in_background() {
	rm -f "$BATS_TEST_TMPDIR/background.out"
	background "$@"
}

over() { [[ $(ps -o state= -p "$PID") != [!Z]* ]]; }

# wait_for_end: as wait_for_background, but not for ever
wait_for_end() {
	until_true 15 over || fail_with "it does not end" || return
	wait_for_background
}

# background_watched: the same beside the test; PID is the command
background_watched() { in_background "$BLK_COMMAND" run -t "$TARGET" -s "$SHADOW" "$@"; }

# command_for_nobody: nobody can reach what open_to_nobody names, and the command
command_for_nobody() {
	open_to_nobody
	mkdir -p "$TMPDIR/nobody/shim/.libs"
	cp "$BLK_LIB" "$TMPDIR/nobody/shim/.libs"
	cp "$BLK_COMMAND" "$TMPDIR/nobody"
	BLK_COMMAND="$TMPDIR/nobody/blkverify"
}

# assert_closing LINE: the command's last line, whole
assert_closing() {
	[ "$(sed -n 's/^blkverify: //p' <<<"$output" | tail -n 1)" = "$1" ] || fail_with "expected as the last line: $1"
}

# assert_says LINE...: each is a line of $output, whole
assert_says() {
	local line
	for line; do
		grep -q -x -F -e "$line" <<<"$output" || fail_with "expected the line: $line" || return
	done
}

# assert_trouble STATUS WORD...: that status, and one line on what is wrong, which has all the WORDs
assert_trouble() {
	assert_status "$1" || return
	shift
	assert_one_line "$@" || return
	[ "$(wc -l <<<"$output")" = 1 ] || fail_with "expected nothing but that line"
}

# ---- served images ----

# prepare_to_serve: SHADOW, and IMAGE in qcow2
prepare_to_serve() {
	need_command
	need_fuse
	SHADOW="$BATS_TEST_TMPDIR/disk.shadow"
	head -c 4M /dev/urandom >"$SHADOW"
	make_image qcow2
}

# make_image FORMAT [OPTION...]: IMAGE is a new one with the shadow's contents
make_image() {
	IMAGE="$BATS_TEST_TMPDIR/disk,1.$1"
	qemu-img convert -f raw -O "$@" "$SHADOW" "$IMAGE"
}

# tested [OPTION...] -- CMD...: CMD on IMAGE as a raw file
tested() { "$BLK_COMMAND" run --format=qcow2 -t "$IMAGE" -s "$SHADOW" "$@"; }
background_tested() { in_background "$BLK_COMMAND" run --format=qcow2 -t "$IMAGE" -s "$SHADOW" "$@"; }

# damage_image OFFSET: a byte of the guest's disk there changes in IMAGE, behind the format driver's back
damage_image() {
	QCOW2=$IMAGE damage_qcow2 "$1"
}

# ---- what is left behind ----

# processes that were begun in this test. Asked of their environment, in which TMPDIR is the test's own: bats's
# processes have another one, and none of their own.
left_processes() {
	local file
	for file in $(env -u TMPDIR grep -lz -- "^TMPDIR=$BATS_TEST_TMPDIR" /proc/[0-9]*/environ 2>/dev/null); do
		ps -o pid=,args= -p "${file//[!0-9]/}"
	done
}

# states in memory, of any file of the test and of its devices
left_states() {
	local name
	for name in $(find "$BATS_TEST_TMPDIR" -type f -printf '/dev/shm/blkverify-%D-%i\n') \
		$(for name in "${LOOPS[@]}"; do states_of "$name"; done); do
		compgen -G "$name-*"
	done
}

left() {
	left_processes
	left_states
	grep -F -- "$BATS_TEST_TMPDIR" /proc/self/mounts
	find "$BATS_TEST_TMPDIR" -name 'blkverify-*'
}

nothing_left() { [ -z "$(left)" ]; }

assert_nothing_left() { nothing_left || fail_with "left behind: $(left)"; }

# assert_nothing_stays: what was killed and who clears up after it takes a moment
assert_nothing_stays() { until_true 5 nothing_left || assert_nothing_left; }

# a test fails that leaves something behind
teardown() {
	local dir what states
	# of shadows on what is mounted, too
	states=$(left_states)
	for dir in "${MOUNTS[@]}"; do umount "$dir" || umount -l "$dir"; done
	MOUNTS=()
	what=$(assert_nothing_stays 2>&1) || :
	end_all
	[ -z "$states$what" ] || fail_with "left behind: $states" "$what"
}
