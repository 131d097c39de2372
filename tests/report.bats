#!/usr/bin/env bats
# What is said when something is wrong, where it is said, and what happens then.

load functions
load qemu

setup() {
	make_pair 256K
	LOG="$BATS_TEST_TMPDIR/log"
}

# only_shim_lines FILE: every line of it begins as the shim's lines do
only_shim_lines() {
	! grep -n -v '^blkverify: ' "$1" || fail_with "a line that is not whole, in $1"
}

# ---- the text ----

@test "the first line, as QEMU's driver says it" {
	damage_shadow 66560
	run shim diskio open "$TARGET" r read 65536 4096
	assert_status 134
	[ "$(blk_lines | head -n 1)" = \
		"blkverify: read sector_num=128 nb_sectors=8 contents mismatch in sector 130 at offset 66560" ]
}

@test "the first line of requests that are not whole sectors" {
	damage_shadow 1535
	# bytes 1000 to 1999 touch sectors 1 to 3
	run shim diskio open "$TARGET" r read 1000 1000
	[ "$(blk_lines | head -n 1)" = \
		"blkverify: read sector_num=1 nb_sectors=3 contents mismatch in sector 2 at offset 1535" ]
	run shim diskio open "$TARGET" r read 1535 1
	[ "$(blk_lines | head -n 1)" = \
		"blkverify: read sector_num=2 nb_sectors=1 contents mismatch in sector 2 at offset 1535" ]
	# the bytes on both sides of it
	run shim diskio open "$TARGET" r read 0 1535 read 1536 1000
	assert_clean
}

@test "sectors of 4096 bytes" {
	damage_shadow 66560
	BLKVERIFY_SECTOR_SIZE=4096 run shim diskio open "$TARGET" r read 65536 4096
	[ "$(blk_lines | head -n 1)" = \
		"blkverify: read sector_num=16 nb_sectors=1 contents mismatch in sector 16 at offset 66560" ]
	BLKVERIFY_SECTOR_SIZE=65536 run shim diskio open "$TARGET" r read 0 131072
	[ "$(blk_lines | head -n 1)" = \
		"blkverify: read sector_num=0 nb_sectors=2 contents mismatch in sector 1 at offset 66560" ]
	BLKVERIFY_SECTOR_SIZE=4096 run shim diskio open "$TARGET" r read 0 65536
	assert_clean
}

@test "the lines below: pair, process, call, runs, dump" {
	fill "$TARGET" 8192 512 11
	fill "$SHADOW" 8192 512 22
	damage_shadow 9999
	run shim diskio open "$TARGET" r read 8192 4096
	assert_status 134
	local report line
	report=$(blk_lines)
	# in pool mode the program may have come to say what it got
	[ -z "$(grep -v -e '^blkverify: ' -e '^read = 4096$' <<<"$output")" ] || fail_with "a line that is not whole"
	[[ $report == *"$TARGET"* && $report == *"$SHADOW"* ]]
	grep -Eq 'process [0-9]+' <<<"$report"
	grep -q pread <<<"$report"
	# both runs, by their sectors
	grep -Eq '\b16\b' <<<"$(tail -n +2 <<<"$report")"
	grep -Eq '\b19\b' <<<"$(tail -n +2 <<<"$report")"
	grep -q 'expected.* 22 22 22 22' <<<"$report"
	grep -q 'actual.* 11 11 11 11' <<<"$report"
	grep -q lasting <<<"$report"
}

@test "a report of very many runs stays short" {
	local at
	make_pair 4M
	# every second sector
	for ((at = 0; at < 4096; at += 64)); do damage_shadow $((at * 1024)); done
	run shim diskio open "$TARGET" r read 0 4194304
	assert_mismatch read 0 0
	[ "$(wc -l <<<"$output")" -lt 200 ]
}

@test "nothing of the data reaches the terminal as it is" {
	printf '\033[31mred\001\377\n' | dd of="$TARGET" conv=notrunc status=none
	run shim diskio open "$TARGET" r read 0 512
	assert_status 134
	lacks '[^[:print:]]'
}

