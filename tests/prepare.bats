#!/usr/bin/env bats
# blkverify prepare: a shadow that is whole, or none.

load functions
load qemu
load command
load images

setup() {
	need_command
	make_pair 4M
	rm "$SHADOW"
}

prepare() { run blkverify prepare "$@" "$TARGET" "$SHADOW"; }

# ---- the copy ----

@test "a shadow with the target's contents" {
	prepare
	assert_clean
	[[ $output == "$SHADOW: 4194304 bytes, "* ]]
	assert_same_contents
	[ ! -e "$SHADOW.partial" ]
	# and the library is content with it
	run shim diskio open "$TARGET" rw read 0 4194304 write 0 512 aa read 0 512
	assert_clean
}

@test "of any length" {
	local length
	for length in 0 1 511 4097 65535 65537 1048575 1048577 3000001; do
		truncate -s "$length" "$TARGET"
		prepare --force
		assert_status 0
		assert_same_contents || return
	done
}

@test "sparse where the target is, or holds zeros" {
	truncate -s 3T "$TARGET"
	fill "$TARGET" 1048576 1048576 00
	fill "$TARGET" 2999999999999 1 01
	SECONDS=0
	prepare
	assert_status 0
	[ "$SECONDS" -lt 20 ]
	assert_says "$SHADOW: 3298534883328 bytes, 3149824 of them copied, the rest zeros"
	[ "$(stat -c %s "$SHADOW")" = 3298534883328 ]
	[ $(($(stat -c '%b * %B' "$SHADOW"))) -le 4194304 ]
	run blkverify compare "$TARGET" "$SHADOW"
	assert_clean
	# that comparison would have seen it
	fill "$SHADOW" 2999999999999 1 02
	run blkverify compare "$TARGET" "$SHADOW"
	assert_status 1
}

@test "who may read the target may use the shadow, and nobody else" {
	umask 077
	chmod 640 "$TARGET"
	prepare
	[ "$(stat -c %a "$SHADOW")" = 600 ]
	umask 022
	chmod 444 "$TARGET"
	prepare --force
	[ "$(stat -c %a "$SHADOW")" = 644 ]
}

@test "a reflink where the file system can" {
	need_root
	need_program mkfs.btrfs
	truncate -s 200M "$BATS_TEST_TMPDIR/fs"
	mkfs.btrfs -q "$BATS_TEST_TMPDIR/fs" 2>/dev/null
	attach_loop "$BATS_TEST_TMPDIR/fs"
	mkdir "$BATS_TEST_TMPDIR/on"
	mount "$LOOP" "$BATS_TEST_TMPDIR/on" || skip "cannot mount btrfs"
	MOUNTS+=("$BATS_TEST_TMPDIR/on")
	cp "$TARGET" "$BATS_TEST_TMPDIR/on/disk"
	run blkverify prepare "$BATS_TEST_TMPDIR/on/disk" "$BATS_TEST_TMPDIR/on/shadow"
	assert_clean
	assert_says "$BATS_TEST_TMPDIR/on/shadow: 4194304 bytes, shared with $BATS_TEST_TMPDIR/on/disk"
	cmp "$TARGET" "$BATS_TEST_TMPDIR/on/shadow"
	# what is shared is not one file: a change to one is none of the other
	damage "$BATS_TEST_TMPDIR/on/disk" 1000
	cmp "$TARGET" "$BATS_TEST_TMPDIR/on/shadow"
	# from another file system it is copied
	run blkverify prepare --force "$TARGET" "$BATS_TEST_TMPDIR/on/shadow"
	assert_says "$BATS_TEST_TMPDIR/on/shadow: 4194304 bytes, 4194304 of them copied, the rest zeros"
}

# ---- what is there already ----

@test "a shadow that exists is replaced by --force alone" {
	echo precious >"$SHADOW"
	prepare
	assert_trouble 1 "$SHADOW: exists" --force
	[ "$(cat "$SHADOW")" = precious ]
	prepare --force
	assert_clean
	assert_same_contents
}

@test "one that appears meanwhile is not replaced" {
	background env LD_PRELOAD="$BLK_SNIPPETS/delay.so" FAULT_FILE="$TARGET" FAULT_DELAY=$SLOW \
		"$BLK_COMMAND" prepare "$TARGET" "$SHADOW"
	until_true 10 test -e "$SHADOW.partial"
	echo precious >"$SHADOW"
	wait_for_background
	assert_trouble 1 "$SHADOW: exists meanwhile"
	[ "$(cat "$SHADOW")" = precious ]
	[ ! -e "$SHADOW.partial" ]
}

