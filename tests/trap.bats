# System calls that are made by other instructions than libc's: trapped with BLKVERIFY_TRAP=1, and from the first ring that is
# made by system calls.
load functions
load qemu

AT=4096
LENGTH=8192
BAD=5000

setup() {
	"$BLK_SNIPPETS/without_trap" true || [ $? != 77 ] || skip "no seccomp here"
	make_pair 64K
	BLKVERIFY_TRAP=1 shim true || skip "this kernel traps no system calls"
}

# trapped_shim CMD...
trapped_shim() { BLKVERIFY_TRAP=1 shim "$@"; }

# as_native RUNNER CMD... FILE: the last word is a copy of the target first, without the shim, then the target under RUNNER
as_native() {
	local runner=$1 file native
	shift
	file=$BATS_TEST_TMPDIR/other
	cp "$TARGET" "$file"
	run timeout --kill-after=5 60 "${@/#@FILE@/$file}"
	skip_if_absent
	native=$output NATIVE_STATUS=$status
	BLKVERIFY_STATS=1 run "$runner" timeout --kill-after=5 60 "${@/#@FILE@/$TARGET}"
	assert_silent "$NATIVE_STATUS" || return
	[ "$(grep -v '^blkverify: ' <<<"$output")" = "$native" ] || fail_with "without the shim:" "$native" || return
	[[ $output != *"unverified="[1-9]* ]] || fail_with "unverified" || return
	cmp "$TARGET" "$file"
}

# ---- reads and writes ----

inline_as_native() {
	make_pair 64K
	as_native trapped_shim inline "$1" @FILE@ $AT $LENGTH 0x5a
	assert_same_contents
	case $1 in
	*read*) assert_stat read_bytes $LENGTH ;;
	*write*) assert_stat write_bytes $LENGTH ;;
	esac
}

# what is not refused
calls() { inline --list | grep -v mmap; }

@test "calls by an instruction of the program's own come out as without the shim, and are verified" {
	for_each "$(calls)" inline_as_native
}

inline_stops() {
	make_pair 64K
	"$1" $BAD
	run trapped_shim inline "$2" "$TARGET" $AT $LENGTH 0
	assert_mismatch read $((BAD / 512)) $BAD
	in_sync lacks digest
}

@test "each that reads stops at one wrong byte on either side" {
	for_each "$(calls | grep read)" inline_stops damage_shadow
	for_each "$(calls | grep read)" inline_stops damage_target
}

@test "a mapping by such an instruction is verified, or refused" {
	local native
	cp "$TARGET" "$BATS_TEST_TMPDIR/other"
	run inline mmap "$BATS_TEST_TMPDIR/other" $AT $LENGTH 0x5a
	assert_status 0
	native=$output
	run trapped_shim inline mmap "$TARGET" $AT $LENGTH 0x5a
	assert_clean
	[ "$output" = "$native" ]
	assert_same_contents
	BLKVERIFY_MMAP=refuse run trapped_shim inline mmap "$TARGET" $AT $LENGTH 0x5a
	assert_status 1
	assert_one_line mmap "$TARGET"
	damage_shadow $BAD
	run trapped_shim inline mmap "$TARGET" $AT $LENGTH 0x5a
	assert_mismatch read $((BAD / 512)) $BAD
}

inline_let_alone() {
	local native
	cp "$TARGET" "$BATS_TEST_TMPDIR/other"
	run inline "$1" "$BATS_TEST_TMPDIR/other" $AT $LENGTH 0x5a
	native=$output
	cp "$TARGET" "$BATS_TEST_TMPDIR/other"
	damage_shadow $BAD
	run trapped_shim inline "$1" "$BATS_TEST_TMPDIR/other" $AT $LENGTH 0x5a
	assert_clean
	[ "$output" = "$native" ]
}

@test "they are let alone on a file that is no target" {
	for_each "$(inline --list)" inline_let_alone
}

