# Every way to come by a descriptor of the target, and what its number means afterwards.
load functions

AT=5000
LENGTH=40001

# ---- symbols that open ----

# those that can open a file without truncating it
READING="open open64 __open __open64 __open_2 __open64_2 openat openat64 __openat_2 __openat64_2 open_by_handle_at openat2"

opens_as_native() {
	run opener "$1" "$TARGET" rdonly
	skip_if_absent
	local native=$output
	run shim opener "$1" "$TARGET" rdonly
	assert_clean
	[ "$output" = "$native" ]
	BLKVERIFY_STATS=1 run shim opener "$1" "$TARGET" rdonly
	assert_stat reads 1
	assert_stat read_bytes 4096
}

@test "a target opened by every symbol is verified" {
	make_pair 64K
	for_each "$READING" opens_as_native
}

opens_and_stops() {
	run shim opener "$1" "$TARGET" rdonly
	skip_if_absent
	assert_mismatch read 3 2000
}

@test "a wrong byte is found whatever symbol opened the target" {
	make_pair 64K
	damage_shadow 2000
	for_each "$READING" opens_and_stops
}

opens_and_writes() {
	make_pair 64K
	run shim opener "$1" "$TARGET" rdwr write=0x5a at=1024
	skip_if_absent
	assert_clean
	assert_same_contents
	assert_filled "$TARGET" 1024 512 5a
}

@test "writes are mirrored whatever symbol opened the target" {
	for_each "$READING" opens_and_writes
}

truncates() {
	make_pair 64K
	run shim opener "$1" "$TARGET" wronly trunc write=0x5a at=1024 mode=600
	skip_if_absent
	assert_clean
	[ "$(stat -c %s "$TARGET")" = 1536 ]
	assert_same_contents
	run shim reader pread64 "$TARGET" 0 4096
	assert_clean
}

@test "O_TRUNC by every symbol empties both" {
	for_each "open open64 __open __open64 __open_2 __open64_2 openat openat64 __openat_2 __openat64_2 creat creat64" truncates
}

# the fault: the target is truncated where the shim cannot see it
@test "a target truncated behind the shim's back is reported" {
	make_pair 64K
	opener open64 "$TARGET" wronly trunc
	run shim opener open64 "$TARGET" rdonly
	# the sizes differ at first open: a configuration error that names both, or a size mismatch
	[ "$status" != 0 ]
	[[ $output == *65536* ]]
}

creates() {
	make_pair 0
	rm -f "$TARGET"
	run opener "$1" "$TARGET" rdwr creat excl mode=641
	skip_if_absent
	local native=$output
	rm -f "$TARGET"
	run shim opener "$1" "$TARGET" rdwr creat excl mode=641
	assert_silent "$status"
	[ "$output" = "$native" ]
	rm -f "$TARGET"
	run shim opener "$1" "$TARGET" rdwr creat mode=641 write=0x5a at=1024
	assert_clean
	assert_same_contents
	[ "$(stat -c %s "$SHADOW")" = 1536 ]
	[ "$(stat -c %a "$TARGET")" = 641 ]
}

@test "a target that is created after the start is mirrored, with the mode that was asked for" {
	for_each "open open64 __open __open64 openat openat64 creat creat64 openat2" creates
}

@test "a target created after the start is verified" {
	make_pair 0
	rm -f "$TARGET"
	run shim opener open64 "$TARGET" rdwr creat mode=600 write=0x5a at=1024
	assert_clean
	damage_shadow 1030
	run shim opener open64 "$TARGET" rdwr
	assert_mismatch read 2 1030
}

tmpfile_mode() {
	run opener "$1" "$BATS_TEST_TMPDIR" tmpfile rdwr mode=641
	skip_if_absent
	local native=$output
	[ "$status" = 0 ] || skip "no O_TMPFILE here"
	make_pair 4K
	run shim opener "$1" "$BATS_TEST_TMPDIR" tmpfile rdwr mode=641
	assert_clean
	[ "$output" = "$native" ]
}

@test "O_TMPFILE takes its mode argument through every symbol" {
	for_each "open open64 __open __open64 openat openat64 openat2" tmpfile_mode
}

@test "a nameless file that is linked to the target's path becomes the target" {
	make_pair 0
	rm "$TARGET"
	opener open64 "$BATS_TEST_TMPDIR" tmpfile rdwr mode=600 || skip "no O_TMPFILE here"
	run shim opener open64 "$BATS_TEST_TMPDIR" tmpfile rdwr mode=600 link="$TARGET" write=0x5a
	assert_clean
	assert_same_contents
	damage_shadow 100
	run shim opener open64 "$TARGET" rdonly
	assert_mismatch read 0 100
}

