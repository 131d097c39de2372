# Every symbol that reads or writes a descriptor, on a sound pair and on one with a fault.
load functions

# an odd range that begins and ends inside sectors: sectors 9 to 87 of 512 bytes
AT=5000
LENGTH=40001
SECTORS="sector_num=9 nb_sectors=79"

# ---- reads ----

reads_as_native() {
	local native
	run reader "$1" "$TARGET" $AT $LENGTH
	skip_if_absent
	native=$output
	run shim reader "$1" "$TARGET" $AT $LENGTH
	assert_clean
	[ "$output" = "$native" ]
	BLKVERIFY_STATS=1 run shim reader "$1" "$TARGET" $AT $LENGTH
	assert_clean
	assert_stat reads 1
	assert_stat read_bytes $LENGTH
	assert_stat mismatches 0
	assert_stat unverified 0
}

@test "every read symbol gives what it gives without the shim, and is verified" {
	make_pair 64K
	for_each "$(reader --list)" reads_as_native
}

stops_at() {
	run reader "$2" "$TARGET" $AT $LENGTH
	skip_if_absent
	run shim reader "$2" "$TARGET" $AT $LENGTH
	assert_mismatch read $(($1 / 512)) "$1"
	assert_first_line "$SECTORS"
}

@test "every read symbol stops at one wrong byte in the shadow" {
	make_pair 64K
	damage_shadow 33333
	for_each "$(reader --list)" stops_at 33333
}

@test "every read symbol stops at one wrong byte in the target" {
	make_pair 64K
	damage_target 33333
	for_each "$(reader --list)" stops_at 33333
}

@test "the first and the last byte of a read are compared" {
	make_pair 64K
	damage_shadow $AT
	for_each "$(reader --list)" stops_at $AT
	make_pair 64K
	damage_shadow $((AT + LENGTH - 1))
	for_each "$(reader --list)" stops_at $((AT + LENGTH - 1))
}

@test "the bytes on either side of a read are not compared" {
	make_pair 64K
	damage_shadow $((AT - 1))
	damage_shadow $((AT + LENGTH))
	for_each "$(reader --list)" reads_as_native
}

@test "the first of several differences is named" {
	make_pair 64K
	damage_shadow 33333
	damage_shadow 10000
	damage_shadow 40000
	run shim reader pread64 "$TARGET" $AT $LENGTH
	assert_mismatch read 19 10000
}

@test "eventfd_read of a target is verified" {
	make_pair 64K
	run shim reader eventfd_read "$TARGET" 1024 8
	assert_clean
	damage_shadow 1030
	run shim reader eventfd_read "$TARGET" 1024 8
	assert_mismatch read 2 1030
}

@test "a read of 40 MiB is compared whole" {
	make_pair 42M
	run shim reader pread64 "$TARGET" 1M 40M
	assert_clean
	[[ $output == *"ret=41943040"* ]]
	damage_shadow 42991615
	run shim reader pread64 "$TARGET" 1M 40M
	assert_mismatch read 83967 42991615
	assert_first_line "sector_num=2048 nb_sectors=81920 "
	run shim reader readv "$TARGET" 1M 40M
	assert_mismatch read 83967 42991615
}

@test "a file beyond 4 GiB is addressed rightly" {
	make_pair 1M
	truncate -s 6G "$TARGET" "$SHADOW"
	fill "$TARGET" 5368709120 4096 31
	fill "$SHADOW" 5368709120 4096 31
	for_each "$(reader --list)" reads_far
	damage_shadow 5368709121
	for_each "$(reader --list)" stops_far
}
reads_far() {
	run shim reader "$1" "$TARGET" 5368709120 4096
	skip_if_absent
	assert_clean
}
stops_far() {
	run shim reader "$1" "$TARGET" 5368709120 4096
	skip_if_absent
	assert_mismatch read 10485760 5368709121
	assert_first_line "sector_num=10485760 nb_sectors=8 "
}

@test "sector numbers count in BLKVERIFY_SECTOR_SIZE" {
	make_pair 64K
	damage_shadow 33333
	BLKVERIFY_SECTOR_SIZE=4096 run shim reader pread "$TARGET" $AT $LENGTH
	assert_mismatch read 8 33333
	assert_first_line "sector_num=1 nb_sectors=10 "
}

@test "O_DIRECT reads are verified" {
	make_pair 64K
	reader=$(READER_FLAGS=direct reader pread64 "$TARGET" 4096 32768) || skip "no O_DIRECT here"
	READER_FLAGS=direct run shim reader pread64 "$TARGET" 4096 32768
	assert_clean
	[ "$output" = "$reader" ]
	damage_shadow 33333
	READER_FLAGS=direct run shim reader pread64 "$TARGET" 4096 32768
	assert_mismatch read 65 33333
}

