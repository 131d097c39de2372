#!/usr/bin/env bats
# SIMH's PDP-11. Its programs are emul/*.ini, in SIMH's words.

load functions
load emul

setup() { need_program pdp11; }

# finished: the program came to its end
finished() { [[ $output == *"disk: done"* ]] || fail_with "the program did not finish"; }

RK05=(pdp11 "$EMUL/rk05.ini" disk.img)
RK05_SIZE=$((203 * 24 * 512))

@test "an RK05 disk" {
	make_pair "$RK05_SIZE"
	works "$RK05_SIZE" 4096 "${RK05[@]}"
	finished
	# the program's words, where it says that it puts them
	[ "$(bytes "$TARGET" $((1202 * 512)) 8)" = 5555565657575858 ]
	# read along with the first write, and at the end
	stops $((1201 * 512 + 511)) "${RK05[@]}"
	stops $((3000 * 512 + 17)) "${RK05[@]}"
}

@test "an RK05 disk that is made, and grows" {
	make_pair 0
	rm "$TARGET"
	emulate "${RK05[@]}"
	assert_silent 0
	finished
	assert_verified $((1210 * 512)) 4096
	assert_same_contents
	[ "$(stat -c %s "$TARGET")" = $((1210 * 512)) ]
	stops $((100 * 512 + 3)) "${RK05[@]}"
}

@test "an RL02 disk" {
	local size=$((1024 * 40 * 256)) command=(pdp11 "$EMUL/rl02.ini" disk.img)
	make_pair "$size"
	works "$size" 1024 "${command[@]}"
	finished
	[ "$(bytes "$TARGET" $((8045 * 256)) 6)" = cb32ce34d136 ]
	stops $((4000 * 512 + 100)) "${command[@]}"
	stops $((size - 512)) "${command[@]}"
}