refused_as_native() {
	local words=${1//,/ }
	# shellcheck disable=SC2086
	run opener open64 "$TARGET" $words
	local native=$output native_status=$status
	# shellcheck disable=SC2086
	run shim opener open64 "$TARGET" $words
	assert_silent "$native_status"
	[ "$output" = "$native" ]
}

@test "opens that fail, fail as they do without the shim and change nothing" {
	make_pair 64K
	for_each "creat,excl rdwr,creat,excl,trunc tmpfile,rdonly path" refused_as_native
	run shim opener __open64_2 "$TARGET.none" rdwr
	assert_status 1
	run shim opener open64 "$TARGET/none" rdwr
	[[ $output == *ENOTDIR* ]]
	assert_same_contents
}

@test "O_TRUNC that fails does not empty the shadow" {
	need_root
	need_program setpriv
	# a directory of that user's, for the state file; the target stays root's
	local dir="$BATS_TEST_TMPDIR/theirs" as="setpriv --reuid=65534 --regid=65534 --clear-groups"
	mkdir "$dir"
	make_pair 64K theirs/disk
	chmod 444 "$TARGET"
	chown 65534:65534 "$dir" "$SHADOW"
	cp "$BLK_SNIPPETS/opener" "$BLK_LIB" "$dir"
	# bats keeps its own to itself
	chmod o+x "$BATS_RUN_TMPDIR"
	run $as env "$dir/opener" open64 "$TARGET" wronly trunc
	[ "$output" = "ret=-1 EACCES" ] || skip "the test directory is closed to others"
	run $as env LD_PRELOAD="$dir/${BLK_LIB##*/}" BLKVERIFY_TARGET="$TARGET" BLKVERIFY_SHADOW="$SHADOW" \
		"$dir/opener" open64 "$TARGET" wronly trunc
	assert_silent 1
	[ "$output" = "ret=-1 EACCES" ]
	assert_same_contents
}

# resize by a path that is not the one the shim was told
other_names() {
	make_pair 64K
	ln -sf disk.img "$BATS_TEST_TMPDIR/symbolic"
	ln -f "$TARGET" "$BATS_TEST_TMPDIR/hard"
	case $1 in
	symlink) run shim space truncate "$BATS_TEST_TMPDIR/symbolic" 0 10000 ;;
	hardlink) run shim space truncate64 "$BATS_TEST_TMPDIR/hard" 0 10000 ;;
	relative) cd "$BATS_TEST_TMPDIR" && run shim space truncate disk.img 0 10000 ;;
	dots) run shim space truncate "$BATS_TEST_TMPDIR/../${BATS_TEST_TMPDIR##*/}/./disk.img" 0 10000 ;;
	proc) run shim bash -c 'exec 9<>"$1" && exec space truncate /proc/self/fd/9 0 10000' - "$TARGET" ;;
	open_symlink) run shim opener open64 "$BATS_TEST_TMPDIR/symbolic" wronly trunc ;;
	open_hardlink) run shim opener openat "$BATS_TEST_TMPDIR/hard" wronly trunc ;;
	creat_symlink) run shim opener creat "$BATS_TEST_TMPDIR/symbolic" mode=600 ;;
	esac
	assert_clean
	[ "$(stat -c %s "$TARGET")" != 65536 ]
	assert_same_contents
}

@test "a target is resized under any of its names" {
	for_each "symlink hardlink relative dots proc open_symlink open_hardlink creat_symlink" other_names
}

few_descriptors() {
	run shim bash -c 'ulimit -n "$1"; exec reader pread64 "$2" 5000 40001' - "$1" "$TARGET"
	assert_mismatch read 65 33333
}

@test "a program that may have few descriptors is verified" {
	make_pair 64K
	damage_shadow 33333
	for_each "64 16" few_descriptors
}

# ---- routes to the file ----

routed_as_native() {
	make_pair 64K
	run router "$1" "$TARGET" $AT $LENGTH
	skip_if_absent
	assert_status 0
	local native=$output
	[ -e "$TARGET" ] || cp "$SHADOW" "$TARGET"
	BLKVERIFY_STATS=1 run shim router "$1" "$TARGET" $AT $LENGTH
	assert_clean
	[ "$(grep -v '^blkverify: stats' <<<"$output")" = "$native" ]
	# the child of clone() ends where no summary can be written
	[ "$1" = clone ] || [ "$(sed -n 's/^blkverify: stats .* read_bytes=\([0-9]*\).*/\1/p' <<<"$output" | sort -n | tail -n 1)" = $LENGTH ]
}

