#!/usr/bin/env bats
# QEMU's own tools, unmodified, and QEMU itself as it is run in production.

load functions
load qemu

BAD=2072576

setup() {
	need_program qemu-io
	make_pair 4M
	LOG="$BATS_TEST_TMPDIR/log"
}

# both_ways CMD...: clean as it is, stopped at BAD when the shadow differs there
both_ways() {
	run shim "$@"
	assert_clean || return
	damage_shadow "$BAD" || return
	run shim "$@"
	assert_mismatch read 4048 "$BAD" || return
	damage_shadow "$BAD"
}

WORK=(-c 'write -P 0xa5 1M 128k' -c 'read -P 0xa5 1M 128k' -c 'write -P 1 4096 512' -c 'writev -P 2 2M 512 1024 4096'
	-c 'readv -P 2 2M 1024 4608' -c 'aio_write -P 3 3M 64k' -c 'aio_write -P 4 3200k 64k' -c aio_flush -c 'aio_read -P 3 3M 64k'
	-c aio_flush -c flush -c 'read 0 4M')

# ---- qemu-io ----

@test "qemu-io through the page cache and around it" {
	local cache
	for cache in writeback none writethrough directsync; do
		both_ways qemu-io -f raw -t "$cache" "${WORK[@]}" "$TARGET"
		assert_same_contents
	done
}

@test "qemu-io: zeroes and discards" {
	both_ways qemu-io -f raw -d unmap -c 'write -z 64k 64k' -c 'read -P 0 64k 64k' -c 'write -z -u 256k 128k' -c 'read -P 0 256k 128k' \
		-c 'discard 1M 512k' -c 'read 1M 512k' -c 'write -P 5 1100k 100k' -c 'write -z 100 1000' -c 'read 0 4M' "$TARGET"
	assert_same_contents
}

@test "qemu-io: resizing" {
	both_ways qemu-io -f raw -c 'truncate 5M' -c 'write -P 9 4608k 512k' -c 'read -P 0 4M 512k' -c 'truncate 4M' -c 'read 0 4M' "$TARGET"
	assert_same_contents
}

# ---- qemu-img ----

@test "qemu-img convert from a target" {
	local cache
	for cache in writeback none; do
		run shim qemu-img convert -f raw -O raw -T "$cache" "$TARGET" "$BATS_TEST_TMPDIR/copy"
		assert_clean
		cmp "$BATS_TEST_TMPDIR/copy" "$TARGET"
		both_ways qemu-img convert -f raw -O raw -T "$cache" "$TARGET" "$BATS_TEST_TMPDIR/copy"
	done
}

@test "qemu-img convert to a target" {
	local from="$BATS_TEST_TMPDIR/from"
	head -c 4M /dev/urandom >"$from"
	# with holes
	fallocate -p -o 1M -l 1M "$from"
	run shim qemu-img convert -n -f raw -O raw "$from" "$TARGET"
	assert_clean
	assert_same_contents
	cmp "$from" "$TARGET"
	run shim_with lose qemu-img convert -n -f raw -O raw "$from" "$TARGET"
	run shim qemu-io -f raw -c 'read 0 4M' "$TARGET"
	assert_clean
}

@test "qemu-img convert to a target that it creates" {
	local from=$TARGET
	TARGET="$BATS_TEST_TMPDIR/created"
	SHADOW="$BATS_TEST_TMPDIR/created.shadow"
	: >"$SHADOW"
	run shim qemu-img convert -f raw -O raw "$from" "$TARGET"
	assert_clean
	assert_same_contents
	cmp "$from" "$TARGET"
	# a container the same: what is verified is the file
	rm "$TARGET" "$SHADOW"*
	: >"$SHADOW"
	run shim qemu-img convert -f raw -O qcow2 "$from" "$TARGET"
	assert_clean
	assert_same_contents
}

@test "a qcow2 container as target: strangers who write to the file are found" {
	make_qcow2_pair 4M
	TARGET=$QCOW2
	cp "$QCOW2" "$SHADOW"
	run shim qemu-io -f qcow2 -c 'write -P 7 1M 64k' -c 'read -P 7 1M 64k' -c 'read 0 4M' "$TARGET"
	assert_clean
	assert_same_contents
	local at
	at=$(qemu-img map --output=json "$QCOW2" | jq '.[0].offset + 1000')
	damage_target "$at"
	run shim qemu-io -f qcow2 -c 'read 0 4M' "$TARGET"
	assert_mismatch read $((at / 512)) "$at"
}

