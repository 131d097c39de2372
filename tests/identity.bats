#!/usr/bin/env bats
# Which file it is: by whatever way the program comes to it, the target is verified, and nothing else is.

load functions
load qemu

BAD=20480

setup() {
	make_pair 64K
}

# ---- names ----

@test "hard link" {
	ln "$TARGET" "$BATS_TEST_TMPDIR/link"
	caught_and_clean diskio open "$BATS_TEST_TMPDIR/link" rw write 0 512 aa read 0 65536
}

@test "symbolic link, also as the name that was configured" {
	ln -s "$TARGET" "$BATS_TEST_TMPDIR/link"
	caught_and_clean diskio open "$BATS_TEST_TMPDIR/link" rw write 0 512 aa read 0 65536
}

@test "configured by symbolic link, opened by the real name" {
	ln -s disk.img "$BATS_TEST_TMPDIR/link"
	BLKVERIFY_TARGET="$BATS_TEST_TMPDIR/link" caught_and_clean diskio open "$TARGET" rw write 0 512 aa read 0 65536
}

@test "other spellings of the path" {
	cd "$BATS_TEST_TMPDIR"
	mkdir dir
	caught_and_clean diskio open "dir/..//./disk.img" rw write 0 512 aa read 0 65536
}

@test "/proc/self/fd and O_PATH" {
	caught_and_clean diskio open "$TARGET" r reopen rw write 0 512 aa read 0 65536
	caught_and_clean diskio opath "$TARGET" reopen rw write 0 512 aa read 0 65536
}

@test "bind mount" {
	need_root
	: >"$BATS_TEST_TMPDIR/bound"
	mount --bind "$TARGET" "$BATS_TEST_TMPDIR/bound" || skip "cannot mount"
	MOUNTS+=("$BATS_TEST_TMPDIR/bound")
	caught_and_clean diskio open "$BATS_TEST_TMPDIR/bound" rw write 0 512 aa read 0 65536
}

@test "opened many times over" {
	local opens=() n
	for ((n = 0; n < 200; n++)); do opens+=(open "$TARGET" rw write $((n * 64)) 64 "$(printf %02x "$n")"); done
	caught_and_clean diskio "${opens[@]}" read 0 65536
}

# ---- descriptors ----

@test "duplicates" {
	caught_and_clean diskio open "$TARGET" rw dup write 0 512 aa dupto 77 read 0 65536
}

@test "a duplicate outlives the first" {
	caught_and_clean diskio open "$TARGET" rw dupto 77 shut 3 shut 4 shut 5 write 0 512 aa read 0 65536
}

@test "a duplicate that replaces an open file" {
	# number 9 is another file first, then the target, then the other file again
	caught_and_clean sh -c 'exec 9>"$1/other" && exec diskio fd 9 put 512 11 open "$0" rw dupto 9 write 0 512 aa read 0 65536' \
		"$TARGET" "$BATS_TEST_TMPDIR"
	assert_filled "$BATS_TEST_TMPDIR/other" 0 512 11
	[ "$(stat -c %s "$BATS_TEST_TMPDIR/other")" = 512 ]
}

@test "inherited from the shell" {
	caught_and_clean sh -c 'exec diskio fd 0 read 0 65536 <"$0"' "$TARGET"
	caught_and_clean sh -c 'exec diskio fd 9 write 0 512 bb read 0 65536 9<>"$0"' "$TARGET"
}

@test "inherited from a program that is not under the shim" {
	run env - PATH="$PATH" sh -c 'LD_PRELOAD=$1 BLKVERIFY_TARGET=$0 BLKVERIFY_SHADOW=$2 exec diskio fd 9 write 0 512 aa read 0 65536 9<>"$0"' \
		"$TARGET" "$BLK_LIB" "$SHADOW"
	assert_clean
	assert_same_contents
	damage_shadow "$BAD"
	run env - PATH="$PATH" sh -c 'LD_PRELOAD=$1 BLKVERIFY_TARGET=$0 BLKVERIFY_SHADOW=$2 exec diskio fd 9 write 0 512 aa read 0 65536 9<>"$0"' \
		"$TARGET" "$BLK_LIB" "$SHADOW"
	assert_mismatch read 40 "$BAD"
}

