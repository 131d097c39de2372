#!/usr/bin/env bats
# A kill in the middle of writing: the next start knows what it cannot know, and only that.
# BLK_CRASH_ROUNDS shortens it.

load functions
load qemu

ROUNDS=${BLK_CRASH_ROUNDS:-100}
SIZE=$((4 << 20))
# writers stay below; the rest is never written, so damage there is real
LIMIT=$((1 << 20))

setup() {
	make_pair "$SIZE"
}

no_mismatch() {
	[ "$status" = 0 ] || fail_with "round $round: $1" || return
	! grep -q mismatch <<<"$output" || fail_with "round $round: false mismatch: $1"
}

# kill_writers OPTION...: some time after they began
kill_writers() {
	background env LD_PRELOAD="$BLK_LIB" BLKVERIFY_TARGET="$TARGET" BLKVERIFY_SHADOW="$SHADOW" \
		setsid stress -w -f -s 60 -r "$RANDOM" -l "$LIMIT" "$@" "$TARGET"
	sleep "0.$(printf %03d $((80 + RANDOM % 200)))"
	kill -9 -- "-$PID"
	wait_for_background
	[ "$status" = 137 ] || fail_with "round $round: the writers were not killed but ended by themselves"
}

# damage_is_found: at a place where nothing was written, and nothing else is blamed
damage_is_found() {
	local at=$((LIMIT + 4096 + (RANDOM * 32768 + RANDOM) % (SIZE - LIMIT - 8192)))
	damage_target "$at"
	run shim diskio open "$TARGET" r read 0 "$SIZE"
	assert_reported read $((at / 512)) "$at" || fail_with "round $round: real damage at $at" || return
	damage_target "$at"
}

@test "killed at random moments, again and again" {
	local round differed=0 told=0
	for ((round = 0; round < ROUNDS; round++)); do
		kill_writers -t 4
		local differs=0
		cmp -s "$TARGET" "$SHADOW" || differs=1
		differed=$((differed + differs))
		# damage is found before anything was learnt in some rounds, and after it in the others
		[ $((round % 4)) != 0 ] || damage_is_found
		run shim diskio open "$TARGET" rw read 0 "$SIZE" write 0 4096 aa read 0 8192
		no_mismatch "after the kill"
		if grep -q '^blkverify: .*unknown' <<<"$output"; then
			told=$((told + 1))
		elif [ $((round % 4)) != 0 ] && [ "$differs" = 1 ]; then
			fail_with "round $round: they differed, and no line says what is unknown"
		fi
		assert_same_contents || fail_with "round $round: not learnt"
		# and that was all: the next start knows everything
		run shim diskio open "$TARGET" r read 0 "$SIZE"
		no_mismatch "second start"
		! grep -q '^blkverify: .*unknown' <<<"$output" || fail_with "round $round: still unknown after all was read"
		[ $((round % 4)) != 1 ] || damage_is_found
	done
	echo "# of $ROUNDS kills, $differed left them different, $told were told of" >&3
	# heavy writing: a kill nearly always falls into a write
	[ "$told" -ge $((ROUNDS / 4)) ]
}

@test "two processes of many threads killed at once" {
	local round
	for ((round = 0; round < ROUNDS / 10 + 1; round++)); do
		kill_writers -p 2 -t 4
		run shim diskio open "$TARGET" rw read 0 "$SIZE"
		no_mismatch "after the kill"
		assert_same_contents
		damage_is_found
	done
}

@test "a write ends it without a read" {
	local round=0
	kill_writers -t 8
	# everything below the limit is written anew: nothing is unknown then, and damage is found there too
	run shim diskio open "$TARGET" rw write 0 "$LIMIT" 77
	no_mismatch "write"
	assert_same_contents
	damage_target 5000
	run shim diskio open "$TARGET" r read 0 "$SIZE"
	assert_mismatch read 9 5000
}