@test "qemu-img compare" {
	cp "$TARGET" "$BATS_TEST_TMPDIR/copy"
	both_ways qemu-img compare -f raw -F raw "$TARGET" "$BATS_TEST_TMPDIR/copy"
}

@test "qemu-img dd" {
	run shim qemu-img dd -f raw -O raw bs=64k "if=$TARGET" "of=$BATS_TEST_TMPDIR/copy"
	assert_clean
	cmp "$BATS_TEST_TMPDIR/copy" "$TARGET"
	both_ways qemu-img dd -f raw -O raw bs=64k "if=$TARGET" "of=$BATS_TEST_TMPDIR/copy"
}

@test "qemu-img bench: requests that share one buffer" {
	local depth size
	for depth in 1 32; do
		for size in 4096 65536; do
			both_ways qemu-img bench -f raw -t none -c 2000 -d "$depth" -s "$size" -S "$size" "$TARGET"
			run shim qemu-img bench -f raw -t none -c 500 -d "$depth" -s "$size" -S "$size" -w --pattern=17 "$TARGET"
			assert_clean
			assert_same_contents
		done
	done
}

# ---- every kind of asynchronous I/O ----

KINDS="threads/on threads/off native/on io_uring/on io_uring/off"

# options_of AIO/DIRECT: TARGET as --image-opts has it
options_of() { printf 'driver=raw,file.driver=file,file.filename=%s,file.aio=%s,file.cache.direct=%s' "$TARGET" "${1%/*}" "${1#*/}"; }

reads() {
	both_ways qemu-img convert --image-opts -O raw "$(options_of "$1")" "$BATS_TEST_TMPDIR/copy"
	both_ways qemu-img dd --image-opts -O raw bs=64k "if=$(options_of "$1")" "of=$BATS_TEST_TMPDIR/copy"
	both_ways qemu-img compare --image-opts "$(options_of "$1")" "driver=raw,file.driver=file,file.filename=$TARGET"
	both_ways qemu-img bench --image-opts -c 500 -d 32 -s 16384 "$(options_of "$1")"
	run shim qemu-img dd --image-opts -O raw bs=64k "if=$(options_of "$1")" "of=$BATS_TEST_TMPDIR/copy"
	assert_clean
	cmp "$BATS_TEST_TMPDIR/copy" "$TARGET"
}

writes() {
	local from="$BATS_TEST_TMPDIR/from"
	head -c 4M /dev/urandom >"$from"
	fallocate -p -o 1M -l 1M "$from"
	run shim qemu-img convert -n -f raw --target-image-opts "$from" "$(options_of "$1")"
	assert_clean
	assert_same_contents
	cmp "$from" "$TARGET"
	run shim qemu-img bench --image-opts -w -c 500 -d 32 -s 16384 --pattern=17 "$(options_of "$1")"
	assert_clean
	assert_same_contents
	# its twin: some of what is written gets lost
	FAULT_SKIP=5 run shim_with lose qemu-img convert -n -f raw --target-image-opts "$from" "$(options_of "$1")"
	assert_clean
	run shim qemu-img convert --image-opts -O raw "$(options_of "$1")" "$BATS_TEST_TMPDIR/copy"
	assert_status 134
	assert_first_line "^blkverify: read .* contents mismatch"
	cp "$SHADOW" "$TARGET"
}

@test "qemu-img reads with every kind of asynchronous I/O" {
	for_each "$KINDS" reads
}

@test "qemu-img writes with every kind of asynchronous I/O" {
	for_each "$KINDS" writes
}

# ---- servers ----

# served COMMAND...: COMMAND, not under the shim, on the target as SERVER serves it; status is the server's
served() {
	local socket="$BATS_TEST_TMPDIR/socket"
	rm -f "$socket"
	background_shim "${SERVER[@]}" "$socket" "$TARGET"
	until_true 10 test -S "$socket"
	"${@//URI/nbd+unix:///?socket=$socket}" >"$BATS_TEST_TMPDIR/client.out" 2>&1 || :
	kill "$PID" 2>/dev/null || :
	wait_for_background
}

