# What a target says of itself: where it has no data, and how long it is. A lost extent looks like a hole.
load functions

# data, a hole, data, and a hole to the end
HOLE=65536
DATA=1048576
END=2097152

# two files with holes where the file system has them; the shadow's are zeroes that are there
fresh() {
	TARGET="$BATS_TEST_TMPDIR/disk.img"
	SHADOW="$BATS_TEST_TMPDIR/disk.shadow"
	[ ! -e "$SHADOW" ] || forget "$SHADOW"
	rm -f "$TARGET" "$SHADOW"
	head -c $HOLE /dev/urandom >"$TARGET"
	head -c $HOLE /dev/urandom | dd of="$TARGET" bs=64K seek=$DATA oflag=seek_bytes status=none
	truncate -s $END "$TARGET"
	cp --sparse=never --reflink=never "$TARGET" "$SHADOW"
	forget "$SHADOW"
	SHADOWS+=("$SHADOW")
	sync "$TARGET"
	[ "$(seeker lseek "$TARGET" $HOLE data | sed -n 's/^ret=//p')" = $DATA ] || skip "no holes here"
}

# lose OFFSET LENGTH: an extent of the target
lose() { fallocate --punch-hole --offset "$1" --length "$2" "$TARGET" && sync "$TARGET"; }

# ---- holes ----

sought() {
	local offset native native_status
	for offset in 0 $HOLE 100000 $DATA $((DATA + HOLE)) $((END - 1)) $END; do
		for way in data hole; do
			run seeker "$1" "$TARGET" $offset $way
			skip_if_absent
			native=$output native_status=$status
			run shim seeker "$1" "$TARGET" $offset $way
			assert_silent "$native_status"
			[ "$output" = "$native" ]
		done
	done
}

@test "holes that are zero in the shadow are told as without the shim" {
	fresh
	for_each "$(seeker --list)" sought
	# nor where the shadow has holes of its own
	cp --sparse=always "$TARGET" "$SHADOW"
	for_each "$(seeker --list)" sought
}

lost_before() {
	fresh
	# inside the hole one byte of the shadow is not zero
	fill "$SHADOW" 300001 1 31
	run shim seeker "$1" "$TARGET" 100000 data
	skip_if_absent
	assert_mismatch map 585 300001
	# before and behind it nothing is said
	run shim seeker "$1" "$TARGET" 300002 data
	assert_clean
	run shim seeker "$1" "$TARGET" 5 data
	assert_clean
}
lost_at_end() {
	fresh
	fill "$SHADOW" $((END - 1)) 1 31
	run shim seeker "$1" "$TARGET" $((DATA + HOLE)) data
	skip_if_absent
	assert_mismatch map $((END / 512 - 1)) $((END - 1))
}

@test "a hole that is not zero in the shadow is a mismatch at its first such byte" {
	for_each "$(seeker --list)" lost_before
	for_each "$(seeker --list)" lost_at_end
}

@test "a long hole in both is passed over, and a byte behind it found" {
	fresh
	truncate -s 4G "$TARGET" "$SHADOW"
	run shim seeker lseek "$TARGET" $((DATA + HOLE)) data
	assert_silent 1
	[ "$output" = "ret=-1 ENXIO" ]
	fill "$SHADOW" 3221225473 1 31
	run shim seeker lseek "$TARGET" $((DATA + HOLE)) data
	assert_mismatch map 6291456 3221225473
	run shim seeker lseek "$TARGET" 3221225400 data
	assert_mismatch map 6291456 3221225473
}

