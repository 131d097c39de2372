# io_uring: what concerns a target is verified before its completion can be seen; everything else is let alone.
load functions
load qemu

AT=4096
LENGTH=8192
BAD=5000

setup() {
	need_client uring_ways
	uring_ways waiting /dev/null >/dev/null || [ $? != 77 ] || skip "no io_uring here"
}

# ---- the ways to submit one request ----

# those that are no I/O on the file, or are refused
hows() { uring_rw --list | grep -v -x -E 'none|raw|setup'; }

how_as_native() {
	local native
	make_pair 64K
	cp "$TARGET" "$BATS_TEST_TMPDIR/other"
	run uring_rw "$1" "$BATS_TEST_TMPDIR/other" $AT $LENGTH 0x5a
	skip_if_absent
	assert_status 0
	native=$output
	BLKVERIFY_STATS=1 run shim uring_rw "$1" "$TARGET" $AT $LENGTH 0x5a
	assert_clean
	[ "$(grep -v '^blkverify: ' <<<"$output")" = "$native" ]
	assert_stat unverified 0
	case $1 in
	write*) assert_stat write_bytes $LENGTH ;;
	fallocate) ;;
	*) assert_stat read_bytes $LENGTH ;;
	esac
	assert_same_contents
	cmp "$TARGET" "$BATS_TEST_TMPDIR/other"
}

@test "every way to submit gives what it gives without the shim, and is verified" {
	for_each "$(hows)" how_as_native
	BLKVERIFY_MODE=sync BLKVERIFY_THREADS=1 for_each "read write registered" how_as_native
}

how_stops() {
	make_pair 64K
	"$1" "$BAD"
	run shim uring_rw "$2" "$TARGET" $AT $LENGTH 0x5a
	assert_mismatch read $((BAD / 512)) "$BAD"
	assert_first_line "sector_num=8 nb_sectors=16"
	[[ $output == *io_uring* ]]
	[[ $output != *digest* ]]
}

@test "every way to read stops at one wrong byte in the shadow" {
	for_each "$(hows | grep -v -E '^write|fallocate')" how_stops damage_shadow
}

@test "every way to read stops at one wrong byte in the target" {
	for_each "$(hows | grep -v -E '^write|fallocate')" how_stops damage_target
}

@test "the first and the last byte of a read are compared, and none beside them" {
	local at
	for at in $AT $((AT + LENGTH - 1)); do
		make_pair 64K
		damage_shadow "$at"
		run shim uring_rw readv "$TARGET" $AT $LENGTH 0
		assert_mismatch read $((at / 512)) "$at"
	done
	make_pair 64K
	damage_shadow $((AT - 1))
	damage_shadow $((AT + LENGTH))
	run shim uring_rw readv "$TARGET" $AT $LENGTH 0
	assert_clean
}

how_hits() {
	make_pair 64K
	run shim uring_rw "$1" "$TARGET" $AT $LENGTH 0x5a
	assert_clean
	# the fault: what was written is in the shadow, and not taken on trust
	damage_target $((AT + 100))
	run shim reader pread64 "$TARGET" 0 64K
	assert_mismatch read $(((AT + 100) / 512)) $((AT + 100))
}

@test "what every way to write wrote is known to the shadow" {
	for_each "write writev write_fixed fallocate" how_hits
}

# ---- whatever else is done with rings ----

# as_native FILE WAY: on a file of the same contents without the shim, then on FILE with it
as_native() {
	local native
	run uring_ways "$2" "$BATS_TEST_TMPDIR/other"
	skip_if_absent
	assert_status 0
	native=$output
	BLKVERIFY_STATS=1 run shim uring_ways "$2" "$1"
	assert_clean
	[ "$(grep -v '^blkverify: ' <<<"$output")" = "$native" ] || fail_with "without the shim:" "$native"
	[[ $output != *"unverified="[1-9]* ]] || fail_with "unverified"
}

way_on_target() {
	make_pair 64K
	cp "$TARGET" "$BATS_TEST_TMPDIR/other"
	as_native "$TARGET" "$1"
	[[ $output == *"reads="[1-9]* || $output == *"writes="[1-9]* || $1 == locks || $1 == length ]] || fail_with "not verified"
	assert_same_contents
	[ "$1" = threads ] || cmp "$TARGET" "$BATS_TEST_TMPDIR/other"
}

@test "whatever a program does with rings on a target comes out as without the shim" {
	for_each "$(uring_ways --list | grep -v -x leaves)" way_on_target
}

@test "the same with one thread" {
	BLKVERIFY_THREADS=1 for_each "results chains chain_data drains events overflow opens threads reuse" way_on_target
}

way_on_tmpfs() {
	make_pair_on_tmpfs 64K
	cp "$TARGET" "$BATS_TEST_TMPDIR/other"
	as_native "$TARGET" "$1"
	assert_same_contents
}

