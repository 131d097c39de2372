# A target's storage by another name: partitions, and loop devices over it. What is done on them is not verified, so it is
# refused.
load functions
load qemu

setup() {
	PATH=$PATH:/sbin:/usr/sbin
	need_root
	need_program losetup
	need_program addpart
	make_pair 4M
	TARGET_FILE=$TARGET
	head -c 4M /dev/urandom >"$BATS_TEST_TMPDIR/other"
}

# attach_parted FILE: LOOP is a loop device over FILE, and PART a partition of it, from 1 MiB to 2 MiB
attach_parted() {
	LOOP=$(losetup --partscan --find --show "$1" 2>/dev/null) || skip "no loop device to be had"
	LOOPS+=("$LOOP")
	addpart "$LOOP" 1 2048 2048 || skip "no partitions on loop devices here"
	PART=${LOOP}p1
	until_true 5 test -b "$PART"
}

# refuses DEVICE CMD...: no byte moves, the line names both, and the verdict is in the state file
refuses() {
	local device=$1 before
	shift
	before=$(cksum <"$TARGET_FILE")
	BLKVERIFY_STATS=1 run shim "$@"
	[ "$status" != 0 ] || fail_with "expected a failure" || return
	assert_one_line "I/O on $device, which shares its storage, refused" "$TARGET: cannot be verified, fails with EBADF" || return
	assert_counted unverified || return
	blockdev --flushbufs "$device"
	[ "$before" = "$(cksum <"$TARGET_FILE")" ] || fail_with "bytes were written"
}

@test "a loop device over the target" {
	attach_parted "$TARGET"
	refuses "$LOOP" diskio open "$LOOP" rw read 0 4096
	refuses "$LOOP" diskio open "$LOOP" rw write 0 4096 aa
	refuses "$PART" diskio open "$PART" rw write 0 4096 aa
	# the target itself is verified as ever
	run shim diskio open "$TARGET" rw write 0 512 aa read 0 4194304
	assert_clean
	assert_same_contents
	# the twin: over another file
	attach_parted "$BATS_TEST_TMPDIR/other"
	run shim diskio open "$LOOP" rw write 0 4096 aa read 0 4096 open "$PART" rw write 0 4096 bb read 0 4096
	assert_clean
	blockdev --flushbufs "$LOOP"
	assert_filled "$BATS_TEST_TMPDIR/other" 0 4096 aa
}

@test "a loop device over a loop device over the target" {
	attach_loop "$TARGET"
	attach_loop "$LOOP"
	refuses "$LOOP" diskio open "$LOOP" rw read 0 4096
}

@test "a partition of a target, and the disk that a target is a partition of" {
	attach_parted "$TARGET"
	TARGET=$LOOP
	refuses "$PART" diskio open "$PART" rw write 0 4096 aa
	run shim diskio open "$LOOP" rw read 0 4194304
	assert_clean
	dd if="$PART" of="$SHADOW" bs=64K status=none
	truncate -s 1M "$SHADOW"
	forget "$SHADOW"
	TARGET=$PART
	refuses "$LOOP" diskio open "$LOOP" rw write 1048576 4096 aa
	run shim diskio open "$PART" rw read 0 1048576
	assert_clean
	# a partition beside it has no byte in common
	addpart "$LOOP" 2 4096 2048
	until_true 5 test -b "${LOOP}p2"
	run shim diskio open "${LOOP}p2" rw write 0 4096 aa read 0 4096
	assert_clean
}


