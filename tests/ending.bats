#!/usr/bin/env bats
# `blkverify run --format`: nothing is left behind in any ending, whoever it is that ends.

load functions
load qemu
load command

BAD=1052672

setup() { prepare_to_serve; }

# a program that goes on until it is told to end
FOREVER=(diskio open {} r read 0 512 say ready sleep 100000)

daemon_of() { pgrep -f "^qemu-storage-daemon --pidfile $TMPDIR/"; }
keeper_of() { ps -o ppid= -p "$(daemon_of)" | tr -d ' '; }

begin_forever() {
	background_tested "$@" -- "${FOREVER[@]}"
	until_true 10 background_says "^ready"
	[ -n "$(daemon_of)" ]
}

@test "the program crashes" {
	run tested -- bash -c 'diskio open "$0" r read 0 512; kill -SEGV $$' {}
	assert_status 139
	assert_closing "1 process, 1 read, 0 writes verified, no mismatch"
	assert_nothing_left
}

@test "signals to the command end all" {
	local signal
	for signal in TERM HUP USR1; do
		begin_forever
		kill -s "$signal" "$PID"
		wait_for_end
		assert_status $((128 + $(kill -l "$signal")))
		assert_nothing_left || fail_with "$signal"
	done
}

@test "the command is killed" {
	begin_forever
	kill -9 "$PID"
	assert_nothing_stays
	# what was written is in the image
	background_tested -- diskio open {} rw write 0 512 aa say ready sleep 100000
	until_true 10 background_says "^ready"
	kill -9 "$PID"
	assert_nothing_stays
	run tested -- qemu-io -f raw -c "read -P 0xaa 0 512" {}
	assert_status 0
}

unreachable() { [ -z "$(left_processes)" ]; }

@test "the command and its keeper are killed: the next one clears up" {
	begin_forever
	local keeper
	keeper=$(keeper_of)
	kill -9 "$PID" "$keeper"
	until_true 5 unreachable
	[ -n "$(compgen -G "$TMPDIR/blkverify-export.*")" ]
	# and the daemon too, so that the mount stays
	begin_forever
	[ "$(compgen -G "$TMPDIR/blkverify-export.*" | wc -l)" = 1 ] || fail_with "not cleared up"
	keeper=$(keeper_of)
	kill -STOP "$keeper"
	kill -9 "$(daemon_of)"
	kill -9 "$PID" "$keeper"
	until_true 5 unreachable
	grep -qF "$TMPDIR" /proc/self/mounts || fail_with "nothing is left to be cleared up"
	run tested -- qemu-io -f raw -c "read 0 4M" {}
	assert_status 0
	assert_nothing_left
}

@test "the keeper is killed" {
	begin_forever
	kill -9 "$(keeper_of)"
	until_true 5 background_says "looks after qemu-storage-daemon is gone"
	kill "$PID"
	wait_for_end
	assert_status 125
	assert_nothing_stays
}

# ticks_of PID: the processor time that it has used
ticks_of() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

@test "the keeper sleeps, whoever sends it what" {
	local keeper before
	begin_forever
	keeper=$(keeper_of)
	for signal in TERM HUP USR1; do kill -s $signal "$keeper"; done
	sleep 0.2
	[ -n "$(daemon_of)" ] || fail_with "the daemon has ended"
	kill -9 "$(daemon_of)"
	until_true 5 background_says "was killed by signal 9"
	for signal in TERM HUP USR1; do kill -s $signal "$keeper"; done
	before=$(ticks_of "$keeper")
	sleep 0.5
	[ $(($(ticks_of "$keeper") - before)) -lt 10 ] || fail_with "it is busy"
	kill "$PID"
	wait_for_end
	assert_status 125
	assert_nothing_stays
}

@test "two at the same time leave each other alone" {
	local first
	begin_forever --read-only
	first=$PID
	run tested --read-only -- diskio open {} r read 0 512
	assert_status 125
	assert_one_line "in use as the shadow of another target"
	cp "$SHADOW" "$TMPDIR/another"
	SHADOW="$TMPDIR/another" run tested --read-only -- diskio open {} r read 0 512
	assert_status 0
	grep -qF "$TMPDIR" /proc/self/mounts || fail_with "unmounted"
	[ "$(compgen -G "$TMPDIR/blkverify-export.*/disk.raw" | wc -l)" = 1 ]
	kill "$first"
	wait_for_end
	assert_status 143
}

