#!/usr/bin/env bats
# Configuration: what is wrong is said in one line, before the program's main has run.

load functions
load qemu

setup() {
	make_pair 64K
}

# refuses VARIABLE VALUE [CMD...]: with that setting nothing of the program runs
refuses() {
	run env "$1=$2" bash -c 'LD_PRELOAD=$0 exec diskio say main' "$BLK_LIB"
	assert_bad_config "$1" "$2" || fail_with "setting: $1=$2" || return
	[[ $output != *$'\n'main* && $output != main* ]] || fail_with "$1=$2: main ran"
}

# refuses_values VARIABLE VALUE...
refuses_values() {
	local variable=$1 value
	shift
	for value; do
		BLKVERIFY_TARGET=$TARGET BLKVERIFY_SHADOW=$SHADOW refuses "$variable" "$value" || return
	done
}

# accepts_values VARIABLE VALUE...: the twin, so that refuses_values is not about something else
accepts_values() {
	local variable=$1 value
	shift
	for value; do
		run env "$variable=$value" BLKVERIFY_TARGET="$TARGET" BLKVERIFY_SHADOW="$SHADOW" \
			bash -c 'LD_PRELOAD=$0 exec diskio say main open "$1" rw read 0 512 write 0 0 00' "$BLK_LIB" "$TARGET"
		[ "$status" = 0 ] && [[ $output == *main* ]] || fail_with "refused: $variable=$value" || return
	done
}

# ---- the variables one by one ----

@test "BLKVERIFY_MODE" {
	accepts_values BLKVERIFY_MODE sync pool
	refuses_values BLKVERIFY_MODE fast SYNC "sync " "" syn synchronous
}

@test "BLKVERIFY_THREADS" {
	accepts_values BLKVERIFY_THREADS 1 256
	refuses_values BLKVERIFY_THREADS 0 257 -1 four 4x 4.5 99999999999999999999 4294967297 " 4" ""
}

@test "BLKVERIFY_QUEUE" {
	accepts_values BLKVERIFY_QUEUE 64M 1G 512K 1048576
	refuses_values BLKVERIFY_QUEUE much 64X 64MM -1 -64M 1e6 99999999999G 18446744073709551616 ""
}

@test "BLKVERIFY_SECTOR_SIZE" {
	accepts_values BLKVERIFY_SECTOR_SIZE 512 4096 65536
	refuses_values BLKVERIFY_SECTOR_SIZE 0 1 256 513 1000 131072 -512 sector 4294967808 ""
}

@test "BLKVERIFY_ON_MISMATCH" {
	accepts_values BLKVERIFY_ON_MISMATCH abort exit eio stop log
	refuses_values BLKVERIFY_ON_MISMATCH Abort ignore EIO "log " "abort,log" ""
}

@test "BLKVERIFY_ON_ERROR" {
	accepts_values BLKVERIFY_ON_ERROR mismatch pass
	refuses_values BLKVERIFY_ON_ERROR eio Pass mismatches ""
}

@test "BLKVERIFY_ON_UNVERIFIED" {
	accepts_values BLKVERIFY_ON_UNVERIFIED refuse warn abort
	refuses_values BLKVERIFY_ON_UNVERIFIED pass log Refuse ""
}

@test "BLKVERIFY_MMAP" {
	accepts_values BLKVERIFY_MMAP memfd refuse
	refuses_values BLKVERIFY_MMAP yes anonymous 1 ""
}

@test "BLKVERIFY_TRAP, BLKVERIFY_JOURNAL_DATA and BLKVERIFY_STATS" {
	accepts_values BLKVERIFY_TRAP 0 1
	accepts_values BLKVERIFY_STATS 0 1
	refuses_values BLKVERIFY_TRAP 2 yes -1 01 ""
	refuses_values BLKVERIFY_JOURNAL_DATA 2 yes ""
	refuses_values BLKVERIFY_STATS 2 yes true ""
}

@test "BLKVERIFY_HISTORY" {
	accepts_values BLKVERIFY_HISTORY 0 1 1048576
	refuses_values BLKVERIFY_HISTORY -1 1048577 many 16k7 99999999999999999999 ""
}

