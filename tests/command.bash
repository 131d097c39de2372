# Helpers for the tests of the command: `load functions`, `load qemu`, then `load command`.

: "${BLK_COMMAND:?is not set: make check sets it}"

# exports are made in there, so what is left of them is found
export TMPDIR="$BATS_TEST_TMPDIR"

need_command() { [ -x "$BLK_COMMAND" ] || skip "the command was not built"; }

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

# ---- served images ----

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

# processes that have this test's directory in their command line, but for the test's own
left_processes() {
	local pid
	for pid in $(pgrep -f -- "$BATS_TEST_TMPDIR"); do
		case $(ps -o comm= -p "$pid") in
		bats* | timeout | bash | cat | "") ;;
		*) ps -o pid=,args= -p "$pid" ;;
		esac
	done
}

left() {
	left_processes
	grep -F -- "$BATS_TEST_TMPDIR" /proc/self/mounts
	compgen -G "$TMPDIR/blkverify-export.*"
}

nothing_left() { [ -z "$(left)" ]; }

# assert_nothing_left: what was killed and who clears up after it takes a moment
assert_nothing_left() { until_true 5 nothing_left || fail_with "left behind: $(left)"; }

# end_of_test: for teardown, in which a test fails that leaves something behind
end_of_test() {
	local pid dir what
	for dir in "${MOUNTS[@]}"; do umount "$dir" || umount -l "$dir"; done
	what=$(assert_nothing_left 2>&1) || :
	for pid in "${DAEMONS[@]}"; do end_process "$pid"; done
	clean_up
	[ -z "$what" ] || fail_with "$what"
}
