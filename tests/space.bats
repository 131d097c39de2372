# Every call that changes the length or the allocation of the target.
load functions

AT=8192
LENGTH=16384

# ---- what the call does to both ----

# These are refused, with a line, although the file system may have them: a shadow need not be able to follow.
refused_on_targets() {
	case $1 in
	*:collapse | *:insert | *:unknown | *:contradiction) return 0 ;;
	*) return 1 ;;
	esac
}

# as_native OFFSET LENGTH CALL, with the pair made before
as_native() {
	cp "$BATS_TEST_TMPDIR/before" "$TARGET"
	cp "$BATS_TEST_TMPDIR/before" "$SHADOW"
	run space "$3" "$TARGET" "$1" "$2"
	skip_if_absent
	local native=$output native_status=$status
	cp "$TARGET" "$BATS_TEST_TMPDIR/after"
	cp "$BATS_TEST_TMPDIR/before" "$TARGET"
	run shim space "$3" "$TARGET" "$1" "$2"
	if refused_on_targets "$3"; then
		assert_status 1
		[[ $output == *"ret=-1 EOPNOTSUPP"* ]] || [ "$output" = "$native" ]
		[ -z "$(blk_lines)" ] || assert_one_line fallocate "$TARGET"
		# not to be told apart from a refusal of the file system's: loud where that would have gone through
		[ "$native_status" != 0 ] || assert_one_line fallocate "$TARGET"
		cmp "$TARGET" "$BATS_TEST_TMPDIR/before"
		assert_same_contents
		return
	fi
	assert_silent "$native_status"
	[ "$output" = "$native" ]
	cmp "$TARGET" "$BATS_TEST_TMPDIR/after"
	assert_same_contents
	# and what is there now reads back verified
	run shim reader pread64 "$TARGET" 0 128K
	assert_clean
}

pair_with_before() {
	make_pair 64K
	cp "$TARGET" "$BATS_TEST_TMPDIR/before"
}

@test "inside the file every call does to both what it does without the shim" {
	pair_with_before
	for_each "$(space --list)" as_native $AT $LENGTH
}

@test "across the end of the file" {
	pair_with_before
	for_each "$(space --list)" as_native 61440 8192
}

@test "beyond the end of the file" {
	pair_with_before
	for_each "$(space --list)" as_native 80000 5000
}

@test "ranges that begin and end inside blocks" {
	pair_with_before
	for_each "$(space --list)" as_native 5001 20002
}

@test "nothing, negative offsets and negative lengths" {
	pair_with_before
	for_each "$(space --list)" as_native 4096 0
	for_each "$(space --list)" as_native -4096 4096
	for_each "$(space --list)" as_native 4096 -4096
}

@test "lengths that overflow" {
	pair_with_before
	for_each "$(space --list | grep -v trunc)" as_native 9223372036854771712 8192
}

@test "on tmpfs, which has no ZERO_RANGE" {
	make_pair_on_tmpfs 64K
	cp "$TARGET" "$BATS_TEST_TMPDIR/before"
	for_each "$(space --list)" as_native $AT $LENGTH
	for_each "$(space --list)" as_native 61440 8192
	for_each "$(space --list)" as_native 5001 20002
}

@test "a target on a disk with its shadow on tmpfs" {
	make_pair_on_tmpfs 64K
	local shadow=$SHADOW
	pair_with_before
	SHADOW=$shadow
	cp "$TARGET" "$SHADOW"
	for_each "$(space --list)" as_native $AT $LENGTH
	for_each "$(space --list)" as_native 61440 8192
}

@test "a block device is zeroed and punched on both" {
	make_loop_pair 64K
	run space fallocate:zero "$TARGET" $AT $LENGTH
	[ "$status" = 0 ] || skip "this device cannot zero"
	cp "$SHADOW" "$BATS_TEST_TMPDIR/before"
	for_each "fallocate:zero fallocate64:zero_keep fallocate:punch fallocate64:punch" zeroes_device
}
zeroes_device() {
	cp "$BATS_TEST_TMPDIR/before" "$SHADOW"
	cp "$BATS_TEST_TMPDIR/before" "$TARGET"
	run shim space "$1" "$TARGET" $AT $LENGTH
	assert_clean
	blockdev --flushbufs "$TARGET"
	assert_same_contents
	assert_filled "$SHADOW" $AT $LENGTH 00
}