@test "it is the trap that sees them: without it, damage goes unseen" {
	damage_shadow $BAD
	run shim inline pread64 "$TARGET" $AT $LENGTH 0
	assert_clean
	[[ $output == *digest* ]]
	run trapped_shim inline pread64 "$TARGET" $AT $LENGTH 0
	assert_mismatch read $((BAD / 512)) $BAD
}

@test "where the kernel cannot, BLKVERIFY_TRAP=1 ends the program before it starts" {
	run trapped_shim without_trap true
	# the library is in without_trap already, which was trapped
	assert_status 125
	assert_bad_config BLKVERIFY_TRAP=1 "Syscall User Dispatch"
	run without_trap env LD_PRELOAD="$BLK_LIB" BLKVERIFY_TRAP=1 BLKVERIFY_TARGET="$TARGET" BLKVERIFY_SHADOW="$SHADOW" \
		diskio say main
	assert_bad_config BLKVERIFY_TRAP=1 "Syscall User Dispatch"
	[[ $output != *main* ]]
	# inert
	run without_trap env LD_PRELOAD="$BLK_LIB" BLKVERIFY_TRAP=1 diskio say main
	assert_clean
}

# ---- signals, stacks, threads and processes ----

way_as_native() {
	make_pair 64K
	as_native "$1" trapped "$2" @FILE@
	assert_same_contents
}

@test "signals, stacks, threads and processes are as without the trap" {
	for_each "$(trapped --list)" way_as_native trapped_shim
}

# what is not trapped is not mirrored either
way_unnoticed() {
	make_pair 64K
	as_native shim trapped "$1" @FILE@
}

@test "who is not trapped notices nothing" {
	for_each "$(trapped --list)" way_unnoticed
}

# left_uncompared OFFSET LENGTH: in pool mode, a signal may end a program before its last reads are compared. The next start
# names such a one.
left_uncompared() {
	[[ $BLK_MODE = pool && $status = 159 && $output != *mismatch* ]] || return
	run shim true
	grep -q "^blkverify: $TARGET: read of process [0-9]* at offset $1, length $2, was never compared: the process ended\$" <<<"$output"
}

# a byte that each of them reads; some do it in a child
way_stops() {
	make_pair 64K
	damage_shadow 20000
	run trapped_shim timeout --kill-after=5 60 trapped "$1" "$TARGET"
	if [[ $1 = dies_* ]] && left_uncompared 16384 4096; then return 0; fi
	assert_first_line "^blkverify: read .* contents mismatch in sector 39 at offset 20000$"
	[ "$status" != 0 ] || [[ $output == *"child: 86"* ]] || fail_with "went on"
}

@test "each of them stops at a wrong byte" {
	for_each "$(trapped --list | grep -v -x -E 'vfork|exit_group|exit|cancelled|quiet')" way_stops
}

@test "a thread that only an instruction can make is refused" {
	run trapped_shim trapped clone_thread "$TARGET"
	assert_one_line "thread" ENOSYS
	[[ $output == *"no child: 38"* ]]
	BLKVERIFY_ON_UNVERIFIED=warn run trapped_shim trapped clone_thread "$TARGET"
	assert_one_line "thread" refused ENOSYS
}

@test "a 32-bit call is refused" {
	run trapped int80 "$TARGET"
	skip_if_absent
	[[ $output == 0* ]] || skip "not here"
	run trapped_shim trapped int80 "$TARGET"
	assert_status 0
	assert_one_line "32-bit" ENOSYS
	[[ $output == *-38* ]]
}

