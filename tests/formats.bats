#!/usr/bin/env bats
# --format: prepare, compare and inspect on images that QEMU serves for them.

load functions
load qemu
load command
load images

json() { jq -r "$1" <<<"$output"; }

setup() {
	need_command
	need_fuse
	make_pair 4M
}

# big_image: QCOW2, which takes long enough to read to do something meanwhile, and SHADOW
big_image() {
	QCOW2="$BATS_TEST_TMPDIR/disk.qcow2"
	qemu-img create -q -f qcow2 -o preallocation=metadata "$QCOW2" 32G
	rm -f "$SHADOW"
	truncate -s 32G "$SHADOW"
}

# ---- prepare ----

@test "prepare --format: a shadow of what a guest sees" {
	local format
	cp "$TARGET" "$BATS_TEST_TMPDIR/raw"
	for format in qcow2 vmdk vdi vhdx vpc; do
		qemu-img convert -f raw -O "$format" "$BATS_TEST_TMPDIR/raw" "$TARGET"
		run blkverify prepare --force --format "$format" "$TARGET" "$SHADOW"
		assert_clean || return
		# some formats round the length up
		cmp -n 4194304 "$BATS_TEST_TMPDIR/raw" "$SHADOW"
		run blkverify compare --format "$format" "$TARGET" "$SHADOW"
		assert_clean || return
	done
	assert_nothing_left
}

@test "prepare --format=auto" {
	run blkverify prepare --force --format auto "$TARGET" "$SHADOW"
	assert_clean
	assert_same_contents
	cp "$TARGET" "$BATS_TEST_TMPDIR/raw"
	qemu-img create -q -f qcow2 "$TARGET" 100M
	qemu-io -f qcow2 -c "write -P 7 50M 64K" "$TARGET" >/dev/null
	run blkverify prepare --format auto --force "$TARGET" "$SHADOW"
	assert_clean
	assert_says "$SHADOW: 104857600 bytes, 65536 of them copied, the rest zeros"
	assert_filled "$SHADOW" 52428800 65536 07
	[ $(($(stat -c '%b * %B' "$SHADOW"))) -le 1048576 ]
	assert_nothing_left
}

@test "prepare --format: what cannot be served makes no shadow" {
	rm "$SHADOW"
	run blkverify prepare --format qcow2 "$TARGET" "$SHADOW"
	assert_status 1
	no_shadow
	run blkverify prepare --format qcow2 "$BATS_TEST_TMPDIR/none" "$SHADOW"
	assert_trouble 1 "$BATS_TEST_TMPDIR/none: does not exist"
	qemu-img create -q -f qcow2 "$TARGET" 1M
	run blkverify prepare --force --format qcow2 "$TARGET" "$TARGET"
	assert_trouble 1 "$TARGET: is the target"
	no_shadow
	assert_nothing_left
}

@test "prepare --format: Ctrl-C leaves nothing" {
	big_image
	rm "$SHADOW"
	INTERRUPT=0.1 run on_terminal "$BLK_COMMAND" prepare --format qcow2 "$QCOW2" "$SHADOW"
	assert_status 130
	no_shadow
	assert_nothing_left
}

# ---- compare ----

@test "compare --format: the bytes that a guest sees" {
	make_qcow2_pair 4M
	run blkverify compare --format qcow2 "$QCOW2" "$SHADOW"
	assert_clean
	assert_says "same contents: 4194304 bytes, 0 of them holes in both"
	run blkverify compare --format=auto "$QCOW2" "$SHADOW"
	assert_clean
	assert_says "same contents: 4194304 bytes, 0 of them holes in both"
	run blkverify compare --format auto "$SHADOW" "$QCOW2"
	assert_status 1
	damage_qcow2 1234567
	run blkverify compare --format auto "$QCOW2" "$SHADOW"
	assert_status 1
	assert_says "contents mismatch in sector 2411 at offset 1234567: 1 run, 1 sector, 1 byte"
	run blkverify compare --format qcow2 --json "$QCOW2" "$SHADOW"
	assert_status 1
	[ "$(json '.target.path, .target.length, .differing_runs' | xargs)" = "$QCOW2 4194304 1" ]
	assert_nothing_left
}

@test "compare --format: damage under the page cache is found" {
	make_qcow2_pair 1M
	attach_loop "$QCOW2"
	exec {HELD}<"$LOOP"
	cat "$LOOP" >/dev/null
	damage_qcow2 700000
	run blkverify compare --format qcow2 "$LOOP" "$SHADOW"
	assert_status 1
	assert_says "contents mismatch in sector 1367 at offset 700000: 1 run, 1 sector, 1 byte"
	exec {HELD}<&-
}