# ---- the twins: the same with a fault ----

ZEROING="fallocate:punch fallocate64:punch fallocate:zero fallocate64:zero fallocate:zero_keep fallocate64:zero_keep"
RESIZING="ftruncate ftruncate64 truncate truncate64"

# the fault: a punched range that goes on reading old bytes
keeps_old_bytes() {
	make_pair 64K
	fill "$TARGET" $AT $LENGTH 31
	fill "$SHADOW" $AT $LENGTH 31
	run shim space "$1" "$TARGET" $AT $LENGTH
	assert_clean
	assert_filled "$SHADOW" $AT $LENGTH 00
	fill "$TARGET" 10000 1 31
	run shim reader pread64 "$TARGET" 0 64K
	assert_mismatch read 19 10000
}

@test "a zeroed range that is not all zero afterwards is caught" {
	for_each "$ZEROING" keeps_old_bytes
}

# the fault: the call reaches the target alone
zeroed_unseen() {
	make_pair 64K
	fill "$TARGET" $AT $LENGTH 31
	fill "$SHADOW" $AT $LENGTH 31
	run space "$1" "$TARGET" $AT $LENGTH
	[ "$status" = 0 ] || skip "not on this file system"
	run shim reader pread64 "$TARGET" 0 64K
	assert_mismatch read $((AT / 512)) $AT
}

@test "a range zeroed in the target alone is caught" {
	for_each "$ZEROING" zeroed_unseen
}

grown_and_damaged() {
	make_pair 64K
	run shim space "$1" "$TARGET" 65536 96K
	assert_clean
	assert_same_contents
	damage_shadow 70000
	run shim reader pread64 "$TARGET" 0 128K
	assert_mismatch read 136 70000
}

@test "damage in what a resize added is caught" {
	for_each "$RESIZING" grown_and_damaged
	for_each "fallocate:0 fallocate64:0 posix_fallocate posix_fallocate64" grown_and_damaged
}

shrunk_and_grown() {
	make_pair 64K
	run shim space "$1" "$TARGET" 0 10000
	assert_clean
	assert_same_contents
	run shim space "$1" "$TARGET" 0 64K
	assert_clean
	assert_same_contents
	assert_filled "$SHADOW" 10000 55536 00
	run shim reader pread64 "$TARGET" 0 64K
	assert_clean
	damage_target 10001
	run shim reader pread64 "$TARGET" 0 64K
	assert_mismatch read 19 10001
}

@test "what a shrink cut off is zero when the file grows again" {
	for_each "$RESIZING" shrunk_and_grown
}

# the fault: another length
resized_unseen() {
	make_pair 64K
	space "$1" "$TARGET" 0 60000
	run shim reader pread64 "$TARGET" 0 64K
	[ "$status" != 0 ]
	[[ $output == *60000* && $output == *65536* ]]
}

@test "a target resized behind the shim's back is reported with both lengths" {
	for_each "$RESIZING" resized_unseen
}

# a range that the shadow held wrong is right after it was zeroed, and only it
heals() {
	make_pair 64K
	damage_shadow 10000
	damage_shadow 30000
	run shim space "$1" "$TARGET" $AT $LENGTH
	assert_clean
	run shim reader pread64 "$TARGET" $AT $LENGTH
	assert_clean
	run shim reader pread64 "$TARGET" 0 64K
	assert_mismatch read 58 30000
}

@test "zeroing heals a difference that it covers, and no other" {
	for_each "$ZEROING" heals
}

# allocation alone must not change what was there, right or wrong
allocates_only() {
	make_pair 64K
	damage_shadow 10000
	run shim space "$1" "$TARGET" $AT $LENGTH
	assert_clean
	run shim reader pread64 "$TARGET" $AT $LENGTH
	assert_mismatch read 19 10000
}

@test "allocation leaves the contents of both alone" {
	for_each "fallocate:0 fallocate64:0 fallocate:keep fallocate64:keep posix_fallocate posix_fallocate64" allocates_only
}
