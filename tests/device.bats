# Requests to a block device that change it or tell its length: done to both, and verified.
load functions

AT=65536
LENGTH=131072

setup() { need_root; }

fresh() {
	make_loop_pair 1M
	cp "$SHADOW" "$BATS_TEST_TMPDIR/before"
}

# restore: both as they were. The device's own cache is told.
restore() {
	dd if="$BATS_TEST_TMPDIR/before" of="$TARGET" bs=1M conv=notrunc,fsync status=none
	forget "$SHADOW"
	cp "$BATS_TEST_TMPDIR/before" "$SHADOW"
}

# native REQUEST OFFSET LENGTH: NATIVE and NATIVE_STATUS; skips what the device cannot do
native() {
	run device "$1" "$TARGET" "$2" "$3"
	NATIVE=$output NATIVE_STATUS=$status
	restore
}

# told: what is said of ranges that are unknown is taken out of the output; there must be such a line
told() {
	[[ $output == *"contents unknown"* ]] || fail_with "expected to be told of an unknown range" || return
	output=$(grep -v 'contents unknown' <<<"$output" || :)
}

# ---- zeroing ----

@test "BLKZEROOUT zeroes both" {
	fresh
	native BLKZEROOUT $AT $LENGTH
	[ "$NATIVE_STATUS" = 0 ] || skip "not on this device: $NATIVE"
	run shim device BLKZEROOUT "$TARGET" $AT $LENGTH
	assert_clean
	[ "$output" = "$NATIVE" ]
	blockdev --flushbufs "$TARGET"
	assert_same_contents
	assert_filled "$SHADOW" $AT $LENGTH 00
	cmp -n $AT "$SHADOW" "$BATS_TEST_TMPDIR/before"
	cmp -i $((AT + LENGTH)) "$SHADOW" "$BATS_TEST_TMPDIR/before"
	run shim reader pread64 "$TARGET" 0 1M
	assert_clean
}

# the faults: a byte that is not zero afterwards, and zeroes in the target alone
@test "what BLKZEROOUT left behind is caught" {
	fresh
	native BLKZEROOUT $AT $LENGTH
	[ "$NATIVE_STATUS" = 0 ] || skip "not on this device: $NATIVE"
	run shim device BLKZEROOUT "$TARGET" $AT $LENGTH
	assert_clean
	fill "$TARGET" 100000 1 31
	run shim reader pread64 "$TARGET" 0 1M
	assert_mismatch read 195 100000
	restore
	device BLKZEROOUT "$TARGET" $AT $LENGTH
	local at
	at=$(($(cmp -l "$TARGET" "$SHADOW" | awk '{ print $1; exit }') - 1))
	run shim reader pread64 "$TARGET" 0 1M
	assert_mismatch read $((at / 512)) "$at"
}

# ---- discarding ----

discarded() {
	restore
	run device "$1" "$TARGET" $AT $LENGTH
	local native=$output native_status=$status
	restore
	run shim device "$1" "$TARGET" $AT $LENGTH
	assert_silent "$native_status"
	[ "$output" = "$native" ]
	if [ "$native_status" = 0 ]; then
		# whatever is there now is learnt at the first read, and holds from then on
		fill "$TARGET" 100000 100 31
		run shim reader pread64 "$TARGET" 0 1M
		told
		assert_clean
		run shim reader pread64 "$TARGET" 0 1M
		assert_clean
		blockdev --flushbufs "$TARGET"
		assert_same_contents
		assert_filled "$SHADOW" 100000 100 31
	fi
	damage_target 100000
	run shim reader pread64 "$TARGET" 0 1M
	assert_mismatch read 195 100000
}

@test "a discarded range is unknown, and learnt at the next read" {
	fresh
	for_each "BLKDISCARD BLKSECDISCARD" discarded
}

beside_it() {
	restore
	run shim device BLKDISCARD "$TARGET" $AT $LENGTH
	[ "$status" = 0 ] || skip "not on this device: $output"
	damage_target "$1"
	run shim reader pread64 "$TARGET" 0 1M
	told
	assert_mismatch read $(($1 / 512)) "$1"
}

@test "beside a discarded range the device is verified as ever" {
	fresh
	for_each "$((AT - 1)) $((AT + LENGTH)) 0 1048575" beside_it
}

@test "a discarded range that is written is known again" {
	fresh
	native BLKDISCARD $AT $LENGTH
	[ "$NATIVE_STATUS" = 0 ] || skip "not on this device: $NATIVE"
	run shim device BLKDISCARD "$TARGET" $AT $LENGTH
	assert_clean
	run shim writer pwrite64 "$TARGET" 98304 4096 0x5a
	told
	assert_clean
	damage_target 100000
	run shim reader pread64 "$TARGET" 0 1M
	told
	assert_mismatch read 195 100000
}

# ---- requests that fail ----

fails_alike() {
	local request
	for request in BLKDISCARD BLKZEROOUT BLKSECDISCARD; do
		restore
		run device $request "$TARGET" "$1" 4096
		[ "$status" = 1 ]
		local native=$output
		restore
		run shim device $request "$TARGET" "$1" 4096
		assert_silent 1
		[ "$output" = "$native" ]
		# nothing was changed, and nothing forgotten
		assert_same_contents
		damage_target 70000
		run shim reader pread64 "$TARGET" 0 1M
		assert_mismatch read 136 70000
	done
}

@test "requests that the device turns down change neither" {
	fresh
	for_each "100 1048576 18446744073709547520" fails_alike
}

# ---- lengths ----

tells_length() {
	run stater "$1" "$TARGET"
	assert_status 0
	local native=$output
	run shim stater "$1" "$TARGET"
	assert_clean
	[ "$output" = "$native" ]
	[[ $output == *size=1048576 ]]
}
changes_length() {
	truncate -s 1M "$IMAGE"
	losetup -c "$TARGET"
	run shim stater "$1" "$TARGET" "env -u LD_PRELOAD sh -c 'truncate -s 768K $IMAGE && losetup -c $TARGET'"
	[ "$(blockdev --getsize64 "$TARGET")" = 786432 ] || skip "this device keeps its length"
	assert_size_mismatch 786432 1048576
	assert_first_line "sector_num=0 nb_sectors=2048 "
}

@test "the length of a device must be the shadow's" {
	fresh
	for_each "BLKGETSIZE64 BLKGETSIZE SEEK_END" tells_length
	for_each "BLKGETSIZE64 BLKGETSIZE SEEK_END" changes_length
}

# ---- programs ----

@test "blkdiscard discards and zeroes a target" {
	need_program blkdiscard
	fresh
	run blkdiscard -z -o $AT -l $LENGTH "$TARGET"
	[ "$status" = 0 ] || skip "not on this device: $output"
	restore
	run shim blkdiscard -z -o $AT -l $LENGTH "$TARGET"
	assert_clean
	blockdev --flushbufs "$TARGET"
	assert_same_contents
	assert_filled "$SHADOW" $AT $LENGTH 00
	run shim blkdiscard -f -o 524288 -l $LENGTH "$TARGET"
	assert_clean
	run shim dd if="$TARGET" of=/dev/null bs=64K status=none
	told
	assert_clean
	blockdev --flushbufs "$TARGET"
	assert_same_contents
	damage_target 600000
	run shim dd if="$TARGET" of=/dev/null bs=64K status=none
	assert_mismatch read 1171 600000
}
