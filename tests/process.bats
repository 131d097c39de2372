#!/usr/bin/env bats
# Processes and threads: children of every make verify what they do, and the parent goes on verifying.

load functions
load qemu

BAD=20480

setup() {
	make_pair 64K
}

# ---- children ----

@test "fork and _Fork" {
	local how
	for how in fork _Fork; do
		noticed_and_clean children "$how" "$TARGET" "$BAD"
	done
}

@test "a child that shares the file position" {
	noticed_and_clean children inherit "$TARGET" "$BAD"
	# the parent and the child each read 512 bytes: the child's are these
	damage_shadow $((BAD + 600))
	run shim children inherit "$TARGET" "$BAD"
	[ "$status" != 0 ]
	assert_first_line "contents mismatch in sector 41 at offset $((BAD + 600))\$"
}

@test "a child that shares the memory, with the descriptors and without" {
	noticed_and_clean children clone "$TARGET" "$BAD"
	noticed_and_clean children files "$TARGET" "$BAD"
}

@test "vfork, with closing and duplicating in the child" {
	noticed_and_clean children vfork "$TARGET" "$BAD" dd bs=4096 of=/dev/null status=none
	# only the parent reads what is damaged: it has not forgotten its descriptors
	damage_shadow "$BAD"
	run shim children vfork "$TARGET" "$BAD" true
	assert_mismatch read 40 "$BAD"
}

@test "posix_spawn, also with an empty environment" {
	local dd
	dd=$(command -v dd)
	noticed_and_clean children spawn "$TARGET" 0 "$dd" bs=4096 of=/dev/null status=none
	noticed_and_clean children spawnenv "$TARGET" 0 "$dd" bs=4096 of=/dev/null status=none
	noticed_and_clean children spawndup "$TARGET" 0 "$dd" bs=4096 of=/dev/null status=none
}

@test "popen and system" {
	local how
	for how in popen system; do
		noticed_and_clean children "$how" "$TARGET" 0 "dd if='$TARGET' bs=4096 of=/dev/null status=none"
	done
}

@test "exec, also with an empty environment" {
	local diskio
	diskio=$(command -v diskio)
	noticed_and_clean children execv "$TARGET" 0 "$diskio" open "$TARGET" r read 0 65536
	noticed_and_clean children execenv "$TARGET" 0 "$diskio" open "$TARGET" r read 0 65536
}

@test "env -i and unset LD_PRELOAD" {
	local diskio
	diskio=$(command -v diskio)
	noticed_and_clean env -i "$diskio" open "$TARGET" r read 0 65536
	noticed_and_clean sh -c 'unset LD_PRELOAD; diskio open "$0" r read 0 65536' "$TARGET"
}

# daemon_reported: the daemon has written its summary, or its report
daemon_reported() { grep -q "$1" "$BATS_TEST_TMPDIR/log"; }

@test "daemon" {
	local log="$BATS_TEST_TMPDIR/log"
	BLKVERIFY_LOG=$log BLKVERIFY_STATS=1 run shim children daemon "$TARGET" "$BAD"
	assert_status 0
	until_true 10 daemon_reported 'stats .* reads=1 read_bytes=4096 .* mismatches=0'
	lacks 'mismatch ' "$log"
	damage_shadow "$BAD"
	BLKVERIFY_LOG=$log run shim children daemon "$TARGET" "$BAD"
	until_true 10 daemon_reported "contents mismatch in sector 40 at offset $BAD\$"
}

@test "daemon without a log: the report comes to the first standard error" {
	damage_shadow "$BAD"
	shim children daemon "$TARGET" "$BAD" 2>"$BATS_TEST_TMPDIR/log"
	until_true 10 daemon_reported "contents mismatch in sector 40 at offset $BAD\$"
}

@test "a shell script of many programs" {
	need_program dd
	cat >"$BATS_TEST_TMPDIR/script" <<-'SCRIPT'
		set -e
		target=$1
		head -c 4096 /dev/urandom | dd of="$target" bs=512 seek=8 conv=notrunc status=none
		dd if="$target" bs=1k count=8 status=none | cksum >/dev/null
		exec 7<>"$target"
		echo hello | dd status=none >&7
		( echo from a subshell | dd status=none >&7 )
		{ dd bs=512 count=1 of=/dev/null status=none <&7; echo again | dd status=none; } >&7
		exec 7>&-
		echo appended | dd status=none >>"$target"
		diskio open "$target" r read 0 4096
		diskio open "$target" r read "$2" 4096 &
		wait $!
	SCRIPT
	run shim bash "$BATS_TEST_TMPDIR/script" "$TARGET" "$BAD"
	assert_clean
	assert_same_contents
	[ "$(stat -c %s "$TARGET")" = 65545 ]
	damage_shadow "$BAD"
	run shim bash "$BATS_TEST_TMPDIR/script" "$TARGET" "$BAD"
	assert_mismatch read 40 "$BAD"
}