@test "reads on tmpfs are verified" {
	make_pair_on_tmpfs 64K
	for_each "$(reader --list)" reads_as_native
	damage_shadow 33333
	for_each "$(reader --list)" stops_at 33333
}

@test "reads of a block device are verified" {
	make_loop_pair 1M
	for_each "$(reader --list)" reads_as_native
	damage_shadow 33333
	for_each "$(reader --list)" stops_at 33333
}

@test "a block device can be the shadow" {
	make_pair 1M
	attach_loop "$SHADOW"
	SHADOW_FILE=$SHADOW SHADOW=$LOOP
	run shim reader pread64 "$TARGET" $AT $LENGTH
	assert_clean
	run shim writer pwrite64 "$TARGET" $AT $LENGTH 0x5a
	assert_clean
	blockdev --flushbufs "$SHADOW"
	assert_same_contents
	fill "$SHADOW" 33333 1 00
	run shim reader pread64 "$TARGET" $AT $LENGTH
	assert_mismatch read 65 33333
}

# ---- writes ----

mirrors() {
	cp "$BATS_TEST_TMPDIR/before" "$TARGET"
	cp "$BATS_TEST_TMPDIR/before" "$SHADOW"
	run writer "$1" "$TARGET" $AT $LENGTH 0x5a
	skip_if_absent
	local native=$output
	cp "$BATS_TEST_TMPDIR/before" "$TARGET"
	BLKVERIFY_STATS=1 run shim writer "$1" "$TARGET" $AT $LENGTH 0x5a
	assert_clean
	assert_stat writes 1
	assert_stat write_bytes $LENGTH
	assert_stat unverified 0
	[ "$(grep -v '^blkverify: stats' <<<"$output")" = "$native" ]
	assert_same_contents
	assert_filled "$TARGET" $AT $LENGTH 5a
	# nothing else was touched
	cmp -n $AT "$TARGET" "$BATS_TEST_TMPDIR/before"
	cmp -i $((AT + LENGTH)) "$TARGET" "$BATS_TEST_TMPDIR/before"
	# and it reads back verified
	run shim reader pread64 "$TARGET" 0 64K
	assert_clean
}

@test "every write symbol is mirrored" {
	make_pair 64K
	cp "$TARGET" "$BATS_TEST_TMPDIR/before"
	for_each "$(writer --list)" mirrors
}

# the fault: this one write does not reach the shadow
caught_unmirrored() {
	make_pair 64K
	fill "$TARGET" $AT $LENGTH 00
	fill "$SHADOW" $AT $LENGTH 00
	run writer "$1" "$TARGET" $AT $LENGTH 0x5a
	skip_if_absent
	assert_status 0
	run cmp "$TARGET" "$SHADOW"
	assert_status 1
	run shim reader pread64 "$TARGET" 0 64K
	assert_mismatch read 9 $AT
}

@test "a write that was not mirrored is caught by the next read" {
	for_each "$(writer --list)" caught_unmirrored
}

# the fault: one byte of what this write left in the shadow goes bad
caught_damaged() {
	make_pair 64K
	run shim writer "$1" "$TARGET" $AT $LENGTH 0x5a
	skip_if_absent
	assert_clean
	damage_shadow 33333
	run shim reader pread64 "$TARGET" 0 64K
	assert_mismatch read 65 33333
}

@test "damage in what a write symbol left is caught by the next read" {
	for_each "$(writer --list)" caught_damaged
}

@test "a write heals a difference that it covers, and no other" {
	make_pair 64K
	damage_shadow 33333
	damage_shadow 50000
	run shim writer pwrite64 "$TARGET" $AT $LENGTH 0x5a
	assert_clean
	run shim reader pread64 "$TARGET" $AT $LENGTH
	assert_clean
	run shim reader pread64 "$TARGET" 0 64K
	assert_mismatch read 97 50000
}

@test "eventfd_write to a target is mirrored" {
	make_pair 64K
	run shim writer eventfd_write "$TARGET" 1024 8 0x5a
	assert_clean
	assert_same_contents
	assert_filled "$TARGET" 1024 8 5a
}

@test "a write of 40 MiB is mirrored whole" {
	make_pair 42M
	run shim writer pwrite64 "$TARGET" 1M 40M 0x5a
	assert_clean
	assert_same_contents
	run shim writer writev "$TARGET" 1000001 40M 0x5b
	assert_clean
	assert_same_contents
	assert_filled "$TARGET" 1000001 40M 5b
}

