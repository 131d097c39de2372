#!/usr/bin/env bats
# `blkverify run`: its options, the library that it loads, and what it counts.

load functions
load qemu
load command

BAD=20480

setup() { prepare_to_read; }

# ---- usage ----

@test "--help and --version" {
	local call
	for call in "" run; do
		run "$BLK_COMMAND" $call --help
		assert_status 0
		[[ $output == "usage: blkverify "* ]]
		[ "$output" = "$("$BLK_COMMAND" $call -h)" ]
		run "$BLK_COMMAND" $call --version
		assert_status 0
		[[ $output == "blkverify "[0-9]* ]]
	done
	run "$BLK_COMMAND" run -t a --help
	assert_status 0
}

# unusable WORD ARG...: refused in one line that has WORD, with 125
unusable() {
	local word=$1
	shift
	run "$BLK_COMMAND" "$@"
	assert_status 125 || return
	assert_one_line "$word"
}

@test "bad usage is 125, and said in one line" {
	local pair=(-t "$TARGET" -s "$SHADOW")
	unusable --help
	unusable jump jump
	unusable --onmismatch run "${pair[@]}" --onmismatch=log -- true
	unusable -x run "${pair[@]}" -x -- true
	unusable -s run -t "$TARGET" -- true
	unusable -t run -s "$SHADOW" -- true
	unusable -s run -t "$TARGET" -s
	unusable PROGRAM run "${pair[@]}"
	unusable PROGRAM run "${pair[@]}" --
	unusable --object run "${pair[@]}" --object=secret,id=s,data=x -- true
	unusable --read-only run "${pair[@]}" --read-only -- true
	unusable "--read-only=yes: takes no value" run "${pair[@]}" --read-only=yes -- true
}

@test "bad configuration is 125, before the program begins" {
	local pair=(-t "$TARGET" -s "$SHADOW")
	unusable BLKVERIFY_MODE=fast run "${pair[@]}" --mode=fast -- diskio say main
	unusable "$TMPDIR/none: does not exist; blkverify prepare makes a shadow" run -t "$TARGET" -s "$TMPDIR/none" -- diskio say main
	unusable "BLKVERIFY_TARGET=$TMPDIR" run -t "$TMPDIR" -s "$SHADOW" -- diskio say main
	unusable "BLKVERIFY_TARGET has 2" run "${pair[@]}" -t "$SHADOW" -- diskio say main
	unusable "is its own shadow" run -t "$TARGET" -s "$TMPDIR/./disk.img" -- diskio say main
	unusable "BLKVERIFY_TARGET=: empty" run -t "" -s "$SHADOW" -- diskio say main
	BLKVERIFY_SHADOWS=x unusable BLKVERIFY_SHADOWS run "${pair[@]}" -- diskio say main
	attach_loop "$TARGET"
	unusable "is a target's storage by another name" run -t "$TARGET" -s "$LOOP" -- diskio say main
	forget "$LOOP"
	unusable "is a target's storage by another name" run -t "$LOOP" -s "$TARGET" -- diskio say main
	truncate -s 128K "$SHADOW"
	unusable "131072 bytes, target has 65536" run "${pair[@]}" -- diskio say main
}

@test "a log that cannot be made is 125" {
	run watched --log="$TMPDIR/none/log" -- "${READ[@]}"
	assert_status 125
	[[ $output == *"BLKVERIFY_LOG=$TMPDIR/none/log: ENOENT"* ]]
	run watched --log="$TMPDIR/log" -- "${READ[@]}"
	assert_status 0
	[ "$(blk_lines)" = "blkverify: 1 process, 1 read, 0 writes verified, no mismatch" ]
}

# ---- options ----

@test "what runs is in the mode that is tested" {
	assert_mode watched --
}

# a value of each that is not its default
declare -gA VALUES=([mode]=pool [threads]=3 [queue]=1M [sector-size]=4096 [on-mismatch]=eio [on-error]=pass
	[on-unverified]=warn [log]=x.log [report]=x.json [mmap]=refuse [trap]=1 [history]=7 [journal]=x.journal
	[journal-data]=1 [stats]=1)

# variable_of OPTION: its name
variable_of() { tr a-z- A-Z_ <<<"BLKVERIFY_$1"; }