@test "transient and lasting" {
	# once wrong, right when read again: still reported
	FAULT_AT=512 FAULT_COUNT=1 run shim_with corrupt diskio open "$TARGET" r read 512 512
	assert_mismatch read 1 512
	[[ $(blk_lines) == *transient* && $(blk_lines) != *lasting* ]]
	FAULT_AT=512 FAULT_COUNT=1000 run shim_with corrupt diskio open "$TARGET" r read 512 512
	assert_mismatch read 1 512
	[[ $(blk_lines) == *lasting* && $(blk_lines) != *transient* ]]
	FAULT_AT=512 FAULT_COUNT=0 run shim_with corrupt diskio open "$TARGET" r read 512 512
	assert_clean
}

# ---- the five actions ----
# The barrier (sync) is for pool mode: at the latest it does not return.

@test "exit: status 1 at once" {
	damage_shadow 600
	BLKVERIFY_ON_MISMATCH=exit run shim diskio open "$TARGET" r read 512 512 sync say after
	assert_mismatch read 1 600 1
	[[ $output != *after* ]]
}

@test "eio: that call fails, the others do not" {
	damage_shadow 600
	BLKVERIFY_ON_MISMATCH=eio run shim diskio open "$TARGET" rw read 0 512 read 512 512 read 1024 512 write 512 512 aa read 512 512
	assert_mismatch read 1 600 1
	[ "$(grep -v '^blkverify' <<<"$output")" = $'read = 512\nread = -1 EIO\nread = 512\nwrite = 512\nread = 512' ]
	assert_same_contents
}

@test "eio: the file position stays" {
	damage_shadow 600
	BLKVERIFY_ON_MISMATCH=eio run shim diskio open "$TARGET" r get 512 get 512 seek 1024 get 512
	[ "$(grep -v '^blkverify' <<<"$output")" = $'get = 512\nget = -1 EIO\nseek = 1024\nget = 512' ]
}

@test "log: counts and goes on" {
	damage_shadow 600
	damage_shadow 5000
	BLKVERIFY_ON_MISMATCH=log BLKVERIFY_STATS=1 run shim diskio open "$TARGET" rw read 512 512 read 4096 4096 say after
	assert_status 0
	[[ $output == *after* && $output != *"= -1"* ]]
	[ "$(grep -c '^blkverify: read .* contents mismatch' <<<"$output")" = 2 ]
	assert_stat mismatches 2
}

# the process is stopped, whichever field of its stat says so
stopped() { [ "$(sed 's/.*) \(.\).*/\1/' "/proc/$1/stat" 2>/dev/null)" = T ]; }

# nothing is left of it but its status
gone() { [[ "$(sed 's/.*) \(.\).*/\1/' "/proc/$1/stat" 2>/dev/null)" != [!Z] ]]; }

@test "stop: stopped for a debugger, then aborts" {
	damage_shadow 600
	BLKVERIFY_ON_MISMATCH=stop background_shim diskio open "$TARGET" r read 512 512 sync say after
	until_true 10 stopped "$PID"
	# the report is complete by then
	grep -q '^blkverify: read .* in sector 1 at offset 600' "$BATS_TEST_TMPDIR/background.out"
	kill -CONT "$PID"
	wait_for_background
	assert_mismatch read 1 600
	[[ $output != *after* ]]
}

@test "stop: once, however many threads come upon something" {
	local n
	for n in 1 2 3 4 5; do
		make_pair 65536
		tr '\0-\377' '\1-\377\0' <"$TARGET" >"$SHADOW"
		BLKVERIFY_ON_MISMATCH=stop background_shim stress -t 8 -s 20 "$TARGET"
		# a thread that waits for the disk is not stopped before it has it
		until_true 60 stopped "$PID"
		# whoever else was on his way
		sleep 0.1
		kill -CONT "$PID"
		until_true 5 gone "$PID"
		wait_for_background
		assert_status 134
	done
}

@test "abort is not to be caught" {
	damage_shadow 600
	# bash ignores the signal for its child, and a handler may swallow it
	run shim bash -c 'trap "" ABRT; exec diskio open "$0" r read 512 512 sync say after' "$TARGET"
	assert_mismatch read 1 600
	[[ $output != *after* ]]
}

