# io_uring: what concerns a target is verified before its completion can be seen; everything else is let alone.
load functions
load qemu

AT=4096
LENGTH=8192
BAD=5000

# clients that do things with rings: a word is CLIENT/WAY
CLIENTS="uring_results uring_ways uring_tasks uring_chains uring_waits uring_files uring_table uring_choice uring_pipes
	uring_commands"

setup() {
	need_client uring_ways
	uring_ways waiting /dev/null >/dev/null || [ $? != 77 ] || skip "no io_uring here"
}

# ways [--refused]: all of them; those that never end, or end at once, have tests of their own
ways() {
	local client
	for client in $CLIENTS; do
		"$client" "${1:---list}" | sed "s,^,$client/,"
	done | grep -v -x -E 'uring_tasks/(leaves|watches)|uring_chains/drained_after|uring_waits/becomes'
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

# as_native FILE WORD: on a file of the same contents without the shim, then on FILE with it
as_native() {
	local native
	run "${2%/*}" "${2#*/}" "$BATS_TEST_TMPDIR/other"
	skip_if_absent
	assert_status 0
	native=$output
	BLKVERIFY_STATS=1 run shim "${2%/*}" "${2#*/}" "$1"
	assert_clean
	[ "$(grep -v '^blkverify: ' <<<"$output")" = "$native" ] || fail_with "without the shim:" "$native"
	[[ $output != *"unverified="[1-9]* ]] || fail_with "unverified"
}

# those that come to no I/O on the file
IDLE='uring_results/length|uring_files/locks|uring_choice/(others|multishot)|uring_commands/.*|uring_results/unknown|uring_waits/(cancels|.*_waiting)'

way_on_target() {
	make_pair 64K
	cp "$TARGET" "$BATS_TEST_TMPDIR/other"
	as_native "$TARGET" "$1"
	[[ $output == *"reads="[1-9]* || $output == *"writes="[1-9]* ]] || grep -q -x -E "$IDLE" <<<"$1" || fail_with "not verified"
	assert_same_contents
	[ "${1#*/}" = threads ] || cmp "$TARGET" "$BATS_TEST_TMPDIR/other"
}

@test "whatever a program does with rings on a target comes out as without the shim" {
	for_each "$(ways)" way_on_target
}

@test "the same with one thread" {
	BLKVERIFY_THREADS=1 for_each "uring_results/results uring_ways/events uring_ways/overflow uring_tasks/threads uring_tasks/reuse
		$(ways | grep -E '^uring_(chains|waits|files|table|pipes)/')" way_on_target
}

way_on_tmpfs() {
	make_pair_on_tmpfs 64K
	cp "$TARGET" "$BATS_TEST_TMPDIR/other"
	as_native "$TARGET" "$1"
	assert_same_contents
}

@test "the same on tmpfs" {
	for_each "uring_results/results uring_results/position uring_chains/chains uring_chains/copies uring_ways/events
		uring_files/files uring_choice/provided uring_pipes/out" way_on_tmpfs
}

way_let_alone() {
	local native
	make_pair 64K
	cp "$TARGET" "$BATS_TEST_TMPDIR/other"
	cp "$TARGET" "$BATS_TEST_TMPDIR/third"
	run "${1%/*}" "${1#*/}" "$BATS_TEST_TMPDIR/other"
	skip_if_absent
	native=$output
	run shim "${1%/*}" "${1#*/}" "$BATS_TEST_TMPDIR/third"
	assert_clean
	[ "$output" = "$native" ]
	cmp "$TARGET" "$SHADOW"
}

@test "the same on a file that is no target" {
	for_each "$(ways)" way_let_alone
}

# way_stops CLIENT/WAY:OFFSET...: at a wrong byte there
way_stops() {
	local way=${1%%:*} at=${1##*:}
	make_pair 64K
	damage_shadow "$at"
	run shim "${way%/*}" "${way#*/}" "$TARGET"
	assert_mismatch read $((at / 512)) "$at"
}

@test "every one of them stops at a wrong byte" {
	for_each "uring_results/results:50 uring_results/buffers:400 uring_ways/waiting:400 uring_ways/events:50
		uring_ways/late_events:50 uring_ways/stops:400 uring_ways/overflow:50 uring_ways/shared_buffer:50 uring_ways/shapes:400
		uring_tasks/handed_over:50 uring_tasks/forks:50 uring_tasks/reuse:50 uring_ways/mixed:50 uring_ways/mapped:50
		uring_files/files:50 uring_files/opens:50" way_stops
}

@test "and so does every chain, whatever is linked to the read" {
	for_each "uring_chains/chains:400 uring_chains/chain_order:50 uring_chains/copies:5000 uring_chains/consumed:150
		uring_chains/breaks:1100 uring_chains/descriptors:4500 uring_chains/truncates:600 uring_waits/waits:4600
		uring_waits/sockets:10500 uring_waits/feeders:5000 uring_waits/timeouts:50 uring_waits/polls:50 uring_waits/becomes:50" way_stops
}

@test "and every read by a file that the ring opened, was given or handed on" {
	for_each "uring_table/direct:1060 uring_table/chosen:1010 uring_table/closes:1010 uring_table/updates:1010
		uring_table/updates_chosen:1110 uring_table/chained:5100 uring_table/sends:1060 uring_table/installs:4000
		uring_table/often:50" way_stops
}

@test "and every read that the kernel completes, or that goes into a pipe" {
	for_each "uring_choice/provided:50 uring_choice/several:5100 uring_choice/ring_of_buffers:50 uring_choice/registered:1300
		uring_choice/direct_io:5000 uring_choice/heads:2500 uring_pipes/out:50 uring_pipes/waits:150 uring_pipes/chains:3100 uring_pipes/registered:150" way_stops
}

@test "what was submitted is done on both though the program ends at once" {
	make_pair 64K
	run shim uring_tasks leaves "$TARGET"
	assert_clean
	assert_same_contents
	[ "$(bytes "$TARGET" 31744 4)" = 60606060 ]
}

@test "a descriptor that becomes one of the target while a request waits for its turn" {
	make_pair 64K
	BLKVERIFY_STATS=1 run shim uring_waits becomes "$TARGET"
	assert_clean
	assert_stat reads 1
	assert_stat writes 2
	assert_same_contents
	[ "$(bytes "$TARGET" 500 6)" = 6265636f6d65 ]
}

# ---- before the program can see it ----

watched() {
	make_pair 64K
	damage_shadow 60000
	run shim uring_tasks watches "$TARGET"
	assert_mismatch read 117 60000
	in_sync lacks 'SEEN\|completed' || fail_with "seen"
}

@test "a damaged read is not seen in memory, nor its completion, before it is compared" {
	for_each "$(seq 20)" watched
}

@test "the twin: a sound read is seen" {
	make_pair 64K
	run shim uring_tasks watches "$TARGET"
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
	BLKVERIFY_ON_MISMATCH=eio run shim uring_chains chain_order "$TARGET"
	assert_status 0
	[[ $output == *"#1: EIO"* && $output == *"#2: ECANCELED"* && $output == *"#16: ECANCELED"* ]]
	make_pair 64K
	damage_shadow 5000
	BLKVERIFY_ON_MISMATCH=eio run shim uring_chains copies "$TARGET"
	[[ $output == *"#1: EIO"*"#2: ECANCELED"*"#3: ECANCELED"*"beside 0"* ]]
	make_pair 64K
	damage_shadow 50
	BLKVERIFY_ON_MISMATCH=eio run shim uring_choice provided "$TARGET"
	[[ $output == *"#2: EIO flags 0"*"#3: 10 flags"* ]]
}

# ---- what is refused ----

refused() {
	local native client=${1%/*} way=${1#*/}
	make_pair 64K
	cp "$TARGET" "$BATS_TEST_TMPDIR/other"
	# nothing is said of another file
	run "$client" "$way" "$BATS_TEST_TMPDIR/other"
	skip_if_absent
	native=$output
	run shim "$client" "$way" "$BATS_TEST_TMPDIR/other"
	assert_clean
	[ "$output" = "$native" ]
	run shim "$client" "$way" "$TARGET"
	assert_status 0
	assert_lines io_uring "$TARGET" refused
	[[ $output == *": EBADF "* ]]
	BLKVERIFY_ON_UNVERIFIED=warn run shim "$client" "$way" "$TARGET"
	assert_status 0
	assert_lines io_uring "$TARGET" "let through"
	[ "$(grep -v '^blkverify: ' <<<"$output")" = "$native" ]
	BLKVERIFY_ON_UNVERIFIED=abort run shim "$client" "$way" "$TARGET"
	assert_status 134
}

# assert_lines WORD...: a line for each request, with all the WORDs
assert_lines() {
	local line
	[ -n "$(blk_lines)" ] || fail_with "expected a line of the shim" || return
	while read -r line; do
		for word; do
			[[ $line == *"$word"* ]] || fail_with "expected '$word' in: $line" || return
		done
	done < <(blk_lines)
}

@test "requests that cannot be taken over are refused on a target alone" {
	for_each "$(ways --refused | grep -v -x uring_commands/other_command)" refused
}

@test "multishot reads of a file that can be polled are refused" {
	make_qcow2_pair 64K
	serve_qcow2
	run uring_choice multishot "$TARGET"
	assert_status 0
	[[ $output != *EBADFD* ]] || skip "files on FUSE cannot be polled here"
	run shim uring_choice multishot "$TARGET"
	assert_status 0
	assert_lines io_uring "$TARGET" refused
	[[ $output == *"#1: EBADF "*"#2: EBADF "* ]]
}

@test "a drained request that the kernel will not order after those on targets: a line says why" {
	make_pair 64K
	run shim uring_chains drained_after "$TARGET"
	assert_status 0
	assert_one_line io_uring EOPNOTSUPP
	[[ $output == *"#2: EOPNOTSUPP"* ]]
	head -c 64K /dev/urandom >"$BATS_TEST_TMPDIR/other"
	run shim uring_chains drained_after "$BATS_TEST_TMPDIR/other"
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

# ---- commands to a block device ----

command_on_device() {
	make_loop_pair 64K
	attach_loop "$(cp "$IMAGE" "$BATS_TEST_TMPDIR/other"; echo "$BATS_TEST_TMPDIR/other")"
	run uring_commands "$1" "$LOOP"
	local native=$output
	[[ $native != *EOPNOTSUPP* ]] || skip "no commands to block devices here"
	run shim uring_commands "$1" "$TARGET"
	assert_clean
	[ "$output" = "$native" ]
	# the first read learns what is there now, and only there
	run shim reader pread64 "$TARGET" 0 64K
	assert_first_line "contents unknown"
	assert_status 0
	run shim reader pread64 "$TARGET" 0 64K
	assert_clean
	cmp "$IMAGE" "$BATS_TEST_TMPDIR/other"
	damage_target 9000
	run shim reader pread64 "$TARGET" 0 64K
	assert_mismatch read 17 9000
}

@test "discards" {
	for_each "discards registered chained" command_on_device
}

beside_a_discard() {
	make_loop_pair 64K
	run shim uring_commands registered "$TARGET"
	assert_clean
	damage_target "$1"
	run shim reader pread64 "$TARGET" 0 64K
	assert_status 134
	[[ $output == *"contents mismatch in sector $(($1 / 512)) at offset $1"* ]]
}

@test "beside what was discarded the device is verified as ever" {
	for_each "0 8191 12288 65535" beside_a_discard
}

@test "other commands are refused" {
	make_loop_pair 64K
	run shim uring_commands other_command "$TARGET"
	assert_status 0
	assert_lines io_uring "$TARGET" refused
	[[ $output == *"#1: EBADF "* ]]
	BLKVERIFY_ON_UNVERIFIED=warn run shim uring_commands other_command "$TARGET"
	assert_lines io_uring "$TARGET" "let through"
	[[ $output == *"#1: EINVAL "* ]]
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