@test "the state of a former shadow goes with it" {
	cp "$TARGET" "$SHADOW"
	shim diskio open "$TARGET" rw write 0 512 aa
	[ -e "$SHADOW.bvstate" ]
	# not before there is a new one
	FAULT_OP=read FAULT_FILE=$TARGET LD_PRELOAD=$BLK_SNIPPETS/fail.so prepare --force
	assert_status 1
	[ -e "$SHADOW.bvstate" ]
	prepare --force
	assert_clean
	[ ! -e "$SHADOW.bvstate" ]
	# nor one of a shadow that is gone
	rm "$SHADOW"
	echo something >"$SHADOW.bvstate"
	prepare
	assert_clean
	[ ! -e "$SHADOW.bvstate" ]
}

@test "a shadow in use is not replaced" {
	cp "$TARGET" "$SHADOW"
	background_shim diskio open "$TARGET" r sleep 20000
	until_true 10 test -e "$SHADOW.bvstate"
	sleep 0.2
	prepare --force
	assert_trouble 1 "$SHADOW: in use by a running program"
	[ -e "$SHADOW.bvstate" ]
	end_process "$PID"
	prepare --force
	assert_clean
}

@test "two at once do not write into each other's" {
	background env LD_PRELOAD="$BLK_SNIPPETS/delay.so" FAULT_FILE="$TARGET" FAULT_DELAY=$SLOW \
		"$BLK_COMMAND" prepare "$TARGET" "$SHADOW"
	until_true 10 test -e "$SHADOW.partial"
	prepare
	assert_trouble 1 "$SHADOW.partial: is being written by another prepare"
	wait_for_background
	assert_clean
	assert_same_contents
}

@test "what a killed one left is taken over" {
	head -c 8M /dev/urandom >"$SHADOW.partial"
	prepare
	assert_clean
	assert_same_contents
	[ ! -e "$SHADOW.partial" ]
	# but not through a link
	rm "$SHADOW"
	echo precious >"$BATS_TEST_TMPDIR/precious"
	ln -s "$BATS_TEST_TMPDIR/precious" "$SHADOW.partial"
	prepare
	assert_status 1
	[ "$(cat "$BATS_TEST_TMPDIR/precious")" = precious ]
	rm "$SHADOW.partial"
	ln "$BATS_TEST_TMPDIR/precious" "$SHADOW.partial"
	prepare
	assert_trouble 1 "$SHADOW.partial: is not ours to write"
	[ "$(cat "$BATS_TEST_TMPDIR/precious")" = precious ]
}

@test "links are followed" {
	mkdir "$BATS_TEST_TMPDIR/elsewhere"
	echo old >"$BATS_TEST_TMPDIR/elsewhere/shadow"
	ln -s "$BATS_TEST_TMPDIR/elsewhere/shadow" "$SHADOW"
	prepare --force
	assert_clean
	[ -L "$SHADOW" ]
	assert_same_contents
	rm "$BATS_TEST_TMPDIR/elsewhere/shadow"
	prepare
	assert_trouble 1 "$SHADOW: is a link to nothing"
}

# ---- block devices ----

@test "a device as the target" {
	IMAGE=$TARGET
	attach_loop "$IMAGE"
	run blkverify prepare "$LOOP" "$SHADOW"
	assert_clean
	assert_same_contents
}

# device_shadow: SHADOW is a device as long as the target, full of other bytes; DEVICE_IMAGE what is below it
device_shadow() {
	DEVICE_IMAGE="$BATS_TEST_TMPDIR/device"
	head -c 4M /dev/urandom >"$DEVICE_IMAGE"
	attach_loop "$DEVICE_IMAGE"
	SHADOW=$LOOP
}

@test "a device as the shadow" {
	device_shadow
	# holes and zeros are written too
	fallocate --punch-hole --offset 0 --length 256K "$TARGET"
	fallocate --punch-hole --offset 2M --length 1M "$TARGET"
	fallocate --punch-hole --offset 4000000 --length 1M "$TARGET"
	fill "$TARGET" 1048576 100000 00
	prepare
	assert_trouble 1 "$SHADOW: is a block device" --force
	run cmp -s "$TARGET" "$SHADOW"
	assert_status 1
	prepare --force
	assert_clean
	assert_same_contents
	damage_target 0
	prepare --force
	assert_clean
	assert_same_contents
}