# arrives VARIABLE VALUE OPTION...: the program has it, or a line says why this version does not do it
arrives() {
	local setting="$1=$2"
	shift 2
	run watched "$@" -- env
	[[ $'\n'$output == *$'\n'"$setting"$'\n'* || $output == *"blkverify: $setting: "* ]] || fail_with "not there: $setting"
}

@test "every setting of --help has a variable, and the other way round" {
	local name known
	known=$(sed -n 's/^\tX(\([A-Z_]*\), .*/\1/p' "$BLK_SRCDIR/src/config.c" | tr A-Z_ a-z- | sort)
	[ -n "$known" ]
	run "$BLK_COMMAND" run --help
	[ "$(sed -n 's/^  \(-., \)*--\([a-z-]*\).*/\2/p' <<<"$output" | grep -Evx 'format|object|read-only|help|version' | sort)" = "$known" ]
	for name in $known; do
		case $name in
		target | shadow) ;;
		*) [ -n "${VALUES[$name]}" ] || fail_with "no test of --$name" ;;
		esac
	done
}

@test "every setting reaches the program" {
	local name variable value
	cd "$TMPDIR"
	for name in "${!VALUES[@]}"; do
		variable=$(variable_of "$name") value=${VALUES[$name]}
		arrives "$variable" "$value" "--$name=$value" || return
		# as the last of two words, and rather than the variable
		[[ $name == trap || $name == journal-data || $name == stats ]] ||
			BLKVERIFY_SECTOR_SIZE=1024 arrives "$variable" "$value" "--$name" "$value" || return
	done
	BLKVERIFY_STATS=0 arrives BLKVERIFY_STATS 1 --stats
	BLKVERIFY_SECTOR_SIZE=1024 arrives BLKVERIFY_SECTOR_SIZE 1024
	BLKVERIFY_SECTOR_SIZE=1024 arrives BLKVERIFY_SECTOR_SIZE 2048 --sector-size=2048
}

@test "--sector-size, --stats, --log do what they say" {
	damage_shadow "$BAD"
	run watched --sector-size=4096 --on-mismatch=exit -- "${READ[@]}"
	assert_mismatch read 5 "$BAD" 120
	run watched --sector-size=512 --on-mismatch=exit -- "${READ[@]}"
	assert_mismatch read 40 "$BAD" 120
	run watched --log="$TMPDIR/log.%p" --on-mismatch=log --stats -- "${READ[@]}"
	[ "$(blk_lines)" = "blkverify: 1 process, 1 read, 0 writes verified, 1 mismatch" ]
	grep -q "contents mismatch in sector 40" "$TMPDIR"/log.[0-9]*
	grep -q "^blkverify: stats target=$TARGET reads=1 " "$TMPDIR"/log.[0-9]*
}

# ended HOW WORD: with --on-mismatch=HOW, the reader says WORD
ended() {
	run watched --on-mismatch="$1" -- bash -c '"$@"; echo "ended=$?"' - "${READ[@]}"
	assert_mismatch read 40 "$BAD" 120 || return
	[[ $output == *"$2"* ]] || fail_with "$1: not $2"
}

# --on-mismatch=stop: see signal.bats
@test "--on-mismatch does what it says" {
	damage_shadow "$BAD"
	ended abort ended=134
	ended exit ended=1
	in_sync lacks "read = "
	ended eio "read = -1 EIO"
	ended log "read = 65536"
	[[ $output == *ended=0* ]]
}

@test "--mmap and --trap do what they say" {
	run watched --mmap=refuse -- mapping mmap:read "$TARGET" 0 4096 0
	[[ $output == *ENODEV* ]] || fail_with "not refused"
	run watched -- mapping mmap:read "$TARGET" 0 4096 0
	assert_status 0
	run watched -- inline pread64 "$TARGET" 0 512 0
	assert_status 121
	run watched --trap -- inline pread64 "$TARGET" 0 512 0
	[[ $output != *"Syscall User Dispatch"* ]] || skip "this kernel traps no system calls"
	assert_status 0
	assert_closing "1 process, 1 read, 0 writes verified, no mismatch"
}