@test "clean twins of all five" {
	local action
	for action in abort exit eio stop log; do
		BLKVERIFY_ON_MISMATCH=$action run shim diskio open "$TARGET" rw read 0 262144 write 512 512 aa read 512 512
		assert_clean
	done
}

# ---- where lines go ----

@test "BLKVERIFY_LOG takes all lines" {
	damage_shadow 600
	BLKVERIFY_LOG=$LOG run shim diskio open "$TARGET" r read 512 512
	assert_status 134
	[[ $output != *blkverify:* ]]
	output=$(cat "$LOG")
	assert_first_line '^blkverify: read sector_num=1 nb_sectors=1 contents mismatch in sector 1 at offset 600$'
	only_shim_lines "$LOG"
}

@test "BLKVERIFY_LOG is appended to" {
	damage_shadow 600
	echo "blkverify: from before" >"$LOG"
	BLKVERIFY_LOG=$LOG run shim diskio open "$TARGET" r read 512 512
	[ "$(head -n 1 "$LOG")" = "blkverify: from before" ]
	grep -q 'offset 600' "$LOG"
}

@test "BLKVERIFY_LOG with %p: one file a process" {
	damage_shadow 600
	BLKVERIFY_LOG="$LOG.%p" BLKVERIFY_ON_MISMATCH=log run shim sh -c \
		'diskio open "$0" r read 512 512; diskio open "$0" r read 512 512 read 512 512; :' "$TARGET"
	assert_status 0
	[[ $output != *blkverify:* ]]
	local file files=0
	for file in "$LOG".*; do
		[ -s "$file" ] || continue
		only_shim_lines "$file"
		grep -Eq "process ${file##*.}\\b" "$file" || fail_with "$file is not of that process: $(cat "$file")"
		files=$((files + 1))
	done
	[ "$files" = 2 ]
}

@test "%p and a child that did not exec: nothing is lost" {
	damage_shadow 4096
	BLKVERIFY_LOG="$LOG.%p" BLKVERIFY_ON_MISMATCH=log run shim children fork "$TARGET" 4096
	assert_status 0
	[ "$(cat "$LOG".* | grep -c 'contents mismatch')" = 2 ]
	# in a file of its own, or in its parent's
	local file
	for file in "$LOG".*; do only_shim_lines "$file"; done
}

@test "standard error closed from the start" {
	damage_shadow 600
	# the first file that the program opens gets number 2: it is the target, and takes no line
	local before
	before=$(sha256sum <"$TARGET")
	run shim sh -c 'exec diskio open "$0" rw read 512 512 2>&-' "$TARGET"
	assert_status 134
	[ "$before" = "$(sha256sum <"$TARGET")" ] || fail_with "a line went into the target"
	run shim sh -c 'BLKVERIFY_LOG="$1" exec diskio open "$0" rw read 512 512 2>&-' "$TARGET" "$LOG"
	assert_status 134
	[ "$before" = "$(sha256sum <"$TARGET")" ] || fail_with "a line went into the target"
	grep -q '^blkverify: read .* offset 600$' "$LOG"
}

@test "standard error closed by the program" {
	damage_shadow 600
	local before
	before=$(sha256sum <"$TARGET")
	run shim diskio shut 2 open "$TARGET" rw read 512 512
	assert_mismatch read 1 600
	[ "$before" = "$(sha256sum <"$TARGET")" ] || fail_with "a line went into the target"
}

@test "standard error is the target" {
	local before
	damage_shadow 200000
	before=$(sha256sum <"$TARGET")
	run shim sh -c 'exec diskio open "$0" r read 196608 4096 2>>"$0"' "$TARGET"
	assert_status 134
	[ "$before" = "$(sha256sum <"$TARGET")" ] || fail_with "a line went into the target"
	# with 1<> the file is not even extended: the line would overwrite its beginning
	run shim sh -c 'exec diskio open "$0" r read 196608 4096 2<>"$0"' "$TARGET"
	assert_status 134
	[ "$before" = "$(sha256sum <"$TARGET")" ] || fail_with "a line went into the target"
}