@test "BLKVERIFY_LOG, BLKVERIFY_REPORT and BLKVERIFY_JOURNAL that cannot be made" {
	local variable
	for variable in BLKVERIFY_LOG BLKVERIFY_REPORT BLKVERIFY_JOURNAL; do
		refuses_values "$variable" "$BATS_TEST_TMPDIR/none/log" "$BATS_TEST_TMPDIR" ""
	done
	accepts_values BLKVERIFY_LOG "$BATS_TEST_TMPDIR/log" "$BATS_TEST_TMPDIR/log.%p"
}

@test "a log, report or journal that is the target or its shadow" {
	local variable before after
	before=$(cat "$TARGET" "$SHADOW" | sha256sum)
	for variable in BLKVERIFY_LOG BLKVERIFY_REPORT BLKVERIFY_JOURNAL; do
		refuses_values "$variable" "$TARGET" "$SHADOW"
	done
	after=$(cat "$TARGET" "$SHADOW" | sha256sum)
	[ "$before" = "$after" ]
}

@test "a variable that does not exist" {
	local variable
	for variable in BLKVERIFY_SHADOWS BLKVERIFY_ON_MISMATCHES BLKVERIFY_ BLKVERIFY_target BLKVERIFY_MODES; do
		run env "$variable=1" BLKVERIFY_TARGET="$TARGET" BLKVERIFY_SHADOW="$SHADOW" LD_PRELOAD="$BLK_LIB" diskio say main
		assert_bad_config "$variable"
		[[ $output != *$'\n'main* ]]
	done
}

@test "a misspelt BLKVERIFY_TARGET" {
	run env BLKVERIFY_TARGETS="$TARGET" BLKVERIFY_SHADOW="$SHADOW" LD_PRELOAD="$BLK_LIB" diskio say main
	assert_bad_config BLKVERIFY_TARGETS
	[[ $output != *$'\n'main* ]]
}

@test "the line goes to the log when there is one" {
	local log="$BATS_TEST_TMPDIR/log"
	BLKVERIFY_LOG=$log BLKVERIFY_MODE=fast run shim diskio say main
	assert_status 125
	[ -z "$output" ] || [ "$(blk_lines)" = "$(cat "$log")" ]
	grep -q '^blkverify: .*BLKVERIFY_MODE.*fast' "$log"
	[ "$(wc -l <"$log")" = 1 ]
}

# ---- the two lists ----

@test "inert without BLKVERIFY_TARGET" {
	fill "$SHADOW" 0 512 55
	run env LD_PRELOAD="$BLK_LIB" diskio open "$TARGET" rw read 0 4096 write 0 512 aa
	assert_clean
	[ "$output" = $'read = 4096\nwrite = 512' ]
	[ ! -e "$SHADOW.bvstate" ]
	# the twin
	run shim diskio open "$TARGET" rw read 0 4096
	assert_mismatch read 0 0
}

@test "BLKVERIFY_SHADOW is required" {
	run env LD_PRELOAD="$BLK_LIB" BLKVERIFY_TARGET="$TARGET" diskio say main
	assert_bad_config BLKVERIFY_SHADOW
	[[ $output != *main ]]
}

@test "lists of unequal length" {
	local target=$TARGET shadow=$SHADOW
	make_pair 64K other
	BLKVERIFY_TARGET="$target:$TARGET" BLKVERIFY_SHADOW="$shadow" run shim diskio say main
	assert_bad_config BLKVERIFY_SHADOW "$shadow"
	BLKVERIFY_TARGET="$target" BLKVERIFY_SHADOW="$shadow:$SHADOW" run shim diskio say main
	assert_bad_config BLKVERIFY_SHADOW "$shadow:$SHADOW"
	BLKVERIFY_TARGET="$target:$TARGET" BLKVERIFY_SHADOW="$shadow:$SHADOW" run shim diskio say main
	assert_clean
}

@test "empty list and empty elements" {
	BLKVERIFY_TARGET="" run shim diskio say main
	assert_bad_config BLKVERIFY_TARGET
	BLKVERIFY_SHADOW="" run shim diskio say main
	assert_bad_config BLKVERIFY_SHADOW
	BLKVERIFY_TARGET="$TARGET:" run shim diskio say main
	assert_bad_config BLKVERIFY_TARGET "$TARGET:"
	BLKVERIFY_SHADOW=":$SHADOW" run shim diskio say main
	assert_bad_config BLKVERIFY_SHADOW ":$SHADOW"
}

