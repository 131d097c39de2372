# Before main and after it: what libraries do in their constructors, destructors and handlers of exit is verified like the rest.
load functions
load qemu

BAD=20580

setup() {
	make_pair 64K
	export ENDS_FILE=$TARGET
	ENDS="$BLK_SNIPPETS/ends.so"
}

# make_program: PROGRAM is linked with the library; it ends as its argument says
make_program() {
	PROGRAM="$BATS_TEST_TMPDIR/program"
	printf '%s\n' '#include <stdlib.h>' 'int main(int n, char **a) { if (n > 1) quick_exit(0); return 0; }' |
		${CC:-cc} -x c -o "$PROGRAM" - -x none -Wl,--no-as-needed "$ENDS" -Wl,-rpath,"$BLK_SNIPPETS"
}

# used WHEN CMD...: the library does its work there, in CMD, and it is verified
used() {
	local when=$1
	shift
	run env ENDS_WHEN="$when" "$@"
	assert_status 0
	local native=$output
	[[ $native == *"ends: done in $when"* ]] || fail_with "the library did nothing"
	cp "$SHADOW" "$TARGET"
	ENDS_WHEN=$when BLKVERIFY_STATS=1 run shim "$@"
	assert_clean
	[ "$(grep -v '^blkverify: stats' <<<"$output")" = "$native" ]
	assert_counted reads
	assert_same_contents
	assert_filled "$SHADOW" 0 512 65
	damage_shadow "$BAD"
	ENDS_WHEN=$when run shim "$@"
	damage_shadow "$BAD"
	assert_mismatch read 40 "$BAD"
	in_sync lacks done
}

linked() { used "$1" "$PROGRAM"; }

@test "a library that the program is linked with" {
	make_program
	for_each "constructor thread destructor atexit stream" linked
	used quick "$PROGRAM" quickly
}

@test "a library that is preloaded, before the shim or after it" {
	local order
	for order in "$BLK_LIB $ENDS" "$ENDS $BLK_LIB"; do
		BLK_ORDER=$order for_each "constructor thread destructor atexit stream" in_order
	done
}

in_order() {
	local BLK_LIB=$BLK_ORDER when=$1
	ENDS_WHEN=$when BLKVERIFY_STATS=1 run shim diskio say main
	assert_clean
	[[ $output == *"ends: done in $when"* && $output == *main* ]] || fail_with "the library did nothing"
	assert_counted reads
	assert_same_contents
	assert_filled "$SHADOW" 0 512 65
	damage_shadow "$BAD"
	ENDS_WHEN=$when run shim diskio say main
	damage_shadow "$BAD"
	assert_mismatch read 40 "$BAD"
}

@test "a library that comes before all others, libc's own constructor included" {
	local first="$BATS_TEST_TMPDIR/first.so" order
	printf '%s\n' '#include <unistd.h>' 'static char b[65536];' \
		'__attribute__((constructor)) static void c(void) { read(0, b, 65536); }' |
		${CC:-cc} -w -shared -fPIC -Wl,-z,initfirst -x c -o "$first" -
	# the call that starts the shim is the read itself
	for order in "$BLK_LIB $first" "$first $BLK_LIB"; do
		BLK_LIB=$order BLKVERIFY_STATS=1 run shim diskio say main <"$TARGET"
		assert_clean
		[[ $output == *main* ]]
		assert_stat read_bytes 65536
		damage_shadow "$BAD"
		BLK_LIB=$order run shim diskio say main <"$TARGET"
		damage_shadow "$BAD"
		assert_mismatch read 40 "$BAD"
		# without a target nothing happens
		run env LD_PRELOAD="$order" diskio say main <"$TARGET"
		assert_clean
	done
}

@test "the program's own code before the constructors" {
	printf '%s\n' '#include <unistd.h>' 'static char b[65536];' 'static void f(int n, char **a, char **e) { read(0, b, 65536); }' \
		'__attribute__((section(".preinit_array"), used)) static void (*p)(int, char **, char **) = f;' \
		'int main(void) { return b[0] == b[1] && b[1] == b[2] && b[2] == b[3]; }' |
		${CC:-cc} -w -x c -o "$BATS_TEST_TMPDIR/early" -
	BLKVERIFY_STATS=1 run shim "$BATS_TEST_TMPDIR/early" <"$TARGET"
	assert_clean
	assert_stat read_bytes 65536
	damage_shadow "$BAD"
	run shim "$BATS_TEST_TMPDIR/early" <"$TARGET"
	assert_mismatch read 40 "$BAD"
}
