#!/usr/bin/env bats
# DOSBox: a file system inside an image, a disk by INT 13h, and a boot sector. It works by stdio, a sector at a time.

load functions
load emul

SIZE=$((8 * 16 * 63 * 512))

setup() {
	need_program dosbox
	# its configuration goes to HOME
	export HOME="$BATS_TEST_TMPDIR"
	mkdir "$BATS_TEST_TMPDIR/host"
}

# dosbox_does COMMAND...: COMMAND becomes the call that has DOS do that. Drive H is the directory host.
dosbox_does() {
	local line
	COMMAND=(dosbox -conf "$EMUL/dosbox.conf" -c 'mount h host')
	for line in "$@" exit; do COMMAND+=(-c "$line"); done
}

@test "a disk by INT 13h" {
	make_pair "$SIZE"
	assemble "$BATS_TEST_TMPDIR/host/disk.com" 0x100 --defsym DOS=1
	dosbox_does 'imgmount 2 disk.img -t hdd -fs none -size 512,63,16,8' 'h:\disk.com > h:\out.txt'
	works "$SIZE" 8192 "${COMMAND[@]}"
	[ "$(tr -d '\r' <host/OUT.TXT)" = "disk: done" ]
	[ "$(bytes "$TARGET" $((((5 * 16 + 2) * 63 + 4) * 512)) 6)" = 015a785def60 ]
	stops $((((5 * 16 + 2) * 63 + 3) * 512 + 510)) "${COMMAND[@]}"
	stops $((SIZE - 1)) "${COMMAND[@]}"
}

@test "a boot sector" {
	make_pair "$SIZE"
	assemble "$BATS_TEST_TMPDIR/host/boot" 0x7c00 --defsym DOSBOX=1
	dd if="$BATS_TEST_TMPDIR/host/boot" of="$TARGET" conv=notrunc status=none
	dd if="$BATS_TEST_TMPDIR/host/boot" of="$SHADOW" conv=notrunc status=none
	dosbox_does 'imgmount 2 disk.img -t hdd -fs none -size 512,63,16,8' 'boot -l c'
	works "$SIZE" 8704 "${COMMAND[@]}"
	[ "$(head -c 522 "$TARGET" | tail -c 10)" = "disk: done" ]
	# in the boot sector itself, and in what it reads
	stops 300 "${COMMAND[@]}"
	stops $((5000 * 512 + 1)) "${COMMAND[@]}"
}

# ---- a file system ----

# mtool NAME WORD...: of mtools, on the file system in TARGET at FS
mtool() {
	local name=$1
	shift
	MTOOLS_SKIP_CHECK=1 "$name" -i "$TARGET@@$FS" "$@"
}

# fill_fat SECTORS: a FAT file system of that size at FS in TARGET, with a file to read and one to remove
fill_fat() {
	need_program mformat
	head -c 150000 /dev/urandom >"$BATS_TEST_TMPDIR/host/a"
	mark "$BATS_TEST_TMPDIR/host/a" 70000
	head -c 100000 /dev/urandom >"$BATS_TEST_TMPDIR/host/b"
	mtool mformat -h 16 -s 63 -T "$1" ::
	mtool mcopy "$BATS_TEST_TMPDIR/host/a" ::a
	mtool mcopy "$BATS_TEST_TMPDIR/host/b" ::old
	cp "$TARGET" "$SHADOW"
}

# files_work DRIVE COMMAND...: after these, DOS copies and removes files on DRIVE
files_work() {
	local at
	dosbox_does "${@:2}" "copy $1:\\a h:\\a2" "copy h:\\b $1:\\b" "del $1:\\old" "md $1:\\dir" "copy h:\\b $1:\\dir\\c"
	works 150000 200000 "${COMMAND[@]}" || return
	cmp "$BATS_TEST_TMPDIR/host/A2" "$BATS_TEST_TMPDIR/host/a" || return
	mtool mcopy ::b - | cmp - "$BATS_TEST_TMPDIR/host/b" || return
	mtool mcopy ::dir/c - | cmp - "$BATS_TEST_TMPDIR/host/b" || return
	! mtool mdir ::old || return
	at=$(marked "$TARGET") || return
	stops "$at" "${COMMAND[@]}"
}

@test "a floppy disk's file system" {
	make_pair 1440K
	FS=0
	fill_fat 2880
	files_work a 'imgmount a disk.img -t floppy'
}

@test "a partition's file system" {
	make_pair "$SIZE"
	FS=$((63 * 512))
	# one partition, of type 6, from sector 63 to the end
	fill "$TARGET" 0 512 00
	printf '\0\1\1\0\6\17\077\7\077\0\0\0\101\037\0\0' | dd of="$TARGET" bs=1 seek=446 conv=notrunc status=none
	printf '\125\252' | dd of="$TARGET" bs=1 seek=510 conv=notrunc status=none
	fill_fat $((SIZE / 512 - 63))
	files_work d 'imgmount d disk.img -t hdd -fs fat -size 512,63,16,8'
}