@test "--format and --object: an encrypted image" {
	local key format
	make_qcow2_pair 1M
	printf secret >"$BATS_TEST_TMPDIR/password"
	key="secret,id=key,file=$BATS_TEST_TMPDIR/password"
	format=qcow2,encrypt.format=aes,encrypt.key-secret=key
	qemu-img convert -f raw -O qcow2 --object "$key" -o "${format#qcow2,}" "$SHADOW" "$QCOW2"
	run blkverify compare --format "$format" --object "$key" "$QCOW2" "$SHADOW"
	assert_clean
	run blkverify prepare --format "$format" --object "$key" "$QCOW2" "$SHADOW.new"
	assert_clean
	cmp "$SHADOW" "$SHADOW.new"
	run blkverify prepare --format "$format" "$QCOW2" "$SHADOW.newer"
	assert_status 1
	[ ! -e "$SHADOW.newer" ]
	damage_shadow 9999
	run blkverify inspect --format "$format" --object "$key" --sector 19 "$QCOW2" "$SHADOW"
	assert_status 1
	assert_says "sector 19, offset 9728: 1 byte differs"
	run blkverify compare --format "$format" --object "$key" "$QCOW2" "$SHADOW"
	assert_status 1
	run blkverify compare --format "$format" "$QCOW2" "$SHADOW"
	assert_status 2
	run blkverify compare --object "$key" "$TARGET" "$SHADOW"
	assert_trouble 2 --object "--format"
	assert_nothing_left
}

@test "compare --format: what cannot be served" {
	make_qcow2_pair 1M
	run blkverify compare --format vmdk "$QCOW2" "$SHADOW"
	assert_status 2
	run blkverify compare --format no-such "$QCOW2" "$SHADOW"
	assert_status 2
	run blkverify compare --format qcow2 "$BATS_TEST_TMPDIR/none" "$SHADOW"
	assert_trouble 2 "$BATS_TEST_TMPDIR/none: does not exist"
	run blkverify compare --format auto "$BATS_TEST_TMPDIR/none" "$SHADOW"
	assert_trouble 2 "$BATS_TEST_TMPDIR/none: does not exist"
	run blkverify compare --format qcow2 "$BATS_TEST_TMPDIR" "$SHADOW"
	assert_trouble 2 "is a directory"
	run blkverify compare --format qcow2 "$QCOW2" "$QCOW2"
	assert_trouble 2 "$QCOW2: is its own shadow"
	mkdir "$BATS_TEST_TMPDIR/bin"
	ln -s "$(command -v fusermount3)" "$BATS_TEST_TMPDIR/bin"
	PATH="$BATS_TEST_TMPDIR/bin" run "$BLK_COMMAND" compare --format qcow2 "$QCOW2" "$SHADOW"
	assert_trouble 2 "qemu-storage-daemon: not found; it is in the Debian package qemu-system-common"
	# somebody else writes to it
	serve_qcow2
	run blkverify compare --format qcow2 "$QCOW2" "$SHADOW"
	assert_status 2
	[[ $output == *lock* ]]
	stop_serving
	assert_nothing_left
}

@test "compare --format: Ctrl-C, and a kill, leave nothing behind" {
	big_image
	INTERRUPT=0.1 run on_terminal "$BLK_COMMAND" compare --format qcow2 "$QCOW2" "$SHADOW"
	assert_status 130
	assert_nothing_left
	background "$BLK_COMMAND" compare --format qcow2 "$QCOW2" "$SHADOW"
	until_true 10 grep -q -F "$BATS_TEST_TMPDIR/blkverify-" /proc/self/mounts
	sleep 0.1
	kill -9 "$PID"
	wait_for_background
	assert_status 137
	assert_nothing_stays
}

@test "compare --format: an end of the server is trouble, and no difference" {
	big_image
	background "$BLK_COMMAND" compare --format qcow2 "$QCOW2" "$SHADOW"
	until_true 10 grep -q -F "$BATS_TEST_TMPDIR/blkverify-" /proc/self/mounts
	sleep 0.1
	kill -9 "$(pgrep -f -- "^qemu-storage-daemon.*$BATS_TEST_TMPDIR/blkverify-")"
	wait_for_background
	assert_status 2
	[[ $output == *"blkverify: qemu-storage-daemon was killed by signal 9"* ]]
	[[ $output != *mismatch* && $output != *same* ]]
	assert_nothing_left
}

# ---- all of them ----