@test "standard error becomes the target in mid-run" {
	local before
	damage_shadow 200000
	before=$(sha256sum <"$TARGET")
	run shim diskio open "$TARGET" rw dupto 2 read 196608 4096
	assert_status 134
	[ "$before" = "$(sha256sum <"$TARGET")" ] || fail_with "a line went into the target"
}

@test "standard error is the shadow" {
	local before
	damage_shadow 200000
	before=$(sha256sum <"$SHADOW")
	run shim sh -c 'exec diskio open "$0" r read 196608 4096 2<>"$1"' "$TARGET" "$SHADOW"
	[ "$status" != 0 ]
	[ "$before" = "$(sha256sum <"$SHADOW")" ] || fail_with "a line went into the shadow"
}

@test "the program's own words to a target are a write like any other" {
	run shim sh -c 'exec diskio open "$0" r read 0 100 2<>"$0" 1>&2' "$TARGET"
	assert_status 0
	assert_same_contents
	[ "$(head -c 11 "$TARGET")" = "read = 100" ]
}

@test "a full standard error does not lose the verdict" {
	damage_shadow 600
	run shim sh -c 'exec diskio open "$0" r read 512 512 2>/dev/full' "$TARGET"
	assert_status 134
	run shim sh -c 'BLKVERIFY_ON_MISMATCH=exit exec diskio open "$0" r read 512 512 2>/dev/full' "$TARGET"
	assert_status 1
}

@test "a closed pipe as standard error does not lose the verdict" {
	damage_shadow 600
	# the reader is gone before the first line
	BLKVERIFY_ON_MISMATCH=exit run bash -c '
		set +o pipefail
		{ LD_PRELOAD=$0 BLKVERIFY_TARGET=$1 BLKVERIFY_SHADOW=$2 diskio sleep 500 open "$1" r read 512 512 say after 2>&1 >"$3"
		echo "status $?" >>"$3"; } | :
		cat "$3"' "$BLK_LIB" "$TARGET" "$SHADOW" "$BATS_TEST_TMPDIR/out"
	[[ $output == *"status 1" || $output == *"status 141" ]]
	in_sync lacks after
}

@test "lines of eight processes are never interleaved" {
	local at reads=()
	for ((at = 0; at < 64; at++)); do
		damage_shadow $((at * 4096 + 100))
		reads+=(read $((at * 4096)) 4096)
	done
	BLKVERIFY_LOG=$LOG BLKVERIFY_ON_MISMATCH=log run shim sh -c '
		for n in 1 2 3 4 5 6 7 8; do diskio open "$0" r "$@" >/dev/null & done; wait' "$TARGET" "${reads[@]}"
	assert_status 0
	only_shim_lines "$LOG"
	[ "$(grep -Ec '^blkverify: read sector_num=[0-9]+ nb_sectors=8 contents mismatch in sector [0-9]+ at offset [0-9]+$' "$LOG")" = 512 ]
	# 512 whole dumps
	[ "$(grep -c 'expected' "$LOG")" -ge 512 ]
	[ "$(grep -Ec 'process [0-9]+' "$LOG")" = 512 ]
	# and through a pipe
	BLKVERIFY_ON_MISMATCH=log run shim sh -c '
		{ for n in 1 2 3 4 5 6 7 8; do diskio open "$0" r "$@" >/dev/null & done; wait; } 2>&1 | cat' "$TARGET" "${reads[@]}"
	[ "$(grep -Ec '^blkverify: read sector_num=[0-9]+ nb_sectors=8 contents mismatch in sector [0-9]+ at offset [0-9]+$' <<<"$output")" = 512 ]
	[ -z "$(grep -v '^blkverify: ' <<<"$output")" ] || fail_with "a line that is not whole"
}

