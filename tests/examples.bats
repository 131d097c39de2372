#!/usr/bin/env bats
# examples/: each runs as its head says, clean and with damage that it must catch, and leaves nothing behind.

load functions
load qemu
load emul
load command

EXAMPLES="$BLK_SRCDIR/examples"

setup() {
	need_command
	mkdir "$TMPDIR/bin"
	ln -s "$BLK_COMMAND" "$TMPDIR/bin/blkverify"
	PATH="$TMPDIR/bin:$PATH:/sbin:/usr/sbin"
	cd "$TMPDIR" || return
}

# left_by_example: besides what is looked for at the end of each test
left_by_example() {
	compgen -G "$TMPDIR/tmp.*"
	losetup --list --noheadings --output BACK-FILE | grep -F -- "$TMPDIR"
}

# assert_ended STATUS: with that, and nothing is left behind
assert_ended() {
	assert_status "$1" || return
	[ -z "$(left_by_example)" ] || fail_with "left behind: $(left_by_example)"
}

# example STATUS NAME ARG...: that one of examples/ ends with STATUS
example() {
	local expected=$1
	shift
	run timeout 150 "$EXAMPLES/$1" "${@:2}" </dev/null
	assert_ended "$expected"
}

# verified: the command's last line says that something was, and that all was well
verified() { grep -Eq '^blkverify: [0-9]+ process(es)?, [1-9][0-9]* reads?, [0-9]+ writes? verified, no mismatch$' <<<"$output" || fail_with "not verified"; }

# shown_in NAME: the first line of the report is the one in that example's comment
shown_in() { grep -q "^#   $(blk_lines | grep -m 1 ' contents mismatch ')\$" "$EXAMPLES/$1" || fail_with "not as in the comment of $1"; }

@test "the list names all, and all are installed" {
	local file
	for file in "$EXAMPLES"/*; do
		grep -q "[= 	]examples/${file##*/}\\>" "$BLK_SRCDIR/Makefile.am" || fail_with "not installed: ${file##*/}"
		case ${file##*/} in
		README.md) ;;
		*) grep -q "](${file##*/})" "$EXAMPLES/README.md" || fail_with "not there: ${file##*/}" ;;
		esac
	done
}

@test "usage" {
	local file
	for file in "$EXAMPLES"/*.sh; do
		# it has no arguments of its own
		[ "${file##*/}" != libvirt-emulator.sh ] || continue
		example 2 "${file##*/}"
		[[ $output == "${file##*/}: usage: "* ]]
	done
}

# ---- formats ----

@test "qcow2.sh" {
	need_fuse
	example 0 qcow2.sh disk.qcow2
	verified
	[[ $output == *"same contents: 67108864 bytes"* ]]
	qemu-img compare -f qcow2 -F raw disk.qcow2 disk.qcow2.shadow
	QCOW2=disk.qcow2 damage_qcow2 66560
	example 120 qcow2.sh disk.qcow2
	assert_mismatch read 130 66560 120
	shown_in qcow2.sh
	# what these commands do not read, the comparison does
	example 1 qcow2.sh disk.qcow2 'read 128k 64k'
	verified
	[[ $output == *"contents mismatch in sector 130 at offset 66560"* ]]
}

@test "qcow2.sh, on another format" {
	need_fuse
	export FORMAT=vmdk
	example 0 qcow2.sh disk.vmdk 'write -P 3 0 128k' 'read -P 3 0 128k'
	verified
	[ "$(qemu-img info --output=json disk.vmdk | jq -r .format)" = vmdk ]
	QCOW2=disk.vmdk damage_qcow2 66560
	example 120 qcow2.sh disk.vmdk 'read 0 1M'
	assert_mismatch read 130 66560 120
}

@test "guest.sh" {
	need_fuse
	need_program qemu-system-x86_64
	local guest="$BLK_BUILDDIR/guest" options
	"$BLK_SRCDIR/tests/guest/build" "$guest" 2>build.log || skip "no guest: $(tail -n 1 build.log)"
	mapfile -t options < <("$BLK_SRCDIR/tests/guest/command" "$guest" blk.work=pattern,read blk.range=1:2)
	make_qcow2_pair 8M
	rm "$SHADOW"
	example 0 guest.sh "$QCOW2" "${options[@]:1}"
	verified
	[[ $output == *"guest: ok"* ]]
	qemu-img compare -f qcow2 -F raw "$QCOW2" "$QCOW2.shadow"
	damage_qcow2 7000000
	example 120 guest.sh "$QCOW2" "${options[@]:1}"
	assert_reported read $((7000000 / 512)) 7000000 120
	[[ $output == *"guest: pattern"* && $output != *"guest: ok"* ]]
}

# ---- libvirt ----

# in_domain XPATH: of libvirt.xml
in_domain() { xmllint --xpath "string($1)" "$EXAMPLES/libvirt.xml"; }
variable() { in_domain "//*[local-name() = 'env'][@name = '$1']/@value"; }

