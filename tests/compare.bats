#!/usr/bin/env bats
# blkverify compare: what it finds, what it says of it, and how it ends.

load functions
load qemu
load command
load images

setup() {
	need_command
	make_pair 4M
}

compare() { run blkverify compare "$@" "$TARGET" "$SHADOW"; }

# ---- what differs ----

@test "the same" {
	compare
	assert_clean
	assert_says "same contents: 4194304 bytes, 0 of them holes in both"
	[ "$(wc -l <<<"$output")" = 1 ]
}

@test "one byte, anywhere" {
	local at
	for at in 0 511 512 65535 65536 1048575 1048576 2500000 4194303; do
		damage_target "$at"
		compare
		assert_status 1
		assert_says "sectors $((at / 512))-$((at / 512)) (1), bytes $at-$at, 1 differ" \
			"contents mismatch in sector $((at / 512)) at offset $at: 1 run, 1 sector, 1 byte"
		damage_target "$at"
	done
	compare
	assert_status 0
}

@test "runs of sectors, joined over the pieces it reads" {
	fill "$TARGET" 0 4194304 00
	fill "$SHADOW" 0 4194304 00
	# two sectors on either side of a piece's end, then one whole sector of distance
	fill "$TARGET" $((1048576 - 600)) 1200 11
	fill "$TARGET" $((1048576 + 3 * 512)) 100 22
	fill "$SHADOW" 3000000 700000 33
	compare
	assert_status 1
	assert_says "sectors 2046-2049 (4), bytes 1047976-1049175, 1200 differ" \
		"sectors 2051-2051 (1), bytes 1050112-1050211, 100 differ" \
		"sectors 5859-7226 (1368), bytes 3000000-3699999, 700000 differ" \
		"contents mismatch in sector 2046 at offset 1047976: 3 runs, 1373 sectors, 701300 bytes"
	[ "$(wc -l <<<"$output")" = 4 ]
}

@test "every other sector, all of them listed in order" {
	local i
	fill "$TARGET" 0 4194304 00
	cp "$TARGET" "$SHADOW"
	python3 - "$TARGET" <<-'END'
		import sys
		with open(sys.argv[1], "r+b") as f:
		    for i in range(0, 8192, 2):
		        f.seek(i * 512 + 7)
		        f.write(b"x")
	END
	compare
	assert_status 1
	[ "$(sed -n 's/^sectors \([0-9]*\)-.*/\1/p' <<<"$output" | tr '\n' ' ')" = "$(seq -s ' ' 0 2 8190) " ]
	assert_says "contents mismatch in sector 0 at offset 7: 4096 runs, 4096 sectors, 4096 bytes"
}

@test "an image whose last sector is not whole" {
	truncate -s 1000001 "$TARGET" "$SHADOW"
	compare
	assert_status 0
	damage_target 1000000
	compare
	assert_status 1
	assert_says "sectors 1953-1953 (1), bytes 1000000-1000000, 1 differ"
}

@test "nothing at all" {
	truncate -s 0 "$TARGET" "$SHADOW"
	compare
	assert_status 0
	assert_says "same contents: 0 bytes, 0 of them holes in both"
}

@test "lengths that differ" {
	truncate -s 4M "$TARGET"
	truncate -s 5M "$SHADOW"
	compare
	assert_status 1
	assert_says "size mismatch 4194304 != 5242880: target is 1048576 bytes shorter than shadow" \
		"same contents: 4194304 bytes, 0 of them holes in both"
	truncate -s 6000000 "$TARGET"
	damage_target 700
	compare
	assert_status 1
	assert_says "size mismatch 6000000 != 5242880: target is 757120 bytes longer than shadow" \
		"contents mismatch in sector 1 at offset 700: 1 run, 1 sector, 1 byte"
}

# ---- options ----

@test "--sector-size, and BLKVERIFY_SECTOR_SIZE" {
	damage_target 70000
	compare --sector-size 4096
	assert_says "contents mismatch in sector 17 at offset 70000: 1 run, 1 sector, 1 byte"
	compare --sector-size=65536
	assert_says "sectors 1-1 (1), bytes 70000-70000, 1 differ"
	BLKVERIFY_SECTOR_SIZE=8192 compare
	assert_says "contents mismatch in sector 8 at offset 70000: 1 run, 1 sector, 1 byte"
	BLKVERIFY_SECTOR_SIZE=8192 compare --sector-size 512
	assert_says "contents mismatch in sector 136 at offset 70000: 1 run, 1 sector, 1 byte"
}

