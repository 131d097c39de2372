#!/usr/bin/env bats
# blkverify inspect: sectors side by side, and what was done to them.

load functions
load qemu
load command
load images

setup() {
	need_command
	make_pair 1M
	fill "$TARGET" 0 1048576 00
	fill "$SHADOW" 0 1048576 00
}

inspect() { run blkverify inspect "$@" "$TARGET" "$SHADOW"; }

# put FILE OFFSET TEXT
put() { printf '%s' "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }

# ---- what is shown ----

@test "a sector that is the same" {
	put "$TARGET" 1024 "Hello, "
	put "$SHADOW" 1024 "Hello, "
	inspect --sector 2
	assert_status 0
	[ "$output" = "target $TARGET | shadow $SHADOW
sector 2, offset 1024: same
00000400  48 65 6c 6c 6f 2c 20 00  Hello, . | 48 65 6c 6c 6f 2c 20 00  Hello, .
00000408  00 00 00 00 00 00 00 00  ........ | 00 00 00 00 00 00 00 00  ........
*" ]
}

@test "bytes that differ are marked" {
	put "$TARGET" 1028 "ABCD"
	put "$SHADOW" 1028 "AxCy"
	put "$SHADOW" 1535 "z"
	inspect --sector=2
	assert_status 1
	[ "$output" = "target $TARGET | shadow $SHADOW
sector 2, offset 1024: 3 bytes differ
00000400  00 00 00 00 41 42 43 44  ....ABCD | 00 00 00 00 41 78 43 79  ....AxCy
                         ^^    ^^       ^ ^                  ^^    ^^       ^ ^
00000408  00 00 00 00 00 00 00 00  ........ | 00 00 00 00 00 00 00 00  ........
*
000005f8  00 00 00 00 00 00 00 00  ........ | 00 00 00 00 00 00 00 7a  .......z
                               ^^         ^                        ^^         ^" ]
}

@test "in colour on a terminal" {
	put "$TARGET" 1029 "B"
	run on_terminal "$BLK_COMMAND" inspect --sector 2 "$TARGET" "$SHADOW"
	assert_status 1
	[[ $output == *$'00 \e[1;31m42\e[0m 00 00  .....\e[1;31mB\e[0m.. | '*$'00 \e[1;32m00\e[0m 00 00  .....\e[1;32m.\e[0m..'* ]]
	[[ $output != *'^^'* ]]
	NO_COLOR=1 run on_terminal "$BLK_COMMAND" inspect --sector 2 "$TARGET" "$SHADOW"
	assert_status 1
	[[ $output != *$'\e'* ]]
	[[ $output == *'^^'* ]]
}

@test "several sectors" {
	put "$TARGET" 2000 "B"
	inspect --sector 2 --count 3
	assert_status 1
	[ "$(grep ^sector <<<"$output")" = "sector 2, offset 1024: same
sector 3, offset 1536: 1 byte differs
sector 4, offset 2048: same" ]
	# over the bounds of what is read at once, to the end and no further
	damage_target 70000
	inspect --sector 126 --count 999999999999999999
	assert_status 1
	[ "$(grep -c ^sector <<<"$output")" = $((2048 - 126)) ]
	assert_says "sector 136, offset 69632: 1 byte differs" "sector 2047, offset 1048064: same"
	[ "$(grep -c 'differ' <<<"$output")" = 1 ]
}

@test "--sector-size, and BLKVERIFY_SECTOR_SIZE" {
	damage_target 70000
	inspect --sector 17 --sector-size 4096
	assert_status 1
	assert_says "sector 17, offset 69632: 1 byte differs"
	BLKVERIFY_SECTOR_SIZE=65536 inspect --sector 1
	assert_status 1
	assert_says "sector 1, offset 65536: 1 byte differs"
	inspect --sector 136
	assert_status 1
	inspect --sector 17
	assert_status 0
}

@test "the end of one, and of both" {
	truncate -s 1000 "$TARGET"
	truncate -s 1020 "$SHADOW"
	put "$SHADOW" 996 abcdefgh
	inspect --sector 1
	assert_status 1
	assert_says "size mismatch 1000 != 1020" "sector 1, offset 512: 24 bytes differ" \
		"000003e8  -- -- -- -- -- -- -- --           | 65 66 67 68 00 00 00 00  efgh...." \
		"000003f8  -- -- -- --                       | 00 00 00 00              ...."
	inspect --sector 2
	assert_trouble 2 "--sector=2: past the end, which is at offset 1020"
	truncate -s 1000 "$SHADOW"
	inspect --sector 1
	assert_says "000003e0  00 00 00 00 00 00 00 00  ........ | 00 00 00 00 61 62 63 64  ....abcd"
}

@test "offsets past 4 GiB, and past 2 TiB" {
	truncate -s 3T "$TARGET" "$SHADOW"
	put "$TARGET" 5000000000 B
	put "$TARGET" 2999999999488 C
	inspect --sector 9765625
	assert_status 1
	assert_says "sector 9765625, offset 5000000000: 1 byte differs" \
		"12a05f200  42 00 00 00 00 00 00 00  B....... | 00 00 00 00 00 00 00 00  ........"
	inspect --sector 5859374999
	assert_status 1
	assert_says "sector 5859374999, offset 2999999999488: 1 byte differs" \
		"2ba7def2e00  43 00 00 00 00 00 00 00  C....... | 00 00 00 00 00 00 00 00  ........"
}

@test "block devices" {
	local target
	make_loop_pair 1M
	target=$LOOP
	attach_loop "$SHADOW"
	TARGET=$target SHADOW=$LOOP inspect --sector 3
	assert_status 0
	damage "$IMAGE" 2000
	TARGET=$target SHADOW=$LOOP inspect --sector 3
	assert_status 1
	assert_says "sector 3, offset 1536: 1 byte differs"
}

@test "what is on the disk, not what is cached" {
	make_loop_pair 1M
	exec {HELD}<"$LOOP"
	cat "$LOOP" >/dev/null
	inspect --sector 100
	assert_status 0
	damage "$IMAGE" 51200
	cmp "$LOOP" "$SHADOW"
	inspect --sector 100
	assert_status 1
	exec {HELD}<&-
}

# ---- what the runs before left ----

@test "the last operations on the sectors" {
	inspect --sector 16
	[[ $output != *operation* ]]
	run shim diskio open "$TARGET" rw write 8192 4096 aa read 0 16384 write 65536 512 bb sync truncate 1000000
	assert_clean
	damage_target 8200
	inspect --sector 16
	assert_status 1
	assert_says "last operations on them, newest first:"
	[ "$(sed -n '/^last/,$s/^  [-0-9]* [0-9:.]* UTC  \(.*\), process [0-9]*, thread [0-9]*$/\1/p' <<<"$output")" = \
		"resize   to 1000000 bytes
read     16384 bytes at 0
write    4096 bytes at 8192" ]
	[[ $output == *"  $(date -u '+%F %H:%M:')"* || $output == *"  $(date -u -d '1 minute ago' '+%F %H:%M:')"* ]]
	inspect --sector 1 --count 2
	[ "$(grep -c ', process ' <<<"$output")" = 2 ]
	inspect --sector 128
	[[ $output == *"  write    512 bytes at 65536, process "* ]]
}

@test "a state without a word on them" {
	shim diskio open "$TARGET" rw write 8192 4096 aa
	inspect --sector 1
	assert_status 0
	assert_says "no operation on them is remembered"
}

@test "operations that failed" {
	BLKVERIFY_ON_ERROR=pass FAULT_OP=write FAULT_TORN=1 run shim_with fail diskio open "$TARGET" rw write 8192 4096 aa
	inspect --sector 16 --count 2
	assert_status 1
	[ "$(grep '^not known' <<<"$output")" = "not known: bytes 8192-8703
not known: bytes 8704-9215" ]
	[[ $output == *"  write    4096 bytes at 8192, process "*": Input/output error" ]]
}

# ---- what cannot be shown ----

@test "bad usage" {
	inspect
	assert_trouble 2 --sector
	inspect --sector x
	assert_trouble 2 --sector=x
	inspect --sector -1
	assert_trouble 2 --sector=-1
	inspect --sector 99999999999999999999
	assert_trouble 2 --sector= large
	inspect --sector 18446744073709551615
	assert_trouble 2 "past the end"
	inspect --sector 0 --count 0
	assert_trouble 2 --count=0
	inspect --sector 0 --count x
	assert_trouble 2 --count=x
	inspect --sector 0 --sector-size 500
	assert_trouble 2 --sector-size=500
	inspect --sector 0 --no-such
	assert_trouble 2 --no-such
	run blkverify inspect --sector 0 "$TARGET"
	assert_trouble 2 SHADOW
}

@test "--help, -h, --version" {
	run blkverify inspect --help
	[ "$status" = 0 ] && [[ $output == "usage: blkverify inspect"* ]]
	for option in --sector --count --format --object --sector-size --version; do grep -q -e "$option" <<<"$output"; done
	inspect -h
	[ "$status" = 0 ] && [[ $output == "usage: blkverify inspect"* ]]
	inspect --version
	[ "$status" = 0 ] && [[ $output == "blkverify "[0-9]* ]]
}

@test "what is not there, is no image, or cannot be read" {
	run blkverify inspect --sector 0 "$BATS_TEST_TMPDIR/none" "$SHADOW"
	assert_trouble 2 "$BATS_TEST_TMPDIR/none: does not exist"
	run blkverify inspect --sector 0 "$TARGET" "$BATS_TEST_TMPDIR"
	assert_trouble 2 "$BATS_TEST_TMPDIR: is a directory"
	run blkverify inspect --sector 0 "$TARGET" "$TARGET"
	assert_trouble 2 "$TARGET: is its own shadow"
	command_for_nobody
	chmod 0 "$SHADOW"
	run as_nobody "$BLK_COMMAND" inspect --sector 0 "$TARGET" "$SHADOW"
	assert_trouble 2 "$SHADOW: permission denied"
	chmod 600 "$SHADOW"
	truncate -s 0 "$TARGET" "$SHADOW"
	inspect --sector 0
	assert_trouble 2 "past the end, which is at offset 0"
	truncate -s 4096 "$TARGET" "$SHADOW"
	LD_PRELOAD="$BLK_SNIPPETS/fail.so" FAULT_FILE=$TARGET FAULT_OP=read inspect --sector 0
	assert_status 2
	[[ $output == *"blkverify: $TARGET: read at offset 0: Input/output error" ]]
	run bash -c '"$@" >/dev/full' - "$BLK_COMMAND" inspect --sector 0 "$TARGET" "$SHADOW"
	assert_trouble 2 "standard output"
}