# emulator COMMAND...: what the domain runs as its emulator, with its variables, does these of QEMU's commands on the disk
emulator() {
	local target=$TMPDIR/${BLKVERIFY_TARGET##*/}
	printf '%s\n' "$@" quit | BLKVERIFY_TARGET=$target BLKVERIFY_SHADOW=$TMPDIR/shadows/${BLKVERIFY_SHADOW##*/} \
		timeout 60 "$EXAMPLES/$EMULATOR" -S -nodefaults -display none -monitor stdio -drive "if=none,id=disk,file=$target,$DRIVE"
}

@test "libvirt.xml and libvirt-emulator.sh" {
	need_program virt-xml-validate
	need_program qemu-system-x86_64
	local DRIVE EMULATOR
	virt-xml-validate "$EXAMPLES/libvirt.xml"
	EMULATOR=$(basename "$(in_domain //emulator)")
	DRIVE="format=$(in_domain //driver/@type),cache=$(in_domain //driver/@cache),aio=$(in_domain //driver/@io)"
	# libvirt asks
	run "$EXAMPLES/$EMULATOR" --version
	assert_clean
	[[ $output == "QEMU emulator version "* ]]
	export BLKVERIFY_TARGET BLKVERIFY_SHADOW BLKVERIFY_ON_MISMATCH
	BLKVERIFY_TARGET=$(variable BLKVERIFY_TARGET)
	BLKVERIFY_SHADOW=$(variable BLKVERIFY_SHADOW)
	BLKVERIFY_ON_MISMATCH=$(variable BLKVERIFY_ON_MISMATCH)
	[ "$(in_domain //disk/source/@file)" = "$BLKVERIFY_TARGET" ]
	mkdir shadows
	head -c 4M /dev/urandom >"${BLKVERIFY_TARGET##*/}"
	blkverify prepare "${BLKVERIFY_TARGET##*/}" "shadows/${BLKVERIFY_SHADOW##*/}"
	run emulator 'qemu-io disk "write -P 7 1M 64k"' 'qemu-io disk "read 0 4M"'
	assert_ended 0
	verified
	cmp "${BLKVERIFY_TARGET##*/}" "shadows/${BLKVERIFY_SHADOW##*/}"
	# the guest, not QEMU, gets the error
	damage "${BLKVERIFY_TARGET##*/}" 2000000
	run emulator 'qemu-io disk "read 0 4M"' 'qemu-io disk "read 0 64k"'
	assert_ended 120
	assert_reported read $((2000000 / 512)) 2000000 120
	[[ $output == *"read failed: Input/output error"*"read 65536/65536"* ]]
}

# ---- emulators ----

@test "bochs.sh" {
	need_program bochs-bin
	local command=("$EXAMPLES/bochs.sh" disk.img "$EMUL/bochsrc" -rc "$EMUL/bochs.rc") size=$((8 * 16 * 63 * 512))
	export MODE=flat IMAGE=disk.img
	assemble boot 0x7c00
	head -c "$size" /dev/urandom >disk.img
	dd if=boot of=disk.img conv=notrunc status=none
	bounded "${command[@]}"
	assert_ended 0
	verified
	[[ $output == *"disk: done"* ]]
	cmp disk.img disk.img.shadow
	damage disk.img 1500000
	bounded "${command[@]}"
	assert_ended 120
	assert_reported read 2929 1500000 120
	[[ $output != *"disk: done"* ]]
	shown_in bochs.sh
	# no lock is in the way
	damage disk.img 1500000
	bounded "${command[@]}"
	assert_ended 0
	verified
	[[ $output == *"disk: done"* ]]
	# a disk of another name is not the one that is verified
	cp disk.img other.img
	IMAGE=other.img bounded "${command[@]}"
	assert_ended 121
}

@test "simh.sh" {
	need_program pdp11
	local command=("$EXAMPLES/simh.sh" pdp11 disk.img "$EMUL/rk05.ini" disk.img)
	head -c $((203 * 24 * 512)) /dev/urandom >disk.img
	bounded "${command[@]}"
	assert_ended 0
	verified
	[[ $output == *"disk: done"* ]]
	cmp disk.img disk.img.shadow
	damage disk.img 1536017
	bounded "${command[@]}"
	assert_mismatch read 3000 1536017 120
	assert_ended 120
	[[ $output != *"disk: done"* ]]
	shown_in simh.sh
}

@test "simh.sh, on a disk that the simulator makes" {
	need_program pdp11
	local command=("$EXAMPLES/simh.sh" pdp11 disk.img "$EMUL/rk05.ini" disk.img)
	bounded "${command[@]}"
	assert_ended 0
	verified
	[[ $output == *"disk: done"* ]]
	cmp disk.img disk.img.shadow
	[ "$(stat -c %s disk.img)" = $((1210 * 512)) ]
	damage disk.img 51203
	bounded "${command[@]}"
	assert_mismatch read 100 51203 120
	assert_ended 120
	# the simulator attaches another disk
	bounded "${command[@]::4}" other.img
	assert_ended 121
}

# ---- file systems ----

# file_system DRIVER: clean; then with a byte of the file changed where the image has it
file_system() {
	local block size
	example 0 file-system.sh fs.img "$1" || return
	[ "$(grep -c '^blkverify: .* verified, no mismatch$' <<<"$output")" = 2 ] || fail_with "not verified twice" || return
	[[ $output == *"same contents: 16777216 bytes"* ]] || fail_with "not compared" || return
	e2fsck -f -n fs.img || return
	size=$(dumpe2fs -h fs.img 2>/dev/null | sed -n 's/^Block size: *//p')
	block=$(debugfs -R "bmap /disk 1000" fs.img 2>/dev/null)
	[ "$block" -gt 0 ] || fail_with "the file is not there" || return
	damage fs.img $((block * size + 7))
	example 120 file-system.sh fs.img "$1" || return
	assert_mismatch read $(((1000 * size + 7) / 512)) $((1000 * size + 7)) 120 || return
	damage fs.img $((block * size + 7))
	example 0 file-system.sh fs.img "$1"
}

@test "file-system.sh: ext4 on a loop device" {
	need_root
	file_system kernel
}

@test "file-system.sh: fuse2fs" {
	need_fuse
	need_program fuse2fs
	file_system fuse2fs
}

# ---- CI ----

# job: the step of ci.yml's that runs ci.sh, as GitHub does it, with tests/boot as the last line of standard input
job() {
	local step
	mkdir -p tests
	printf '#!/bin/sh\n%s\n' "$1" >tests/boot
	chmod +x tests/boot
	step=$(python3 - "$EXAMPLES/ci.yml" <<-'PYTHON'
		import sys, yaml
		steps = yaml.safe_load(open(sys.argv[1]))["jobs"]["verified"]["steps"]
		[step] = [step["run"] for step in steps if "ci.sh" in step.get("run", "")]
		print(step)
	PYTHON
	)
	run timeout 60 bash -e -c "$step"
}

# reported RESULT [SECTOR]: what is kept says that
reported() {
	[ "$(jq -r .result ci-report/compare.json)" = "$1" ] || fail_with "compare.json: $(cat ci-report/compare.json)" || return
	[ $# = 1 ] || grep -q "^sector $2, " ci-report/sector.txt
}

@test "ci.sh, as ci.yml runs it" {
	ln -s "$EXAMPLES" examples
	head -c 1M /dev/urandom >disk.img
	job 'exec diskio open "$1" rw write 65536 4096 aa read 65536 4096 read 0 4096'
	assert_ended 0
	verified
	reported same
	# the test's own failure
	job 'diskio open "$1" rw read 0 4096; exit 3'
	assert_ended 3
	reported same
	# a test that does nothing
	job true
	assert_ended 121
	reported same
}

@test "ci.sh: a write is lost" {
	ln -s "$EXAMPLES" examples
	head -c 1M /dev/urandom >disk.img
	export LD_PRELOAD="$BLK_SNIPPETS/lose.so" FAULT_FILE="$TMPDIR/disk.img"
	# and read again
	job 'diskio open "$1" rw write 65536 4096 aa read 65536 4096; true'
	assert_ended 120
	assert_reported read 128 65536 120
	reported different 128
	grep -q '^blkverify: read .* contents mismatch in sector 128 ' ci-report/log
	# and not
	job 'diskio open "$1" rw read 0 4096 write 65536 4096 55'
	assert_ended 120
	verified
	reported different 128
	unset LD_PRELOAD
	job 'diskio open "$1" rw write 65536 4096 55'
	assert_ended 0
}

# ---- gdb ----

@test "post-mortem.sh" {
	need_program gdb
	make_pair 64K
	example 0 post-mortem.sh "$TARGET" "$SHADOW" diskio open "$TARGET" r read 0 4096 read 20480 4096
	verified
	[[ $output != *"----"* ]]
	damage_target 20500
	example 120 post-mortem.sh "$TARGET" "$SHADOW" diskio open "$TARGET" r read 0 4096 read 20480 4096
	assert_reported read 40 20500 120
	# the call, by name, and not the one before
	grep -q '^#.*do_read (.*/diskio.c:' <<<"$output" || fail_with "no backtrace"
	grep -q "^sector 40, offset 20480: 1 byte differs" <<<"$output" || fail_with "no sector"
	example 7 post-mortem.sh "$TARGET" "$SHADOW" sh -c 'read line; diskio open "$0" r read 0 512; exit 7' "$TARGET"
	verified
}

@test "post-mortem.sh: in one of many threads" {
	need_program gdb
	local sector
	make_pair 1M
	# whichever reads first; others come upon it at the same time
	head -c 1M /dev/urandom >"$TARGET"
	example 120 post-mortem.sh "$TARGET" "$SHADOW" stress -t 8 -s 10 -f "$TARGET"
	sector=$(sed -n 's/^blkverify: read .* contents mismatch in sector \([0-9]*\) .*/\1/p' <<<"$output" | head -n 1)
	grep -q '^#.* do_read (.*/stress.c:' <<<"$output" || fail_with "not the thread in question"
	grep -q "^sector $sector, " <<<"$output" || fail_with "no sector"
}
