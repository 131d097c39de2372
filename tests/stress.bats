#!/usr/bin/env bats
# Everything at once, for a while: no false alarm, and target and shadow are the same in the end.
# BLK_STRESS_SECONDS shortens it.

load functions
load qemu

SECONDS_EACH=${BLK_STRESS_SECONDS:-60}

setup() {
	make_pair 1M
}

# endures OPTION...: stress with these
endures() {
	run shim timeout -s KILL $((SECONDS_EACH * 2 + 60)) stress -s "$SECONDS_EACH" -r "$RANDOM" "$@" "$TARGET"
	assert_clean || return
	assert_same_contents || return
	# it was no empty run
	[ "${output#operations }" -gt $((SECONDS_EACH * 100)) ] || fail_with "few operations"
}

@test "two processes and many threads" {
	endures -p 2 -t 6
}

@test "a thread scribbles in the buffers during writes" {
	endures -p 2 -t 4 -x
}

@test "32 requests in flight share one buffer" {
	endures -t 32 -b
}

@test "O_DIRECT" {
	SECONDS_EACH=$((SECONDS_EACH / 6 + 1))
	diskio open "$TARGET" rd read 0 4096 || skip "no O_DIRECT here"
	endures -p 2 -t 4 -d -f
}

@test "with slow transfers, so that they overlap" {
	SECONDS_EACH=$((SECONDS_EACH / 6 + 1))
	FAULT_DELAY=500 run shim_with delay timeout -s KILL 120 stress -s "$SECONDS_EACH" -p 2 -t 8 -l 32768 -f "$TARGET"
	assert_clean
	assert_same_contents
}

@test "twin: lost writes are caught" {
	FAULT_SKIP=300 run shim_with lose timeout -s KILL 60 stress -s 10 -t 4 -f "$TARGET"
	[ "$status" = 134 ] || fail_with "lost writes went unseen"
	assert_first_line 'contents mismatch'
}

@test "twin: a byte damaged under way is caught" {
	background_shim timeout -s KILL 60 stress -s 20 -p 2 -t 4 -f -l 524288 "$TARGET"
	sleep 1
	# reads do not reach past 512 KiB: no alarm for that
	damage_target 700000
	sleep 1
	lacks mismatch "$BATS_TEST_TMPDIR/background.out"
	local at
	for at in 1000 5000 9000 20000 40000 60000 100000 200000 300000 400000; do damage_target "$at"; done
	wait_for_background
	[ "$status" != 0 ] || fail_with "damage went unseen"
	assert_first_line '^blkverify: read .*contents mismatch'
}