@test "bad options and operands" {
	local size
	for size in 0 511 1000 131072 x 512x "" 99999999999999999999; do
		compare --sector-size "$size"
		assert_trouble 2 "--sector-size=$size"
		BLKVERIFY_SECTOR_SIZE=$size compare
		assert_trouble 2 "BLKVERIFY_SECTOR_SIZE=$size"
	done
	compare --no-such
	assert_trouble 2 --no-such
	compare --json=yes
	assert_trouble 2 "--json=yes: takes no value"
	run blkverify compare "$TARGET" "$SHADOW" --sector-size
	assert_trouble 2 --sector-size
	run blkverify compare "$TARGET"
	assert_trouble 2 SHADOW
	compare "$TARGET"
	assert_trouble 2 SHADOW
}

@test "--help, -h, --version" {
	run blkverify compare --help
	assert_status 0
	[[ $output == "usage: blkverify compare"* ]]
	for option in --format --object --json --sector-size --version; do grep -q -e "$option" <<<"$output"; done
	compare -h
	[ "$status" = 0 ] && [[ $output == "usage: blkverify compare"* ]]
	run blkverify compare --version
	[ "$status" = 0 ] && [[ $output == "blkverify "[0-9]* ]]
}

@test "options in any order" {
	damage_target 0
	run blkverify compare "$TARGET" --sector-size 4096 "$SHADOW" --json
	assert_status 1
	[ "$(jq -r .sector_size <<<"$output")" = 4096 ]
}

# ---- JSON ----

json() { jq -r "$1" <<<"$output"; }

@test "--json" {
	compare --json
	assert_status 0
	[ "$(json '.result, .differing_runs, (.runs | length), (.unknown | length), .target.length, .holes' | xargs)" = \
		"same 0 0 0 4194304 0" ]
	[ "$(json .target.path)" = "$TARGET" ]
	[ "$(json .shadow.path)" = "$SHADOW" ]
	fill "$SHADOW" 1000000 1000 77
	fill "$TARGET" 1000000 1000 66
	damage_target 3000000
	truncate -s 5M "$SHADOW"
	compare --json
	assert_status 1
	[ "$(json '.result, .differing_runs, .differing_sectors, .differing_bytes, .shadow.length' | xargs)" = \
		"different 2 4 1001 5242880" ]
	[ "$(json '.runs[0] | .sector, .sectors, .offset, .length, .bytes, .unknown' | xargs)" = "1953 3 1000000 1000 1000 none" ]
	[ "$(json '.runs[1] | .sector, .sectors, .offset, .length, .bytes' | xargs)" = "5859 1 3000000 1 1" ]
}

@test "--json of paths that are not text" {
	mv "$TARGET" "$BATS_TEST_TMPDIR/a \"b\"
\\c"
	TARGET="$BATS_TEST_TMPDIR/a \"b\"
\\c"
	compare --json
	assert_status 0
	[ "$(json .target.path)" = "$TARGET" ]
	mv "$TARGET" "$BATS_TEST_TMPDIR/"$'\xff\xfe'
	TARGET=$BATS_TEST_TMPDIR/$'\xff\xfe'
	compare --json
	assert_status 0
	[ "$(json .target.path)" = "$BATS_TEST_TMPDIR/\\xff\\xfe" ]
}

# ---- holes ----

@test "holes in both are passed over" {
	truncate -s 0 "$TARGET" "$SHADOW"
	truncate -s 3T "$TARGET" "$SHADOW"
	fill "$TARGET" 2999999999999 1 01
	SECONDS=0
	compare
	assert_status 1
	assert_says "sectors 5859374999-5859374999 (1), bytes 2999999999999-2999999999999, 1 differ"
	fill "$SHADOW" 2999999999999 1 01
	compare
	assert_status 0
	[[ $output == "same contents: 3298534883328 bytes, 32985348"*" of them holes in both" ]]
	[ "$SECONDS" -lt 20 ]
}

@test "a lost extent is a hole, and is found" {
	fallocate --punch-hole --offset 1M --length 64K "$TARGET"
	compare
	assert_status 1
	[[ $output == *"contents mismatch in sector 2048 at offset 1048576: "* ]]
	# zeros that are stored are the same as a hole
	fill "$TARGET" 1048576 65536 00
	fill "$SHADOW" 1048576 65536 00
	compare
	assert_status 0
	fallocate --punch-hole --offset 1M --length 64K "$SHADOW"
	compare
	assert_status 0
}

@test "data and holes that alternate, of either side" {
	local i
	truncate -s 0 "$TARGET" "$SHADOW"
	truncate -s 8M "$TARGET" "$SHADOW"
	for i in 0 5 11 64 65 100 127; do
		fill "$TARGET" $((i * 65536 + 4096 * (i % 16))) 4096 "$(printf %02x $((i + 1)))"
		fill "$SHADOW" $((i * 65536 + 4096 * (i % 16))) 4096 "$(printf %02x $((i + 1)))"
	done
	compare
	assert_status 0
	for i in 3 64 90; do
		fill "$SHADOW" $((i * 65536 + 30000)) 1 ff
		fill "$TARGET" $((i * 65536 + 40000)) 1 ff
	done
	compare
	[ "$(grep -c ^sectors <<<"$output")" = 6 ]
	assert_says "sectors 11578-11578 (1), bytes 5928240-5928240, 1 differ" \
		"sectors 442-442 (1), bytes 226608-226608, 1 differ"
}