@test "a device of another length" {
	truncate -s 3M "$BATS_TEST_TMPDIR/device"
	attach_loop "$BATS_TEST_TMPDIR/device"
	run blkverify prepare --force "$TARGET" "$LOOP"
	assert_trouble 1 "$LOOP: 3145728 bytes, target has 4194304"
	assert_filled "$BATS_TEST_TMPDIR/device" 0 3145728 00
}

@test "a device in use" {
	need_program mkfs.ext4
	truncate -s 4M "$BATS_TEST_TMPDIR/device"
	attach_loop "$BATS_TEST_TMPDIR/device"
	mkfs.ext4 -q "$LOOP"
	mkdir "$BATS_TEST_TMPDIR/on"
	mount "$LOOP" "$BATS_TEST_TMPDIR/on" || skip "cannot mount"
	MOUNTS+=("$BATS_TEST_TMPDIR/on")
	run blkverify prepare --force "$TARGET" "$LOOP"
	assert_trouble 1 "$LOOP: is mounted or in use"
}

@test "a device that was given up does not look like a shadow" {
	device_shadow
	cp "$TARGET" "$DEVICE_IMAGE.good"
	FAULT_OP=read FAULT_SKIP=2 FAULT_FILE=$TARGET LD_PRELOAD=$BLK_SNIPPETS/fail.so prepare --force
	assert_status 1
	[[ $output == *"blkverify: $SHADOW: is left unfinished, and no shadow" ]]
	[[ $(head -c 28 "$SHADOW") == "blkverify: not a shadow yet" ]]
	# killed as well
	background env LD_PRELOAD="$BLK_SNIPPETS/delay.so" FAULT_FILE="$TARGET" FAULT_DELAY=$SLOWER \
		"$BLK_COMMAND" prepare --force "$TARGET" "$SHADOW"
	sleep 0.4
	kill -9 "$PID"
	wait_for_background
	[[ $(head -c 28 "$SHADOW") == "blkverify: not a shadow yet" ]]
	prepare --force
	assert_clean
	assert_same_contents
}

@test "the state of a device goes as well" {
	device_shadow
	dd if="$TARGET" of="$SHADOW" bs=1M status=none
	shim diskio open "$TARGET" rw write 0 512 aa
	state=("$(states_of "$LOOP")"-*.bvstate)
	[ -e "${state[0]}" ]
	prepare --force
	assert_clean
	[ ! -e "${state[0]}" ]
}

# ---- what cannot be done ----

@test "what is not there, is no image, or may not be" {
	run blkverify prepare "$BATS_TEST_TMPDIR/none" "$SHADOW"
	assert_trouble 1 "$BATS_TEST_TMPDIR/none: does not exist"
	run blkverify prepare "$BATS_TEST_TMPDIR" "$SHADOW"
	assert_trouble 1 "is a directory"
	run blkverify prepare /dev/zero "$SHADOW"
	assert_trouble 1 "/dev/zero: neither"
	no_shadow
	run blkverify prepare "$TARGET" "$BATS_TEST_TMPDIR"
	assert_trouble 1 "$BATS_TEST_TMPDIR: is a directory"
	run blkverify prepare --force "$TARGET" /dev/null
	assert_trouble 1 "/dev/null: neither"
	run blkverify prepare "$TARGET" "$BATS_TEST_TMPDIR/none/shadow"
	assert_trouble 1 "$BATS_TEST_TMPDIR/none/shadow: no such directory"
	run blkverify prepare "$TARGET" "$TARGET/shadow"
	assert_trouble 1 "$TARGET/shadow: Not a directory"
	command_for_nobody
	chmod 555 "$BATS_TEST_TMPDIR"
	run as_nobody "$BLK_COMMAND" prepare "$TARGET" "$SHADOW"
	chmod 755 "$BATS_TEST_TMPDIR"
	assert_trouble 1 "$SHADOW: permission denied"
	chmod 0 "$TARGET"
	run as_nobody "$BLK_COMMAND" prepare "$TARGET" /dev/shm/none
	assert_trouble 1 "$TARGET: permission denied"
	no_shadow
}