@test "an image of more than 2 TiB" {
	local at=2998999999488
	QCOW2="$BATS_TEST_TMPDIR/disk.qcow2"
	qemu-img create -q -f qcow2 "$QCOW2" 3T
	qemu-io -f qcow2 -c "write -P 9 $at 64k" "$QCOW2" >/dev/null
	SECONDS=0
	run blkverify prepare --force --format qcow2 "$QCOW2" "$SHADOW"
	assert_clean
	assert_filled "$SHADOW" "$at" 65536 09
	[ $(($(stat -c '%b * %B' "$SHADOW"))) -le 4194304 ]
	run blkverify run --format qcow2 -t "$QCOW2" -s "$SHADOW" -- qemu-io -f raw -c "read -P 9 $at 64k" -c "write -P 3 2T 64k" {}
	assert_status 0
	run blkverify compare --format qcow2 "$QCOW2" "$SHADOW"
	assert_clean
	damage_shadow 2998999999999
	run blkverify compare --format qcow2 "$QCOW2" "$SHADOW"
	assert_status 1
	assert_says "sectors 5857421874-5857421874 (1), bytes 2998999999999-2998999999999, 1 differ"
	run blkverify inspect --format qcow2 --sector 5857421874 "$QCOW2" "$SHADOW"
	assert_status 1
	assert_says "sector 5857421874, offset 2998999999488: 1 byte differs"
	run blkverify run --format qcow2 -t "$QCOW2" -s "$SHADOW" -- qemu-io -f raw -c "read $at 64k" {}
	assert_mismatch read 5857421874 2998999999999 120
	[ "$SECONDS" -lt 20 ]
}

# odd_names NAME...: an image of that name is prepared, run on, compared and inspected
odd_names() {
	local name
	for name; do
		name="$BATS_TEST_TMPDIR/$name"
		mkdir -p "${name%/*}"
		cp "$QCOW2" "$name"
		run blkverify prepare --force --format auto "$name" "$name.shadow"
		assert_clean || return
		run timeout 20 "$BLK_COMMAND" run --format=auto -t "$name" -s "$name.shadow" -- qemu-io -f raw -c "write -P 7 64k 64k" -c "read 0 1M" {}
		assert_status 0 || return
		assert_closing "1 process, 1 read, 1 write verified, no mismatch" || return
		run blkverify compare --format auto "$name" "$name.shadow"
		assert_clean || return
		damage "$name.shadow" 70000
		run blkverify inspect --format qcow2 --sector 136 "$name" "$name.shadow"
		assert_status 1 || return
	done
}

@test "names that QEMU would take apart" {
	make_qcow2_pair 1M
	odd_names "disk,1.qcow2" ",,a=b,.qcow2" "a:b.qcow2" "file:c" "a b\\c" $'new\nline' "{}{1}" "dir,x=1/disk" "-t" "%p"
	# with a backing file that has one, too
	mkdir "$BATS_TEST_TMPDIR/chain,2"
	cp "$QCOW2" "$BATS_TEST_TMPDIR/chain,2/base,1"
	(cd "$BATS_TEST_TMPDIR/chain,2" && qemu-img create -q -f qcow2 -b "base,1" -F qcow2 "over,1")
	QCOW2="$BATS_TEST_TMPDIR/chain,2/over,1"
	run blkverify run --format=qcow2 -t "$QCOW2" -s "$SHADOW" -- qemu-io -f raw -c "read 0 1M" {}
	assert_status 0
	assert_closing "1 process, 1 read, 0 writes verified, no mismatch"
	# and the served file's place
	TMPDIR="$BATS_TEST_TMPDIR/chain,2" run blkverify run --format=qcow2 -t "$QCOW2" -s "$SHADOW" -- dd if={} of=/dev/null bs=1M
	assert_status 0
}

# ---- inspect ----

@test "inspect --format: the bytes that a guest sees" {
	make_qcow2_pair 1M
	run blkverify inspect --format qcow2 --sector 100 "$QCOW2" "$SHADOW"
	assert_status 0
	assert_says "sector 100, offset 51200: same"
	damage_qcow2 51201
	run blkverify inspect --format auto --sector 100 "$QCOW2" "$SHADOW"
	assert_status 1
	assert_says "sector 100, offset 51200: 1 byte differs"
	run blkverify inspect --format vmdk --sector 100 "$QCOW2" "$SHADOW"
	assert_status 2
	run blkverify inspect --object x --sector 100 "$QCOW2" "$SHADOW"
	assert_trouble 2 --object
	assert_nothing_left
}
