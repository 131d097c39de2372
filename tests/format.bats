#!/usr/bin/env bats
# `blkverify run --format`: an image's format driver under test.

load functions
load qemu
load command

BAD=1052672

setup() { prepare_to_serve; }

# work on the served file
WORK=(qemu-io -f raw -t none -c "write -P 7 1M 64k" -c "write -P 9 1100k 1k" -c "read -P 9 1100k 1k" -c "write -z 2M 128k"
	-c "read 0 1M" -c flush {})

assert_worked() {
	assert_status 0 || return
	[[ $output =~ "1 process, "[0-9]+" reads, 2 writes verified, no mismatch"$ ]] || fail_with "not verified"
}

@test "what runs is in the mode that is tested" {
	TARGET={} assert_mode tested --
}

# ---- formats ----

@test "qcow2: clean, and what was written is in the image" {
	run tested -- "${WORK[@]}"
	assert_worked
	assert_nothing_stays
	qemu-img compare -f qcow2 -F raw "$IMAGE" "$SHADOW"
	run qemu-img check "$IMAGE"
	assert_status 0
}

@test "qcow2: damaged" {
	damage_image "$BAD"
	run tested -- qemu-io -f raw -t none -c "read 0 1M" -c "read 1M 64k" {}
	assert_mismatch read $((BAD / 512)) "$BAD" 120
	[[ $output == *" 0 writes verified, 1 mismatch" ]]
	assert_nothing_stays
	run tested -- qemu-io -f raw -t none -c "read 0 1M" {}
	assert_status 0
}

@test "vdi, vmdk, vhdx and qed, by name and by themselves" {
	local format
	for format in vdi vmdk vhdx qed; do
		make_image "$format"
		run "$BLK_COMMAND" run --format="$format" -t "$IMAGE" -s "$SHADOW" -- "${WORK[@]}"
		assert_worked || fail_with "$format" || return
		run "$BLK_COMMAND" run --format=auto -t "$IMAGE" -s "$SHADOW" -- qemu-io -f raw -c "read 0 4M" {}
		assert_status 0 || fail_with "$format by itself" || return
	done
}

@test "vmdk: damaged" {
	make_image vmdk
	QCOW2=$IMAGE
	damage_qcow2 "$BAD"
	run "$BLK_COMMAND" run --format=auto -t "$IMAGE" -s "$SHADOW" -- qemu-io -f raw -c "read 1M 64k" {}
	assert_mismatch read $((BAD / 512)) "$BAD" 120
}

@test "a backing file" {
	qemu-img create -q -f qcow2 -b "$IMAGE" -F qcow2 "$TMPDIR/overlay"
	local base
	base=$(sha256sum "$IMAGE")
	IMAGE="$TMPDIR/overlay" run tested -- "${WORK[@]}"
	assert_worked
	[ "$base" = "$(sha256sum "$IMAGE")" ]
	damage_image "$BAD"
	IMAGE="$TMPDIR/overlay" run tested -- qemu-io -f raw -c "read 4k 1M" -c "read 1028k 1k" {}
	# above what the overlay has now
	assert_status 0
	damage_image 8192
	IMAGE="$TMPDIR/overlay" run tested -- qemu-io -f raw -c "read 4k 1M" {}
	assert_mismatch read 16 8192 120
}

@test "an encrypted image" {
	local secret=secret,id=key,data options=encrypt.format=aes,encrypt.key-secret=key format
	# not LUKS: it takes seconds to make one, and now and then QEMU fails at measuring how many
	make_image qcow2 --object "$secret=abc" -o "$options"
	for format in qcow2 auto; do
		run "$BLK_COMMAND" run --object="$secret=abc" --format="$format,$options" -t "$IMAGE" -s "$SHADOW" -- "${WORK[@]}"
		assert_worked
	done
	run "$BLK_COMMAND" run --object="$secret=abd" --format="qcow2,$options" -t "$IMAGE" -s "$SHADOW" -- qemu-io -f raw -c "read 4k 1k" {}
	# what it makes of the first bytes may be what is right, by chance
	assert_mismatch read 8 '4[0-9]{3}' 120
	run tested -- qemu-io -f raw -c "read 4k 1k" {}
	unusable "encrypt.key-secret" "does not serve $IMAGE"
}