# ---- block devices ----

@test "two block devices" {
	local target image
	make_loop_pair 1M
	target=$LOOP image=$IMAGE
	attach_loop "$SHADOW"
	TARGET=$target SHADOW=$LOOP compare
	assert_clean
	assert_says "same contents: 1048576 bytes, 0 of them holes in both"
	damage "$image" 700000
	TARGET=$target SHADOW=$LOOP compare
	assert_status 1
	assert_says "contents mismatch in sector 1367 at offset 700000: 1 run, 1 sector, 1 byte"
	TARGET=$target SHADOW=$target compare
	assert_trouble 2 "$target: is its own shadow"
}

@test "a device longer than the other" {
	make_loop_pair 1M
	truncate -s 1000001 "$SHADOW"
	compare
	assert_status 1
	assert_says "size mismatch 1048576 != 1000001: target is 48575 bytes longer than shadow" \
		"same contents: 1000001 bytes, 0 of them holes in both"
}

# ---- what it reads ----

# stale_target: a device whose damage nobody sees who reads the pages that are cached
stale_target() {
	make_loop_pair 4M
	exec {HELD}<"$LOOP"
	cat "$LOOP" >/dev/null
	damage "$IMAGE" 1234567
	cmp "$LOOP" "$SHADOW"
}

@test "damage under the page cache is found" {
	stale_target
	compare
	assert_status 1
	assert_says "contents mismatch in sector 2411 at offset 1234567: 1 run, 1 sector, 1 byte"
	exec {HELD}<&-
}

@test "damage under the page cache is found where there is no O_DIRECT" {
	need_program strace
	stale_target
	# descriptor 3 is the shadow, 4 the target, which is opened once more
	run bash -c 'exec "$@" 3>&- 4>&- 5>&- 6>&-' - \
		strace -f -o "$BATS_TEST_TMPDIR/trace" -e trace=openat -P /proc/self/fd/4 -e inject=openat:error=EINVAL \
		"$BLK_COMMAND" compare "$TARGET" "$SHADOW"
	grep -q 'O_DIRECT.*INJECTED' "$BATS_TEST_TMPDIR/trace"
	assert_status 1
	assert_says "contents mismatch in sector 2411 at offset 1234567: 1 run, 1 sector, 1 byte"
	exec {HELD}<&-
}

@test "what is read wrong is found" {
	LD_PRELOAD="$BLK_SNIPPETS/corrupt.so" FAULT_FILE=$TARGET FAULT_AT=2000000 compare
	assert_status 1
	assert_says "contents mismatch in sector 3906 at offset 2000000: 1 run, 1 sector, 1 byte"
}

@test "a read that fails is no difference" {
	damage_target 100
	LD_PRELOAD="$BLK_SNIPPETS/fail.so" FAULT_FILE=$TARGET FAULT_OP=read FAULT_SKIP=2 compare
	assert_status 2
	[[ $output == *"blkverify: $TARGET: read at offset "*": Input/output error"* ]]
	LD_PRELOAD="$BLK_SNIPPETS/fail.so" FAULT_FILE=$SHADOW FAULT_OP=read compare --json
	assert_status 2
	[[ $output == *"blkverify: $SHADOW: read at offset 0: Input/output error"* ]]
	[ "$(grep -v ^blkverify: <<<"$output" | jq -r .result)" = trouble ]
}

# ---- what cannot be compared ----

@test "what is not there, is no image, or may not be read" {
	run blkverify compare "$BATS_TEST_TMPDIR/none" "$SHADOW"
	assert_trouble 2 "$BATS_TEST_TMPDIR/none: does not exist"
	run blkverify compare "$TARGET" "$BATS_TEST_TMPDIR/none"
	assert_trouble 2 "$BATS_TEST_TMPDIR/none: does not exist"
	run blkverify compare "$BATS_TEST_TMPDIR" "$SHADOW"
	assert_trouble 2 "$BATS_TEST_TMPDIR: is a directory"
	run blkverify compare "$TARGET" /dev/zero
	assert_trouble 2 "/dev/zero: neither"
	mkfifo "$BATS_TEST_TMPDIR/pipe"
	run timeout 5 "$BLK_COMMAND" compare "$BATS_TEST_TMPDIR/pipe" "$SHADOW"
	assert_trouble 2 "pipe: neither"
	command_for_nobody
	chmod 0 "$TARGET"
	run as_nobody "$BLK_COMMAND" compare "$TARGET" "$SHADOW"
	assert_trouble 2 "$TARGET: permission denied"
}