@test "a thread or child that cannot be armed ends" {
	run trapped_shim trapped denied_thread "$TARGET"
	assert_status 125
	assert_one_line "a thread without" "$TARGET"
	[[ $output != *failed* ]]
	run trapped_shim trapped denied_child "$TARGET"
	assert_status 0
	assert_one_line "a child without" "$TARGET"
	[[ $output == *"child: 7d00"* ]]
	BLKVERIFY_ON_UNVERIFIED=warn run trapped_shim trapped denied_thread "$TARGET"
	assert_status 0
	assert_one_line "a thread without" "let through"
	[[ $output == *"failed 0"* ]]
	# the twin; what was let through is unknown
	make_pair 64K
	run shim trapped denied_thread "$TARGET"
	assert_clean
}

@test "the trap is not the program's to have" {
	run shim trapped dispatch "$TARGET"
	[[ $output == "0 0"* ]]
	run trapped_shim trapped dispatch "$TARGET"
	assert_clean
	[[ $output == "-1 22
-1 22"* ]]
}

# ---- rings that are made by system calls ----

ring_as_native() {
	make_pair 64K
	as_native "$1" uring_raw "$2" @FILE@ $AT $LENGTH 0x5a
	assert_same_contents
	case $2 in
	write) assert_stat write_bytes $LENGTH ;;
	child*) [[ $output == *"read_bytes=$LENGTH"* ]] ;;
	side_by_side) assert_stat reads 3000 ;;
	masked) assert_stat reads 3 ;;
	sqe128) assert_stat reads 2 ;;
	*) assert_stat read_bytes $LENGTH ;;
	esac
}

@test "rings by system calls come out as without the shim, and are verified" {
	for_each "$(uring_raw --list | grep -v -x own)" ring_as_native shim
}

@test "the same with the trap from the start" {
	for_each "$(uring_raw --list)" ring_as_native trapped_shim
}

# in a child, the parent tells how it ended
ring_stops() {
	make_pair 64K
	"$2" $BAD
	run "$1" timeout --kill-after=5 60 uring_raw "$3" "$TARGET" $AT $LENGTH 0
	[ "$status" = 134 ] || fail_with "expected status 134"
	assert_first_line "^blkverify: read .* contents mismatch in sector 9 at offset $BAD\$"
	in_sync lacks digest
}

rings_that_read() { uring_raw --list | grep -v -x write; }

@test "each that reads stops at one wrong byte" {
	for_each "$(rings_that_read | grep -v -x own)" ring_stops shim damage_shadow
	for_each "own read thread_before" ring_stops trapped_shim damage_target
}

@test "a ring by a descriptor that is not known is not entered" {
	run uring_raw copy "$TARGET" $AT $LENGTH 0
	skip_if_absent
	assert_status 0
	local native=$output
	run shim uring_raw copy "$TARGET" $AT $LENGTH 0
	assert_status 1
	assert_one_line io_uring_enter "$TARGET" ENOSYS
	[[ $output == *"ret=-1 ENOSYS"* ]]
	BLKVERIFY_ON_UNVERIFIED=warn run shim uring_raw copy "$TARGET" $AT $LENGTH 0
	assert_status 0
	assert_one_line io_uring_enter "let through"
	[ "$(grep -v '^blkverify: ' <<<"$output")" = "$native" ]
}

# ---- the trap under what has wrappers ----

library_as_native() {
	make_pair 64K
	as_native trapped_shim uring_rw "$1" @FILE@ $AT $LENGTH 0x5a
	assert_same_contents
	case $1 in
	write*) assert_stat write_bytes $LENGTH ;;
	fallocate) ;;
	*) assert_stat read_bytes $LENGTH ;;
	esac
}

@test "liburing" {
	need_client uring_rw
	for_each "$(uring_rw --list | grep -v -x -E 'none|raw|setup')" library_as_native
}

library_ways() {
	make_pair 64K
	as_native trapped_shim uring_ways "$1" @FILE@
}

@test "liburing's chains, drains, forks and threads" {
	need_client uring_ways
	for_each "results chains chain_data drains events overflow files forks threads reuse opens" library_ways
}

@test "libaio" {
	need_client libaio_rw
	as_native trapped_shim libaio_rw "$(libaio_rw --list | head -n 1)" @FILE@ $AT $LENGTH 0x5a
	assert_same_contents
}

