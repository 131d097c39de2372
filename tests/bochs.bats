#!/usr/bin/env bats
# Bochs with its kinds of disk images. Those that are containers are tested as the files that they are.

load functions
load emul

SIZE=$((8 * 16 * 63 * 512))
# the first sector that the guest writes
PLACE=$((((5 * 16 + 2) * 63 + 4) * 512))

# COMMAND removes the locks that a killed Bochs leaves: the next one would not start
COMMAND=(sh -c 'rm -f ./*.lock && exec bochs-bin -q -f "$0/bochsrc" -rc "$0/bochs.rc"' "$EMUL")

setup() {
	need_program bochs-bin
	need_program bximage
	cd "$BATS_TEST_TMPDIR" || return
	assemble boot 0x7c00
	export IMAGE=disk.img
	TARGET="$BATS_TEST_TMPDIR/disk.img"
	SHADOW="$BATS_TEST_TMPDIR/disk.shadow"
	make_flat flat.img
}

# make_flat FILE: the guest, random bytes with a mark among them, and zeros from 2 MiB on: containers grow at PLACE
make_flat() {
	head -c 2M /dev/urandom >"$1"
	dd if=boot of="$1" conv=notrunc status=none
	mark "$1" 1500000
	truncate -s "$SIZE" "$1"
}

# convert MODE FROM TO: by Bochs's tool, which has pages to say about its progress
convert() { bximage -q -func=convert -imgmode="$1" "$2" "$3" >bximage.out; }

finished() { [[ $output == *"disk: done"* ]] || fail_with "the guest did not finish"; }

# written FILE: the guest's pattern is where it should be in the raw FILE
written() { [ "$(bytes "$1" "$PLACE" 6)" = 015a785def60 ]; }

# same_growing A B: a growing image has in its header when it was first written to
same_growing() { cmp -n 84 "$1" "$2" && cmp -i 88 "$1" "$2"; }

# container: disk.img is one of the kind MODE
container() {
	local size
	size=$(stat -c %s disk.img)
	cp disk.img disk.shadow
	works 2097152 8192 "${COMMAND[@]}" || return
	finished || return
	[ "$(stat -c %s disk.img)" -gt "$size" ] || fail_with "did not grow" || return
	convert flat disk.img after.img
	written after.img || return
	stops "$(marked disk.img)" "${COMMAND[@]}"
}

@test "flat" {
	export MODE=flat
	cp flat.img disk.img
	cp flat.img disk.shadow
	works "$SIZE" 8192 "${COMMAND[@]}"
	finished
	written disk.img
	# in the boot sector, just before what is written, and in what is read
	stops 300 "${COMMAND[@]}"
	stops $((PLACE - 1)) "${COMMAND[@]}"
	stops "$(marked disk.img)" "${COMMAND[@]}"
}

@test "growing" {
	export MODE=growing
	convert growing flat.img disk.img
	SAME=same_growing container
}

@test "vmware4" {
	export MODE=vmware4
	convert vmware4 flat.img disk.img
	container
}

@test "vpc" {
	export MODE=vpc
	convert vpc flat.img disk.img
	container
}

@test "vbox" {
	need_program qemu-img
	export MODE=vbox
	qemu-img convert -O vdi flat.img disk.img
	container
}

@test "sparse: its table is mapped" {
	export MODE=sparse
	convert sparse flat.img disk.img
	cp disk.img disk.shadow
	bounded "${COMMAND[@]}"
	assert_status 0
	mv disk.img native.img
	cp disk.shadow disk.img
	emulate "${COMMAND[@]}"
	assert_clean
	finished
	assert_stat unverified 0
	assert_counted writes
	assert_same_contents
	cmp disk.img native.img
	convert flat disk.img after.img
	written after.img
	local at
	at=$(marked disk.img)
	damage_shadow "$at"
	emulate "${COMMAND[@]}"
	assert_status 134
	assert_mismatch read $((at / 512)) "$at"
}

@test "sparse: its table is read and written where mappings are refused" {
	export MODE=sparse BLKVERIFY_MMAP=refuse
	convert sparse flat.img disk.img
	cp disk.img disk.shadow
	emulate "${COMMAND[@]}"
	assert_status 0
	finished
	assert_one_line mmap64 refused ENODEV
	assert_stat mismatches 0
	assert_same_contents
	convert flat disk.img after.img
	written after.img
}

# ---- several targets ----

# both_verified: two targets, and nothing of either unverified
both_verified() {
	assert_clean || return
	[ "$(grep -c '^blkverify: stats .* mismatches=0 errors=0 unverified=0$' <<<"$output")" = 2 ] || fail_with "not both verified"
}

@test "concat: a disk in two files" {
	export MODE=concat IMAGE=disk1
	head -c 2M flat.img >disk1
	# Bochs 2.7 fails when the last sector is the end of the file
	tail -c +2097153 flat.img | cat - boot >disk2
	cp disk1 shadow1
	cp disk2 shadow2
	export BLKVERIFY_TARGET=disk1:disk2 BLKVERIFY_SHADOW=shadow1:shadow2
	emulate "${COMMAND[@]}"
	both_verified
	finished
	cmp disk1 shadow1
	cmp disk2 shadow2
	[ "$(bytes disk2 $((PLACE - 2097152)) 6)" = 015a785def60 ]
	TARGET=disk1 SHADOW=shadow1 stops "$(marked disk1)" "${COMMAND[@]}"
	TARGET=disk2 SHADOW=shadow2 stops $((PLACE - 2097152 + 16 * 512)) "${COMMAND[@]}"
}

@test "undoable: a disk that is only read, and a file of changes that is made" {
	export MODE=undoable
	cp flat.img disk.img
	cp flat.img disk.shadow
	: >changes.shadow
	export BLKVERIFY_TARGET=disk.img:disk.img.redolog BLKVERIFY_SHADOW=disk.shadow:changes.shadow
	emulate "${COMMAND[@]}"
	both_verified
	finished
	cmp disk.img flat.img
	cmp disk.shadow flat.img
	cmp disk.img.redolog changes.shadow
	[ -s changes.shadow ]
	# Bochs wants to find the disk as old as it was, so only shadows are damaged: the disk's, then that of the header
	damage_shadow 1500000
	emulate "${COMMAND[@]}"
	assert_mismatch read $((1500000 / 512)) 1500000
	damage_shadow 1500000
	damage changes.shadow 500
	emulate "${COMMAND[@]}"
	assert_mismatch read 0 500
}

@test "bximage" {
	local command=(bximage -q -func=convert -imgmode=growing disk.img copy.img)
	cp flat.img disk.img
	cp flat.img disk.shadow
	: >copy.shadow
	export BLKVERIFY_TARGET=disk.img:copy.img BLKVERIFY_SHADOW=disk.shadow:copy.shadow
	emulate "${command[@]}"
	output=$(grep -a '^blkverify: ' <<<"$output")
	both_verified
	cmp copy.img copy.shadow
	convert growing flat.img native.img
	same_growing copy.img native.img
	rm -f copy.img copy.shadow*
	: >copy.shadow
	damage_shadow "$(marked disk.img)"
	emulate "${command[@]}"
	output=$(grep -a '^blkverify: ' <<<"$output")
	assert_mismatch read $((1500000 / 512)) 1500000
}
