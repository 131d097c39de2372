#!/usr/bin/env bats
# `blkverify run`: its exit statuses.

load functions
load qemu
load command

BAD=20480

setup() { prepare_to_read; }

@test "the program's own status" {
	run watched -- "${READ[@]}"
	assert_status 0
	run watched -- sh -c '"$@"; exit 7' - "${READ[@]}"
	assert_status 7
	assert_closing "1 process, 1 read, 0 writes verified, no mismatch"
	for signal in KILL TERM SEGV; do
		run watched -- bash -c '"${@:2}"; kill -s "$1" $$' - "$signal" "${READ[@]}"
		assert_status $((128 + $(kill -l "$signal")))
	done
}

@test "120: a mismatch, whatever became of the program" {
	local how reads
	damage_shadow "$BAD"
	for how in abort exit eio log; do
		run watched --on-mismatch="$how" -- "${READ[@]}"
		assert_mismatch read 40 "$BAD" 120
		reads="$([ $how = log ] && echo "1 read" || echo "0 reads")"
		# in pool mode the call may have been over before
		if [[ $BLK_MODE = pool && $how != eio && $output == *" 1 read, "* ]]; then reads="1 read"; fi
		assert_closing "1 process, $reads, 0 writes verified, 1 mismatch"
		# in a process that nobody asks for its status, before others that are clean
		run watched --on-mismatch="$how" -- sh -c '("$@"); diskio open "$0" r read 0 512 && exec diskio open "$0" r read 512 512' \
			"$TARGET" "${READ[@]}"
		assert_mismatch read 40 "$BAD" 120
	done
}

@test "120: the shadow fails" {
	mount_small 512K
	head -c 3M /dev/zero >"$TARGET"
	truncate -s 3M "$SMALL/shadow"
	SHADOW="$SMALL/shadow"
	run watched --on-mismatch=log -- diskio open "$TARGET" w write 0 2097152 aa
	assert_status 120
	[[ $output =~ [0-9]\ failures?\ of\ the\ shadow$ ]]
	# which had no room for it
	forget "$SHADOW"
}

@test "121: nothing was verified" {
	run watched -- true
	assert_status 121
	assert_closing "nothing was verified: no process used $TARGET by way of the library"
	# other files do not count, nor does the program's own status
	run watched -- diskio open "$SHADOW.copy" rwc write 0 512 aa
	assert_status 121
	run watched -- sh -c 'exit 3'
	assert_status 121
	run watched -- sh -c 'kill -9 $$'
	assert_status 121
	# a failed attempt is none
	run watched -- diskio open "$TARGET" w read 0 512
	assert_status 121
	run watched -- "${READ[@]}"
	assert_status 0
}

@test "122: I/O went through unverified" {
	chmod 444 "$SHADOW"
	local write=(diskio open "$TARGET" rw write 0 512 aa read 512 512)
	command_for_nobody
	chmod 666 "$TARGET"
	chmod 777 "$TMPDIR"
	run as_nobody "$BLK_COMMAND" run -t "$TARGET" -s "$SHADOW" --on-unverified=warn -- "${write[@]}"
	assert_status 122
	assert_closing "1 process, 1 read, 0 writes verified, no mismatch, 1 call let through unverified"
	# wins over 121
	run as_nobody "$BLK_COMMAND" run -t "$TARGET" -s "$SHADOW" --on-unverified=warn -- diskio open "$TARGET" w write 0 512 bb
	assert_status 122
	# refused, it did not happen: what the program makes of that is its own
	run as_nobody "$BLK_COMMAND" run -t "$TARGET" -s "$SHADOW" -- "${write[@]}"
	assert_status 1
	assert_closing "1 process, 1 read, 0 writes verified, no mismatch, 1 call refused"
	# 120 wins over it
	damage "$TARGET" "$BAD"
	run as_nobody "$BLK_COMMAND" run -t "$TARGET" -s "$SHADOW" --on-unverified=warn --on-mismatch=log -- \
		diskio open "$TARGET" rw write 0 512 aa read "$BAD" 512
	assert_status 120
	# and with a shadow that can be written all is verified
	rm -f "$SHADOW".bvstate
	chmod 666 "$SHADOW"
	cp "$TARGET" "$SHADOW"
	run as_nobody "$BLK_COMMAND" run -t "$TARGET" -s "$SHADOW" --on-unverified=warn -- "${write[@]}"
	assert_status 0
	assert_closing "1 process, 1 read, 1 write verified, no mismatch"
}