# by whatever way the descriptor comes, and whatever is called on it
@test "by every way to come by the device, and by every call" {
	attach_parted "$TARGET"
	local node="$BATS_TEST_TMPDIR/node"
	mknod "$node" b "0x$(stat -c %t "$LOOP")" "0x$(stat -c %T "$LOOP")"
	refuses "$LOOP" diskio open "$node" rw read 0 4096
	refuses "$LOOP" sh -c 'exec diskio fd 0 read 0 512 <"$0"' "$LOOP"
	refuses "$LOOP" diskio open "$LOOP" r dup read 0 512
	refuses "$LOOP" diskio opath "$LOOP" reopen rw write 0 512 aa
	refuses "$LOOP" streams open "$LOOP" r get 100
	refuses "$LOOP" streams open "$LOOP" r+ buffer none 0 put 100 5a close
	refuses "$LOOP" aio aio_read:read "$LOOP" 0 4096 0
	refuses "$LOOP" libaio_rw write "$LOOP" 0 4096 0x5a
	refuses "$LOOP" libaio_rw raw_read "$LOOP" 0 4096 0
	refuses "$LOOP" uring_rw write "$LOOP" 0 4096 0x5a
	refuses "$LOOP" mapping mmap:write "$LOOP" 0 4096 0x5a
	refuses "$LOOP" device BLKDISCARD "$LOOP" 0 65536
	refuses "$LOOP" device BLKZEROOUT "$LOOP" 0 65536
	: >"$BATS_TEST_TMPDIR/copy"
	refuses "$LOOP" copier copy_file_range "$LOOP" "$BATS_TEST_TMPDIR/copy" 0 4096
	refuses "$LOOP" raw pwrite64 "$LOOP" 0 4096 0x5a
}

@test "a descriptor that a program outside the shim opened and handed over" {
	attach_parted "$TARGET"
	local socket="$BATS_TEST_TMPDIR/socket"
	background sendfd give "$socket" "$LOOP"
	refuses "$LOOP" sendfd take "$socket" 4096
	# the twin
	attach_parted "$BATS_TEST_TMPDIR/other"
	background sendfd give "$socket.2" "$LOOP"
	run shim sendfd take "$socket.2" 4096
	assert_clean
}

@test "with all descriptors in use" {
	attach_loop "$TARGET"
	local opens=() n
	for ((n = 0; n < 40; n++)); do opens+=(open /dev/null r); done
	# the numbers run out somewhere in the middle
	run shim bash -c 'ulimit -n 30; exec diskio "$@"' - open "$LOOP" rw dupto 9 "${opens[@]}" fd 9 write 0 4096 aa
	[[ $output == *EMFILE* ]]
	assert_one_line "I/O on $LOOP, which may share its storage, refused: $TARGET"
	[[ $output == *"write = -1 EBADF"* ]]
	blockdev --flushbufs "$LOOP"
	cmp "$TARGET" "$SHADOW"
}

@test "with warn it goes through, and the target is never compared again where it could be written" {
	attach_loop "$TARGET"
	BLKVERIFY_ON_UNVERIFIED=warn BLKVERIFY_STATS=1 run shim diskio open "$LOOP" r read 0 4096 read 4096 4096 open "$TARGET" r read 0 4194304
	assert_status 0
	assert_one_line "I/O on $LOOP, which shares its storage, let through unverified: $TARGET"
	assert_stat unverified 1
	# nothing was written, so everything is compared
	damage_shadow 70000
	BLKVERIFY_ON_UNVERIFIED=warn run shim diskio open "$LOOP" r read 0 4096 open "$TARGET" r read 0 4194304
	assert_reported read 136 70000
	cp "$TARGET" "$SHADOW"
	BLKVERIFY_ON_UNVERIFIED=warn run shim diskio open "$LOOP" rw write 0 4096 aa sync open "$TARGET" r read 0 4194304
	assert_status 0
	assert_one_line "let through"
	# the next program learns, and compares from then on
	run shim diskio open "$TARGET" r read 0 4194304 read 0 4194304
	assert_status 0
	lacks mismatch
	assert_same_contents
	damage_shadow 70000
	run shim diskio open "$TARGET" r read 0 4194304
	assert_reported read 136 70000
}

@test "with abort the program ends" {
	attach_loop "$TARGET"
	BLKVERIFY_ON_UNVERIFIED=abort run shim diskio open "$LOOP" r read 0 4096
	assert_status 134
	assert_one_line "I/O on $LOOP" "$TARGET"
}

@test "a shadow that is the target's storage is refused at the start" {
	attach_loop "$TARGET"
	SHADOW=$LOOP run shim diskio say main
	assert_bad_config BLKVERIFY_SHADOW "$LOOP"
	BLKVERIFY_TARGET=$LOOP BLKVERIFY_SHADOW=$TARGET run shim diskio say main
	assert_bad_config BLKVERIFY_SHADOW "$TARGET"
	BLKVERIFY_TARGET=$LOOP run shim diskio say main
	assert_clean
}