@test "python3's subprocess" {
	local python=/usr/bin/python3
	[ -x "$python" ] || need_program python3
	[ -x "$python" ] || python=python3
	cat >"$BATS_TEST_TMPDIR/script.py" <<-'SCRIPT'
		import os, subprocess, sys
		target, bad = sys.argv[1], int(sys.argv[2])
		fd = os.open(target, os.O_RDWR)
		for n in range(5):
		    subprocess.run(["diskio", "open", target, "r", "read", "0", "512"], check=True, stdout=subprocess.DEVNULL)
		    subprocess.run(["true"], close_fds=True, check=True)
		    subprocess.run(["dd", "of=/dev/null", "bs=512", "count=1", "status=none"], stdin=fd, check=True)
		    os.pwrite(fd, bytes([n]) * 700, 300)
		    with open(os.devnull, "rb") as other:
		        subprocess.run(["cat"], stdin=other, check=True)
		subprocess.run(["diskio", "open", target, "r", "read", "0", "512"], env={"PATH": os.environ["PATH"]}, check=True,
		    stdout=subprocess.DEVNULL)
		os.pread(fd, 4096, bad)
	SCRIPT
	run shim "$python" "$BATS_TEST_TMPDIR/script.py" "$TARGET" "$BAD"
	assert_clean
	assert_same_contents
	assert_filled "$SHADOW" 300 700 04
	damage_shadow "$BAD"
	run shim "$python" "$BATS_TEST_TMPDIR/script.py" "$TARGET" "$BAD"
	assert_mismatch read 40 "$BAD"
}

# ---- threads and signals ----

@test "64 threads with the smallest stack" {
	noticed_and_clean children threads "$TARGET" "$BAD"
}

@test "a signal handler that uses the target too" {
	run shim timeout -s KILL 40 signals "$TARGET" 4
	assert_clean
	assert_same_contents
	[[ $output == handled\ [1-9]* ]]
	# the twin: what handlers write is mirrored, so what they lose is seen
	FAULT_SKIP=200 run shim_with lose timeout -s KILL 40 signals "$TARGET" 4
	[ "$status" != 0 ]
	assert_first_line 'contents mismatch'
}

# ---- calls that never return ----

@test "threads cancelled in the middle of their calls leave no lock and no lie behind" {
	local how
	for how in cancel async; do
		run shim timeout -s KILL 60 abrupt "$how" "$TARGET" 300
		assert_clean
		run shim timeout -s KILL 20 diskio open "$TARGET" rw read 0 65536
		assert_status 0
		assert_same_contents
	done
}

@test "calls left by siglongjmp leave no lock and no lie behind" {
	run shim timeout -s KILL 60 abrupt jump "$TARGET" 1000
	assert_clean
	run shim timeout -s KILL 20 diskio open "$TARGET" rw read 0 65536
	assert_status 0
	assert_same_contents
}

@test "fork while threads are in the middle of their calls" {
	run shim timeout -s KILL 60 abrupt fork "$TARGET" 200
	assert_clean
	assert_same_contents
}

@test "fork while a thread is reporting a wrong byte" {
	run shim timeout -s KILL 60 children beside "$TARGET" "$BAD"
	assert_clean
	damage_shadow "$BAD"
	BLKVERIFY_ON_MISMATCH=log run shim timeout -s KILL 60 children beside "$TARGET" "$BAD"
	assert_mismatch read $((BAD / 512)) "$BAD" 0
}

@test "exit and exec while threads are in the middle of their calls" {
	local round
	make_pair 128K
	for ((round = 0; round < 20; round++)); do
		# what they left half done is unknown to the programs that follow, not different
		run shim timeout -s KILL 30 sh -c '
			abrupt exit "$0" 1 && diskio open "$0" rw read 0 65536 write 0 65536 aa &&
			exec abrupt exec "$0" 1 diskio open "$0" rw read 0 65536 write 0 65536 bb' "$TARGET"
		assert_status 0
		lacks mismatch
		assert_same_contents
	done
	# other ends; of the last, a core is what is left
	local how
	for how in _exit quick_exit thread abort; do
		for ((round = 0; round < 5; round++)); do
			run shim timeout -s KILL 30 abrupt "$how" "$TARGET" 1
			assert_status "$([ "$how" = abort ] && echo 134 || echo 0)"
			lacks mismatch
			run shim timeout -s KILL 30 diskio open "$TARGET" rw read 0 65536 write 0 65536 aa
			assert_status 0
			lacks mismatch
			assert_same_contents
		done
	done
	# where nobody wrote
	damage_target 100000
	run shim timeout -s KILL 30 abrupt exec "$TARGET" 1 diskio open "$TARGET" r read 0 131072
	assert_reported read 195 100000
}

