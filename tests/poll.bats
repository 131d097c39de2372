# Who waits for what it submitted takes part in it. `make check` runs this.

load functions

# what stands in the first page of 1 MiB
BAD=1234

waits_as_native() {
	local native
	make_pair 1M
	run poller "$1" "$TARGET"
	skip_if_absent
	assert_status 0
	native=$output
	BLKVERIFY_STATS=1 run shim timeout 60 poller "$1" "$TARGET"
	assert_clean
	[ "$(grep -v '^blkverify: stats' <<<"$output")" = "$native" ] || fail_with "$native"
	assert_stat unverified 0
	[ "$1" = manner ] || assert_stat reads 100
}

stops() {
	make_pair 1M
	poller "$1" "$TARGET" >"$BATS_TEST_TMPDIR/native" || skip "not on this system"
	damage_shadow $BAD
	run shim timeout 60 poller "$1" "$TARGET"
	assert_mismatch read $((BAD / 512)) $BAD
	[[ $output != *digest=* ]] || fail_with "seen by the program"
}

# helped HOW: how many completions the program's thread took itself, from where the library has them in flight
helped() {
	make_pair 1M
	gdb -q -batch -nx -ex "set startup-with-shell off" -ex "set environment LD_PRELOAD $BLK_LIB" \
		-ex "set environment BLKVERIFY_TARGET $TARGET" -ex "set environment BLKVERIFY_SHADOW $SHADOW" \
		-ex "set environment BLKVERIFY_MODE ${BLK_MODE:-sync}" -ex "break exit" -ex "run $1 $TARGET" \
		-ex "print bv_flight_helped" "$BLK_SNIPPETS/poller" 2>&1 | sed -n 's/^\$1 = //p'
}

@test "whatever a program waits by for a completion, it is there and verified" {
	need_client poller
	for_each "$(poller --list)" waits_as_native
}

@test "a wrong byte is noticed before the wait is over" {
	need_client poller
	for_each "$(poller --list)" stops
}

@test "waits for other things end as they should while requests are in flight" {
	need_client poller
	waits_as_native manner
}

@test "a thread that waits takes what has come back itself, and none does where nobody can see that it waits" {
	need_client poller
	need_program gdb
	local way count
	for way in poll ppoll epoll_wait getevents; do
		count=$(helped $way)
		[ "$count" -gt 50 ] || fail_with "$way: $count of 100"
	done
	for way in select peek; do
		count=$(helped $way)
		[ "$count" = 0 ] || fail_with "$way: $count"
	done
}