# its other values: see status.bats
@test "--on-unverified=abort does what it says" {
	chmod 444 "$SHADOW"
	command_for_nobody
	chmod 666 "$TARGET"
	chmod 777 "$TMPDIR"
	run as_nobody "$BLK_COMMAND" run -t "$TARGET" -s "$SHADOW" --on-unverified=abort -- \
		diskio open "$TARGET" rw read 0 512 write 0 512 aa
	assert_status 134
}

@test "--history does what it says" {
	local history
	for history in 16384 0; do
		rm -f "$SHADOW.bvstate"
		run watched --history=$history -- "${READ[@]}"
		run blkverify inspect --sector 5 "$TARGET" "$SHADOW"
		[ "$(grep -c '  read     65536 bytes at 0' <<<"$output")" = $((history > 0)) ] || fail_with "--history=$history" || return
	done
}

@test "options in any order, in both spellings, and a program without --" {
	local how
	for how in "-t $TARGET -s $SHADOW --" "--shadow=$SHADOW --stats=0 --target $TARGET --" "--stats=0 -s$SHADOW -t $TARGET"; do
		run "$BLK_COMMAND" run $how "${READ[@]}"
		assert_status 0
		assert_closing "1 process, 1 read, 0 writes verified, no mismatch"
	done
	# what follows the program is the program's
	run watched diskio say -t say --help
	[[ $output == $'-t\n--help\n'* ]]
	# the pair may come from the environment as well
	BLKVERIFY_TARGET=$TARGET BLKVERIFY_SHADOW=$SHADOW run "$BLK_COMMAND" run -- "${READ[@]}"
	assert_status 0
}

@test "paths with colons, backslashes and blanks" {
	local odd="$TMPDIR/a: b\\:c\\"
	mkdir "$odd"
	mv "$TARGET" "$SHADOW" "$odd"
	cd "$odd"
	for where in "$odd/" ./ ""; do
		run "$BLK_COMMAND" run -t "${where}disk.img" -s "${where}disk.shadow" -- diskio open disk.img rw write 0 512 aa read 0 1024
		assert_status 0
		assert_closing "1 process, 1 read, 1 write verified, no mismatch"
	done
	cmp disk.img disk.shadow
}

# ---- the library ----

@test "the library is found where both were moved to" {
	mkdir -p "$TMPDIR/usr/bin" "$TMPDIR/usr/lib/blkverify"
	cp "$BLK_COMMAND" "$TMPDIR/usr/bin"
	cp "$BLK_LIB" "$TMPDIR/usr/lib/blkverify"
	run "$TMPDIR/usr/bin/blkverify" run -t "$TARGET" -s "$SHADOW" -- sh -c '"$@"; env' - "${READ[@]}"
	assert_status 0
	[[ $output == *"LD_PRELOAD=$TMPDIR/usr/lib/blkverify/libblkverify.so"* ]]
	assert_closing "1 process, 1 read, 0 writes verified, no mismatch"
}

@test "a library that is nowhere, or cannot be named" {
	mkdir -p "$TMPDIR/usr/bin" "$TMPDIR/a b/shim/.libs" "$TMPDIR/a:b/shim/.libs"
	cp "$BLK_COMMAND" "$TMPDIR/usr/bin"
	run "$TMPDIR/usr/bin/blkverify" run -t "$TARGET" -s "$SHADOW" -- "${READ[@]}"
	# it may be installed
	[ "$status" = 0 ] || {
		assert_status 125
		assert_one_line libblkverify.so "not found"
	}
	for name in "a b" "a:b"; do
		cp "$BLK_COMMAND" "$TMPDIR/$name"
		cp "$BLK_LIB" "$TMPDIR/$name/shim/.libs"
		run "$TMPDIR/$name/blkverify" run -t "$TARGET" -s "$SHADOW" -- "${READ[@]}"
		assert_status 125
		assert_one_line "$name/shim" "LD_PRELOAD"
	done
}