# ---- the program's own locks ----

@test "POSIX locks of the program stay" {
	run shim children locks "$TARGET" "$BAD"
	assert_clean
	damage_shadow "$BAD"
	run shim children locks "$TARGET" "$BAD"
	assert_mismatch read 40 "$BAD"
}

# ---- one order for all ----

@test "overlapping writes of two processes, made slow, land in one order" {
	FAULT_DELAY=1000 run shim_with delay stress -p 2 -t 4 -s 6 -w -l 16384 -f "$TARGET"
	assert_clean
	assert_same_contents
}

@test "overlapping writes of a shell's children, made slow, land in one order" {
	FAULT_DELAY=1000 run shim_with delay sh -c '
		for n in 1 2 3; do stress -t 2 -s 6 -r $n -l 16384 -f "$0" & done; wait' "$TARGET"
	assert_clean
	assert_same_contents
}

@test "a stranger's run on the same pair: refused, or verified together; no harm is done" {
	background_shim diskio open "$TARGET" rw write 0 512 aa say ready sleep 2000 write 512 512 bb read 0 65536 say after
	until_true 10 background_says ready
	local before
	before=$(sha256sum <"$TARGET")
	run shim diskio open "$TARGET" rw write 0 512 cc read 0 65536
	if [ "$status" != 0 ]; then
		assert_one_line "$SHADOW" || assert_one_line "$TARGET"
		[ "$before" = "$(sha256sum <"$TARGET")" ] || fail_with "the stranger wrote"
	else
		assert_clean
		assert_same_contents
	fi
	wait_for_background
	assert_clean
	[[ $output == *after* ]]
	assert_same_contents
	# and afterwards it may
	run shim diskio open "$TARGET" rw write 0 512 cc read 0 65536
	assert_clean
}

@test "a process killed while its siblings go on leaves no lock behind" {
	truncate -s 1M "$TARGET" "$SHADOW"
	background_shim timeout -s KILL 60 stress -p 4 -t 2 -s 5 -f "$TARGET"
	sleep 1.5
	# the first child of the one that forked
	local main child
	main=$(cat "/proc/$PID/task/$PID/children" | tr -d ' ')
	child=$(cut -d' ' -f1 "/proc/$main/task/$main/children")
	[ -n "$child" ]
	kill -9 "$child"
	wait_for_background
	# stress says that a child died, not more
	assert_status 1
	[[ $output == *operations* ]]
	lacks mismatch
	run shim diskio open "$TARGET" r read 0 1048576 read 0 1048576
	assert_status 0
	lacks mismatch
	assert_same_contents
}

# ---- other allocators ----

# another_allocator LIBRARY
another_allocator() {
	local allocator order how
	allocator=$(ldconfig -p | sed -n "s/.*$1 .*=> //p" | head -n 1)
	[ -n "$allocator" ] || skip "no $1"
	for order in "$BLK_LIB $allocator" "$allocator $BLK_LIB"; do
		BLK_LIB=$order noticed_and_clean children fork "$TARGET" "$BAD"
		BLK_LIB=$order run shim stress -s 2 "$TARGET"
		assert_clean
		assert_same_contents
		BLK_LIB=$order run shim timeout 60 streams open "$TARGET" r+ get 60000 seek 100 put 5000 5a quit
		assert_clean
		assert_same_contents
		for how in mmap:write mmap64:read mmap:private; do
			BLK_LIB=$order run shim timeout 60 mapping "$how" "$TARGET" 4096 8192 0x5a
			assert_clean
			assert_same_contents
		done
		damage_shadow 5000
		BLK_LIB=$order run shim timeout 60 mapping mmap:read "$TARGET" 4096 8192 0
		assert_mismatch read 9 5000
		damage_shadow 5000
	done
}

@test "jemalloc, before and after the shim" { another_allocator 'libjemalloc\.so\.2'; }
@test "tcmalloc, before and after the shim" { another_allocator 'libtcmalloc_minimal\.so\.4'; }

# ---- other interposers ----

@test "another interposer behind the shim, which uses libc's names" {
	run shim_with stacked timeout -s KILL 20 diskio open "$TARGET" rw write 0 512 aa put 512 bb read 0 65536 get 512
	assert_clean
	assert_same_contents
	damage_shadow "$BAD"
	run shim_with stacked timeout -s KILL 20 diskio open "$TARGET" rw read 0 65536
	assert_mismatch read 40 "$BAD"
}

# ---- the end of a process ----

@test "every way to end writes the summary" {
	local how
	for how in fork _Fork; do
		# the child ends by _exit, the parent by return
		BLKVERIFY_STATS=1 run shim children "$how" "$TARGET" 0
		[ "$(grep -c '^blkverify: stats .* reads=1 ' <<<"$output")" = 2 ] || fail_with "$how"
	done
}