@test "one report is whole, though threads meet the same damage" {
	damage_shadow 4196
	BLKVERIFY_LOG=$LOG BLKVERIFY_ON_MISMATCH=log run shim children threads "$TARGET" 4096
	assert_status 0
	only_shim_lines "$LOG"
	[ "$(grep -c 'contents mismatch in sector 8 at offset 4196$' "$LOG")" = 64 ]
	# each report's lines follow its first line
	[ "$(uniq <(sed 's/thread [0-9]*/thread N/' "$LOG" | grep -c 'thread N'))" = 64 ]
	awk '/contents mismatch/ { n++; lines[n] = 0 } { lines[n]++ } END { for (i = 2; i <= n; i++) if (lines[i] != lines[1]) exit 1 }' "$LOG"
}

# ---- the summary ----

@test "BLKVERIFY_STATS: the line is exact" {
	BLKVERIFY_STATS=1 run shim diskio open "$TARGET" rw read 0 4096 read 4096 512 write 0 1024 aa
	assert_status 0
	[ "$(grep '^blkverify: ' <<<"$output")" = \
		"blkverify: stats target=$TARGET reads=2 read_bytes=4608 writes=1 write_bytes=1024 mismatches=0 errors=0 unverified=0" ]
}

@test "BLKVERIFY_STATS: bytes that were transferred, not asked for" {
	BLKVERIFY_STATS=1 run shim diskio open "$TARGET" rw read 261632 4096 read 262144 512 read 300000 1
	assert_status 0
	assert_stat reads 3
	assert_stat read_bytes 512
}

@test "BLKVERIFY_STATS: nothing from a process that opened no target" {
	BLKVERIFY_STATS=1 run shim diskio open "$BATS_TEST_TMPDIR/other" rwc write 0 512 aa
	assert_clean
	[[ $output != *blkverify:* ]]
	BLKVERIFY_STATS=1 run shim sh -c 'diskio say idle; diskio open "$0" r read 0 512; :' "$TARGET"
	[ "$(grep -c '^blkverify: stats' <<<"$output")" = 1 ]
}

@test "BLKVERIFY_STATS: a line for each pair and process" {
	local target=$TARGET shadow=$SHADOW
	make_pair 64K second
	BLKVERIFY_STATS=1 BLKVERIFY_TARGET="$target:$TARGET" BLKVERIFY_SHADOW="$shadow:$SHADOW" \
		run shim sh -c 'diskio open "$0" r read 0 512 open "$1" r read 0 1024; diskio open "$1" r read 0 2048; :' "$target" "$TARGET"
	assert_status 0
	grep -qx "blkverify: stats target=$target reads=1 read_bytes=512 writes=0 write_bytes=0 mismatches=0 errors=0 unverified=0" <<<"$output"
	grep -qx "blkverify: stats target=$TARGET reads=1 read_bytes=1024 writes=0 write_bytes=0 mismatches=0 errors=0 unverified=0" <<<"$output"
	grep -qx "blkverify: stats target=$TARGET reads=1 read_bytes=2048 writes=0 write_bytes=0 mismatches=0 errors=0 unverified=0" <<<"$output"
}

@test "BLKVERIFY_STATS: errors" {
	BLKVERIFY_STATS=1 BLKVERIFY_ON_ERROR=pass FAULT_OP=read FAULT_COUNT=1 \
		run shim_with fail diskio open "$TARGET" r read 0 512 read 512 512
	assert_status 1
	# what was handed on is no mismatch
	assert_stat mismatches 0
	assert_stat reads 1
}

# ---- failing targets ----

@test "a read that fails is a return value mismatch" {
	FAULT_OP=read FAULT_ERRNO=EIO run shim_with fail diskio open "$TARGET" r read 1024 512
	assert_return_mismatch read -5 512
	[ "$(blk_lines | head -n 1)" = "blkverify: read sector_num=2 nb_sectors=1 return value mismatch -5 != 512" ]
	FAULT_OP=none run shim_with fail diskio open "$TARGET" r read 1024 512
	assert_clean
}