@test "an image that belongs to two pairs" {
	local target=$TARGET shadow=$SHADOW
	make_pair 64K other
	# a target twice, a shadow twice, one pair's shadow as the other's target
	BLKVERIFY_TARGET="$target:$target" BLKVERIFY_SHADOW="$shadow:$SHADOW" run shim diskio say main
	assert_bad_config BLKVERIFY_TARGET
	BLKVERIFY_TARGET="$target:$TARGET" BLKVERIFY_SHADOW="$shadow:$shadow" run shim diskio say main
	assert_bad_config BLKVERIFY_SHADOW
	BLKVERIFY_TARGET="$target:$shadow" BLKVERIFY_SHADOW="$shadow:$SHADOW" run shim diskio say main
	assert_bad_config BLKVERIFY_
}

# ---- shadows ----

@test "a shadow that is missing, a directory, a fifo or a character device" {
	local fifo="$BATS_TEST_TMPDIR/fifo" shadow
	mkfifo "$fifo"
	for shadow in "$BATS_TEST_TMPDIR/none" "$BATS_TEST_TMPDIR" "$fifo" /dev/null /dev/zero; do
		BLKVERIFY_TARGET=$TARGET refuses BLKVERIFY_SHADOW "$shadow"
	done
}

@test "a target that is a directory or a character device" {
	local target
	for target in "$BATS_TEST_TMPDIR" /dev/null; do
		BLKVERIFY_SHADOW=$SHADOW refuses BLKVERIFY_TARGET "$target"
	done
}

@test "a shadow that is the target" {
	ln "$TARGET" "$BATS_TEST_TMPDIR/hard"
	ln -s "$TARGET" "$BATS_TEST_TMPDIR/soft"
	local shadow
	for shadow in "$TARGET" "$BATS_TEST_TMPDIR/./disk.img" "$BATS_TEST_TMPDIR/hard" "$BATS_TEST_TMPDIR/soft"; do
		BLKVERIFY_SHADOW=$shadow run shim diskio say main
		# the line names one of the two
		assert_bad_config = "$TARGET" || assert_bad_config BLKVERIFY_SHADOW "$shadow"
		lacks '^main'
	done
}

@test "a shadow of another length" {
	cd "$BATS_TEST_TMPDIR"
	truncate -s 1M raw.img
	truncate -s 2M test.img
	BLKVERIFY_TARGET=test.img BLKVERIFY_SHADOW=raw.img run shim diskio say main
	assert_status 125
	[ "$output" = "blkverify: BLKVERIFY_SHADOW=raw.img: 1048576 bytes, target has 2097152" ]
	truncate -s 2M raw.img
	BLKVERIFY_TARGET=test.img BLKVERIFY_SHADOW=raw.img run shim diskio say main
	assert_clean
}

@test "a shadow that may not be read" {
	open_to_nobody
	chmod 600 "$SHADOW"
	[ "$(id -u)" = 0 ] || chmod 000 "$SHADOW"
	run as_nobody env LD_PRELOAD="$BLK_LIB" BLKVERIFY_TARGET="$TARGET" BLKVERIFY_SHADOW="$SHADOW" diskio say main
	assert_bad_config BLKVERIFY_SHADOW "$SHADOW"
	[[ $output != *$'\n'main* ]]
	chmod 666 "$SHADOW" "$TARGET"
	run as_nobody env LD_PRELOAD="$BLK_LIB" BLKVERIFY_TARGET="$TARGET" BLKVERIFY_SHADOW="$SHADOW" \
		diskio open "$TARGET" rw read 0 512 write 0 512 aa
	assert_clean
	assert_same_contents
}

# cannot_write_through CMD...: the target may be written, the shadow may not: said in one line, nothing is lost
cannot_write_through() {
	local before
	before=$(sha256sum <"$TARGET")
	run "$@" diskio open "$TARGET" rw write 0 512 aa read 0 512
	[ "$status" != 0 ] || fail_with "a write without a shadow went through" || return
	assert_one_line "$SHADOW" || return
	[ "$before" = "$(sha256sum <"$TARGET")" ] || fail_with "the target was written"
}

