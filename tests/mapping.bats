# Mappings of a target: what a program sees through them is what it sees without the shim, what it stores goes to both, and
# what is wrong is found when it is mapped, and when it is written back.
load functions
load qemu

# of odd length: four whole chunks, of 64 KiB each, and a part of one
SIZE=300001
CHUNK=65536

fresh() {
	make_pair "${1:-$SIZE}"
	cp "$TARGET" "$BATS_TEST_TMPDIR/native"
}

# ---- every way to map, with and without ----

# as_native CLIENT WAY
as_native() {
	fresh
	run timeout 60 "$1" "$2" "$BATS_TEST_TMPDIR/native" </dev/null
	local native=${output//native/disk.img} native_status=$status
	run shim timeout 60 "$1" "$2" "$TARGET" </dev/null
	assert_silent "$native_status"
	[ "$output" = "$native" ] || fail_with "without the shim:" "$native"
	cmp "$TARGET" "$BATS_TEST_TMPDIR/native" || fail_with "the file is not what it is without the shim"
	assert_same_contents
	# what is there now reads back verified
	run shim reader pread64 "$TARGET" 0 1M
	assert_clean
}

@test "what is read and loaded, and what is there when and after the program ends" {
	for_each "$(maps --list | grep -v failing)" as_native maps
}
@test "mappings unmapped, mapped over, moved, and refused by the kernel" { for_each "$(places --list)" as_native places; }
@test "lengths and holes that change under mappings" { for_each "$(lengths --list)" as_native lengths; }
@test "children that have it mapped with their parents" { for_each "$(mapfork --list)" as_native mapfork; }
@test "processes that come to it each on its own" { for_each "$(mapothers --list | grep -v ^hold)" as_native mapothers; }
@test "locks stay as long as without the shim, and no longer" { for_each "$(maplocks --list)" as_native maplocks; }

@test "with other names for the calls" {
	as_native maps-lfs read_back
	as_native places-lfs shrink
	as_native maps-fort read_back
	as_native lengths-fort past_end
}

as_native_on_tmpfs() {
	make_pair_on_tmpfs $SIZE
	cp "$TARGET" "$SHM_DIR/native"
	run "$1" "$2" "$SHM_DIR/native" </dev/null
	local native=$output native_status=$status
	run shim "$1" "$2" "$TARGET" </dev/null
	assert_silent "$native_status"
	[ "$output" = "$native" ]
	cmp "$TARGET" "$SHM_DIR/native"
	assert_same_contents
}

@test "on tmpfs" {
	as_native_on_tmpfs maps read_back
	as_native_on_tmpfs places over_by_memory
	as_native_on_tmpfs lengths shorter
	as_native_on_tmpfs mapothers unrelated
}

as_native_on_device() {
	make_loop_pair 299520
	local ours=$TARGET native_status native image="$BATS_TEST_TMPDIR/native"
	cp "$IMAGE" "$image"
	attach_loop "$image"
	run "$1" "$2" "$LOOP" </dev/null
	native=${output//$LOOP/} native_status=$status
	run shim "$1" "$2" "$ours" </dev/null
	assert_silent "$native_status"
	[ "${output//$ours/}" = "$native" ] || fail_with "without the shim:" "$native"
	cmp "$ours" "$LOOP"
	cmp "$ours" "$SHADOW"
}

@test "on a device, with discards" {
	as_native_on_device maps read_back
	as_native_on_device maps kill_fsync
	as_native_on_device lengths discarded
	as_native_on_device mapothers unrelated
}

# ---- every way to read and write, beside a process that has stored something and keeps it to itself ----

# beside FILE [PREFIX...]: what hold says, and then what CLIENT/CALL does, to stdout
beside() {
	local file=$1 byte=0x5a
	shift
	[[ $CLIENT != reader/* ]] || byte=
	hold "$@" mapothers hold "$file" || return
	"$@" timeout 60 "${CLIENT%%/*}" "${CLIENT#*/}" "$file" 5000 40001 $byte || echo "status $?"
	let_go
	echo "$output"
	[ "$status" = 0 ] || echo "status $status"
}

while_held() {
	local CLIENT=$1 native
	fresh
	run beside "$BATS_TEST_TMPDIR/native"
	skip_if_absent
	native=$output
	run beside "$TARGET" shim
	[ "$output" = "$native" ] || fail_with "without the shim:" "$native"
	cmp "$TARGET" "$BATS_TEST_TMPDIR/native"
	assert_same_contents
}

words() { "$1" --list | grep -E "$2" | sed "s,^,$1/,"; }

@test "reads and writes of every kind while another process has stored and not written back" {
	for_each "$(words reader '^(read|pread64|preadv2@?)$') $(words writer '^(write|pwrite64|writev)$')
		$(words aio '^(aio_read|aio_write64|lio_listio):') $(words stream '^fopen:(read|write)')" while_held
}
@test "the same with libaio and io_uring" {
	need_client libaio_rw
	need_client uring_rw
	for_each "$(words libaio_rw .) $(words uring_rw '^(read|write|readv|writev)$')" while_held
}

# ---- what is wrong is found ----

@test "damage is found when it is mapped, by every call" { for_each "$(mapping --list | grep -v anonymous)" damaged; }
damaged() {
	local side at=$((2 * CHUNK + 1000))
	for side in shadow target; do
		fresh
		"damage_$side" $at
		run shim mapping "$1" "$TARGET" $((2 * CHUNK)) 8192 0x5a
		skip_if_absent
		assert_mismatch read $((at / 512)) $at
		[[ $output == *"${1%%:*}"* ]] || fail_with "expected the call to be named"
		lacks digest=
		# not what is not mapped: the other chunks
		run shim mapping "$1" "$TARGET" $CHUNK $CHUNK 0x5a
		assert_clean
	done
	# the length
	fresh
	truncate -s 300000 "$TARGET"
	run shim mapping "$1" "$TARGET" 0 8192 0x5a
	assert_status 125
}

@test "with eio a mapping that shows damage fails, with log it goes on" {
	fresh
	damage_shadow 5000
	BLKVERIFY_ON_MISMATCH=eio run shim mapping mmap:read "$TARGET" 0 8192 0
	[[ $output == *"ret=-1 EIO"* ]]
	assert_mismatch read 9 5000 1
	run mapping mmap:read "$TARGET" 0 8192 0
	local native=$output
	BLKVERIFY_ON_MISMATCH=log run shim mapping mmap:read "$TARGET" 0 8192 0
	assert_mismatch read 9 5000 0
	[[ $output == *"$native"* ]]
}

# mapped, then damaged, then gone on
late() {
	hold shim mapothers "$1" "$TARGET"
	"$2" "$3"
	let_go
}

@test "damage that comes after mapping is found when its page is written back" {
	fresh
	late hold_store damage_target 9100
	assert_mismatch read 17 9100
	[[ $output == *msync* ]]
	fresh
	late hold_store damage_shadow 9100
	assert_mismatch read 17 9100
	# not in a page in which nothing was stored
	fresh
	late hold_store damage_shadow 12288
	assert_silent 0
	damage_shadow 12288
	assert_same_contents
}

@test "with eio the call that writes back fails, and what was stored is not lost" {
	fresh
	cp "$TARGET" "$BATS_TEST_TMPDIR/before"
	BLKVERIFY_ON_MISMATCH=eio late hold_store damage_shadow 9100
	[[ $output == *"msync = -1 EIO"* && $output == *"pread = 3"*SSS* ]]
	assert_reported read 17 9100 0
	cmp "$TARGET" "$BATS_TEST_TMPDIR/before"
	fresh
	BLKVERIFY_ON_MISMATCH=log late hold_store damage_shadow 9100
	[[ $output == *"msync = 0"* ]]
	assert_reported read 17 9100 0
	assert_filled "$TARGET" 9000 3 53
	assert_same_contents
}

@test "damage that comes after mapping is found when it is mapped again" {
	fresh
	late hold_again damage_target 200000
	assert_mismatch read 390 200000
	fresh
	late hold_again damage_shadow 200000
	assert_mismatch read 390 200000
	[[ $output == *mmap* ]]
	fresh
	late hold_again true
	assert_silent 0
}

@test "what was stored is in the shadow, and held against the target" {
	fresh
	run shim maps end_exit "$TARGET"
	assert_silent 7
	# in the middle of a page that was written back, but not stored
	damage_target 5500
	run shim reader pread64 "$TARGET" 0 64K
	assert_mismatch read 10 5500
	damage_target 5500
	damage_target 5100
	run shim reader pread64 "$TARGET" 0 64K
	assert_mismatch read 9 5100
}

@test "a target that loses what is written back is caught" {
	fresh
	FAULT_SKIP=0 run shim_with lose maps kill_msync "$TARGET"
	assert_status 137
	# the shadow has it
	run shim reader pread64 "$TARGET" 0 1M
	assert_status 134
	assert_first_line 'contents mismatch in sector 0 at offset 100$'
}

@test "a target that fails to be written to: an error of the call, and nothing is forgotten" {
	fresh
	FAULT_OP=write run shim_with fail maps kill_msync "$TARGET"
	[ "$status" = 134 ] || fail_with "expected a return value mismatch"
	assert_first_line '^blkverify: write .*return value mismatch -5 != 16384$'
	# the first time alone: msync fails, and the end of the process writes all back
	fresh
	maps end_return "$BATS_TEST_TMPDIR/native"
	BLKVERIFY_ON_ERROR=pass FAULT_OP=write FAULT_COUNT=1 run shim_with fail maps failing_msync "$TARGET"
	[ "$output" = "msync = -1 EIO" ]
	assert_status 0
	cmp "$TARGET" "$BATS_TEST_TMPDIR/native"
	assert_same_contents
}