@test "a write that fails is a return value mismatch" {
	FAULT_OP=write FAULT_ERRNO=ENOSPC run shim_with fail diskio open "$TARGET" rw write 0 512 aa
	assert_return_mismatch write -28 512
	[ "$(blk_lines | head -n 1)" = "blkverify: write sector_num=0 nb_sectors=1 return value mismatch -28 != 512" ]
	new_run
	FAULT_OP=none run shim_with fail diskio open "$TARGET" rw write 0 512 aa
	assert_clean
	assert_same_contents
}

@test "a flush that fails" {
	FAULT_OP=sync FAULT_ERRNO=EIO run shim_with fail diskio open "$TARGET" rw write 0 512 aa sync
	assert_status 134
	assert_first_line '^blkverify: flush .*return value mismatch -5 != 0$'
	BLKVERIFY_ON_ERROR=pass FAULT_OP=sync FAULT_ERRNO=EIO run shim_with fail diskio open "$TARGET" rw write 0 512 aa sync
	assert_status 1
	[[ $output == *"sync = -1 EIO"* ]]
}

@test "a discard or resize that fails" {
	FAULT_OP=space FAULT_ERRNO=EIO run shim_with fail diskio open "$TARGET" rw punch 0 4096
	assert_status 134
	assert_first_line '^blkverify: (discard|zero) .*return value mismatch -5 != 0$'
	new_run
	FAULT_OP=space FAULT_ERRNO=ENOSPC run shim_with fail diskio open "$TARGET" rw truncate 1000000
	assert_status 134
	assert_first_line '^blkverify: resize .*return value mismatch -28 != 0$'
	new_run
	# that is no failure: the file system cannot do it, the program falls back
	FAULT_OP=space FAULT_ERRNO=EINVAL run shim_with fail diskio open "$TARGET" rw punch 0 4096
	assert_silent 1
	[[ $output == *"punch = -1 EINVAL"* ]]
	assert_same_contents
}

@test "a target's own disk that fills up is a mismatch, or passed on" {
	mount_small 4M
	truncate -s 8M "$SMALL/disk"
	TARGET="$SMALL/disk"
	truncate -s 0 "$SHADOW"
	truncate -s 8M "$SHADOW"
	local writes=() at
	for ((at = 0; at < 8; at++)); do writes+=(write $((at << 20)) 1048576 aa); done
	run shim diskio open "$TARGET" rw "${writes[@]}"
	assert_status 134
	assert_first_line '^blkverify: write .* return value mismatch (-28|[0-9]+) != 1048576$'
	# anew: the run above may have stopped in mid-write
	truncate -s 0 "$TARGET" "$SHADOW"
	truncate -s 8M "$TARGET" "$SHADOW"
	rm -f "$SHADOW.bvstate"
	BLKVERIFY_ON_ERROR=pass run shim diskio open "$TARGET" rw "${writes[@]}" read 0 8388608
	assert_status 1
	[[ $output == *"write = -1 ENOSPC"* && $output == *"read = 8388608"* ]]
	# twin, and more: what could be written is still verified
	damage "$SHADOW" 1000
	BLKVERIFY_ON_ERROR=pass run shim diskio open "$TARGET" r read 0 4096
	assert_mismatch read 1 1000
}

@test "EINTR, EAGAIN, EFAULT, EBADF and EINVAL are the program's own business" {
	local error
	for error in EINTR EAGAIN EINVAL EBADF EFAULT; do
		FAULT_OP=read FAULT_ERRNO=$error FAULT_COUNT=1 run shim_with fail diskio open "$TARGET" rw read 0 512 read 0 512
		assert_silent 1
		[ "$output" = "read = -1 $error"$'\nread = 512' ] || fail_with "$error"
		FAULT_OP=write FAULT_ERRNO=$error FAULT_COUNT=1 run shim_with fail diskio open "$TARGET" rw write 0 512 aa write 0 512 bb
		assert_silent 1
		[ "$output" = "write = -1 $error"$'\nwrite = 512' ] || fail_with "$error"
		assert_same_contents
	done
}

# ---- after an error that was passed on ----

