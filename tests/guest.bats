#!/usr/bin/env bats
# A real guest, booted in QEMU under the shim, on a raw target and on a qcow2 that is served as a raw file, with each
# kind of asynchronous I/O that QEMU has, around the page cache and through it.

load functions
load qemu

MIB=1048576
DISK=$((64 * MIB))
# the file system ends here; the guest may destroy what follows
FS=$((48 * MIB))
# in the part that only the guest's "read" looks at: its first byte, its last, and one in between
FIRST=$FS BAD=$((50 * MIB + 20 * 512 + 100)) LAST=$((DISK - 1))

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
}

new_shadow() {
	forget "$SHADOW"
	rm -f "$SHADOW"
	cp --sparse=always "$BATS_FILE_TMPDIR/disk" "$SHADOW"
}

# raw_target [BAD]: with one byte changed there
raw_target() {
	new_shadow
	cp --sparse=always "$SHADOW" "$TARGET"
	[ $# = 0 ] || damage_target "$1"
}

# qcow2_target [BAD]
qcow2_target() {
	new_shadow
	QCOW2="$BATS_TEST_TMPDIR/disk.qcow2"
	TARGET="$BATS_TEST_TMPDIR/export.raw"
	qemu-img convert -f raw -O qcow2 "$SHADOW" "$QCOW2"
	[ $# = 0 ] || damage_qcow2 "$1"
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

# in_flight IMAGE AIO: a word that limits the guest's requests where that is needed. QEMU 7.2's FUSE export keeps the
# data of all writes in one buffer, and a write that comes while another is under way spoils that one. The kernel sends
# it the writes of aio=threads one after the other; those of native and io_uring it would send at the same time, and a
# guest without the shim finds its disk damaged.
in_flight() { [ "$1" = raw ] || [ "$2" = threads ] || echo blk.depth=1; }

# works IMAGE/AIO/CACHE: file system, discards, patterns, every sector; the same contents in the end
works() {
	local image aio cache
	IFS=/ read -r image aio cache <<<"$1"
	# in for_each: the daemon is this word's own
	trap teardown EXIT
	"${image}_target"
	AIO=$aio boot "$cache" blk.work=fs,discard,read "blk.range=$((FS / MIB + 4)):2" $(in_flight "$image" "$aio")
	passed
	[ "$(stat_in_log writes)" -gt 50 ] || fail_with "few writes: $(cat "$LOG")"
	if [ "$image" = raw ]; then
		cmp "$TARGET" "$SHADOW"
	else
		stop_serving
		qemu-img compare -f qcow2 -F raw "$QCOW2" "$SHADOW"
	fi
	e2fsck -f -n "$SHADOW"
}

# stops IMAGE/AIO/CACHE/BAD: at that sector, having done what comes before
stops() {
	local image aio cache bad
	IFS=/ read -r image aio cache bad <<<"$1"
	trap teardown EXIT
	"${image}_target" "$bad"
	AIO=$aio boot "$cache" blk.work=fs,read $(in_flight "$image" "$aio")
	stopped_at "$bad"
	[[ $output == *"guest: fs: "* ]] || fail_with "stopped too early"
}

@test "raw, with every kind of I/O and cache" {
	for_each "raw/threads/none raw/threads/writeback raw/native/none raw/io_uring/none raw/io_uring/writeback" works
}

@test "raw, with every kind of I/O, one wrong byte" {
	for_each "raw/threads/none/$BAD raw/native/none/$FIRST raw/io_uring/writeback/$LAST" stops
}

@test "qcow2 through the export, with every kind of I/O and cache" {
	need_fuse
	for_each "qcow2/threads/none qcow2/threads/writeback qcow2/native/none qcow2/io_uring/none qcow2/io_uring/writeback" works
}

@test "qcow2 through the export, with every kind of I/O, one wrong byte" {
	need_fuse
	need_program jq
	for_each "qcow2/threads/writeback/$LAST qcow2/native/none/$BAD qcow2/io_uring/none/$FIRST" stops
}

@test "aio=native through the page cache: QEMU itself refuses it" {
	raw_target
	AIO=native boot writeback blk.work=read
	assert_status 1
	[[ $output == *"aio=native was specified, but it requires cache.direct=on"* ]]
	[ ! -s "$LOG" ] || lacks -v '^blkverify: stats ' "$LOG"
	cmp "$TARGET" "$SHADOW"
}

@test "eio with rerror=stop: the guest pauses at the bad read, and not before" {
	local qemu
	need_program jq
	raw_target "$BAD"
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