@test "after holes were told the shadow is still the shadow" {
	need_program python3
	fresh
	run shim python3 -c 'import os, sys
f = os.open(sys.argv[1], os.O_RDWR)
print(os.lseek(f, 100000, os.SEEK_DATA))
print(os.pwrite(f, b"text" * 1000, 5000), len(os.pread(f, 100000, 0)))
print(os.lseek(f, 200000, os.SEEK_DATA), os.lseek(f, 0, os.SEEK_CUR), os.write(f, b"text"))' "$TARGET"
	assert_clean
	[ "$output" = "$DATA
4000 100000
$DATA $DATA 4" ]
	assert_same_contents
}

@test "what a program wrote into a hole and lost is missed" {
	fresh
	run shim writer pwrite64 "$TARGET" 300000 5000 0x5a
	assert_clean
	run shim seeker lseek "$TARGET" 100000 data
	assert_clean
	fallocate --punch-hole --offset 262144 --length 65536 "$TARGET"
	run shim seeker lseek "$TARGET" 100000 data
	assert_mismatch map 585 300000
}

@test "a hole where the contents are unknown is no mismatch" {
	fresh
	BLKVERIFY_ON_UNVERIFIED=warn run shim device UNKNOWN "$TARGET" 0 0
	fill "$SHADOW" 300000 1 31
	run shim seeker lseek "$TARGET" 100000 data
	[[ $output != *mismatch* ]]
}

@test "a hole that was punched under the shim is no mismatch" {
	fresh
	run shim space fallocate:punch "$TARGET" $DATA 32768
	assert_clean
	run shim seeker lseek "$TARGET" $HOLE data
	assert_clean
	run shim device FS_IOC_FIEMAP "$TARGET" 0 $END
	assert_clean
}

# ---- extents ----

# mapped OFFSET LENGTH
mapped() {
	run device FS_IOC_FIEMAP "$TARGET" "$@"
	[ "$status" = 0 ] || skip "no FIEMAP here: $output"
	local native=$output
	run shim device FS_IOC_FIEMAP "$TARGET" "$@"
	assert_clean
	[ "$output" = "$native" ]
}

@test "extents are told as without the shim" {
	fresh
	mapped 0 $END
	mapped $HOLE 10000
	mapped 5000 5000
	mapped 0 0x7fffffffffffffff
}

@test "a gap between extents that is not zero in the shadow is a mismatch" {
	fresh
	mapped 0 $END
	fill "$SHADOW" 300001 1 31
	run shim device FS_IOC_FIEMAP "$TARGET" 0 $END
	assert_mismatch map 585 300001
	run shim device FS_IOC_FIEMAP "$TARGET" 200000 200000
	assert_mismatch map 585 300001
	run shim device FS_IOC_FIEMAP "$TARGET" 0 0x7fffffffffffffff
	assert_mismatch map 585 300001
	# what was not asked for is not compared
	run shim device FS_IOC_FIEMAP "$TARGET" 0 300001
	assert_clean
	run shim device FS_IOC_FIEMAP "$TARGET" 300002 1000000
	assert_clean
}

@test "no extents behind the last one, and none at all" {
	fresh
	mapped 0 $END
	fill "$SHADOW" $((END - 1)) 1 31
	run shim device FS_IOC_FIEMAP "$TARGET" $DATA $END
	assert_mismatch map $((END / 512 - 1)) $((END - 1))
	fresh
	lose 0 $END
	run shim device FS_IOC_FIEMAP "$TARGET" 0 $END
	assert_mismatch map 0 "$(($(cmp -l "$TARGET" "$SHADOW" | awk '{ print $1; exit }') - 1))"
}

@test "what is in the page cache alone is no lost extent" {
	fresh
	mapped 0 $END
	# written and not flushed: the file system may not have allocated it yet
	run shim sh -c 'writer pwrite64 "$1" 300000 5000 0x5a && device FS_IOC_FIEMAP "$1" 0 2097152' sh "$TARGET"
	assert_clean
}

@test "filefrag tells of extents, and stops at a lost one" {
	need_program filefrag
	fresh
	run filefrag -v "$TARGET"
	[ "$status" = 0 ] || skip "filefrag does not work here"
	local native=$output
	run shim filefrag -v "$TARGET"
	assert_clean
	[ "$output" = "$native" ]
	lose $((DATA + 8192)) 16384
	run shim filefrag -v "$TARGET"
	assert_mismatch map $((DATA / 512 + 16)) $((DATA + 8192))
}

# ---- programs that skip holes ----

# skipped CMD...: clean as it is; caught with a lost extent. The first byte of it is not zero in the shadow.
skipped() {
	fresh
	run shim "$@"
	assert_clean
	fresh
	fill "$TARGET" $((DATA + 8192)) 16384 31
	fill "$SHADOW" $((DATA + 8192)) 16384 31
	lose $((DATA + 8192)) 16384
	rm -f "$BATS_TEST_TMPDIR/copy"
	run shim "$@"
	[ "$status" != 0 ] || fail_with "the lost extent was not noticed" || return
	[[ $(blk_lines | head -n 1) == "blkverify: "*" contents mismatch in sector $((DATA / 512 + 16)) at offset $((DATA + 8192))" ]] ||
		fail_with "expected a mismatch at $((DATA + 8192))"
}

@test "cp does not pass over a lost extent" {
	skipped cp --reflink=never "$BATS_TEST_TMPDIR/disk.img" "$BATS_TEST_TMPDIR/copy"
	skipped cp --sparse=always "$BATS_TEST_TMPDIR/disk.img" "$BATS_TEST_TMPDIR/copy"
	skipped cp "$BATS_TEST_TMPDIR/disk.img" "$BATS_TEST_TMPDIR/copy"
	# the copy of a sound one is whole
	fresh
	run shim cp "$TARGET" "$BATS_TEST_TMPDIR/copy"
	assert_clean
	cmp "$TARGET" "$BATS_TEST_TMPDIR/copy"
}

@test "qemu-img convert does not pass over a lost extent" {
	need_program qemu-img
	skipped qemu-img convert -f raw -O raw "$BATS_TEST_TMPDIR/disk.img" "$BATS_TEST_TMPDIR/copy"
	skipped qemu-img convert -f raw -O qcow2 "$BATS_TEST_TMPDIR/disk.img" "$BATS_TEST_TMPDIR/copy"
}

@test "qemu-img map does not call a lost extent zero" {
	need_program qemu-img
	skipped qemu-img map -f raw --output=json "$BATS_TEST_TMPDIR/disk.img"
}

@test "tar and python do not pass over a lost extent" {
	need_program tar
	skipped tar --hole-detection=seek -S -C "$BATS_TEST_TMPDIR" -cf "$BATS_TEST_TMPDIR/copy" disk.img
	need_program python3
	skipped python3 -c 'import os, sys
f = os.open(sys.argv[1], os.O_RDONLY)
at = 0
try:
	while True:
		at = os.lseek(f, at, os.SEEK_DATA)
		at = os.lseek(f, at, os.SEEK_HOLE)
except OSError:
	pass' "$BATS_TEST_TMPDIR/disk.img"
}

# ---- lengths ----

LENGTHS="$(stater --list) SEEK_END"

told() {
	run stater "$1" "$TARGET"
	skip_if_absent
	assert_status 0
	local native=$output
	run shim stater "$1" "$TARGET"
	assert_clean
	[ "$output" = "$native" ]
	[[ $output == *size=65536 ]]
	# on another file it is nobody's business
	run shim stater "$1" "$BATS_TEST_TMPDIR/other" "$(outside truncate -s 60000 "$BATS_TEST_TMPDIR/other")"
	assert_clean
}

@test "lengths are told as without the shim" {
	make_pair 64K
	cp "$TARGET" "$BATS_TEST_TMPDIR/other"
	for_each "$LENGTHS" told
}

# changed LENGTH SYMBOL: from without, after the program has begun
# outside CMD...: prints a command that has CMD done by a process that was never under the shim, since children are
# brought back under it, and waits until it is
outside() {
	local go="$BATS_TEST_TMPDIR/go" done="$BATS_TEST_TMPDIR/done"
	rm -f "$go" "$done"
	mkfifo "$go" "$done"
	(read -t 30 -r _ <>"$go" && "$@" && echo >"$done") >/dev/null 2>&1 3>&- &
	echo "echo >$go; read -r _ <$done"
}

changed() {
	make_pair 64K
	run stater "$2" "$TARGET"
	skip_if_absent
	run shim stater "$2" "$TARGET" "$(outside truncate -s "$1" "$TARGET")"
	assert_size_mismatch "$1" 65536
	assert_first_line "sector_num=0 nb_sectors=$(((($1 > 65536 ? $1 : 65536) + 511) / 512)) "
}

@test "a target that was cut short is noticed by whoever asks for its length" { for_each "$LENGTHS" changed 60000; }
@test "a target that has grown is noticed as well" { for_each "$LENGTHS" changed 70000; }

@test "a length that changes under the shim is no mismatch" {
	make_pair 64K
	for symbol in $LENGTHS; do
		cp "$SHADOW" "$TARGET"
		run shim stater "$symbol" "$TARGET" "truncate -s 60000 $TARGET"
		assert_clean
		[[ $output == *size=60000 ]]
		run shim stater "$symbol" "$TARGET" "truncate -s 64K $TARGET"
		assert_clean
		assert_same_contents
	done
}

@test "with log and eio a wrong length is told, and goes on or fails" {
	make_pair 64K
	BLKVERIFY_ON_MISMATCH=log BLKVERIFY_STATS=1 run shim stater fstat "$TARGET" "$(outside truncate -s 60000 "$TARGET")"
	assert_size_mismatch 60000 65536 0
	[[ $output == *size=60000* ]]
	make_pair 64K
	BLKVERIFY_ON_MISMATCH=eio run shim stater fstat "$TARGET" "$(outside truncate -s 60000 "$TARGET")"
	assert_size_mismatch 60000 65536 1
	[[ $output == *"ret=-1 EIO"* ]]
}