appends() {
	make_pair 1000
	WRITER_FLAGS=append run writer "$1" "$TARGET" 100 500 0x5a
	skip_if_absent
	local native=$output
	cp "$SHADOW" "$TARGET"
	WRITER_FLAGS=append run shim writer "$1" "$TARGET" 100 500 0x5a
	assert_clean
	[ "$output" = "$native" ]
	[ "$(stat -c %s "$TARGET")" = 1500 ]
	assert_same_contents
	assert_filled "$TARGET" 1000 500 5a
}

@test "O_APPEND: every write symbol appends to both, whatever the offset" {
	for_each "$(writer --list)" appends
}

@test "O_APPEND that is set later, by another descriptor or process" {
	local how
	for how in copy child syscall; do
		make_pair 1000
		run shim appendlater "$TARGET" "$how"
		assert_clean
		[ "$(stat -c %s "$TARGET")" = 1100 ]
		assert_same_contents
		assert_filled "$TARGET" 1000 100 5a
	done
}

grows() {
	make_pair 1000
	run shim writer "$1" "$TARGET" 5000 500 0x5a
	skip_if_absent
	assert_clean
	assert_same_contents
	[ "$(stat -c %s "$SHADOW")" = 5500 ]
	assert_filled "$SHADOW" 1000 4000 00
}

@test "every write symbol past the end grows both" {
	for_each "$(writer --list)" grows
}

@test "O_DIRECT and O_DSYNC writes are mirrored" {
	make_pair 64K
	WRITER_FLAGS=direct writer pwrite64 "$TARGET" 4096 32768 0x33 || skip "no O_DIRECT here"
	for_each "direct sync direct,sync" mirrors_with
}
mirrors_with() {
	make_pair 64K
	WRITER_FLAGS=$1 run shim writer pwrite64 "$TARGET" 4096 32768 0x5a
	assert_clean
	assert_same_contents
	assert_filled "$TARGET" 4096 32768 5a
	WRITER_FLAGS=$1 run shim writer writev "$TARGET" 0 4096 0x5b
	assert_same_contents
}

@test "writes on tmpfs are mirrored" {
	make_pair_on_tmpfs 64K
	cp "$TARGET" "$BATS_TEST_TMPDIR/before"
	for_each "$(writer --list)" mirrors
}

@test "writes to a block device are mirrored" {
	make_loop_pair 64K
	cp "$IMAGE" "$BATS_TEST_TMPDIR/before"
	for_each "$(writer --list)" mirrors
}

# ---- pairs and flushes ----

flushes() {
	make_pair 64K
	run shim flusher "$1" "$TARGET" $AT $LENGTH 0x5a
	assert_clean
	assert_same_contents
	assert_filled "$TARGET" $AT $LENGTH 5a
}

@test "every flush symbol works and leaves both the same" {
	for_each "$(flusher --list)" flushes
}

leaves() {
	make_pair 64K
	BLKVERIFY_STATS=1 run shim leaver "$1" "$TARGET" $AT $LENGTH 0x5a
	assert_silent 7
	assert_same_contents
	assert_filled "$TARGET" $AT $LENGTH 5a
	# what is executed in its place never opened the target; nobody sees that the program ends by an instruction of its own
	[[ $1 = exec || $1 = own_* ]] || assert_stat writes 1
}

@test "what runs is in the mode that is tested" {
	make_pair 64K
	assert_mode shim
}

@test "a program may end in any way right after a write" {
	for_each "$(leaver --list)" leaves
}

@test "several pairs at once are kept apart" {
	make_pair 64K one
	local one=$TARGET one_shadow=$SHADOW
	make_pair 64K two
	export BLKVERIFY_TARGET="$one:$TARGET" BLKVERIFY_SHADOW="$one_shadow:$SHADOW"
	run shim reader pread64 "$one" $AT $LENGTH
	assert_clean
	run shim reader pread64 "$TARGET" $AT $LENGTH
	assert_clean
	run shim writer pwrite64 "$one" $AT $LENGTH 0x5a
	assert_clean
	cmp "$one" "$one_shadow"
	assert_same_contents
	damage_shadow 33333
	run shim reader pread64 "$one" $AT $LENGTH
	assert_clean
	run shim reader pread64 "$TARGET" $AT $LENGTH
	assert_mismatch read 65 33333
}

@test "files that are not targets are left alone" {
	make_pair 64K
	head -c 64K /dev/urandom >"$BATS_TEST_TMPDIR/other"
	damage_shadow 33333
	run shim reader pread64 "$BATS_TEST_TMPDIR/other" $AT $LENGTH
	assert_clean
	cp "$SHADOW" "$BATS_TEST_TMPDIR/shadow.before"
	run shim writer pwrite64 "$BATS_TEST_TMPDIR/other" $AT $LENGTH 0x5a
	assert_clean
	assert_filled "$BATS_TEST_TMPDIR/other" $AT $LENGTH 5a
	cmp "$SHADOW" "$BATS_TEST_TMPDIR/shadow.before"
}