@test "a shadow that may not be written, with a target that may" {
	open_to_nobody
	chmod 444 "$SHADOW"
	chmod 666 "$TARGET"
	cannot_write_through as_nobody env LD_PRELOAD="$BLK_LIB" BLKVERIFY_TARGET="$TARGET" BLKVERIFY_SHADOW="$SHADOW"
}

@test "a shadow on a file system that is read-only" {
	mount_small 4M
	cp "$SHADOW" "$SMALL/shadow"
	SHADOW="$SMALL/shadow"
	mount -o remount,ro "$SMALL"
	cannot_write_through shim
}

@test "the shadow's directory may not be written" {
	open_to_nobody
	mkdir "$BATS_TEST_TMPDIR/closed"
	cp "$SHADOW" "$BATS_TEST_TMPDIR/closed/shadow"
	SHADOW="$BATS_TEST_TMPDIR/closed/shadow"
	chmod 666 "$SHADOW" "$TARGET"
	chmod 555 "$BATS_TEST_TMPDIR/closed"
	[ "$(id -u)" = 0 ] || skip "this user owns the directory"
	run as_nobody env LD_PRELOAD="$BLK_LIB" BLKVERIFY_TARGET="$TARGET" BLKVERIFY_SHADOW="$SHADOW" \
		diskio open "$TARGET" rw write 0 512 aa read 0 65536
	assert_clean
	assert_same_contents
	damage_shadow 4096
	run as_nobody env LD_PRELOAD="$BLK_LIB" BLKVERIFY_TARGET="$TARGET" BLKVERIFY_SHADOW="$SHADOW" \
		diskio open "$TARGET" rw write 0 512 aa read 0 65536
	assert_mismatch read 8 4096
}

@test "a disk that fills up under the shadow" {
	mount_small 12M
	truncate -s 32M "$TARGET"
	fill "$TARGET" 0 65536 00
	SHADOW="$SMALL/shadow"
	truncate -s 32M "$SHADOW"
	local writes=() at
	for ((at = 0; at < 32; at++)); do writes+=(write $((at << 20)) 1048576 aa); done
	run shim diskio open "$TARGET" rw "${writes[@]}"
	assert_status 134
	assert_first_line "[Ss]hadow"
	[[ $(blk_lines) == *"$SHADOW"* ]]
	[[ $output != *"write = -1"* ]] || fail_with "the program was given the shadow's failure"
	# the twin: enough space
	rm -f "$SHADOW.bvstate"
	mount -o remount,size=64M "$SMALL"
	truncate -s 0 "$SHADOW" "$TARGET"
	truncate -s 32M "$SHADOW" "$TARGET"
	run shim diskio open "$TARGET" rw "${writes[@]}"
	assert_clean
	assert_same_contents
}

@test "a disk that is full under the shadow from the start" {
	mount_small 1M
	SHADOW="$SMALL/shadow"
	truncate -s 64K "$SHADOW"
	truncate -s 0 "$TARGET"
	truncate -s 64K "$TARGET"
	head -c 2M /dev/zero >"$SMALL/ballast" 2>/dev/null || :
	# the state file finds no room there; whatever comes of it, it is no crash and no lost byte
	run shim diskio open "$TARGET" rw read 0 65536 write 0 4096 aa
	case $status in
	125 | 134) ;;
	*) fail_with "expected a refusal or a shadow failure" ;;
	esac
	assert_first_line "."
	[[ $output != *"write = -1"* ]] || fail_with "the program was given the shadow's failure"
}

@test "a shadow that is cut short under the run" {
	run shim diskio open "$TARGET" r read 32768 4096
	assert_clean
	# diskio waits, the shadow shrinks, the read comes
	background_shim diskio open "$TARGET" r read 32768 4096 say ready sleep 1500 read 32768 4096 say after
	until_true 10 background_says ready
	truncate -s 4096 "$SHADOW"
	wait_for_background
	assert_status 134
	assert_first_line "."
	in_sync lacks after
}

# ---- paths ----