# preloaded LIST: LD_PRELOAD of a program that is begun with LIST
preloaded() { env LD_PRELOAD="$1" "$BLK_COMMAND" run -t "$TARGET" -s "$SHADOW" -- env 2>/dev/null | sed -n s/LD_PRELOAD=//p; }

@test "LD_PRELOAD keeps what is in it" {
	local m asan
	m=$(gcc -print-file-name=libm.so.6) asan=$(gcc -print-file-name=libasan.so)
	asan=$(readlink -f "$asan")
	[ "$(preloaded "")" = "$BLK_LIB" ]
	[ "$(preloaded "$m")" = "$BLK_LIB:$m" ]
	[ "$(preloaded "$m $BLK_LIB")" = "$m:$BLK_LIB" ]
	# the first, as it insists
	[ "$(ASAN_OPTIONS=detect_leaks=0 preloaded "$asan:$m")" = "$asan:$BLK_LIB:$m" ]
}

# ---- what is counted ----

@test "what killed processes did is counted" {
	run watched -- sh -c 'diskio open "$0" rw read 0 512 write 0 512 aa say ready sleep 100000 &
		sleep 0.5; kill -9 $!; wait; exec diskio open "$0" r read 0 512' "$TARGET"
	assert_status 0
	assert_closing "2 processes, 2 reads, 1 write verified, no mismatch"
}

@test "what was done before an exec is counted" {
	run watched -- bash -c 'exec 9<"$0"; read -r -N 1 -u 9; exec diskio open "$0" r read 0 512' "$TARGET"
	assert_closing "2 processes, 2 reads, 0 writes verified, no mismatch"
}

@test "several pairs" {
	local target=$TARGET shadow=$SHADOW
	make_pair 64K other
	run "$BLK_COMMAND" run -t "$target" -t "$TARGET" -s "$shadow" -s "$SHADOW" -- \
		diskio open "$target" r read 0 512 open "$TARGET" r read 0 512
	assert_status 0
	assert_closing "1 process, 2 reads, 0 writes verified, no mismatch"
	run "$BLK_COMMAND" run -t "$target" -s "$shadow" -t "$TARGET" -s "$SHADOW" -- diskio open "$target" r read 0 512
	assert_status 0
	assert_closing "1 process, 1 read, 0 writes verified, no mismatch, nothing on $TARGET"
	damage_shadow 100
	run "$BLK_COMMAND" run -t "$target" -s "$shadow" -t "$TARGET" -s "$SHADOW" -- diskio open "$TARGET" r read 0 512
	assert_mismatch read 0 100 120
}

# failing OP [OPTION...] -- CMD...: as watched, and the second OP on the target fails
failing() {
	local op=$1
	shift
	env LD_PRELOAD="$BLK_LIB $BLK_SNIPPETS/fail.so" FAULT_FILE="$TARGET" FAULT_OP="$op" FAULT_SKIP=1 \
		"$BLK_COMMAND" run -t "$TARGET" -s "$SHADOW" "$@"
}

@test "what failed on the target is told" {
	run failing read -- diskio open "$TARGET" r read 0 512 read 4096 512
	assert_return_mismatch read -5 512 120
	run failing read --on-error=pass -- diskio open "$TARGET" r read 0 512 read 4096 512
	assert_status 1
	assert_closing "1 process, 1 read, 0 writes verified, no mismatch, 1 failure of the target"
}

@test "what the last run left unknown is said once" {
	run failing write --on-error=pass -- diskio open "$TARGET" rw read 0 512 write 0 512 aa write 512 512 aa
	assert_status 1
	run watched -- sh -c '"$@"; "$@"' - "${READ[@]}"
	assert_status 0
	[ "$(grep -c 'contents unknown in' <<<"$output")" = 1 ] || fail_with "not said once"
}

@test "another run on the same shadow" {
	background_watched -- listener "$TARGET"
	until_true 5 background_says ready
	run watched -- "${READ[@]}"
	assert_status 0
	assert_first_line "$SHADOW: in use by another run"
	assert_closing "1 process, 1 read, 0 writes verified, no mismatch; others are still at it"
	kill -USR2 "$PID"
	wait_for_end
	assert_status 7
	assert_closing "2 processes, 2 reads, 0 writes verified, no mismatch; another run began meanwhile, and is counted"
}

@test "processes that go on after the program are told of" {
	run watched -- sh -c 'diskio open "$0" r read 0 512 sleep 1500 </dev/null >/dev/null 2>&1 3>&- &
		sleep 0.5' "$TARGET"
	assert_status 0
	assert_closing "1 process, 1 read, 0 writes verified, no mismatch; others are still at it"
}