@test "the target as its own shadow" {
	ln "$TARGET" "$TARGET.link"
	run blkverify prepare --force "$TARGET" "$TARGET"
	assert_trouble 1 "$TARGET: is the target"
	run blkverify prepare --force "$TARGET" "$TARGET.link"
	assert_trouble 1 "$TARGET.link: is the target"
	[ "$(stat -c %s "$TARGET")" = 4194304 ]
}

@test "bad usage" {
	prepare --no-such
	assert_trouble 2 --no-such
	prepare extra
	assert_trouble 2 SHADOW
	run blkverify prepare "$TARGET"
	assert_trouble 2 SHADOW
	no_shadow
}

@test "--help, -h, --version" {
	run blkverify prepare --help
	[ "$status" = 0 ] && [[ $output == "usage: blkverify prepare"* ]]
	for option in --format --object --force --version; do grep -q -e "$option" <<<"$output"; done
	prepare -h
	[ "$status" = 0 ] && [[ $output == "usage: blkverify prepare"* ]]
	prepare --version
	[ "$status" = 0 ] && [[ $output == "blkverify "[0-9]* ]]
	no_shadow
}

@test "a target that cannot be read to the end" {
	FAULT_OP=read FAULT_SKIP=2 FAULT_FILE=$TARGET LD_PRELOAD=$BLK_SNIPPETS/fail.so prepare
	assert_trouble 1 "$TARGET: read at offset 2097152: Input/output error"
	no_shadow
}

@test "a target that becomes shorter or longer meanwhile" {
	local length
	for length in 2M 5M; do
		truncate -s 4M "$TARGET"
		background env LD_PRELOAD="$BLK_SNIPPETS/delay.so" FAULT_FILE="$TARGET" FAULT_DELAY=$SLOW \
			"$BLK_COMMAND" prepare "$TARGET" "$SHADOW"
		until_true 10 test -e "$SHADOW.partial"
		truncate -s "$length" "$TARGET"
		wait_for_background
		assert_status 1
		[[ $output == *"blkverify: $TARGET: "*" than it was" || $output == *"$TARGET: its length changed meanwhile" ]]
		no_shadow
	done
}

@test "a full disk" {
	mount_small 2m
	run blkverify prepare "$TARGET" "$SMALL/shadow"
	assert_trouble 1 "$SMALL/shadow: write at offset" "No space left on device"
	[ -z "$(ls "$SMALL")" ]
}

# ---- a terminal, and somebody at it ----

@test "a progress bar on a terminal, and none elsewhere" {
	run slowly on_terminal "$BLK_COMMAND" prepare "$TARGET" "$SHADOW"
	assert_status 0
	bar_moved
	assert_same_contents
	run slowly "$BLK_COMMAND" prepare --force "$TARGET" "$SHADOW"
	assert_clean
	! has_bar
}

@test "Ctrl-C leaves nothing" {
	DELAY=$SLOW INTERRUPT=0.1 run slowly on_terminal "$BLK_COMMAND" prepare "$TARGET" "$SHADOW"
	assert_status 130
	no_shadow
	# and what was there before stays
	cp "$TARGET" "$SHADOW"
	damage_shadow 0
	cp "$SHADOW" "$SHADOW.copy"
	DELAY=$SLOW INTERRUPT=0.1 run slowly on_terminal "$BLK_COMMAND" prepare --force "$TARGET" "$SHADOW"
	assert_status 130
	cmp "$SHADOW" "$SHADOW.copy"
	[ ! -e "$SHADOW.partial" ]
}

@test "signals leave nothing, a kill nothing that looks like a shadow" {
	local signal
	for signal in TERM HUP KILL; do
		background env LD_PRELOAD="$BLK_SNIPPETS/delay.so" FAULT_FILE="$TARGET" FAULT_DELAY=$SLOW \
			"$BLK_COMMAND" prepare "$TARGET" "$SHADOW"
		until_true 10 test -e "$SHADOW.partial"
		sleep 0.1
		kill -"$signal" "$PID"
		wait_for_background
		[ "$status" -gt 128 ] || fail_with "SIG$signal" || return
		[ ! -e "$SHADOW" ]
		[ "$signal" = KILL ] || no_shadow
	done
	[ -e "$SHADOW.partial" ]
}