# serves SERVER
serves() {
	local client
	case $1 in
	nbdkit) SERVER=(nbdkit -f file -U) ;;
	*) SERVER=(qemu-nbd -t -f raw --discard=unmap --cache=none "--aio=$1" -k) ;;
	esac
	served qemu-io -f raw -d unmap -c 'write -P 7 1M 64k' -c 'read -P 7 1M 64k' -c 'write -z 2M 64k' -c 'discard 3M 64k' -c flush \
		-c 'read 0 4M' URI
	grep -q 'read 4194304/4194304' "$BATS_TEST_TMPDIR/client.out"
	[ "$status" != 134 ] && [ -z "$(blk_lines)" ] || fail_with "expected it to be clean"
	assert_same_contents
	for client in "nbdcopy URI $BATS_TEST_TMPDIR/copy" "qemu-img convert -f raw -O raw URI $BATS_TEST_TMPDIR/copy"; do
		rm -f "$BATS_TEST_TMPDIR/copy"
		# the client is words
		served $client
		[ "$status" != 134 ] && [ -z "$(blk_lines)" ] || fail_with "expected it to be clean"
		cmp "$BATS_TEST_TMPDIR/copy" "$TARGET"
		damage_shadow "$BAD"
		served $client
		assert_mismatch read 4048 "$BAD"
		damage_shadow "$BAD"
	done
}

@test "what NBD servers serve" {
	need_program nbdkit
	need_program nbdcopy
	for_each "nbdkit threads native io_uring" serves
}

# ---- a format driver, served as a raw file ----

@test "a qcow2 through the storage daemon's export" {
	local cache
	make_qcow2_pair 4M
	serve_qcow2
	for cache in none writeback; do
		run shim qemu-io -f raw -t "$cache" "${WORK[@]}" "$TARGET"
		assert_clean
	done
	run shim qemu-img convert -f raw -O raw -T none "$TARGET" "$BATS_TEST_TMPDIR/copy"
	assert_clean
	cmp "$BATS_TEST_TMPDIR/copy" "$SHADOW"
	run shim qemu-img bench -f raw -t none -c 1000 -d 32 -s 4096 "$TARGET"
	assert_clean
	run shim qemu-io -f raw -d unmap -c 'write -z 64k 64k' -c 'discard 1M 64k' -c 'read 0 4M' "$TARGET"
	assert_clean
	stop_serving
	# the driver as qemu-img sees it
	qemu-img compare -f qcow2 -F raw "$QCOW2" "$SHADOW"
	damage_qcow2 "$BAD"
	serve_qcow2
	for cache in none writeback; do
		run shim qemu-io -f raw -t "$cache" -c 'read 0 4M' "$TARGET"
		assert_mismatch read 4048 "$BAD"
	done
	run shim qemu-img convert -f raw -O raw -T none "$TARGET" "$BATS_TEST_TMPDIR/copy"
	assert_mismatch read 4048 "$BAD"
	# all but the damaged block
	run shim qemu-io -f raw -t none -c "read 0 $((BAD / 4096 * 4096))" -c "read $((BAD / 4096 * 4096 + 4096)) 1M" "$TARGET"
	assert_clean
}

@test "a server that forgets a punched hole is found" {
	make_qcow2_pair 4M
	# without discard=unmap the daemon answers PUNCH_HOLE with success and keeps the bytes
	serve_qcow2 ignore
	run shim qemu-io -f raw -t none -d unmap -c 'write -P 7 1M 64k' -c 'discard 1M 64k' -c 'read 1M 64k' "$TARGET"
	if [ "$status" = 0 ]; then
		qemu-io -f raw -t none -r -c 'read -P 0 1M 64k' "$TARGET" || fail_with "a hole that is none, unseen"
		skip "this daemon punches holes"
	fi
	assert_mismatch read 2048 1048576
}

# ---- the machine ----
#
# Without a guest: what moves data is QMP's human-monitor-command qemu-io, through the same block layer.

MACHINE=(qemu-system-x86_64 -accel tcg -machine none -nodefaults -no-user-config -display none)

need_machine() { need_program qemu-system-x86_64; need_program jq; }

