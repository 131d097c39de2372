#!/usr/bin/env bats
# The shim's own use of memory, as valgrind and AddressSanitizer see it.

load functions
load qemu

setup() {
	make_pair 256K
}

# under_valgrind CMD...: status 99 when it finds something
under_valgrind() {
	need_program valgrind
	run shim valgrind -q --error-exitcode=99 --trace-children=yes --leak-check=no --fair-sched=yes "$@"
}

@test "valgrind finds nothing in plain I/O" {
	under_valgrind diskio open "$TARGET" rw read 0 4096 read 1000 3000 write 100 5000 aa put 512 bb get 512 punch 8192 4096 \
		zero 16384 4096 truncate 300000 read 0 300000 reopen r dup read 0 512 sync close
	assert_clean
	! grep -q '^==' <<<"$output" || fail_with "valgrind complains"
	assert_same_contents
}

@test "valgrind finds nothing in dd" {
	under_valgrind dd if=/dev/zero of="$TARGET" bs=5000 count=20 conv=notrunc,fsync status=none
	assert_clean
	assert_same_contents
}

@test "valgrind finds nothing in threads and children" {
	under_valgrind stress -s 3 -t 3 "$TARGET"
	assert_clean
	assert_same_contents
	under_valgrind children fork "$TARGET" 4096
	assert_clean
	under_valgrind children vfork "$TARGET" 4096 true
	assert_clean
}

@test "valgrind finds nothing in mappings" {
	under_valgrind maps read_back "$TARGET"
	assert_clean
	! grep -q '^==' <<<"$output" || fail_with "valgrind complains"
	under_valgrind mapfork related "$TARGET"
	assert_clean
	assert_same_contents
}

@test "valgrind finds nothing while a mismatch is reported" {
	damage_shadow 70000
	damage_shadow 90000
	BLKVERIFY_ON_MISMATCH=log under_valgrind diskio open "$TARGET" r read 0 262144 read 65536 65536
	assert_status 0
	! grep -q '^==' <<<"$output" || fail_with "valgrind complains"
	[ "$(grep -c 'contents mismatch' <<<"$output")" = 2 ]
}

@test "valgrind sees an error where there is one" {
	need_program gcc
	printf '%s\n' '#include <stdlib.h>' 'int main(void) { volatile char *p = malloc(8); return p[8] == 1; }' >"$BATS_TEST_TMPDIR/bad.c"
	gcc -o "$BATS_TEST_TMPDIR/bad" "$BATS_TEST_TMPDIR/bad.c"
	under_valgrind "$BATS_TEST_TMPDIR/bad"
	assert_status 99
}

# ---- how much ----

# assert_footprint THREADS: under 8 MiB more than a native run has, and the queue
assert_footprint() {
	local native more queue=0
	[ "$BLK_MODE" != pool ] || queue=4096
	native=$(footprint "$TARGET" "$1")
	BLKVERIFY_QUEUE=4M run shim footprint "$TARGET" "$1"
	assert_clean
	more=$((output - native - queue))
	echo "# $1 threads: $more KiB" >&3
	[ "$more" -gt 0 ] && [ "$more" -lt 8192 ] || fail_with "$1 threads: $more KiB more than $native"
}

@test "memory for large blocks read and written by many threads" {
	make_pair 16M
	assert_footprint 16
}

# ---- AddressSanitizer in the program ----

build_with_asan() {
	need_program gcc
	ASAN=$(gcc -print-file-name=libasan.so)
	[ "${ASAN#/}" != "$ASAN" ] || skip "no libasan"
	ASAN=$(readlink -f "$ASAN")
	gcc -D_GNU_SOURCE -std=gnu11 -fsanitize=address -g -o "$BATS_TEST_TMPDIR/$1" "$BLK_SRCDIR/tests/clients/$1.c" ||
		skip "gcc has no AddressSanitizer"
	# a linker script in some distributions
	[[ $(file -b "$ASAN" 2>/dev/null) != ASCII* ]] || skip "libasan is not a library here"
}

@test "a program built with AddressSanitizer" {
	build_with_asan diskio
	local BLK_LIB="$ASAN $BLK_LIB"
	local calls=(open "$TARGET" rw read 0 4096 write 100 5000 aa put 512 bb punch 8192 4096 read 0 262144 close)
	run shim "$BATS_TEST_TMPDIR/diskio" "${calls[@]}"
	assert_clean
	lacks Sanitizer
	assert_same_contents
	damage_shadow 20000
	run shim "$BATS_TEST_TMPDIR/diskio" "${calls[@]}"
	assert_mismatch read 39 20000
}

@test "a program with threads built with AddressSanitizer" {
	build_with_asan stress
	local BLK_LIB="$ASAN $BLK_LIB"
	run shim "$BATS_TEST_TMPDIR/stress" -p 2 -s 3 "$TARGET"
	assert_clean
	lacks Sanitizer
	assert_same_contents
}
