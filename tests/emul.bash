# Helpers for the tests that run emulators: `load functions` first, then `load emul`.
#
# TARGET is disk.img in BATS_TEST_TMPDIR, and commands run in there: they name it disk.img.

EMUL="$BLK_SRCDIR/tests/emul"
export SDL_VIDEODRIVER=dummy SDL_AUDIODRIVER=dummy TERM=linux

# bounded CMD...: what asks for more input than it should get is told to exit
bounded() {
	cd "$BATS_TEST_TMPDIR" || return
	run timeout 60 "$@" <<<exit
}

# emulate CMD...: CMD under the shim; the shim's lines come after CMD's own in output
emulate() {
	local log="$BATS_TEST_TMPDIR/log"
	rm -f "$log"
	export BLKVERIFY_LOG=$log BLKVERIFY_STATS=1
	bounded env LD_PRELOAD="$BLK_LIB" BLKVERIFY_TARGET="${BLKVERIFY_TARGET-$TARGET}" \
		BLKVERIFY_SHADOW="${BLKVERIFY_SHADOW-$SHADOW}" "$@"
	unset BLKVERIFY_LOG BLKVERIFY_STATS
	[ ! -e "$log" ] || output+=$'\n'$(cat "$log")
}

# assert_verified READ WRITTEN: at least so many bytes, and nothing went unverified
assert_verified() {
	[ "$(stat_of read_bytes)" -ge "$1" ] || fail_with "expected $1 bytes read" || return
	[ "$(stat_of write_bytes)" -ge "$2" ] || fail_with "expected $2 bytes written" || return
	assert_stat mismatches 0 && assert_stat errors 0 && assert_stat unverified 0
}

# works READ WRITTEN CMD...: under the shim CMD ends as it does without, leaves the same image, and all is verified.
# SAME in front of it names another command than cmp to tell if two images are the same.
works() {
	local least=("$1" "$2")
	shift 2
	bounded "$@"
	assert_status 0 || return
	mv "$TARGET" "$BATS_TEST_TMPDIR/native.img"
	cp "$SHADOW" "$TARGET"
	emulate "$@"
	assert_silent 0 || return
	assert_verified "${least[@]}" || return
	assert_same_contents || return
	"${SAME:-cmp}" "$TARGET" "$BATS_TEST_TMPDIR/native.img" || fail_with "not the image that CMD makes by itself"
}

# stops OFFSET CMD...: CMD ends where it reads the byte at OFFSET, whichever of the two was damaged
stops() {
	local at=$1 file
	shift
	for file in "$SHADOW" "$TARGET"; do
		damage "$file" "$at"
		emulate "$@"
		assert_mismatch read $((at / 512)) "$at" || return
		damage "$file" "$at"
	done
}

# assemble FILE ADDRESS OPTION...: FILE becomes emul/disk.S, to be loaded at ADDRESS; OPTIONs as told there
assemble() {
	local file=$1 address=$2
	shift 2
	as --32 --version >/dev/null 2>&1 || skip "no assembler for a PC"
	as --32 "$@" -o "$file.o" "$EMUL/disk.S"
	ld -m elf_i386 -Ttext "$address" --oformat binary -o "$file" "$file.o"
	rm "$file.o"
}

# mark FILE OFFSET: a text that is nowhere else is put into FILE. marked FILE: prints the offset where it is found
MARK="blkverify: here, and nowhere else"
mark() { printf %s "$MARK" | dd of="$1" bs=65536 seek="$2" oflag=seek_bytes conv=notrunc status=none; }
marked() {
	local at
	at=$(grep -a -b -o -F "$MARK" "$1" | cut -d : -f 1)
	[[ $at =~ ^[0-9]+$ ]] || fail_with "the mark is not in $1 once: $at" || return
	echo "$at"
}
