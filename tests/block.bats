#!/usr/bin/env bats
# Block devices as targets and as shadows: loop devices.

load functions
load qemu

BAD=2072576

setup() {
	need_root
	need_program losetup
}

# both_ways CMD...: clean as it is, stopped at BAD when the shadow differs there
both_ways() {
	run shim "$@"
	assert_clean || return
	cmp "$TARGET" "$SHADOW" || return
	damage "$SHADOW" "$BAD" || return
	sync
	run shim "$@"
	assert_mismatch read 4048 "$BAD"
}

@test "a block device as target" {
	make_loop_pair 4M
	both_ways diskio open "$TARGET" rw write 4096 1024 aa read 0 4194304 sync
}

@test "a block device as target, O_DIRECT" {
	make_loop_pair 4M
	both_ways diskio open "$TARGET" rwd write 4096 4096 aa read 0 4194304
}

@test "a block device as shadow" {
	make_pair 4M
	attach_loop "$SHADOW"
	SHADOW=$LOOP
	both_ways diskio open "$TARGET" rw write 4096 1024 aa read 0 4194304 punch 65536 65536 read 0 4194304
}

@test "block devices as both" {
	make_loop_pair 4M
	attach_loop "$SHADOW"
	SHADOW=$LOOP
	both_ways diskio open "$TARGET" rw write 4096 1024 aa read 0 4194304
}

@test "another node for the same device" {
	make_loop_pair 4M
	local node="$BATS_TEST_TMPDIR/node"
	mknod "$node" b "0x$(stat -c %t "$TARGET")" "0x$(stat -c %T "$TARGET")" || skip "cannot make nodes"
	dd if="$node" of=/dev/null count=1 status=none 2>/dev/null || skip "nodes do not work here"
	both_ways diskio open "$node" rw write 4096 1024 aa read 0 4194304
}

@test "a device and its shadow of another length" {
	make_loop_pair 4M
	truncate -s 2M "$SHADOW"
	run shim diskio say main
	assert_status 125
	[ "$output" = "blkverify: BLKVERIFY_SHADOW=$SHADOW: 2097152 bytes, target has 4194304" ]
}

@test "a shadow that is the target's own device" {
	make_loop_pair 4M
	local node="$BATS_TEST_TMPDIR/node"
	ln -s "$TARGET" "$node"
	BLKVERIFY_SHADOW=$node run shim diskio say main
	assert_bad_config = "$TARGET" || assert_bad_config BLKVERIFY_SHADOW "$node"
}

@test "reads and writes at the end of a device" {
	make_loop_pair 4M
	local calls=(open "$TARGET" rw read 4193792 4096 read 4194304 512 read 8388608 512 write 4193792 512 aa write 4193792 4096 bb
		write 4194304 512 cc) native
	run diskio "${calls[@]}"
	native=$output
	cp "$TARGET" "$SHADOW"
	run shim diskio "${calls[@]}"
	[ "$output" = "$native" ] || fail_with "native: $native"
	cmp "$TARGET" "$SHADOW"
}

@test "zeroing and punching a device" {
	make_loop_pair 4M
	both_ways diskio open "$TARGET" rw zero 65536 65536 punch 262144 131072 read 0 4194304
}

@test "blkdiscard: refused, counted or let through, never silent" {
	need_program blkdiscard
	make_loop_pair 4M
	run shim blkdiscard -o 65536 -l 65536 "$TARGET"
	if [ "$status" = 0 ]; then
		# verified by now: then what is read afterwards is no mismatch
		run shim diskio open "$TARGET" r read 0 4194304
		assert_status 0
	else
		assert_first_line .
	fi
	run shim blkdiscard --zeroout -o 131072 -l 65536 "$TARGET"
	if [ "$status" = 0 ]; then
		run shim diskio open "$TARGET" r read 0 4194304
		assert_status 0
	else
		assert_first_line .
	fi
}

@test "dd and qemu-io on a device" {
	need_program qemu-io
	make_loop_pair 4M
	run shim dd if=/dev/zero of="$TARGET" bs=64k seek=3 count=5 conv=fsync status=none
	assert_clean
	run shim qemu-io -f raw -c "write -P 7 1M 64k" -c "read -P 7 1M 64k" -c "read 0 4M" "$TARGET"
	assert_clean
	cmp "$TARGET" "$SHADOW"
	damage_shadow "$BAD"
	run shim qemu-io -f raw -c "read 0 4M" "$TARGET"
	assert_mismatch read 4048 "$BAD"
}

@test "mke2fs on a device" {
	PATH=$PATH:/sbin:/usr/sbin
	need_program mke2fs
	make_pair 32M
	truncate -s 0 "$TARGET" "$SHADOW"
	truncate -s 32M "$TARGET" "$SHADOW"
	IMAGE=$TARGET
	attach_loop "$IMAGE"
	TARGET=$LOOP
	# what it asks of the device by ioctl may be refused; it goes on
	run shim mke2fs -q -F -t ext4 -E nodiscard "$TARGET"
	assert_status 0
	lacks mismatch
	cmp "$TARGET" "$SHADOW"
	run shim e2fsck -f -n "$TARGET"
	assert_status 0
	lacks mismatch
	# 1024 holds the superblock's counts
	damage_shadow 1028
	run shim e2fsck -f -n "$TARGET"
	assert_first_line '^blkverify: read .* contents mismatch in sector 2 at offset 1028$'
}