@test "standard input and output" {
	caught_and_clean sh -c 'dd bs=4096 status=none <"$0" >/dev/null' "$TARGET"
	run shim sh -c 'printf "%s" "some words" 1<>"$0"; printf more >>"$0"; head -c 70000 "$0" >/dev/null' "$TARGET"
	assert_clean
	assert_same_contents
	[ "$(head -c 10 "$TARGET")" = "some words" ]
	[ "$(tail -c 4 "$TARGET")" = more ]
}

@test "SCM_RIGHTS" {
	local how
	for how in scm scmm; do
		caught_and_clean sendfd "$how" "$TARGET" "$BAD"
	done
}

@test "SCM_RIGHTS from a program that is not under the shim" {
	local socket="$BATS_TEST_TMPDIR/socket"
	background sendfd give "$socket" "$TARGET"
	run shim sendfd take "$socket" "$BAD"
	assert_clean
	damage_shadow "$BAD"
	background sendfd give "$socket.2" "$TARGET"
	run shim sendfd take "$socket.2" "$BAD"
	assert_mismatch read 40 "$BAD"
}

@test "pidfd_getfd" {
	# may be forbidden where ptrace is
	sendfd pidfd "$TARGET" "$BAD" || skip "no pidfd_getfd here"
	caught_and_clean sendfd pidfd "$TARGET" "$BAD"
}

# ---- the file changes its name ----

@test "a target that is created after the start" {
	rm "$TARGET"
	: >"$SHADOW"
	run shim diskio open "$TARGET" rwc write 0 4096 aa read 0 4096 truncate 65536 read 0 65536
	assert_clean
	assert_same_contents
	rm "$TARGET"
	: >"$SHADOW"
	run shim_with lose diskio open "$TARGET" rwc truncate 4096 write 0 4096 aa read 0 4096
	assert_status 134
	assert_first_line '^blkverify: read .* contents mismatch in sector 0 at offset 0$'
}

@test "a target that another program creates after the start" {
	mv "$TARGET" "$TARGET.later"
	local more
	for more in "" damaged; do
		[ -z "$more" ] || damage_shadow "$BAD"
		rm -f "$TARGET"
		background_shim diskio say ready sleep 1000 open "$TARGET" rw read 0 65536
		until_true 10 background_says ready
		cp "$TARGET.later" "$TARGET"
		wait_for_background
		if [ -z "$more" ]; then assert_clean; else assert_mismatch read 40 "$BAD"; fi
	done
}

@test "a target created with another length than the shadow's" {
	mv "$TARGET" "$TARGET.later"
	truncate -s 4096 "$TARGET.later"
	background_shim diskio say ready sleep 1000 open "$TARGET" rw read 0 4096 say after
	until_true 10 background_says ready
	cp "$TARGET.later" "$TARGET"
	wait_for_background
	[ "$status" != 0 ]
	# both lengths are named
	grep '^blkverify: ' <<<"$output" | grep 4096 | grep -q 65536
}

@test "O_TRUNC and O_CREAT on a target that is there" {
	run shim diskio open "$TARGET" rwct write 0 4096 aa read 0 8192
	assert_clean
	assert_same_contents
	[ "$(stat -c %s "$TARGET")" = 4096 ]
	damage_shadow 100
	run shim diskio open "$TARGET" rwc read 0 8192
	assert_mismatch read 0 100
}

@test "renamed while open, and after" {
	local new="$BATS_TEST_TMPDIR/renamed"
	run shim diskio open "$TARGET" rw rename "$TARGET" "$new" write 0 512 aa read 0 65536 open "$new" rw write 512 512 bb read 0 65536
	assert_clean
	cmp "$new" "$SHADOW"
	mv "$new" "$TARGET"
	damage_shadow "$BAD"
	run shim diskio open "$TARGET" rw rename "$TARGET" "$new" read 0 65536
	assert_mismatch read 40 "$BAD"
	mv "$new" "$TARGET"
	run shim diskio rename "$TARGET" "$new" open "$new" rw read 0 65536
	assert_mismatch read 40 "$BAD"
}

@test "unlinked while open" {
	run shim diskio open "$TARGET" rw unlink "$TARGET" write 0 512 aa read 0 65536
	assert_clean
	assert_filled "$SHADOW" 0 512 aa
	cp "$SHADOW" "$TARGET"
	damage_shadow "$BAD"
	run shim diskio open "$TARGET" rw unlink "$TARGET" read 0 65536
	assert_mismatch read 40 "$BAD"
}

