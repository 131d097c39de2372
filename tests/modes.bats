# BLKVERIFY_MODE: when a program may go on. Most suites are run in both modes; here is what tells the modes apart.
load functions

# the pool as it is used, which hands over only what is worth it, and one that hands over whatever can be
LATE_LIB="$BLK_BUILDDIR/late/libblkverify.so"

setup() { make_pair 64K; }

late() { BLK_LIB=$LATE_LIB BLKVERIFY_MODE=pool shim "$@"; }

@test "sync: the program does not see a wrong byte" {
	damage_shadow 600
	run shim diskio open "$TARGET" r read 0 512 say before read 512 512 say after
	assert_mismatch read 1 600
	[[ $output == *before* && $output != *after* && $(grep -c '^read = ' <<<"$output") = 1 ]]
}

# at_barrier STEP...: after a wrong byte was read, the program does not get past these
at_barrier() {
	damage_shadow 600
	run late diskio open "$TARGET" rw read 512 512 "$@" say after
	assert_mismatch read 1 600
	[[ $output != *after* ]] || fail_with "got past: $*"
	damage_shadow 600
	run late diskio open "$TARGET" rw read 512 512 "$@" say after
	assert_clean
	[[ $output == *after* ]]
}

@test "pool: every barrier waits for what was read before it" {
	[ -e "$LATE_LIB" ]
	at_barrier sync
	at_barrier close
}

@test "pool: a wrong byte is found when the program ends without a barrier" {
	damage_shadow 600
	run late diskio open "$TARGET" r read 512 512
	assert_mismatch read 1 600
	damage_shadow 600
	run late diskio open "$TARGET" r read 512 512
	assert_clean
}

# ends HOW: what was handed over is in the shadow, however the process ends
ends() {
	make_pair 64K
	run late leaver "$1" "$TARGET" 4096 8192 0x5a
	assert_silent 7
	assert_filled "$SHADOW" 4096 8192 5a
	assert_same_contents
}

@test "pool: nothing is lost when a process ends" {
	for_each "$(leaver --list)" ends
}

@test "pool: the report names the thread that asked" {
	damage_shadow 600
	run late diskio open "$TARGET" r read 512 512 sync
	assert_mismatch read 1 600
	[[ $output =~ process\ ([0-9]+),\ thread\ ([0-9]+),\ call\ pread ]]
	[ "${BASH_REMATCH[1]}" = "${BASH_REMATCH[2]}" ]
}

@test "pool: with eio the call fails, and not a later one" {
	damage_shadow 600
	BLKVERIFY_ON_MISMATCH=eio run late diskio open "$TARGET" r read 0 512 read 512 512 read 1024 512 sync
	[ "$(grep -c EIO <<<"$output")" = 1 ] || fail_with "expected one EIO"
	grep -q '^read = .*EIO' <<<"$output"
}

@test "pool: a queue that holds less than one request" {
	local queue
	for queue in 4K 64K 1M; do
		BLKVERIFY_QUEUE=$queue run late diskio open "$TARGET" rw write 0 65536 5a read 0 65536 write 100 1000 a5 sync
		assert_clean
		assert_same_contents
	done
}