# ---- programs ----

FIO=(timeout 100 fio --name=x --size=2M --bs=4k --ioengine=io_uring --direct=1 --verify_fatal=1)
ENGINES="--iodepth=1 --iodepth=32 --iodepth=32,--fixedbufs --iodepth=32,--registerfiles --iodepth=1,--sqthread_poll
	--iodepth=32,--sqthread_poll,--fixedbufs,--registerfiles --iodepth=32,--sqthread_poll,--thread --iodepth=32,--thread"

# fio_run RUNNER OPTIONS-WITH-COMMAS OPTION...
fio_run() {
	local runner=$1 options
	IFS=, read -r -a options <<<"$2"
	shift 2
	"$runner" "${FIO[@]}" --filename="$TARGET" "${options[@]}" "$@"
}

fio_verifies() {
	make_pair 4M
	BLKVERIFY_STATS=1 run fio_run "$1" "$2" --rw=randwrite --verify=crc32c
	assert_clean
	assert_stat writes 512
	assert_stat reads 512
	assert_stat unverified 0
	BLKVERIFY_STATS=1 run fio_run "$1" "$2" --rw=randrw --numjobs=2 --offset_increment=2M
	assert_clean
	[[ $output != *"unverified="[1-9]* && $output != *select* ]]
	assert_same_contents
}

@test "fio, unmodified: plain, fixed buffers, registered files, polled, in processes and threads" {
	need_program fio
	for_each "$ENGINES" fio_verifies shim
	for_each "--iodepth=32 --iodepth=32,--sqthread_poll,--thread" fio_verifies trapped_shim
}

fio_stops() {
	make_pair 2M
	damage_shadow 1000000
	# its status says nothing: fio may end with 0 when a job of its was killed
	run fio_run shim "$1" --rw=read
	assert_first_line "^blkverify: read .* contents mismatch in sector 1953 at offset 1000000$"
}

@test "fio stops at one wrong byte" {
	need_program fio
	for_each "$ENGINES" fio_stops
}

@test "python3 and its children" {
	need_program python3
	cat >"$BATS_TEST_TMPDIR/script.py" <<-'SCRIPT'
		import os, subprocess, sys, threading
		target = sys.argv[1]
		def work():
		    with open(target, "r+b", buffering=0) as f:
		        for n in range(20):
		            f.seek(n * 512)
		            f.write(f.read(512))
		threads = [threading.Thread(target=work) for n in range(4)]
		for t in threads: t.start()
		for t in threads: t.join()
		subprocess.run(["dd", "if=" + target, "of=/dev/null", "bs=4096", "status=none"], check=True)
		subprocess.run(["inline", "pwrite64", target, "0", "4096", "7"], check=True, stdout=subprocess.DEVNULL)
	SCRIPT
	run trapped_shim python3 "$BATS_TEST_TMPDIR/script.py" "$TARGET"
	assert_clean
	assert_same_contents
	damage_shadow 60000
	run trapped_shim python3 "$BATS_TEST_TMPDIR/script.py" "$TARGET"
	assert_first_line "contents mismatch in sector 117 at offset 60000$"
}

qemu_works() {
	make_pair 1M
	run trapped_shim qemu-io -f raw -i "$1" -t none -c 'write -P 7 64k 192k' -c 'aio_read -P 7 64k 64k' -c aio_flush \
		-c 'write -z 512k 64k' -c 'read 0 1M' -c flush "$TARGET"
	assert_clean
	[[ $output != *failed* ]]
	assert_same_contents
	damage_shadow 900000
	run trapped_shim qemu-io -f raw -i "$1" -t none -c 'read 0 1M' "$TARGET"
	assert_mismatch read 1757 900000
}

@test "qemu-io with each of its engines" {
	need_program qemu-io
	for_each "threads native io_uring" qemu_works
}