# works_with TARGET SHADOW LISTED_TARGET LISTED_SHADOW: the pair at these paths is found by these list elements
works_with() {
	cp "$BATS_TEST_TMPDIR/disk.img" "$1" && cp "$BATS_TEST_TMPDIR/disk.shadow" "$2" || return
	BLKVERIFY_TARGET=$3 BLKVERIFY_SHADOW=$4 run shim diskio open "$1" rw read 0 4096 write 512 512 aa
	assert_clean || return
	cmp "$1" "$2" || return
	damage "$2" 1000
	BLKVERIFY_TARGET=$3 BLKVERIFY_SHADOW=$4 run shim diskio open "$1" rw read 0 4096
	assert_mismatch read 1 1000
}

@test "paths with spaces" {
	local dir="$BATS_TEST_TMPDIR/a b  c"
	mkdir "$dir"
	works_with "$dir/ disk " "$dir/ shadow " "$dir/ disk " "$dir/ shadow "
}

@test "paths with colons and backslashes" {
	local dir="$BATS_TEST_TMPDIR"
	works_with "$dir/a:b" "$dir/c:d:" "$dir/a\\:b" "$dir/c\\:d\\:"
	works_with "$dir/a\\b" "$dir/c\\" "$dir/a\\\\b" "$dir/c\\\\"
}

@test "a backslash that escapes nothing stands for itself" {
	local dir="$BATS_TEST_TMPDIR"
	works_with "$dir/a\\b" "$dir/c\\" "$dir/a\\b" "$dir/c\\"
}

@test "paths with newlines stay on their line" {
	local dir="$BATS_TEST_TMPDIR"
	works_with "$dir/a"$'\n'"b" "$dir/c"$'\n' "$dir/a"$'\n'"b" "$dir/c"$'\n'
	# no line of the report begins with the rest of a name
	[ -z "$(grep -v -e '^blkverify: ' -e '^read = ' <<<"$output")" ] || fail_with "a name broke a line"
	BLKVERIFY_SHADOW="$dir/no"$'\n'"ne" run shim diskio say main
	assert_status 125
	[ "$(wc -l <<<"$output")" = 1 ]
}

@test "long paths" {
	local dir="$BATS_TEST_TMPDIR" part
	part=$(printf '%0200d' 0)
	# 3,000 bytes and more
	while [ "${#dir}" -lt 3000 ]; do dir+="/$part"; done
	mkdir -p "$dir"
	works_with "$dir/disk" "$dir/shadow" "$dir/disk" "$dir/shadow"
	# longer than any path may be
	BLKVERIFY_SHADOW=$(printf '/%05000d' 0) run shim diskio say main
	assert_bad_config BLKVERIFY_SHADOW 00000000
}

@test "relative paths hold where the program started" {
	mkdir "$BATS_TEST_TMPDIR/elsewhere"
	cp "$TARGET" "$BATS_TEST_TMPDIR/elsewhere/disk.img"
	cd "$BATS_TEST_TMPDIR"
	BLKVERIFY_TARGET=disk.img BLKVERIFY_SHADOW=./disk.shadow \
		run shim diskio chdir / open "$TARGET" rw read 0 65536 write 0 512 aa
	assert_clean
	assert_same_contents
	damage_shadow 2048
	BLKVERIFY_TARGET=disk.img BLKVERIFY_SHADOW=./disk.shadow run shim diskio chdir / open "$TARGET" rw read 0 65536
	assert_mismatch read 4 2048
	# the file of that name elsewhere is another one
	BLKVERIFY_TARGET=disk.img BLKVERIFY_SHADOW=./disk.shadow run shim diskio chdir elsewhere open disk.img rw read 0 65536
	assert_clean
	# and a child that starts elsewhere still means the same pair
	BLKVERIFY_TARGET=disk.img BLKVERIFY_SHADOW=./disk.shadow \
		run shim sh -c "cd / && exec diskio open '$TARGET' rw read 0 65536"
	assert_mismatch read 4 2048
}

@test "a relative log stays where the program started" {
	damage_shadow 0
	cd "$BATS_TEST_TMPDIR"
	BLKVERIFY_LOG=log run shim sh -c "cd / && exec diskio open '$TARGET' rw read 0 512"
	assert_status 134
	grep -q '^blkverify: read sector_num=0 ' "$BATS_TEST_TMPDIR/log"
	[ ! -e /log ]
}
