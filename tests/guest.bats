#!/usr/bin/env bats
# A real guest, booted in QEMU under the shim, on a raw target and on a qcow2 that is served as a raw file.

load functions
load qemu

MIB=1048576
DISK=$((64 * MIB))
# the file system ends here; the guest may destroy what follows
FS=$((48 * MIB))
# in the part that only the guest's "read" looks at
BAD=$((50 * MIB + 20 * 512 + 100))

setup_file() {
	export GUEST="${BLK_BUILDDIR:-$BATS_FILE_TMPDIR}/guest" PATH=$PATH:/sbin:/usr/sbin
	command -v qemu-system-x86_64 >/dev/null || skip "no qemu-system-x86_64"
	"${BLK_SRCDIR:-${BATS_TEST_DIRNAME%/tests}}/tests/guest/build" "$GUEST" 2>"$BATS_FILE_TMPDIR/build.log" ||
		skip "no guest: $(tail -n 1 "$BATS_FILE_TMPDIR/build.log")"
	make_disk "$BATS_FILE_TMPDIR/disk"
}

# make_disk FILE: an ext4 with files that the guest can check, and random bytes after it
make_disk() {
	local files="$BATS_FILE_TMPDIR/files" n
	mkdir "$files"
	for n in 1 2 3 4 5; do head -c $((n * 543210)) /dev/urandom >"$files/$n"; done
	(cd "$files" && md5sum 1 2 3 4 5 >manifest.md5)
	truncate -s "$DISK" "$1"
	mke2fs -q -t ext4 -d "$files" "$1" "$((FS / MIB))M"
	head -c $((DISK - FS)) /dev/urandom | dd of="$1" bs=1M seek=$((FS / MIB)) conv=notrunc status=none
}

setup() {
	TARGET="$BATS_TEST_TMPDIR/disk.img"
	SHADOW="$BATS_TEST_TMPDIR/disk.shadow"
	LOG="$BATS_TEST_TMPDIR/log"
	cp --sparse=always "$BATS_FILE_TMPDIR/disk" "$SHADOW"
}

raw_target() { cp --sparse=always "$SHADOW" "$TARGET"; }
qcow2_target() {
	QCOW2="$BATS_TEST_TMPDIR/disk.qcow2"
	TARGET="$BATS_TEST_TMPDIR/export.raw"
	qemu-img convert -f raw -O qcow2 "$SHADOW" "$QCOW2"
	serve_qcow2
}

# boot CACHE WORD...: status and output (the guest's console), the shim's lines in LOG. AIO is threads unless given.
boot() {
	local cache=$1 qemu
	shift
	mapfile -t qemu < <("$BLK_SRCDIR/tests/guest/command" "$GUEST" "$@")
	rm -f "$LOG"
	BLKVERIFY_LOG=$LOG BLKVERIFY_STATS=1 run shim timeout 150 "${qemu[@]}" \
		-drive "file=$TARGET,format=raw,if=virtio,cache=$cache,aio=${AIO:-threads},discard=unmap"
}

# stat_in_log NAME: added up over all processes
stat_in_log() { sed -n "s/^blkverify: stats .* $1=\([0-9]*\).*/\1/p" "$LOG" | awk '{ n += $1 } END { print n + 0 }'; }

passed() {
	assert_status 0 || return
	[[ $output == *"guest: ok"* ]] || fail_with "the guest did not finish" || return
	! grep -v '^blkverify: stats ' "$LOG" || fail_with "not clean" || return
	[ "$(stat_in_log mismatches)" = 0 ] && [ "$(stat_in_log unverified)" = 0 ] || fail_with "$(cat "$LOG")" || return
	[ "$(stat_in_log reads)" -gt 100 ] || fail_with "few reads: $(cat "$LOG")"
}