@test "replaced by rename: said, and the new file is not taken for the old one" {
	local new="$BATS_TEST_TMPDIR/new" before
	head -c 65536 /dev/urandom >"$new"
	before=$(sha256sum <"$SHADOW")
	BLKVERIFY_ON_UNVERIFIED=warn BLKVERIFY_ON_MISMATCH=log run shim \
		diskio open "$TARGET" r read 0 512 close rename "$new" "$TARGET" open "$TARGET" rw read 0 65536
	# either the pair follows the name, then the contents differ, or it follows the file, then it says so
	[ -n "$(blk_lines)" ] || fail_with "a target was replaced without a word"
	[ "$before" = "$(sha256sum <"$SHADOW")" ] || fail_with "the shadow was written"
}

@test "replaced in a way that editors use: by one's own copy" {
	# the copy is like the target: no false alarm about its contents, but a line about the replacement
	BLKVERIFY_ON_MISMATCH=log BLKVERIFY_ON_UNVERIFIED=warn run shim sh -c \
		'dd if="$0" of="$0.new" status=none && mv "$0.new" "$0" && diskio open "$0" r read 0 512' "$TARGET"
	assert_first_line .
	lacks 'contents mismatch'
}

# ---- what is not the target ----

@test "an innocent file under the target's old number" {
	local innocent="$BATS_TEST_TMPDIR/innocent" how before
	for how in close dup2; do
		rm -f "$innocent"
		before=$(sha256sum <"$SHADOW")
		run shim stalefd "$TARGET" "$innocent" "$how"
		assert_clean
		[ "$before" = "$(sha256sum <"$SHADOW")" ] || fail_with "an innocent file was mirrored into the shadow"
		assert_same_contents
		assert_filled "$innocent" 0 1000 a5
		[ "$(stat -c %s "$innocent")" = 1000 ]
	done
	# the twin: it is still the target that is verified
	damage_shadow 5000
	rm -f "$innocent"
	run shim stalefd "$TARGET" "$innocent" close
	assert_mismatch read 9 5000
}

@test "a stale number and a file that has the target's old inode number" {
	local other="$BATS_TEST_TMPDIR/other"
	# file systems reuse inode numbers at once
	run shim sh -c 'cat "$0" >/dev/null; rm "$0"; head -c 65536 /dev/zero >"$1"; diskio open "$1" rw read 0 65536 write 0 512 aa' \
		"$TARGET" "$other"
	! grep -q mismatch <<<"$output" || fail_with "an innocent file was blamed"
	assert_filled "$other" 0 512 aa
}

@test "a program that takes all numbers for its own" {
	local how dir="$BATS_TEST_TMPDIR/files"
	mkdir "$dir"
	for how in loop closefrom close_range cloexec syscall raw dup2; do
		cp "$TARGET" "$SHADOW"
		run shim bash -c 'ulimit -n 4096; exec fdsweep "$@"' - "$how" "$TARGET" "$dir" "$BAD"
		if [ "$how" = raw ] && [ "$status" != 0 ]; then
			# nobody can see that; giving up is right, but not without a word
			assert_status 134
			assert_first_line .
			rm -f "$SHADOW.bvstate"
			continue
		fi
		assert_clean || fail_with "how: $how"
		assert_same_contents
		damage_shadow "$BAD"
		# the verdict may find standard error open: only numbers from 3 up were closed
		run shim bash -c 'ulimit -n 4096; exec fdsweep "$@"' - "$how" "$TARGET" "$dir" "$BAD"
		assert_mismatch read 40 "$BAD" || fail_with "how: $how"
	done
}

@test "a program that takes all numbers, with a log file" {
	local how dir="$BATS_TEST_TMPDIR/files" log
	mkdir "$dir"
	damage_shadow "$BAD"
	for how in loop closefrom close_range syscall raw dup2; do
		log="$BATS_TEST_TMPDIR/log.$how"
		BLKVERIFY_LOG=$log run shim bash -c 'ulimit -n 4096; exec fdsweep "$@"' - "$how" "$TARGET" "$dir" "$BAD"
		assert_status 134
		# no line went into a file of the program's
		! grep -rl blkverify "$dir" || fail_with "how: $how"
		case $how in
		# what nobody can see may cost the log, not the verdict
		raw) ;;
		*) grep -q "contents mismatch in sector 40 at offset $BAD" "$log" || fail_with "how: $how: $(cat "$log")" ;;
		esac
	done
}

