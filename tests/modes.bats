# BLKVERIFY_MODE: when a program may go on. Most suites are run in both modes; here is what tells the modes apart.
load functions
load qemu

setup() { make_pair 64K; }

# slow_shadow: SHADOW becomes a file that takes 50 ms for whatever is read from it or written to it; FLAT is below it
slow_shadow() {
	FLAT="$BATS_TEST_TMPDIR/flat"
	need_fuse
	mv "$SHADOW" "$FLAT"
	: >"$SHADOW"
	qemu-storage-daemon --object throttle-group,id=slow,x-iops-total=20 \
		--blockdev "driver=file,node-name=below,filename=$FLAT" \
		--blockdev driver=throttle,node-name=disk,throttle-group=slow,file=below \
		--export "type=fuse,id=out,node-name=disk,mountpoint=$SHADOW,writable=on" \
		>"$BATS_TEST_TMPDIR/daemon.out" 2>&1 3>&- &
	DAEMON=$!
	DAEMONS+=("$DAEMON")
	until_true 10 mounted_at "$SHADOW"
}

teardown() {
	local pid
	for pid in "${DAEMONS[@]}"; do end_process "$pid"; done
	clean_up
}

# in pool mode, with a library that hands over whatever can be
late() { BLK_LIB=$LATE_LIB BLKVERIFY_MODE=pool shim "$@"; }

@test "sync: the program does not see a wrong byte" {
	damage_shadow 600
	run shim diskio open "$TARGET" r read 0 512 say before read 512 512 say after
	assert_mismatch read 1 600
	[[ $output == *before* && $output != *after* && $(grep -c '^read = ' <<<"$output") = 1 ]]
}

# at_barrier STEP: the shadow stands still once the program has started; it reads a wrong byte, goes on, and does not
# get past that step before the byte is found
at_barrier() {
	# so that it has to be asked for
	dd of="$SHADOW" oflag=nocache conv=notrunc,fdatasync count=0 status=none
	BLK_LIB=$LATE_LIB BLKVERIFY_MODE=pool background_shim diskio open "$TARGET" rw say started sleep 1500 \
		read 8192 512 say before "$1" say after
	until_true 10 background_says started
	kill -STOP "$DAEMON"
	until_true 10 background_says before
	sleep 0.3
	lacks after "$BATS_TEST_TMPDIR/background.out"
	kill -CONT "$DAEMON"
	wait_for_background
	assert_status 134
	lacks '^after' "$BATS_TEST_TMPDIR/background.out"
	grep -q '^blkverify: read sector_num=16 nb_sectors=1 contents mismatch in sector 16 at offset 8200$' <<<"$output"
}

@test "pool: every barrier waits for what was read before it" {
	[ -e "$LATE_LIB" ]
	damage_shadow 8200
	slow_shadow
	at_barrier sync
	at_barrier close
	at_barrier fork
	at_barrier _Fork
	at_barrier clone
	end_process "$DAEMON"
	damage "$FLAT" 8200
	mv "$FLAT" "$SHADOW"
	run late diskio open "$TARGET" rw read 8192 512 sync say after
	assert_clean
}

@test "pool: a wrong byte is found when the program ends without a barrier" {
	damage_shadow 8200
	slow_shadow
	run late diskio open "$TARGET" r read 0 512 read 8192 512
	assert_mismatch read 16 8200
}

# ends HOW: what was handed over is in the shadow, however the process ends
ends() {
	run late leaver "$1" "$TARGET" 4096 8192 "$((RANDOM % 255))"
	assert_silent 7
	cmp "$TARGET" "$SHADOW"
}

@test "pool: nothing is lost when a process ends" {
	slow_shadow
	for_each "$(leaver --list)" ends
}

# aborts HOW
aborts() {
	run late leaver "$1" "$TARGET" 4096 8192 "$((RANDOM % 255))"
	assert_silent 134
	cmp "$TARGET" "$SHADOW"
}

@test "pool: what a program stumbles over is looked for before it aborts" {
	slow_shadow
	for_each "$(leaver --aborts)" aborts
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