stopped_at() {
	assert_status 134 || return
	[[ $output != *"guest: ok"* && $output != *"guest: read"* ]] || fail_with "the guest went on" || return
	grep '^blkverify: ' "$LOG" | head -n 1 |
		grep -Eq "^blkverify: read sector_num=[0-9]+ nb_sectors=[0-9]+ contents mismatch in sector $(($1 / 512)) at offset $1\$" ||
		fail_with "wrong report: $(head -n 3 "$LOG")"
}

@test "raw, cache=none: file system, patterns, every sector" {
	raw_target
	boot none blk.work=fs,pattern,discard,fs,read "blk.range=$((FS / MIB + 4)):6"
	passed
	[ "$(stat_in_log writes)" -gt 50 ]
	cmp "$TARGET" "$SHADOW"
	e2fsck -f -n "$SHADOW"
}

@test "raw, cache=writeback" {
	raw_target
	boot writeback blk.work=fs,pattern,read "blk.range=$((FS / MIB + 4)):6"
	passed
	cmp "$TARGET" "$SHADOW"
}

@test "raw, damaged: stopped at that sector" {
	raw_target
	damage_target "$BAD"
	boot none blk.work=read
	stopped_at "$BAD"
	# what the guest does not read does not stop it
	boot none blk.work=fs
	passed
}

@test "raw, aio=native" {
	raw_target
	AIO=native boot none blk.work=fs,pattern,discard,fs,read "blk.range=$((FS / MIB + 4)):6"
	passed
	[ "$(stat_in_log writes)" -gt 50 ]
	cmp "$TARGET" "$SHADOW"
	e2fsck -f -n "$SHADOW"
}

@test "raw, aio=native, damaged: stopped at that sector" {
	raw_target
	damage_target "$BAD"
	AIO=native boot none blk.work=read
	stopped_at "$BAD"
	AIO=native boot none blk.work=fs
	passed
}

@test "qcow2 through the export" {
	need_fuse
	qcow2_target
	boot none blk.work=fs,pattern,discard,fs,read "blk.range=$((FS / MIB + 4)):6"
	passed
	stop_serving
	qemu-img compare -f qcow2 -F raw "$QCOW2" "$SHADOW"
}

@test "qcow2 through the export, damaged: stopped at that sector" {
	need_fuse
	need_program jq
	qcow2_target
	boot writeback blk.work=fs
	passed
	stop_serving
	damage_qcow2 "$BAD"
	serve_qcow2
	boot none blk.work=read
	stopped_at "$BAD"
}



@test "eio with rerror=stop: the guest pauses at the bad read, and not before" {
	local qemu
	need_program jq
	raw_target
	damage_target "$BAD"
	mapfile -t qemu < <("$BLK_SRCDIR/tests/guest/command" "$GUEST" blk.work=fs,read)
	qmp_start guest
	BLKVERIFY_LOG=$LOG BLKVERIFY_ON_MISMATCH=eio background_shim "${qemu[@]}" "${QMP_OPTIONS[@]}" \
		-drive "file=$TARGET,format=raw,if=none,id=disk,cache=none,rerror=stop,werror=stop" -device virtio-blk-pci,drive=disk
	qmp qmp_capabilities
	until_true 120 machine_is io-error
	# it did all of its work before the bad sector, and nothing after it
	background_says "guest: fs:"
	lacks "guest: read" "$BATS_TEST_TMPDIR/background.out"
	lacks "guest: FAILED" "$BATS_TEST_TMPDIR/background.out"
	head -n 1 "$LOG" | grep -Eq "^blkverify: read .* contents mismatch in sector $((BAD / 512)) at offset $BAD\$"
	sleep 1
	machine_is io-error
	# still bad: it stops again
	qmp cont
	until_true 30 machine_is io-error
	[ "$(grep -c "contents mismatch in sector $((BAD / 512)) at offset $BAD\$" "$LOG")" -ge 2 ]
	# repaired behind everyone's back: it goes on to its end
	damage_target "$BAD"
	qmp cont
	wait_for_background
	assert_status 0
	[[ $output == *"guest: ok"* ]]
}
