# For tests of requests that are completed later: `load requests` after functions.
#
# A client is called CLIENT WAY FILE OFFSET LENGTH BYTE and lists its ways; those whose names have "read" in them
# read. The test sets CLIENT, AT and LENGTH (where its requests go), BAD (an offset in between), and FIO (the engine of
# fio's that makes such requests).

# reads: the ways that read
reads() { "$CLIENT" --list | grep read; }

moves_as_native() {
	local native
	make_pair 64K
	cp "$TARGET" "$BATS_TEST_TMPDIR/before"
	run "$CLIENT" "$1" "$TARGET" "$AT" "$LENGTH" 0x5a
	native=$output
	cp "$BATS_TEST_TMPDIR/before" "$TARGET"
	BLKVERIFY_STATS=1 run shim "$CLIENT" "$1" "$TARGET" "$AT" "$LENGTH" 0x5a
	assert_clean
	[ "$(grep -v '^blkverify: stats' <<<"$output")" = "$native" ]
	assert_stat unverified 0
	assert_stat mismatches 0
	case $1 in
	*read*)
		assert_stat reads 1
		assert_stat read_bytes "$LENGTH"
		;;
	*)
		assert_stat writes 1
		assert_stat write_bytes "$LENGTH"
		assert_filled "$SHADOW" "$AT" "$LENGTH" 5a
		;;
	esac
	assert_same_contents
}

# stops WAY: at one wrong byte; the report names what named_in says the program called
stops() {
	local side
	for side in shadow target; do
		make_pair 64K
		"damage_$side" "$BAD"
		run shim "$CLIENT" "$1" "$TARGET" "$AT" "$LENGTH" 0
		assert_mismatch read $((BAD / 512)) "$BAD"
		assert_first_line "sector_num=$((AT / 512)) nb_sectors=$(((AT + LENGTH + 511) / 512 - AT / 512)) "
		[[ $output == *"$(named_in "$1")"* ]] || fail_with "expected the call to be named"
		[[ $output != *digest=* ]] || fail_with "seen by the program"
	done
}

fails() {
	make_pair 64K
	damage_shadow "$BAD"
	BLKVERIFY_ON_MISMATCH=eio run shim "$CLIENT" "$1" "$TARGET" "$AT" "$LENGTH" 0
	assert_mismatch read $((BAD / 512)) "$BAD" 1
	[[ $output == *"ret=-1 EIO"* ]] || fail_with "expected EIO of the request"
}

# goes_on WAY: the bytes on either side are wrong
goes_on() {
	make_pair 64K
	damage_shadow $((AT - 1))
	damage_shadow $((AT + LENGTH))
	run shim "$CLIENT" "$1" "$TARGET" "$AT" "$LENGTH" 0x5a
	assert_clean
}

# ---- fio ----

# fio_run OPTIONS-WITH-COMMAS OPTION...
fio_run() {
	local options
	IFS=, read -r -a options <<<"$1"
	shift
	(cd "$BATS_TEST_TMPDIR" && shim timeout 120 fio --name=x --size=4M --bs=4k --ioengine="$FIO" --verify_fatal=1 --direct=1 \
		--filename="$TARGET" "${options[@]}" "$@")
}

fio_verifies() {
	make_pair 4M
	run fio_run "$1" --rw=randwrite --verify=crc32c
	assert_clean
	assert_same_contents
	run fio_run "$1" --rw=randrw
	assert_clean
	assert_same_contents
}

fio_stops() {
	make_pair 4M
	damage_shadow 70000
	# its status says nothing: fio may end with 0 when a job of its was killed
	run fio_run "$1" --rw=read
	[[ $output == *"signal=6"* || $status = 134 ]] || fail_with "expected the job to be stopped"
	assert_first_line "^blkverify: read sector_num=[0-9]+ nb_sectors=[0-9]+ contents mismatch in sector 136 at offset 70000\$"
}