# start_machine OPTION...: under the shim, with TARGET as block node "disk"
start_machine() {
	qmp_start "machine$RANDOM"
	background_shim "${MACHINE[@]}" "${QMP_OPTIONS[@]}" "$@"
	qmp qmp_capabilities
}

disk_options() {
	printf '%s\n' -blockdev "driver=file,node-name=file,filename=$TARGET" -blockdev driver=raw,node-name=disk,file=file
}

# machine_io COMMAND: qemu-io's words; what it says goes to the machine's standard output
machine_io() { qmp human-monitor-command "{\"command-line\":\"qemu-io disk \\\"$1\\\"\"}"; }

# works_and_is_caught LOGGED: the running machine reads and writes; then damage is found. PID may be no child of ours.
works_and_is_caught() {
	machine_io 'write -P 7 1M 64k'
	machine_io 'read 0 4M'
	! grep . "$LOG" || fail_with "not clean" || return
	cmp "$TARGET" "$SHADOW" || return
	damage_shadow "$BAD"
	machine_io 'read 0 4M' || :
	until_true 10 grep -q "^blkverify: read .*contents mismatch in sector 4048 at offset $BAD\$" "$LOG" || fail_with "damage unseen"
}

@test "the machine" {
	need_machine
	local options
	mapfile -t options < <(disk_options)
	: >"$LOG"
	BLKVERIFY_LOG=$LOG start_machine "${options[@]}"
	works_and_is_caught
	wait_for_background
	assert_status 134
}

@test "the machine with file locking left on: the lock stays" {
	need_machine
	local options
	mapfile -t options < <(disk_options)
	: >"$LOG"
	qmp_start lock
	BLKVERIFY_LOG=$LOG background_shim qemu-system-x86_64 -accel tcg -S -nodefaults -no-user-config -display none \
		"${QMP_OPTIONS[@]}" "${options[@]}" -device virtio-blk-pci,drive=disk
	qmp qmp_capabilities
	machine_io 'write -P 3 64k 64k'
	machine_io 'read 0 4M'
	# any close of the file by the shim would have dropped it
	run qemu-img bench -f raw -w -c 1 "$TARGET"
	[ "$status" != 0 ] || fail_with "QEMU's lock is gone"
	[[ $output == *lock* ]]
	works_and_is_caught
	wait_for_background
	assert_status 134
	run qemu-img bench -f raw -w -c 1 "$TARGET"
	[ "$status" = 0 ]
}

@test "the machine with -daemonize" {
	need_machine
	local options pidfile="$BATS_TEST_TMPDIR/pid"
	mapfile -t options < <(disk_options)
	: >"$LOG"
	qmp_start daemon
	BLKVERIFY_LOG=$LOG run shim "${MACHINE[@]}" "${QMP_OPTIONS[@]}" "${options[@]}" -daemonize -pidfile "$pidfile" 3>&-
	assert_clean
	PID=$(cat "$pidfile")
	DAEMONS+=("$PID")
	qmp qmp_capabilities
	works_and_is_caught
	until_true 10 gone "$PID"
}

@test "the machine with -daemonize and no log: the report finds standard error" {
	need_machine
	local options pidfile="$BATS_TEST_TMPDIR/pid"
	mapfile -t options < <(disk_options)
	: >"$LOG"
	qmp_start daemon
	shim "${MACHINE[@]}" "${QMP_OPTIONS[@]}" "${options[@]}" -daemonize -pidfile "$pidfile" 2>"$LOG" 3>&-
	PID=$(cat "$pidfile")
	DAEMONS+=("$PID")
	qmp qmp_capabilities
	works_and_is_caught
}

@test "the machine with -sandbox on" {
	need_machine
	local options
	mapfile -t options < <(disk_options)
	: >"$LOG"
	BLKVERIFY_LOG=$LOG start_machine "${options[@]}" \
		-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
	works_and_is_caught
	wait_for_background
	assert_status 134
}

@test "the machine with -runas and -chroot" {
	need_machine
	need_root
	local root="$BATS_TEST_TMPDIR/root" options
	mkdir "$root"
	mapfile -t options < <(disk_options)
	: >"$LOG"
	BLKVERIFY_LOG=$LOG start_machine "${options[@]}" -runas nobody -chroot "$root"
	[ "$(stat -c %U "/proc/$PID")" != root ] || grep -q '^Uid:.*65534' "/proc/$PID/status"
	works_and_is_caught
	wait_for_background
	assert_status 134
}