@test "an image on a block device" {
	attach_loop "$IMAGE"
	IMAGE=$LOOP run tested -- "${WORK[@]}"
	assert_worked
}

@test "several images" {
	local first=$IMAGE shadow=$SHADOW words
	SHADOW="$TMPDIR/second.shadow"
	head -c 4M /dev/urandom >"$SHADOW"
	make_image vdi
	words=(-t "$first" -s "$shadow" -t "$IMAGE" -s "$SHADOW")
	run "$BLK_COMMAND" run --format=auto "${words[@]}" -- dd if={1} of=/dev/null bs=64k status=none
	assert_status 0
	assert_closing "1 process, 65 reads, 0 writes verified, no mismatch, nothing on $IMAGE"
	run "$BLK_COMMAND" run --format=qcow2 --format=vdi "${words[@]}" -- \
		sh -c 'for f; do echo "${f##*/}"; done; dd if="$1" of=/dev/null bs=64k status=none; dd if="${2#x}" of=/dev/null bs=64k status=none' \
		- {} x{2} {3}{0}{
	assert_status 0
	[[ $output == disk1.raw$'\n'disk2.raw$'\n'"{3}{0}{"$'\n'* ]] || fail_with "arguments"
	assert_closing "2 processes, 130 reads, 0 writes verified, no mismatch"
}

@test "--read-only" {
	local before
	before=$(sha256sum "$IMAGE")
	run tested --read-only -- qemu-io -r -f raw -c "read 0 4M" {}
	assert_status 0
	run tested --read-only -- diskio open {} r read 0 512 open {} rw write 0 512 aa
	assert_status 1
	[[ $output == *"write = -1"* || $output == *"open = -1"* ]]
	assert_closing "1 process, 1 read, 0 writes verified, no mismatch"
	[ "$before" = "$(sha256sum "$IMAGE")" ]
	# an image that may only be read
	chmod 444 "$IMAGE"
	run tested --read-only -- qemu-io -r -f raw -c "read 0 4M" {}
	assert_status 0
}

@test "the environment that the program gets" {
	run tested --stats -- sh -c 'echo "$BLKVERIFY_TARGET"; diskio open "$0" r read 0 512' {}
	assert_status 0
	[[ ${lines[0]} == "$TMPDIR"/blkverify-export.*/disk.raw ]]
	# colons in it
	mkdir "$TMPDIR/a:b"
	TMPDIR="$TMPDIR/a:b" run tested -- diskio open {} r read 0 512
	assert_status 0
}

# ---- what cannot be ----

# unusable WORD...: the last run was refused with 125, in lines of ours that have all the words
unusable() {
	assert_status 125 || return
	local word
	for word; do
		[[ $(blk_lines) == *"$word"* ]] || fail_with "expected: $word" || return
	done
	assert_nothing_left
}

@test "usage" {
	run tested -- diskio say main
	unusable "{}" diskio
	run tested -- diskio say {2}
	unusable "{}" diskio
	run "$BLK_COMMAND" run --format=qcow2 --format=vdi -t "$IMAGE" -s "$SHADOW" -- diskio say {}
	unusable --format
	BLKVERIFY_TARGET=$IMAGE run "$BLK_COMMAND" run --format=qcow2 -s "$SHADOW" -- diskio say {}
	unusable --format
	IMAGE="$TMPDIR/none" run tested -- diskio say {}
	unusable "$TMPDIR/none: does not exist"
	IMAGE="$TMPDIR" run tested -- diskio say {}
	unusable "$TMPDIR: is a directory"
	[[ $output != *$'\n'main* ]]
}

@test "a shadow that is the image, or below it" {
	local base=$SHADOW
	IMAGE=$SHADOW
	run "$BLK_COMMAND" run --format=raw -t "$IMAGE" -s "$SHADOW" -- diskio say main {}
	unusable "$SHADOW: cannot be a shadow"
	ln "$SHADOW" "$TMPDIR/link"
	run "$BLK_COMMAND" run --format=raw --read-only -t "$IMAGE" -s "$TMPDIR/link" -- diskio say main {}
	unusable "$TMPDIR/link: cannot be a shadow"
	IMAGE="$TMPDIR/overlay"
	qemu-img create -q -f qcow2 -b "$base" -F raw "$IMAGE"
	run tested -- diskio say main {}
	unusable "$SHADOW: cannot be a shadow"
	[[ $output != *$'\n'main* ]]
	# a copy can
	cp "$base" "$TMPDIR/copy"
	SHADOW="$TMPDIR/copy" run tested -- "${WORK[@]}"
	assert_worked
}

@test "what the daemon says is shown" {
	run "$BLK_COMMAND" run --format=vdi -t "$IMAGE" -s "$SHADOW" -- diskio say main {}
	unusable "qemu-storage-daemon: --blockdev driver=vdi" "ended with status 1 and does not serve $IMAGE"
	run "$BLK_COMMAND" run --format=nosuch -t "$IMAGE" -s "$SHADOW" -- diskio say main {}
	unusable "nosuch" "does not serve $IMAGE"
	# somebody else has it
	background qemu-io -f qcow2 -c "sleep 100000" "$IMAGE"
	sleep 0.3
	run tested -- diskio say main {}
	assert_status 125
	[[ $output == *"Failed to get"*"does not serve $IMAGE" ]]
	[[ $output != *$'\n'main* ]]
	end_process "$PID"
}

@test "a shadow of another size" {
	truncate -s 5M "$SHADOW"
	run tested -- diskio say main {}
	unusable "5242880 bytes, target has 4194304"
}

# few_programs NAME...: bin has these and what every test needs
few_programs() {
	local name
	mkdir -p "$TMPDIR/bin"
	for name in sh diskio true; do ln -s "$(command -v "$name")" "$TMPDIR/bin"; done
	for name; do ln -s "$(command -v "$name")" "$TMPDIR/bin"; done
}

@test "without the daemon, or qemu-img" {
	few_programs fusermount3
	PATH="$TMPDIR/bin" run tested -- diskio say main {}
	unusable "qemu-storage-daemon: not found; it is in the Debian package qemu-system-common"
	PATH="$TMPDIR/bin" run "$BLK_COMMAND" run --format=auto -t "$IMAGE" -s "$SHADOW" -- diskio say main {}
	unusable "qemu-img: not found; it is in the Debian package qemu-utils"
}

# in_small_dev COMMAND CMD...: CMD in a /dev of its own, with /dev/null and what the shell's COMMAND puts there
in_small_dev() {
	unshare --mount bash -c 'mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && eval "$1" && shift && exec "$@"' - "$@"
}

@test "without /dev/fuse, or permission for it" {
	need_root
	command_for_nobody
	local words=("$BLK_COMMAND" run --format=qcow2 -t "$IMAGE" -s "$SHADOW" -- diskio say main {})
	run in_small_dev : "${words[@]}"
	unusable "/dev/fuse: not there" "modprobe fuse"
	run in_small_dev 'mknod -m 600 /dev/fuse c 10 229' setpriv --reuid=65534 --regid=65534 --clear-groups "${words[@]}"
	unusable "/dev/fuse: permission denied"
	few_programs qemu-storage-daemon
	run in_small_dev 'mknod -m 666 /dev/fuse c 10 229' setpriv --reuid=65534 --regid=65534 --clear-groups \
		env PATH="$TMPDIR/bin:$TMPDIR/nobody" "${words[@]}"
	unusable "fusermount3: not found; it is in the Debian package fuse3"
}

@test "as an ordinary user" {
	need_root
	need_program fusermount3
	command_for_nobody
	chmod 777 "$TMPDIR"
	chmod 666 "$IMAGE" "$SHADOW"
	# the node may be root's alone
	run in_small_dev 'mknod -m 666 /dev/fuse c 10 229' setpriv --reuid=65534 --regid=65534 --clear-groups \
		"$BLK_COMMAND" run --format=qcow2 -t "$IMAGE" -s "$SHADOW" -- diskio open {} rw read 0 65536 write 512 512 aa
	assert_status 0
	assert_one_line "1 process, 1 read, 1 write verified, no mismatch"
}