@test "the target is verified by every route to it" {
	for_each "$(router --list)" routed_as_native
}

routed_to_fault() {
	make_pair 64K
	run router "$1" "$TARGET" $AT $LENGTH
	skip_if_absent
	[ -e "$TARGET" ] || cp "$SHADOW" "$TARGET"
	damage_shadow 33333
	run shim router "$1" "$TARGET" $AT $LENGTH
	assert_mismatch read 65 33333
}

@test "a wrong byte is found by every route to the target" {
	for_each "$(router --list)" routed_to_fault
}

# ---- numbers that are freed and used again ----

stale_number() {
	make_pair 64K
	head -c 64K /dev/urandom >"$BATS_TEST_TMPDIR/other"
	cp "$BATS_TEST_TMPDIR/other" "$BATS_TEST_TMPDIR/before"
	run closer "$1" stale "$TARGET" "$BATS_TEST_TMPDIR/other" $AT $LENGTH
	skip_if_absent
	local native=$output
	cp "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/other"
	run shim closer "$1" stale "$TARGET" "$BATS_TEST_TMPDIR/other" $AT $LENGTH
	assert_clean
	[ "$output" = "$native" ]
	assert_same_contents
	assert_filled "$BATS_TEST_TMPDIR/other" $AT $LENGTH 77
}

@test "an innocent file that gets the target's old number is neither blamed nor mirrored" {
	for_each "$(closer --list)" stale_number
}

fresh_number() {
	make_pair 64K
	head -c 64K /dev/urandom >"$BATS_TEST_TMPDIR/other"
	run closer "$1" fresh "$TARGET" "$BATS_TEST_TMPDIR/other" $AT $LENGTH
	skip_if_absent
	local native=$output
	run shim closer "$1" fresh "$TARGET" "$BATS_TEST_TMPDIR/other" $AT $LENGTH
	assert_clean
	[ "$output" = "$native" ]
	damage_shadow 33333
	run shim closer "$1" fresh "$TARGET" "$BATS_TEST_TMPDIR/other" $AT $LENGTH
	assert_mismatch read 65 33333
}

@test "a target that gets an innocent file's old number is verified" {
	for_each "$(closer --list)" fresh_number
}

survives_close_all() {
	make_pair 64K
	head -c 64K /dev/urandom >"$BATS_TEST_TMPDIR/other"
	run shim closer "$1" all "$TARGET" "$BATS_TEST_TMPDIR/other" $AT $LENGTH
	skip_if_absent
	assert_clean
	assert_same_contents
	assert_filled "$BATS_TEST_TMPDIR/other" $AT $LENGTH 77
	damage_shadow 33333
	cp "$SHADOW" "$BATS_TEST_TMPDIR/shadow.before"
	run shim closer "$1" all "$TARGET" "$BATS_TEST_TMPDIR/other" $AT $LENGTH
	assert_mismatch read 65 33333
	cmp "$SHADOW" "$BATS_TEST_TMPDIR/shadow.before"
}

@test "a program that closes every descriptor is still verified, and nothing else is written" {
	for_each "$(closer --list)" survives_close_all
}

# ---- positions ----

seeks_as_native() {
	local where
	for where in "100 set" "100 cur" "-512 end" "-5 set" "0 data" "0 hole" "70000 hole" "9 unknown" "-2000 cur"; do
		# shellcheck disable=SC2086
		run seeker "$1" "$TARGET" $where
		skip_if_absent
		local native=$output native_status=$status
		# shellcheck disable=SC2086
		run shim seeker "$1" "$TARGET" $where
		assert_silent "$native_status"
		[ "$output" = "$native" ]
	done
}

@test "every seek symbol moves as it does without the shim" {
	make_pair 64K
	for_each "$(seeker --list)" seeks_as_native
}

reads_after_seek() {
	run shim seeker "$1" "$TARGET" 29333 cur
	skip_if_absent
	assert_mismatch read 59 30400
	run shim seeker "$1" "$TARGET" -35136 end
	assert_mismatch read 59 30400
}

@test "reads after every seek symbol are compared at the right place" {
	make_pair 64K
	damage_shadow 30400
	for_each "$(seeker --list)" reads_after_seek
}