@test "the machine that opens its disk after -runas and -chroot" {
	need_machine
	need_root
	local root="$BATS_TEST_TMPDIR/root"
	mkdir "$root"
	ln "$TARGET" "$root/disk"
	chmod 666 "$TARGET"
	chmod a+rx "$root"
	: >"$LOG"
	BLKVERIFY_LOG=$LOG start_machine -runas nobody -chroot "$root"
	qmp blockdev-add '{"driver":"raw","node-name":"disk","file":{"driver":"file","filename":"/disk"}}'
	works_and_is_caught
	wait_for_background
	assert_status 134
}

@test "the machine that gets its disk by -add-fd" {
	need_machine
	: >"$LOG"
	qmp_start fd
	export BLKVERIFY_LOG=$LOG
	background bash -c 'exec 9<>"$1" && shift && exec "$@"' - "$TARGET" env LD_PRELOAD="$BLK_LIB" BLKVERIFY_TARGET="$TARGET" \
		BLKVERIFY_SHADOW="$SHADOW" "${MACHINE[@]}" "${QMP_OPTIONS[@]}" -add-fd fd=9,set=1 \
		-blockdev driver=file,node-name=file,filename=/dev/fdset/1 -blockdev driver=raw,node-name=disk,file=file
	unset BLKVERIFY_LOG
	qmp qmp_capabilities
	works_and_is_caught
	wait_for_background
	assert_status 134
}

@test "the machine with a disk added and removed while it runs" {
	need_machine
	: >"$LOG"
	BLKVERIFY_LOG=$LOG start_machine
	local n
	for n in 1 2 3; do
		qmp blockdev-add "{\"driver\":\"raw\",\"node-name\":\"disk\",\"file\":{\"driver\":\"file\",\"filename\":\"$TARGET\"}}"
		machine_io 'write -P 3 64k 64k'
		qmp blockdev-del '{"node-name":"disk"}'
	done
	qmp blockdev-add "{\"driver\":\"raw\",\"node-name\":\"disk\",\"file\":{\"driver\":\"file\",\"filename\":\"$TARGET\"}}"
	works_and_is_caught
}

@test "eio: QEMU reports the error and goes on" {
	need_machine
	local options
	mapfile -t options < <(disk_options)
	damage_shadow "$BAD"
	: >"$LOG"
	BLKVERIFY_LOG=$LOG BLKVERIFY_ON_MISMATCH=eio start_machine "${options[@]}"
	machine_io 'read 0 64k'
	machine_io "read $((BAD / 512 * 512)) 512"
	machine_io 'write -P 1 64k 64k'
	# it may be gone before it has answered
	qmp quit || :
	wait_for_background
	assert_status 0
	[ "$(grep -c 'contents mismatch' "$LOG")" = 1 ]
	[[ $output == *"read 65536/65536"*"read failed: Input/output error"*"wrote 65536/65536"* ]] || fail_with "not as expected"
}

# ---- background jobs of the block layer ----

@test "backup, mirror and commit read through the shim" {
	need_machine
	local options
	mapfile -t options < <(disk_options)
	: >"$LOG"
	BLKVERIFY_LOG=$LOG start_machine "${options[@]}"
	truncate -s 4M "$BATS_TEST_TMPDIR/copy"
	qmp blockdev-add "{\"driver\":\"raw\",\"node-name\":\"copy\",\"file\":{\"driver\":\"file\",\"filename\":\"$BATS_TEST_TMPDIR/copy\"}}"
	qmp blockdev-backup '{"job-id":"job","device":"disk","target":"copy","sync":"full"}'
	until_true 20 same_as_copy
	! grep . "$LOG" || fail_with "not clean"
	damage_shadow "$BAD"
	qmp blockdev-backup '{"job-id":"again","device":"disk","target":"copy","sync":"full"}' || :
	until_true 10 grep -q "contents mismatch in sector 4048 at offset $BAD\$" "$LOG"
}
same_as_copy() { cmp -s "$TARGET" "$BATS_TEST_TMPDIR/copy"; }