@test "a small limit on descriptors" {
	run shim bash -c 'ulimit -n 16; exec diskio open "$0" rw write 0 512 aa read 0 65536' "$TARGET"
	assert_clean
	assert_same_contents
	damage_shadow "$BAD"
	run shim bash -c 'ulimit -n 16; exec diskio open "$0" rw read 0 65536' "$TARGET"
	assert_mismatch read 40 "$BAD"
}

@test "all numbers in use: the program's own error" {
	# as many opens as there are numbers: the same number succeeds with and without the shim, give or take our own
	local opens=() n
	for ((n = 0; n < 64; n++)); do opens+=(open "$TARGET" r); done
	run bash -c 'ulimit -n 32; exec diskio "$@"' - "${opens[@]}"
	local native
	native=$(grep -c EMFILE <<<"$output")
	run shim bash -c 'ulimit -n 32; exec diskio "$@"' - "${opens[@]}"
	assert_silent 1
	local lost=$(($(grep -c EMFILE <<<"$output") - native))
	[ "$lost" -ge 0 ] && [ "$lost" -le 8 ] || fail_with "$lost numbers lost"
}

@test "the shadow opened by the program is left alone" {
	# not a target: read as any file
	damage_shadow "$BAD"
	run shim diskio open "$SHADOW" r read 0 65536
	assert_silent 0
}

# ---- several pairs ----

@test "several pairs at once" {
	local target=$TARGET shadow=$SHADOW third_target third_shadow
	make_pair 32K third
	third_target=$TARGET third_shadow=$SHADOW
	make_pair 48K second
	export BLKVERIFY_TARGET="$target:$TARGET:$third_target" BLKVERIFY_SHADOW="$shadow:$SHADOW:$third_shadow"
	local work=(open "$target" rw write 0 512 aa open "$TARGET" rw write 0 512 bb open "$third_target" rw write 0 512 cc
		open "$target" rw read 0 65536 open "$TARGET" rw read 0 65536 open "$third_target" rw read 0 65536)
	run shim diskio "${work[@]}"
	assert_clean
	cmp "$target" "$shadow"
	cmp "$TARGET" "$SHADOW"
	cmp "$third_target" "$third_shadow"
	assert_filled "$third_shadow" 0 512 cc
	damage "$SHADOW" 9000
	run shim diskio "${work[@]}"
	assert_mismatch read 17 9000
	[[ $(blk_lines) == *"$TARGET"* && $(blk_lines) != *"$third_target"* ]]
	unset BLKVERIFY_TARGET BLKVERIFY_SHADOW
}

@test "copying from one pair to another" {
	local target=$TARGET shadow=$SHADOW
	make_pair 64K second
	run env LD_PRELOAD="$BLK_LIB" BLKVERIFY_TARGET="$target:$TARGET" BLKVERIFY_SHADOW="$shadow:$SHADOW" \
		dd if="$target" of="$TARGET" bs=4096 conv=notrunc status=none
	assert_clean
	assert_same_contents
	cmp "$target" "$TARGET"
}

# ---- O_DIRECT ----

@test "O_DIRECT" {
	diskio open "$TARGET" rd read 0 4096 || skip "no O_DIRECT here"
	caught_and_clean diskio open "$TARGET" rwd write 4096 8192 aa read 0 65536 read 16384 4096
}

@test "O_DIRECT: what is not aligned fails as it does without the shim" {
	diskio open "$TARGET" rd read 0 4096 || skip "no O_DIRECT here"
	local calls=(open "$TARGET" rwd read 100 4096 read 0 100 write 100 4096 aa write 0 100 aa read 65536 4096 read 61440 8192) native
	run diskio "${calls[@]}"
	native=$output
	cp "$TARGET" "$SHADOW"
	run shim diskio "${calls[@]}"
	[ "$output" = "$native" ] || fail_with "native: $native"
	assert_same_contents
}

@test "on tmpfs" {
	make_pair_on_tmpfs 64K
	caught_and_clean diskio open "$TARGET" rw write 0 512 aa punch 4096 4096 zero 8192 4096 read 0 65536 ||
		# no ZERO_RANGE there; the rest must do
		[[ $output == *"zero = -1 EOPNOTSUPP"* ]]
	make_pair_on_tmpfs 64K
	caught_and_clean diskio open "$TARGET" rw write 0 512 aa punch 4096 4096 read 0 65536
}
