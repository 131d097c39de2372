# Beyond 4 GiB: no call may lose the upper half of an offset or of a length.
load functions
load qemu

# an offset whose lower half is 1 GiB
FAR=5368709120
CUT=1073741824
LENGTH=8192

# sparse files of 6 GiB, alike
setup() {
	make_pair 64K
	truncate -s 6G "$TARGET" "$SHADOW"
	fill "$TARGET" $FAR $LENGTH 31
	fill "$SHADOW" $FAR $LENGTH 31
}

# wrote LENGTH BYTE: there, in both, and nowhere else
wrote() {
	local file
	for file in "$TARGET" "$SHADOW"; do
		assert_filled "$file" $FAR "$1" "$2"
		assert_filled "$file" $((FAR + $1)) 4096 "$([ "$1" -lt $LENGTH ] && echo 31 || echo 00)"
		assert_filled "$file" $CUT $LENGTH 00
	done
	fill "$TARGET" $FAR $LENGTH 31
	fill "$SHADOW" $FAR $LENGTH 31
}

# stopped CLIENT WORD OFFSET LENGTH BYTE: at the wrong byte
stopped() {
	damage_shadow $((FAR + 1000))
	run shim "$@"
	damage_shadow $((FAR + 1000))
	assert_mismatch read $(((FAR + 1000) / 512)) $((FAR + 1000))
}

writes() {
	run shim writer "$1" "$TARGET" $FAR 4096 0x5a
	skip_if_absent
	assert_clean
	wrote 4096 5a
}

@test "every write symbol" {
	for_each "$(writer --list)" writes
	# the twin: what such a write wrote is held against the target there
	run shim writer pwrite "$TARGET" $FAR 4096 0x5a
	stopped reader pread "$TARGET" $FAR 4096
}

moves() {
	run shim "$1" "$2" "$TARGET" $FAR $LENGTH 0x5a
	skip_if_absent
	assert_clean
	case $2 in
	*read*) stopped "$1" "$2" "$TARGET" $FAR $LENGTH 0 ;;
	*) wrote $LENGTH 5a ;;
	esac
}

@test "POSIX AIO" { for_each "$(aio --list)" moves aio; }
@test "Linux AIO" { for_each "$(libaio_rw --list)" moves libaio_rw; }
@test "system calls by number" { for_each "pread64 pwrite64 preadv pwritev preadv2 pwritev2" moves raw; }

@test "zeroing, and lengths" {
	run shim space fallocate:zero_keep "$TARGET" $FAR 4096
	assert_clean
	assert_filled "$TARGET" $FAR 4096 00
	assert_filled "$SHADOW" $FAR 4096 00
	assert_filled "$SHADOW" $((FAR + 4096)) 4096 31
	run shim space fallocate:punch "$TARGET" $((FAR + 4096)) 4096
	assert_clean
	assert_filled "$SHADOW" $FAR $LENGTH 00
	local call
	for call in ftruncate ftruncate64 truncate truncate64; do
		run shim space "$call" "$TARGET" 0 $((FAR + 12345))
		assert_clean
		[ "$(stat -c %s "$TARGET" "$SHADOW")" = "$((FAR + 12345))
$((FAR + 12345))" ]
		run shim space "$call" "$TARGET" 0 6442450944
		assert_clean
	done
	# the twin
	truncate -s $((FAR + 7)) "$TARGET"
	run shim diskio say main
	assert_bad_config BLKVERIFY_SHADOW $((FAR + 7))
}

@test "copies inside the kernel" {
	local call
	head -c $LENGTH /dev/zero | tr '\0' Z >"$BATS_TEST_TMPDIR/from"
	: >"$BATS_TEST_TMPDIR/to"
	for call in copy_file_range sendfile; do
		run shim copier "$call" "$TARGET" "$BATS_TEST_TMPDIR/to" $FAR $LENGTH
		skip_if_absent
		assert_clean
		stopped copier "$call" "$TARGET" "$BATS_TEST_TMPDIR/to" $FAR $LENGTH
	done
	run shim dd if="$BATS_TEST_TMPDIR/from" of="$TARGET" bs=4096 seek=$((FAR / 4096)) conv=notrunc status=none
	assert_clean
	wrote $LENGTH 5a
}

@test "the position: read, write and seek past 4 GiB" {
	run shim diskio open "$TARGET" rw seek $((FAR - 100)) put 200 5a seek $((FAR - 50)) get 100
	assert_clean
	assert_filled "$SHADOW" $((FAR - 100)) 200 5a
	assert_filled "$TARGET" $((FAR - 100)) 200 5a
	assert_filled "$SHADOW" $((CUT - 100)) 200 00
	run shim diskio-lfs open "$TARGET" rw seek $((FAR + 900)) put 1 5b seek $FAR get 8192
	assert_clean
	stopped diskio open "$TARGET" rw seek $FAR get 8192
	# across the border itself
	run shim diskio open "$TARGET" rw write 4294966296 2000 5c read 4294963200 8192
	assert_clean
	assert_filled "$SHADOW" 4294966296 2000 5c
	damage_shadow 4294967296
	run shim diskio open "$TARGET" r read 4294963200 8192
	assert_mismatch read 8388608 4294967296
}