@test "a program that cannot load the library is not given such a device" {
	attach_loop "$TARGET"
	local static="$BATS_TEST_TMPDIR/static"
	printf 'int main(void) { return 0; }\n' | ${CC:-cc} -static -x c -o "$static" - || skip "no static libc"
	run shim env "$static" "$LOOP"
	[ "$status" != 0 ]
	assert_one_line "$static" "$TARGET" refused EPERM
	run shim sh -c '"$0" <"$1"' "$static" "$LOOP"
	[ "$status" != 0 ]
	assert_one_line "$static" "$TARGET" refused EPERM
	attach_loop "$BATS_TEST_TMPDIR/other"
	run shim env "$static" "$LOOP"
	assert_status 0
}

# ---- what has the kernel do it ----

# lend HOW FILE: in COMMAND; FREE is a loop device of nobody's
lend() {
	case $1 in
	LOOP_CHANGE_FD)
		# from one file to another of the same length; read-only
		FREE=$(losetup --read-only --find --show "$BATS_TEST_TMPDIR/third")
		LOOPS+=("$FREE")
		;;
	LOOP_*) FREE=$(losetup --find) ;;
	*) FREE="$BATS_TEST_TMPDIR/dir" ;;
	esac
	COMMAND=(lender "$1" "$2" "$FREE")
}

lent() {
	local how=$1 refusal=EPERM
	[[ $how != LOOP_* ]] || refusal=EOPNOTSUPP
	# on another file it is what it is without the shim
	lend "$how" "$OTHER"
	run "${COMMAND[@]}"
	skip_if_absent
	local native=$output native_status=$status
	[[ $how != LOOP_* || $status != 0 ]] || losetup -d "$FREE"
	lend "$how" "$OTHER"
	run shim "${COMMAND[@]}"
	[[ $how != LOOP_* || $status != 0 ]] || losetup -d "$FREE"
	assert_silent "$native_status"
	[ "$output" = "$native" ]
	lend "$how" "$TARGET"
	run shim "${COMMAND[@]}"
	[[ $how != LOOP_* || $status != 0 ]] || LOOPS+=("$FREE")
	assert_status 1
	[[ $output == *"ret=-1 $refusal"* ]] || fail_with "expected $refusal"
	assert_one_line refused "$TARGET"
}

@test "the kernel is not made to read and write a target by itself" {
	make_loop_pair 4M
	mke2fs -q -F -t ext4 "$TARGET"
	cp "$IMAGE" "$SHADOW"
	mkdir -p "$BATS_TEST_TMPDIR/dir"
	cp "$IMAGE" "$BATS_TEST_TMPDIR/third"
	cp "$IMAGE" "$BATS_TEST_TMPDIR/other"
	attach_loop "$BATS_TEST_TMPDIR/other"
	OTHER=$LOOP
	for_each "mount fsconfig LOOP_SET_FD LOOP_CONFIGURE LOOP_CHANGE_FD" lent
	# a loop device over the target shares its storage
	attach_loop "$TARGET"
	run shim lender mount "$LOOP" "$BATS_TEST_TMPDIR/dir"
	assert_status 1
	assert_one_line "mount refused" "$TARGET"
	# with warn it is lent
	BLKVERIFY_ON_UNVERIFIED=warn run shim lender mount "$TARGET" "$BATS_TEST_TMPDIR/dir"
	assert_status 0
	assert_one_line "mount let through unverified" "$TARGET"
}

@test "nor to swap or to account there" {
	mkswap -q "$TARGET" 2>/dev/null || skip "no mkswap"
	chmod 600 "$TARGET"
	cp "$TARGET" "$SHADOW"
	OTHER="$BATS_TEST_TMPDIR/other"
	cp "$TARGET" "$OTHER"
	chmod 600 "$OTHER"
	for_each "swapon acct" lent
}

@test "losetup and mount on a target" {
	run shim losetup --find --show "$TARGET"
	[ "$status" != 0 ] || LOOPS+=("$output")
	[ "$status" != 0 ]
	assert_one_line refused "$TARGET"
	mkdir -p "$BATS_TEST_TMPDIR/dir"
	run shim mount -o loop "$TARGET" "$BATS_TEST_TMPDIR/dir"
	[ "$status" != 0 ]
	[[ $(blk_lines) == *"refused: $TARGET"* ]]
	! mountpoint -q "$BATS_TEST_TMPDIR/dir"
}