@test "the same on tmpfs" {
	for_each "results position chains events files" way_on_tmpfs
}

way_let_alone() {
	local native
	make_pair 64K
	cp "$TARGET" "$BATS_TEST_TMPDIR/other"
	cp "$TARGET" "$BATS_TEST_TMPDIR/third"
	run uring_ways "$1" "$BATS_TEST_TMPDIR/other"
	skip_if_absent
	native=$output
	run shim uring_ways "$1" "$BATS_TEST_TMPDIR/third"
	assert_clean
	[ "$output" = "$native" ]
	cmp "$TARGET" "$SHADOW"
}

@test "the same on a file that is no target" {
	for_each "$(uring_ways --list | grep -v -x leaves)" way_let_alone
}

way_stops() {
	make_pair 64K
	damage_shadow 50
	damage_shadow 400
	run shim uring_ways "$1" "$TARGET"
	assert_mismatch read 0 '(50|400)'
}

@test "every one of them stops at a wrong byte" {
	for_each "results chains chain_order waiting events late_events stops overflow shared_buffer shapes files buffers
		opens handed_over forks reuse mixed mapped" way_stops
}

@test "what was submitted is done on both though the program ends at once" {
	make_pair 64K
	run shim uring_ways leaves "$TARGET"
	assert_clean
	assert_same_contents
	[ "$(bytes "$TARGET" 31744 4)" = 60606060 ]
}

# ---- before the program can see it ----

watched() {
	make_pair 64K
	damage_shadow 60000
	run shim uring_ways watch "$TARGET"
	assert_mismatch read 117 60000
	[[ $output != *SEEN* && $output != *completed* ]] || fail_with "seen"
}

@test "a damaged read is not seen in memory, nor its completion, before it is compared" {
	for_each "$(seq 20)" watched
}

@test "the twin: a sound read is seen" {
	make_pair 64K
	run shim uring_ways watch "$TARGET"
	assert_clean
	[[ $output == *SEEN* && $output == *completed* ]]
}

@test "eio: the completion says so; log: it goes on" {
	make_pair 64K
	damage_shadow "$BAD"
	BLKVERIFY_ON_MISMATCH=eio run shim uring_rw read "$TARGET" $AT $LENGTH 0
	assert_status 1
	assert_first_line "contents mismatch in sector 9 at offset $BAD"
	[[ $output == *"ret=-1 EIO"* ]]
	BLKVERIFY_ON_MISMATCH=log run shim uring_rw read "$TARGET" $AT $LENGTH 0
	assert_status 0
	assert_first_line "contents mismatch in sector 9 at offset $BAD"
	[[ $output == *"ret=$LENGTH"* ]]
}

@test "a chain with a wrong byte ends there" {
	make_pair 64K
	damage_shadow 0
	BLKVERIFY_ON_MISMATCH=eio run shim uring_ways chain_order "$TARGET"
	assert_status 0
	[[ $output == *"#1: EIO"* && $output == *"#2: ECANCELED"* && $output == *"#16: ECANCELED"* ]]
}

# ---- what is refused ----

refused() {
	make_pair 64K
	cp "$TARGET" "$BATS_TEST_TMPDIR/other"
	# nothing is said of another file
	run uring_ways "$1" "$BATS_TEST_TMPDIR/other"
	skip_if_absent
	local native=$output
	run shim uring_ways "$1" "$BATS_TEST_TMPDIR/other"
	assert_clean
	[ "$output" = "$native" ]
	run shim uring_ways "$1" "$TARGET"
	assert_status 0
	assert_one_line io_uring "$TARGET"
	[[ $output == *": EBADF "* ]]
	BLKVERIFY_ON_UNVERIFIED=warn run shim uring_ways "$1" "$TARGET"
	assert_status 0
	assert_one_line io_uring "$TARGET" "let through"
	[ "$(grep -v '^blkverify: ' <<<"$output")" = "$native" ]
	BLKVERIFY_ON_UNVERIFIED=abort run shim uring_ways "$1" "$TARGET"
	assert_status 134
}

@test "requests that cannot be taken over are refused on a target alone" {
	for_each "$(uring_ways --refused)" refused
}

@test "a drained request that the kernel will not order after those on targets: a line says why" {
	make_pair 64K
	run shim uring_ways no_drain_after "$TARGET"
	assert_status 0
	assert_one_line io_uring EOPNOTSUPP
	[[ $output == *"#2: EOPNOTSUPP"* ]]
	head -c 64K /dev/urandom >"$BATS_TEST_TMPDIR/other"
	run shim uring_ways no_drain_after "$BATS_TEST_TMPDIR/other"
	assert_clean
	[[ $output == *"#2: 0 "* ]]
}

