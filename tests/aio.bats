# POSIX asynchronous I/O.
load functions
load requests
load qemu

CLIENT=aio
AT=5000
LENGTH=40001
BAD=33333
FIO=posixaio

# ---- single requests ----

@test "every call of POSIX AIO does what it does without the shim, and is verified" {
	for_each "$(aio --list)" moves_as_native
}

# the part of a way that is a function
named_in() { echo "${1%:*}"; }

@test "every read of POSIX AIO stops at one wrong byte" {
	for_each "$(reads)" stops
}

@test "with eio, aio_error says EIO" {
	for_each "$(reads)" fails
}

@test "the bytes on either side of a request are let alone" {
	for_each "$(aio --list)" goes_on
}

# ---- what a program can see of it ----

# what is left of requests in flight at the end is a matter of luck
MANNERS=$(aio_manner --list | grep -v leaving)

behaves_on() {
	local which=$1 native file
	make_pair 1M
	head -c 1M /dev/urandom >"$BATS_TEST_TMPDIR/other"
	file=$TARGET
	[ "$which" = target ] || file="$BATS_TEST_TMPDIR/other"
	cp "$file" "$BATS_TEST_TMPDIR/before"
	run aio_manner "$2" "$file"
	assert_status 0
	native=$output
	mv "$file" "$BATS_TEST_TMPDIR/native"
	cp "$BATS_TEST_TMPDIR/before" "$file"
	run shim timeout 60 aio_manner "$2" "$file"
	assert_clean
	[ "$output" = "$native" ] || fail_with "$(diff <(echo "$native") <(echo "$output"))"
	cmp "$file" "$BATS_TEST_TMPDIR/native"
	assert_same_contents
}

@test "a program sees of POSIX AIO on a target what it sees without the shim" {
	for_each "$MANNERS" behaves_on target
}

@test "a program sees of POSIX AIO on other files what it sees without the shim" {
	for_each "$MANNERS" behaves_on other
}

slow_behaves() {
	local native
	make_pair 1M
	run aio_manner "$1" "$TARGET"
	native=$output
	cp "$SHADOW" "$TARGET"
	FAULT_DELAY=2000 run shim_with delay timeout 60 aio_manner "$1" "$TARGET"
	assert_clean
	[ "$output" = "$native" ] || fail_with "$(diff <(echo "$native") <(echo "$output"))"
	assert_same_contents
}

@test "on a slow target, too, requests on one descriptor are done in order" {
	for_each "order priorities cancelling" slow_behaves
}

@test "requests in flight when the process ends leave no difference and no lock behind" {
	local round
	for round in 1 2 3 4 5; do
		make_pair 1M
		FAULT_DELAY=1000 run shim_with delay timeout 60 aio_manner leaving "$TARGET"
		assert_clean
		run shim timeout -s KILL 20 diskio open "$TARGET" rw read 0 1048576 write 0 1048576 aa
		assert_status 0
		lacks mismatch
		assert_same_contents
	done
	# the twin: what they wrote is held against the target
	make_pair 1M
	run shim timeout 60 aio_manner leaving "$TARGET"
	# what was being written is unknown, which is said and learnt once
	run shim timeout -s KILL 20 diskio open "$TARGET" r read 0 1048576
	assert_status 0
	lacks mismatch
	damage_target 1048000
	run shim timeout -s KILL 20 diskio open "$TARGET" r read 0 1048576
	assert_mismatch read 2046 1048000
}

# the twin: what each of them reads is compared
notices() {
	make_pair 1M
	damage_shadow 20
	run shim timeout 60 aio_manner "$1" "$TARGET"
	assert_mismatch read 0 20
}

@test "a wrong byte is noticed, however the end is told of" {
	for_each "by_signals by_threads suspending mixed cancelling priorities" notices
}

# ---- programs linked long ago ----

old_moves() {
	local native
	make_pair 64K
	run aio_versions "$1" "$TARGET" $AT $LENGTH 0x5a
	skip_if_absent
	native=$output
	assert_status 0
	cp "$SHADOW" "$TARGET"
	BLKVERIFY_STATS=1 run shim aio_versions "$1" "$TARGET" $AT $LENGTH 0x5a
	assert_clean
	[ "$(grep -v '^blkverify: stats' <<<"$output")" = "$native" ]
	case $1 in
	*write*) assert_stat write_bytes $LENGTH ;;
	*) assert_stat read_bytes $LENGTH ;;
	esac
	assert_stat unverified 0
	assert_same_contents
	make_pair 64K
	damage_shadow 33333
	case $1 in
	*write*)
		run shim aio_versions "$1" "$TARGET" $AT $LENGTH 0x5a
		assert_clean
		damage_target 33333
		run shim reader pread64 "$TARGET" 0 64K
		;;
	*) run shim aio_versions "$1" "$TARGET" $AT $LENGTH 0x5a ;;
	esac
	assert_mismatch read 65 33333
}

@test "the older versions of the symbols are verified" {
	for_each "$(aio_versions --list)" old_moves
}

# ---- fio ----

WAYS="--iodepth=1 --iodepth=32 --iodepth=32,--thread,--numjobs=2,--size=2M,--offset_increment=2M
	--iodepth=32,--numjobs=2,--size=2M,--offset_increment=2M --iodepth=8,--fsync=16 --iodepth=8,--direct=0"

@test "fio's posixaio engine, clean" {
	need_program fio
	for_each "$WAYS" fio_verifies
}

@test "fio's posixaio engine, one wrong byte in the shadow" {
	need_program fio
	for_each "$WAYS" fio_stops
}
