# A program must not be able to tell, by results, errno, positions or timing, that the shim is there.
load functions

# ---- edge cases ----

fresh() {
	cp "$BATS_TEST_TMPDIR/before" "$TARGET"
	cp "$BATS_TEST_TMPDIR/before" "$SHADOW"
}

quiet() { [ ! -s "$BATS_TEST_TMPDIR/log" ] || fail_with "the shim said:" "$(cat "$BATS_TEST_TMPDIR/log")"; }

same_edges() {
	fresh
	rm -f "$BATS_TEST_TMPDIR/log"
	edges "$1" "$TARGET" >"$BATS_TEST_TMPDIR/native"
	cp "$TARGET" "$BATS_TEST_TMPDIR/after"
	fresh
	BLKVERIFY_LOG="$BATS_TEST_TMPDIR/log" shim timeout 60 edges "$1" "$TARGET" >"$BATS_TEST_TMPDIR/shimmed"
	quiet
	diff "$BATS_TEST_TMPDIR/native" "$BATS_TEST_TMPDIR/shimmed"
	cmp "$TARGET" "$BATS_TEST_TMPDIR/after"
	assert_same_contents
}

SECTIONS=$(edges --list | grep -v grown)

@test "edge cases come out as they do without the shim" {
	make_pair 20000
	cp "$TARGET" "$BATS_TEST_TMPDIR/before"
	for_each "$SECTIONS" same_edges
}

@test "edge cases come out as they do without the shim on tmpfs" {
	make_pair_on_tmpfs 20000
	cp "$TARGET" "$BATS_TEST_TMPDIR/before"
	# a file there can be as long as an offset goes, which cp cannot follow
	for_each "$(grep -v far <<<"$SECTIONS")" same_edges
}

@test "edge cases come out as they do without the shim on a block device" {
	make_loop_pair 20480
	cp "$IMAGE" "$BATS_TEST_TMPDIR/before"
	# the others make sense for a file alone
	for_each "reads faults vectors positions direct nowait numbers" same_edges
}

@test "a failed write that grows the file leaves no difference" {
	make_pair 20000
	run shim edges grown "$TARGET"
	assert_clean
	run shim reader pread64 "$TARGET" 0 64K
	assert_clean
	assert_same_contents
}

# The twin: with a fault in place the same client is stopped, so the silence above means something.
@test "edge cases stop at one wrong byte" {
	make_pair 20000
	damage_shadow 19999
	run shim edges reads "$TARGET"
	assert_mismatch read 39 19999
	run shim edges vectors "$TARGET"
	assert_mismatch read 39 19999
}

# ---- one file position for many ----

# shares PROCESSES,THREADS: the records that are written are what is read afterwards
shares() {
	local processes=${1%,*} threads=${1#*,}
	make_pair 0
	run shim sharer write "$TARGET" "$processes" "$threads" 400
	assert_clean
	assert_same_contents
	[ "$(stat -c %s "$TARGET")" = $((processes * threads * 400 * 512)) ]
	run shim sharer read "$TARGET" "$processes" "$threads" 400
	assert_clean
	make_pair 0
	run shim sharer append "$TARGET" "$processes" "$threads" 400
	assert_clean
	assert_same_contents
	[ "$(stat -c %s "$TARGET")" = $((processes * threads * 400 * 512)) ]
}

@test "reads and writes at a shared position take turns" {
	for_each "1,1 1,4 4,1 3,3" shares
}

@test "a wrong byte is found by whoever gets to read it" {
	make_pair 0
	run shim sharer write "$TARGET" 2 2 100
	assert_clean
	damage_shadow 100000
	BLKVERIFY_ON_MISMATCH=log run shim sharer read "$TARGET" 2 2 100
	assert_mismatch read 195 100000 0
	[ "$(blk_lines | grep -c 'mismatch in sector')" = 1 ]
}

# ---- threads and signals ----

@test "cancellation points stay what they are" {
	make_pair 64K
	cp "$TARGET" "$BATS_TEST_TMPDIR/before"
	cancel "$TARGET" >"$BATS_TEST_TMPDIR/native"
	fresh
	BLKVERIFY_LOG="$BATS_TEST_TMPDIR/log" shim timeout 60 cancel "$TARGET" >"$BATS_TEST_TMPDIR/shimmed"
	diff "$BATS_TEST_TMPDIR/native" "$BATS_TEST_TMPDIR/shimmed"
	quiet
	assert_same_contents
}

@test "a thread with the smallest stack can do I/O on the target" {
	make_pair 3M
	run thread "$TARGET" 1000 2M
	assert_status 0
	local native=$output
	run shim thread "$TARGET" 1000 2M
	assert_clean
	[ "$output" = "$native" ]
	assert_same_contents
	damage_shadow 1000000
	run shim thread "$TARGET" 1000 2M
	assert_mismatch read 1953 1000000
}

@test "a signal handler can do I/O on the range that it interrupted" {
	make_pair 64K
	run shim timeout --signal=KILL 30 handler "$TARGET" 2 io
	assert_clean
	assert_same_contents
}

@test "a signal handler can leave I/O on the target by longjmp" {
	local symbol
	for symbol in siglongjmp longjmp _longjmp __longjmp_chk; do
		make_pair 64K
		run shim timeout --signal=KILL 30 handler "$TARGET" 2 jump "$symbol"
		assert_clean
		run shim reader pread64 "$TARGET" 0 64K
		assert_clean
		assert_same_contents
	done
}

@test "a signal handler's I/O is verified" {
	make_pair 128K
	fill "$SHADOW" 0 131072 a5
	run shim timeout --signal=KILL 30 handler "$TARGET" 2 io
	assert_status 134
	assert_first_line "^blkverify: read .* contents mismatch in sector "
}

# ---- programs that change their mind about descriptors 0, 1 and 2 ----

@test "the target as standard input and output of a program" {
	make_pair 64K
	run shim bash -c 'head -c 512 >/dev/null <"$1" && dd bs=512 count=2 if="$1" status=none | cmp -n 1024 - "$1"' - "$TARGET"
	assert_clean
	run shim dd bs=4096 if=/dev/zero of="$TARGET" count=2 conv=notrunc status=none
	assert_clean
	assert_same_contents
	damage_shadow 300
	run shim dd bs=512 count=1 if="$TARGET" of=/dev/null status=none
	assert_mismatch read 0 300
}