@test "killed in the middle of one slow write: exactly that range is unknown" {
	background env LD_PRELOAD="$BLK_LIB $BLK_SNIPPETS/delay.so" BLKVERIFY_TARGET="$TARGET" BLKVERIFY_SHADOW="$SHADOW" \
		FAULT_FILE="$TARGET" FAULT_DELAY=1000000 diskio open "$TARGET" rw write 65536 8192 aa write 131072 8192 aa \
		write 131072 8192 bb write 131072 8192 aa write 131072 8192 bb write 131072 8192 aa write 131072 8192 bb
	until_true 20 background_says 'write = 8192'
	sleep 0.05
	kill -9 "$PID"
	wait_for_background
	assert_status 137
	# the first write was whole
	cmp -n 8192 -i 65536 "$TARGET" "$SHADOW"
	damage_target 65540
	run shim diskio open "$TARGET" r read 131072 8192 read 65536 4096
	grep -q '^blkverify: .*unknown' <<<"$output"
	assert_reported read 128 65540
}

@test "killed while it read: nothing is unknown" {
	background env LD_PRELOAD="$BLK_LIB $BLK_SNIPPETS/delay.so" BLKVERIFY_TARGET="$TARGET" BLKVERIFY_SHADOW="$SHADOW" \
		FAULT_FILE="$TARGET" FAULT_DELAY=2000000 diskio say ready open "$TARGET" rw read 65536 8192 read 65536 8192 read 65536 8192
	until_true 10 background_says ready
	sleep 0.3
	kill -9 "$PID"
	wait_for_background
	damage_target 65600
	run shim diskio open "$TARGET" r read 65536 8192
	assert_mismatch read 128 65600
	lacks unknown
}

@test "a state file that is cut, empty or full of rubbish is no false alarm, and no silence" {
	local state="$SHADOW.bvstate" how
	run shim diskio open "$TARGET" rw write 0 512 aa
	assert_clean
	[ -e "$state" ] || skip "no state file beside the shadow"
	for how in empty cut rubbish; do
		case $how in
		empty) : >"$state" ;;
		cut) truncate -s 100 "$state" ;;
		rubbish) dd if=/dev/urandom of="$state" bs=4096 count=4 conv=notrunc status=none ;;
		esac
		run shim diskio open "$TARGET" rw read 0 "$SIZE" write 0 512 aa
		! grep -q mismatch <<<"$output" || fail_with "$how: false mismatch"
		case $status in
		0) ;;
		125) assert_one_line "$state" ;;
		*) fail_with "$how" ;;
		esac
		rm -f "$state"
		run shim diskio open "$TARGET" rw write 0 512 aa
		assert_clean
	done
}

@test "a state file of somebody else's is not used" {
	need_root
	local state="$SHADOW.bvstate" victim="$BATS_TEST_TMPDIR/victim"
	head -c 8192 /dev/urandom >"$victim"
	local before
	before=$(sha256sum <"$victim")
	rm -f "$state"
	ln -s "$victim" "$state"
	run shim diskio open "$TARGET" rw write 0 512 aa read 0 4096
	[ "$before" = "$(sha256sum <"$victim")" ] || fail_with "a symbolic link was followed"
	case $status in
	0) assert_same_contents ;;
	125) assert_one_line bvstate ;;
	*) fail_with "neither refused nor worked" ;;
	esac
	rm -f "$state"
	install -o 65534 -m 666 /dev/null "$state"
	run shim diskio open "$TARGET" rw write 0 512 aa read 0 4096
	case $status in
	0) assert_same_contents ;;
	125) assert_one_line bvstate ;;
	*) fail_with "neither refused nor worked" ;;
	esac
}

@test "a shadow that is made anew has no unknown ranges, whatever its inode number" {
	background env LD_PRELOAD="$BLK_LIB $BLK_SNIPPETS/fail.so" BLKVERIFY_TARGET="$TARGET" BLKVERIFY_SHADOW="$SHADOW" \
		BLKVERIFY_ON_ERROR=pass FAULT_FILE="$TARGET" FAULT_OP=write FAULT_TORN=1 \
		diskio open "$TARGET" rw write 8192 4096 aa
	wait_for_background
	assert_status 1
	# file systems give the number away again at once
	rm "$SHADOW"
	cp "$TARGET" "$SHADOW"
	damage_target 8200
	run shim diskio open "$TARGET" r read 0 "$SIZE"
	assert_mismatch read 16 8200
}