@test "an image with itself" {
	ln "$TARGET" "$TARGET.link"
	ln -s "$TARGET" "$TARGET.symlink"
	for name in "$TARGET" "$TARGET.link" "$TARGET.symlink"; do
		run blkverify compare "$TARGET" "$name"
		assert_trouble 2 "$TARGET: is its own shadow"
	done
	cp "$TARGET" "$TARGET.copy"
	run blkverify compare "$TARGET" "$TARGET.copy"
	assert_clean
}

@test "an output that takes nothing" {
	run bash -c '"$@" >/dev/full' - "$BLK_COMMAND" compare "$TARGET" "$SHADOW"
	assert_trouble 2 "standard output"
	# who reads it has seen enough
	run bash -c '"$@" 2>"$0" | head -n 1; echo "status=${PIPESTATUS[0]}"' "$TMPDIR/said" "$BLK_COMMAND" inspect --sector 0 --count 8192 "$TARGET" "$SHADOW"
	[[ ${lines[0]} == target* && ${lines[1]} == status=141 && ! -s "$TMPDIR/said" ]] || fail_with "$(cat "$TMPDIR/said")"
}

# ---- what the runs before left ----

# torn_write OFFSET LENGTH: a run whose write failed halfway, so that what stands there is not known
torn_write() {
	BLKVERIFY_ON_ERROR=pass FAULT_OP=write FAULT_TORN=1 run shim_with fail \
		diskio open "$TARGET" rw write "$1" "$2" "${3:-aa}"
	assert_silent 1
}

@test "what is not known is told" {
	shim diskio open "$TARGET" rw write 0 4096 aa
	compare
	assert_clean
	[[ $output != *known* ]]
	torn_write 65536 4096
	compare
	assert_status 1
	assert_says "not known: sectors 128-135, bytes 65536-69631" \
		"contents not known in 1 range, 4096 bytes: a difference there proves nothing" \
		"1 of them where contents are not known"
	[[ $output == *$'\nsectors 128-'*"; all of it not known"$'\n'* ]]
	# of a run that goes on beyond it, a part
	fill "$TARGET" 69632 100 11
	fill "$TARGET" 1000000 100 11
	fill "$SHADOW" 65536 4500 22
	fill "$SHADOW" 1000000 100 22
	compare
	assert_status 1
	[[ $output == *$'\nsectors 128-136'*"; part of it not known"$'\n'* ]]
	assert_says "sectors 1953-1953 (1), bytes 1000000-1000099, 100 differ"
	compare --json
	[ "$(json '(.unknown[] | .offset, .length), (.runs[] | .unknown)' | xargs)" = "65536 4096 part none" ]
}

@test "what a killed run was writing is not known" {
	background env LD_PRELOAD="$BLK_LIB $BLK_SNIPPETS/delay.so" FAULT_FILE="$TARGET" FAULT_DELAY=$SLOWER \
		BLKVERIFY_TARGET="$TARGET" BLKVERIFY_SHADOW="$SHADOW" diskio open "$TARGET" rw write 8192 512 aa
	until_true 10 test -e "$SHADOW.bvstate"
	sleep 0.1
	compare
	assert_status 0
	assert_one_line "$SHADOW: in use by a running program"
	kill -9 "$PID"
	wait_for_background
	compare
	assert_clean
	assert_says "not known: sectors 16-16, bytes 8192-8703"
	# it was a look: the next run learns of it as well
	run shim diskio open "$TARGET" r
	[[ $output == *"contents unknown"* ]]
}

@test "the state file of another shadow is not believed" {
	torn_write 65536 4096
	cp "$SHADOW" "$SHADOW.new"
	cp "$SHADOW.bvstate" "$SHADOW.new.bvstate"
	run blkverify compare "$TARGET" "$SHADOW.new"
	assert_status 1
	assert_one_line "$SHADOW.new: state file: of another shadow"
	[[ $output != *known* ]]
}

# ---- a terminal, and somebody at it ----

@test "a progress bar on a terminal, and none elsewhere" {
	run slowly on_terminal "$BLK_COMMAND" compare "$TARGET" "$SHADOW"
	assert_status 0
	bar_moved
	# it is gone in the end, and nothing stands behind the result
	[[ $output == *$' \r'"same contents: "* ]]
	run slowly "$BLK_COMMAND" compare "$TARGET" "$SHADOW"
	assert_clean
	! has_bar
}

@test "Ctrl-C" {
	DELAY=$SLOW INTERRUPT=0.1 run slowly on_terminal "$BLK_COMMAND" compare "$TARGET" "$SHADOW"
	assert_status 130
	[[ $output != *"same contents"* ]]
}