@test "the daemon is killed while the program runs" {
	local how
	for how in "of=/dev/null iflag=direct if" "of=/dev/null iflag=nocache if" "count=$((BAD / 4096)) if=$SHADOW.copy conv=notrunc of"; do
		cp "$SHADOW" "$SHADOW.copy"
		background_tested -- sh -c 'echo ready; while dd bs=4k status=none $1="$0"; do :; done; exit 3' {} "$how"
		until_true 10 background_says "^ready"
		sleep 0.3
		kill -9 "$(daemon_of)"
		wait_for_end
		assert_status 125
		[[ $output == *"blkverify: qemu-storage-daemon was killed by signal 9 while it served $IMAGE"* ]]
		[[ $output == *" verified, no mismatch"* && $output != *"return value mismatch"* ]] ||
			fail_with "$how: taken for a mismatch"
		assert_nothing_left
		# no range is forgotten about, but the one that was being written, which was before that byte
		damage_image "$BAD"
		run tested -- dd if={} of=/dev/null bs=4k status=none
		assert_reported read $((BAD / 512)) "$BAD" 120
		damage_image "$BAD"
	done
}

@test "a mismatch before the daemon was killed is one" {
	damage_image 0
	background_tested --on-mismatch=log -- "${FOREVER[@]}"
	until_true 10 background_says "^ready"
	kill -9 "$(daemon_of)"
	sleep 0.2
	kill "$PID"
	wait_for_end
	assert_status 120
	[[ $output == *"was killed by signal 9 while it served"* ]]
}

# fake_daemon SCRIPT: in place of the daemon
fake_daemon() {
	mkdir -p "$TMPDIR/bin"
	printf '#!/bin/sh\n%s\n' "$1" >"$TMPDIR/bin/qemu-storage-daemon"
	chmod +x "$TMPDIR/bin/qemu-storage-daemon"
}

@test "interrupted before anything is served" {
	local signal
	fake_daemon 'echo begun >&2; exec sleep 1000'
	for signal in TERM HUP; do
		PATH="$TMPDIR/bin:$PATH" background_tested -- diskio say main {}
		until_true 5 background_says "blkverify: begun"
		kill -s "$signal" "$PID"
		wait_for_end
		assert_status $((128 + $(kill -l "$signal")))
		[ "$output" = "blkverify: begun" ]
		assert_nothing_left
	done
}

@test "a daemon that does not end well" {
	fake_daemon "$(command -v qemu-storage-daemon)"' "$@" & trap "kill $!; wait $!; exit 3" TERM; wait; wait'
	PATH="$TMPDIR/bin:$PATH" run tested -- diskio open {} r read 0 512
	assert_status 125
	[[ $output == *"qemu-storage-daemon ended with status 3 while it served $IMAGE"* ]]
	assert_closing "1 process, 1 read, 0 writes verified, no mismatch"
}

@test "a daemon that does not hear the first time" {
	fake_daemon "$(command -v qemu-storage-daemon)"' "$@" & trap "trap \"kill $!\" TERM" TERM; while kill -0 $! 2>/dev/null; do wait $!; done'
	PATH="$TMPDIR/bin:$PATH" run tested -- diskio open {} r read 0 512
	assert_status 0
	assert_closing "1 process, 1 read, 0 writes verified, no mismatch"
	[[ $output != *"is killed"* ]] || fail_with "told once only"
}

@test "terminal: Ctrl-C, Ctrl-Z and hangup" {
	need_program python3
	local words="'$BLK_COMMAND' run --format=qcow2 -t '$IMAGE' -s '$SHADOW' --"
	run python3 "$BLK_SRCDIR/tests/terminal.py" 'send:stty -echo' \
		"send:$words diskio open {} r read 0 512 say ready sleep 100000" 'expect:ready\r' key:C 'expect:no mismatch' \
		'send:echo status=$?' 'expect:status=130' \
		"send:$words listener {}" 'expect:ready' key:Z expect:Stopped send:fg 'expect:caught 18' key:C 'expect:caught 2\r' \
		wait:0.3 absent:qemu key:Z expect:Stopped 'send:kill -USR2 %1; fg' 'expect:caught 12' 'send:echo status=$?' 'expect:status=7'
	assert_status 0
	assert_nothing_left
	run python3 "$BLK_SRCDIR/tests/terminal.py" 'send:stty -echo' \
		"send:$words diskio open {} r read 0 512 say ready sleep 100000" 'expect:ready\r' hangup
	assert_status 0
	assert_nothing_stays
}