# not_found NAME: bats takes 127 for a mistake of the test's
not_found() {
	status=0
	output=$(watched -- "$1" 2>&1) || status=$?
	assert_status 127 || return
	assert_one_line "$@"
}

@test "127: not found" {
	not_found no-such-program "not found"
	not_found "$TMPDIR/none" "not found"
	status=0
	output=$(PATH=$TMPDIR watched -- ls 2>&1) || status=$?
	assert_status 127
}

@test "126: cannot be begun" {
	printf 'hello' >"$TMPDIR/plain"
	for program in "$TMPDIR/plain" "$TMPDIR"; do
		run watched -- "$program"
		assert_status 126
		assert_one_line "$program" "cannot be begun: Permission denied"
	done
	printf '#!%s/none\n' "$TMPDIR" >"$TMPDIR/script"
	chmod +x "$TMPDIR/script"
	not_found "$TMPDIR/script" "cannot be begun: No such file"
	# the program's own 126 and 127 are no news of ours
	run watched -- sh -c 'diskio open "$0" r read 0 512; exit 126' "$TARGET"
	assert_status 126
	assert_closing "1 process, 1 read, 0 writes verified, no mismatch"
}

# refused REASON PROGRAM...: with 126, before it begins
refused() {
	local reason=$1
	shift
	run watched -- "$@"
	assert_status 126 || return
	assert_one_line "$1" "$reason"
}

@test "126: a program that cannot load the library" {
	local diskio
	diskio=$(command -v diskio)
	need_program busybox
	refused "statically linked" "$(command -v busybox)" echo
	PATH="$(dirname "$(command -v busybox)"):$PATH" refused "statically linked" busybox echo
	cp "$diskio" "$TMPDIR/other"
	# the machine's number
	fill "$TMPDIR/other" 18 1 03
	refused "another machine or word size" "$TMPDIR/other"
	sed 's|/lib64/ld-linux-x86-64.so.2|/lib/ld-musl-x86_64.so.1\x00\x00\x00|; s|/lib/ld-linux-aarch64.so.1|/lib/ld-musl-aarch64.so.1\x00|' \
		"$diskio" >"$TMPDIR/musl"
	chmod +x "$TMPDIR/musl"
	refused "another C library" "$TMPDIR/musl"
	# scripts, by their interpreters
	printf '#!%s sh\n' "$(command -v busybox)" >"$TMPDIR/script"
	printf '#!%s\n' "$TMPDIR/script" >"$TMPDIR/second"
	chmod +x "$TMPDIR/script" "$TMPDIR/second"
	refused "$(command -v busybox)" "$TMPDIR/script"
	refused "$(command -v busybox)" "$TMPDIR/second"
	printf '#!/bin/sh\n%s open "%s" r read 0 512\n' "$diskio" "$TARGET" >"$TMPDIR/script"
	run watched -- "$TMPDIR/second"
	assert_status 0
	# no interpreter: a shell's
	printf '%s open "%s" r read 0 512\n' "$diskio" "$TARGET" >"$TMPDIR/script"
	run watched -- "$TMPDIR/script"
	assert_status 0
}

@test "126: a program that becomes another user" {
	need_root
	command_for_nobody
	cp "$(command -v diskio)" "$TMPDIR/nobody/suid"
	chmod 4755 "$TMPDIR/nobody/suid"
	run as_nobody "$BLK_COMMAND" run -t "$TARGET" -s "$SHADOW" -- suid
	assert_status 126
	assert_one_line suid "another user or group"
	chmod 755 "$TMPDIR/nobody/suid"
	python3 -c 'import os, sys; os.setxattr(sys.argv[1], "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))' \
		"$TMPDIR/nobody/suid"
	run as_nobody "$BLK_COMMAND" run -t "$TARGET" -s "$SHADOW" -- suid
	assert_status 126
	assert_one_line suid "file capabilities"
}
