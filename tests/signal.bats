#!/usr/bin/env bats
# `blkverify run`: signals, and what else reaches the program as if nobody stood between it and who began it.

load functions
load qemu
load command

setup() { prepare_to_read; }

# caught N: how often the listener told of it
caught() { grep -cx "caught $1" "$BATS_TEST_TMPDIR/background.out"; }
caught_once() { [ "$(caught "$1")" = 1 ]; }

@test "a signal to the command reaches the program, once" {
	local signal number
	background_watched -- listener "$TARGET"
	until_true 5 background_says ready
	for signal in HUP INT QUIT TERM USR1 ALRM WINCH CONT; do
		kill -s "$signal" "$PID"
	done
	for signal in HUP INT QUIT TERM USR1 ALRM WINCH CONT; do
		number=$(kill -l "$signal")
		until_true 5 caught_once "$number" || fail_with "$signal: $(caught "$number") times"
	done
	sleep 0.3
	[ "$(grep -c caught "$BATS_TEST_TMPDIR/background.out")" = 8 ]
	kill -USR2 "$PID"
	wait_for_end
	assert_status 7
}

@test "a signal that ends the program" {
	local signal
	for signal in TERM HUP USR1; do
		background_watched -- diskio open "$TARGET" r read 0 512 say ready sleep 100000
		until_true 5 background_says "^ready"
		kill -s "$signal" "$PID"
		wait_for_end
		assert_status $((128 + $(kill -l "$signal")))
		assert_closing "1 process, 1 read, 0 writes verified, no mismatch"
	done
}

is_the_command() { [ "$(cat "/proc/$PID/comm")" = blkverify ]; }

@test "a signal that comes before the program has begun is not lost" {
	local try
	for try in 1 2 3 4 5 6 7 8 9 10; do
		background_watched -- sleep 100
		until is_the_command; do :; done
		kill "$PID"
		wait_for_end
		[ "$status" = 143 ] || [ "$status" = 121 ] || fail_with "the signal was lost"
	done
}

listener_gone() { ! pgrep -f "listener $TARGET" >/dev/null; }

@test "the program does not outlive the command that is killed" {
	background_watched -- listener "$TARGET"
	until_true 5 background_says ready
	kill -9 "$PID"
	wait_for_end
	until_true 5 listener_gone
	# what it did is known to the next
	run watched -- "${READ[@]}"
	assert_status 0
	assert_closing "1 process, 1 read, 0 writes verified, no mismatch"
}

stopped() { [ "$(ps -o state= -p "$(pgrep -f "^listener $TARGET")")" = T ]; }
goes_on() { ! stopped; }

@test "without a terminal a program that stops leaves the command waiting" {
	background_watched -- listener "$TARGET"
	until_true 5 background_says ready
	kill -TSTP "$PID"
	until_true 5 stopped
	sleep 0.2
	[ "$(ps -o state= -p "$PID")" = S ] || fail_with "the command has stopped as well"
	kill -CONT "$PID"
	until_true 5 goes_on
	kill -USR2 "$PID"
	wait_for_end
	assert_status 7
}

# masks: what is blocked and ignored
masks() { grep -E '^Sig(Blk|Ign)' /proc/self/status; }

@test "what is blocked and ignored stays so" {
	local how native
	for how in 'trap "" HUP TSTP CHLD' 'trap "" INT QUIT' :; do
		native=$(timeout 20 bash -c "$how; exec grep -E '^Sig(Blk|Ign)' /proc/self/status")
		[ "$native" = "$(timeout 20 bash -c "$how; exec \"\$@\"" - "$BLK_COMMAND" run -t "$TARGET" -s "$SHADOW" -- \
			grep -E '^Sig(Blk|Ign)' /proc/self/status 2>/dev/null)" ] || fail_with "$how: $native"
	done
	# and the status of a program is known when its parent does not want to know
	run timeout 20 bash -c 'trap "" CHLD; exec "$@"' - "$BLK_COMMAND" run -t "$TARGET" -s "$SHADOW" -- sh -c '"$@"; exit 5' - "${READ[@]}"
	assert_status 5
}

@test "descriptors and standard input reach the program" {
	run bash -c 'echo hello | "$@" 7<"$0"' "$TARGET" "$BLK_COMMAND" run -t "$TARGET" -s "$SHADOW" -- \
		sh -c 'cat; diskio fd 7 read 0 512; ls /proc/self/fd | grep -x .'
	assert_status 0
	local native
	native=$(bash -c 'echo hello | "$@" 7<"$0"' "$TARGET" sh -c 'cat; diskio fd 7 read 0 512; ls /proc/self/fd | grep -x .')
	[ "$(grep -v ^blkverify: <<<"$output")" = "$native" ] || fail_with "natively: $native"
}

# ---- at a terminal ----

# typed STEP...: at a terminal, with the listener under the command in the foreground
typed() {
	need_program python3
	run python3 "$BLK_SRCDIR/tests/terminal.py" \
		"send:stty -echo; run() { '$BLK_COMMAND' run -t '$TARGET' -s '$SHADOW' -- \"\$@\"; }" \
		"send:run listener '$TARGET'" 'expect:ready \d+' "$@"
	assert_status 0
}

@test "terminal: Ctrl-C and Ctrl-\\ reach the program, once" {
	typed key:C 'expect:caught 2\r' 'key:\' 'expect:caught 3\r' wait:0.3 absent:caught \
		'send:' 'key:Z' 'expect:Stopped' 'send:kill -USR2 %1; fg' 'expect:caught 12' 'send:echo status=$?' 'expect:status=7'
	[[ $output == *"1 process, 1 read, 0 writes verified, no mismatch"* ]]
}

@test "terminal: Ctrl-Z, fg and bg" {
	typed key:Z 'expect:Stopped' 'send:jobs' 'expect:Stopped.*run' 'send:fg' 'expect:caught 18' \
		key:C 'expect:caught 2\r' key:Z 'expect:Stopped' 'send:bg' 'expect:caught 18' 'send:jobs' 'expect:Running' \
		'send:kill %1' 'expect:caught 15' 'send:kill -STOP %1' wait:0.3 'send:jobs' 'expect:Stopped' \
		'send:fg' 'expect:caught 18' key:C 'expect:caught 2\r' \
		key:Z 'expect:Stopped' 'send:kill -USR2 %1; fg' 'expect:caught 12' 'send:echo status=$?' 'expect:status=7'
}

@test "terminal: the program is told of a new size, reads what is typed, and is told of the end" {
	typed size:40x100 'expect:caught 28\r' wait:0.3 absent:caught \
		key:Z expect:Stopped 'send:kill -KILL %1; wait' 'send:run sh -c "diskio open $PWD/none r; cat"' 'send:typed' 'expect:typed\r' \
		key:D 'expect:verified' "send:run diskio open '$TARGET' r read 0 512 say ready sleep 100000" 'expect:ready\r' hangup
	until_true 5 nothing_left
}

@test "terminal: --on-mismatch=stop gives the terminal back" {
	damage_shadow 100
	need_program python3
	run python3 "$BLK_SRCDIR/tests/terminal.py" 'send:stty -echo' \
		"send:'$BLK_COMMAND' run --on-mismatch=stop -t '$TARGET' -s '$SHADOW' -- diskio open '$TARGET' r read 0 512" \
		'expect:contents mismatch' 'expect:Stopped' 'send:fg' 'expect:1 mismatch' 'send:echo status=$?' 'expect:status=120'
	assert_status 0
}