@test "without messages between rings, a line names what the kernel lacks" {
	make_pair 64K
	run without_messages uring_rw read "$TARGET" $AT $LENGTH 0
	skip_if_absent
	local native=$output
	run shim without_messages uring_rw read "$TARGET" $AT $LENGTH 0
	assert_status 1
	assert_one_line io_uring IORING_OP_MSG_RING "$TARGET"
	[[ $output == *EBADF* ]]
	run shim without_messages uring_rw registered "$TARGET" $AT $LENGTH 0
	assert_status 1
	assert_one_line io_uring "$TARGET"
	run shim without_messages uring_rw none "$TARGET" $AT $LENGTH 0
	assert_clean
	BLKVERIFY_ON_UNVERIFIED=warn run shim without_messages uring_rw read "$TARGET" $AT $LENGTH 0
	assert_status 0
	[ "$(grep -v '^blkverify: ' <<<"$output")" = "$native" ]
}

# ---- QEMU ----

@test "qemu-img bench, 32 requests that share a buffer" {
	need_program qemu-img
	local cache
	make_pair 4M
	for cache in none writeback; do
		BLKVERIFY_STATS=1 run shim qemu-img bench -f raw -i io_uring -t $cache -c 1000 -d 32 "$TARGET"
		assert_clean
		[ "$(stat_of reads)" -ge 1000 ]
		assert_stat unverified 0
		run shim qemu-img bench -f raw -i io_uring -t $cache -c 500 -d 32 -w --pattern=7 --flush-interval=32 "$TARGET"
		assert_clean
		assert_same_contents
	done
	damage_shadow 3000000
	for cache in none writeback; do
		run shim qemu-img bench -f raw -i io_uring -t $cache -c 1000 -d 32 "$TARGET"
		assert_mismatch read $((3000000 / 512)) 3000000
	done
}

@test "qemu-io: reads, writes, vectors, zeroes, discards, flushes" {
	need_program qemu-io
	local cache
	make_pair 4M
	for cache in none writeback; do
		run shim qemu-io -f raw -i io_uring -t $cache -d unmap -c 'write -P 7 64k 192k' -c 'read -P 7 64k 192k' -c flush \
			-c 'writev -P 9 1M 4k 8k 512 64k' -c 'readv -P 9 1M 4k 8k 512 64k' -c 'write -z 2M 64k' -c 'read -P 0 2M 64k' \
			-c 'discard 3M 64k' -c 'aio_write -P 5 3500k 64k' -c aio_flush -c 'aio_read -P 5 3500k 64k' -c aio_flush \
			-c 'truncate 5M' -c 'read 0 4M' "$TARGET"
		assert_clean
		[[ $output != *"failed"* ]]
		assert_same_contents
		run shim qemu-io -f raw -i io_uring -t $cache -c 'truncate 4M' "$TARGET"
		assert_clean
	done
	damage_shadow 3000000
	run shim qemu-io -f raw -i io_uring -t none -c 'read 0 4M' "$TARGET"
	assert_mismatch read $((3000000 / 512)) 3000000
}

# ---- the machine: its event loop polls through a ring of its own, whatever the disk uses ----

# machine_io COMMAND: qemu-io's words
machine_io() { qmp human-monitor-command "{\"command-line\":\"qemu-io disk \\\"$1\\\"\"}"; }

# machine_works AIO CACHE THREAD: in the main loop or in a thread of its own
machine_works() {
	local log="$BATS_TEST_TMPDIR/log"
	make_pair 4M
	: >"$log"
	qmp_start "machine$RANDOM"
	BLKVERIFY_LOG=$log background_shim qemu-system-x86_64 -accel tcg -machine none -nodefaults -no-user-config -display none \
		"${QMP_OPTIONS[@]}" -object iothread,id=thread \
		-blockdev "driver=file,node-name=file,filename=$TARGET,aio=$1,cache.direct=$2" -blockdev driver=raw,node-name=disk,file=file
	qmp qmp_capabilities
	[ "$3" = main ] || qmp x-blockdev-set-iothread '{"node-name": "disk", "iothread": "thread"}'
	machine_io 'write -P 7 1M 64k'
	machine_io 'aio_write -P 8 2M 256k'
	machine_io 'aio_flush'
	machine_io 'read 0 4M'
	! grep . "$log" || fail_with "not clean" || return
	assert_same_contents
	damage_shadow 3000000
	machine_io 'read 0 4M' || :
	until_true 10 grep -q "contents mismatch in sector 5859 at offset 3000000$" "$log" || fail_with "damage unseen"
	wait_for_background
	assert_status 134
}

@test "the machine, with its disk on a ring and on threads, in the main loop and in another" {
	need_program qemu-system-x86_64
	need_program jq
	machine_works io_uring on main
	machine_works io_uring off main
	machine_works io_uring on thread
	machine_works threads on main
	machine_works threads off thread
}