@test "pass: the range is unknown, the first read learns, later ones must agree" {
	# the target keeps half of the write that failed
	BLKVERIFY_ON_ERROR=pass FAULT_OP=write FAULT_TORN=1 FAULT_COUNT=1 FAULT_ERRNO=EIO run shim_with fail \
		diskio open "$TARGET" rw write 8192 4096 aa read 0 262144 read 8192 4096
	assert_status 1
	[ "$(grep -v '^blkverify' <<<"$output")" = $'write = -1 EIO\nread = 262144\nread = 4096' ]
	lacks mismatch
	# learnt: both are the same again
	assert_same_contents
	# the twin: what was learnt must stay
	damage_target 8200
	run shim diskio open "$TARGET" r read 8192 4096
	assert_mismatch read 16 8200
}

@test "pass: unknown means that range only" {
	BLKVERIFY_ON_ERROR=pass FAULT_OP=write FAULT_COUNT=1 FAULT_ERRNO=EIO run shim_with fail \
		diskio open "$TARGET" rw write 8192 4096 aa
	assert_status 1
	damage_target 8191
	BLKVERIFY_ON_ERROR=pass run shim diskio open "$TARGET" r read 8192 4096 read 4096 8192
	assert_reported read 15 8191
}

@test "pass: later processes know it too" {
	BLKVERIFY_ON_ERROR=pass FAULT_OP=write FAULT_TORN=1 FAULT_COUNT=1 FAULT_ERRNO=EIO run shim_with fail \
		diskio open "$TARGET" rw write 8192 4096 aa
	assert_status 1
	run shim diskio open "$TARGET" r read 8192 4096
	assert_status 0
	lacks mismatch
	assert_same_contents
}

@test "pass: a write ends it" {
	BLKVERIFY_ON_ERROR=pass FAULT_OP=write FAULT_TORN=1 FAULT_COUNT=1 FAULT_ERRNO=EIO run shim_with fail \
		diskio open "$TARGET" rw write 8192 4096 aa write 8192 4096 bb
	assert_status 1
	damage_target 8200
	run shim diskio open "$TARGET" r read 8192 4096
	assert_mismatch read 16 8200
}

@test "pass: a read that fails leaves nothing unknown" {
	BLKVERIFY_ON_ERROR=pass FAULT_OP=read FAULT_COUNT=1 FAULT_ERRNO=EIO run shim_with fail \
		diskio open "$TARGET" rw read 8192 4096
	assert_status 1
	[[ $output == *"read = -1 EIO"* ]]
	assert_same_contents
}

# ---- other faults of the target ----

@test "writes that are lost are found by the next read" {
	run shim_with lose diskio open "$TARGET" rw write 8192 4096 aa read 8192 4096
	assert_status 134
	assert_first_line '^blkverify: read sector_num=16 nb_sectors=8 contents mismatch in sector 16 at offset 8192$'
	FAULT_COUNT=0 run shim_with lose diskio open "$TARGET" rw write 8192 4096 aa read 8192 4096
	assert_clean
}

@test "short reads are a return value mismatch, short writes are mirrored as far as they went" {
	FAULT_OP=read FAULT_BYTES=512 run shim_with short diskio open "$TARGET" r read 0 4096
	assert_return_mismatch read 512 4096
	# once is no more than an interruption
	FAULT_OP=read FAULT_BYTES=512 FAULT_COUNT=1 run shim_with short diskio open "$TARGET" r read 0 4096
	assert_clean
	# a short write on a regular file is an I/O failure that is still to come
	FAULT_OP=write FAULT_BYTES=512 FAULT_COUNT=1 BLKVERIFY_ON_ERROR=pass run shim_with short \
		diskio open "$TARGET" rw write 0 4096 aa read 0 4096
	assert_status 0
	[[ $output == *"write = 512"* && $output == *"read = 4096"* ]]
	lacks 'contents mismatch'
	assert_same_contents
}

@test "a target that returns more than it should" {
	# longer than the shadow since the program started: a stranger appended
	background_shim diskio open "$TARGET" r read 0 512 say ready sleep 1500 read 262144 512 say after
	until_true 10 background_says ready
	head -c 512 /dev/zero >>"$TARGET"
	wait_for_background
	assert_return_mismatch read 512 0
}
