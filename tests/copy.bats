# Copies that the kernel would make by itself: made by verified reads and writes, with the results of the kernel's.
load functions

AT=5000
LENGTH=20001
SCRATCH="${BATS_TEST_TMPDIR-}/scratch"
MOVING=$(copier --list | grep -v '^FI')
SHARING=$(copier --list | grep '^FI')

fresh() {
	make_pair 64K
	head -c 64K /dev/urandom >"$SCRATCH"
	cp "$TARGET" "$BATS_TEST_TMPDIR/native"
	cp "$SCRATCH" "$SCRATCH.native"
}

# ---- from a target, and to one ----

from_as_native() {
	fresh
	run copier "$1" "$BATS_TEST_TMPDIR/native" "$SCRATCH.native" $AT $LENGTH
	skip_if_absent
	[ "$status" = 0 ]
	local native=$output
	BLKVERIFY_STATS=1 run shim copier "$1" "$TARGET" "$SCRATCH" $AT $LENGTH
	assert_clean
	[ "$(grep -v ^blkverify: <<<"$output")" = "$native" ]
	assert_stat read_bytes $LENGTH
	assert_stat write_bytes 0
	assert_stat unverified 0
	cmp "$SCRATCH" "$SCRATCH.native"
	cmp -n $LENGTH -i $AT "$SCRATCH" "$TARGET"
	assert_same_contents
}

@test "copies from a target are what they are without the shim" { for_each "$MOVING" from_as_native; }

from_damaged() {
	fresh
	cp "$SCRATCH" "$SCRATCH.before"
	damage_shadow $((AT + LENGTH - 1))
	run shim copier "$1" "$TARGET" "$SCRATCH" $AT $LENGTH
	assert_mismatch read 48 25000
	# nothing that is wrong has got to the other file
	in_sync cmp -n 1 -i 25000 "$SCRATCH" "$SCRATCH.before"
	fresh
	damage_target $AT
	run shim copier "$1" "$TARGET" "$SCRATCH" $AT $LENGTH
	assert_mismatch read 9 $AT
	# what is not copied is not compared
	fresh
	damage_shadow $((AT - 1))
	damage_shadow $((AT + LENGTH))
	run shim copier "$1" "$TARGET" "$SCRATCH" $AT $LENGTH
	assert_clean
}

@test "copies from a target stop at one wrong byte" { for_each "$MOVING" from_damaged; }

to_as_native() {
	fresh
	run copier "$1" "$SCRATCH" "$BATS_TEST_TMPDIR/native" $AT $LENGTH
	skip_if_absent
	[ "$status" = 0 ]
	local native=$output
	BLKVERIFY_STATS=1 run shim copier "$1" "$SCRATCH" "$TARGET" $AT $LENGTH
	assert_clean
	[ "$(grep -v ^blkverify: <<<"$output")" = "$native" ]
	assert_stat write_bytes $LENGTH
	assert_stat read_bytes 0
	assert_stat unverified 0
	cmp "$TARGET" "$BATS_TEST_TMPDIR/native"
	assert_same_contents
	damage_target 25000
	run shim reader pread64 "$TARGET" 0 64K
	assert_mismatch read 48 25000
}

@test "copies to a target go to both, and are held against the target" { for_each "$MOVING" to_as_native; }

# the fault: a copy that the shim does not see
to_unseen() {
	fresh
	run copier "$1" "$SCRATCH" "$TARGET" $AT $LENGTH
	skip_if_absent
	local at
	at=$(first_difference)
	run shim reader pread64 "$TARGET" 0 64K
	assert_mismatch read $((at / 512)) "$at"
}
first_difference() { echo $(($(cmp -l "$TARGET" "$SHADOW" | awk '{ print $1; exit }') - 1)); }

@test "a copy to the target alone is caught" { for_each "$MOVING" to_unseen; }

end_of_file() {
	fresh
	run copier "$1" "$BATS_TEST_TMPDIR/native" "$SCRATCH.native" "$2" "$3"
	local native=$output native_status=$status
	run shim copier "$1" "$TARGET" "$SCRATCH" "$2" "$3"
	assert_silent "$native_status"
	[ "$output" = "$native" ] || fail_with "without the shim: $native"
	cmp "$SCRATCH" "$SCRATCH.native"
	run copier "$1" "$SCRATCH.native" "$BATS_TEST_TMPDIR/native" "$2" "$3"
	native=$output native_status=$status
	run shim copier "$1" "$SCRATCH" "$TARGET" "$2" "$3"
	assert_silent "$native_status"
	[ "$output" = "$native" ] || fail_with "without the shim: $native"
	cmp "$TARGET" "$BATS_TEST_TMPDIR/native"
	assert_same_contents
}
# each call with what follows it
with() {
	local call=$1
	end_of_file "$call" 60000 10000
	end_of_file "$call" 65536 10
	end_of_file "$call" 0 0
	end_of_file "$call" -1 10
}

@test "copies across and past the end, of nothing, and from nowhere" { for_each "$MOVING" with; }

# ---- from one target to another, and inside one ----

between() {
	fresh
	local from=$TARGET from_shadow=$SHADOW
	make_pair 64K second
	export BLKVERIFY_TARGET="$from:$TARGET" BLKVERIFY_SHADOW="$from_shadow:$SHADOW"
	run shim copier "$1" "$from" "$TARGET" $AT $LENGTH
	skip_if_absent
	assert_clean
	cmp -n $LENGTH -i $AT "$from" "$TARGET"
	assert_same_contents
	damage "$from_shadow" 10000
	run shim copier "$1" "$from" "$TARGET" $AT $LENGTH
	assert_mismatch read 19 10000
}

@test "copies between two targets are verified at both ends" { for_each "$MOVING" between; }

@test "a copy inside one target is what it is without the shim" {
	need_program python3
	fresh
	local copy='import os, sys
f = os.open(sys.argv[1], os.O_RDWR)
print(os.copy_file_range(f, f, 10000, 1000, 40000))
print(os.lseek(f, 100, 0), os.copy_file_range(f, f, 3000, None, 30000), os.lseek(f, 0, 1))
# the first is cut off at the end, and does not overlap then; the others overlap, overflow, and are not possible
for n, a, b, d in (1 << 40, 60000, 1000, f), (10000, 1000, 5000, f), (1 << 62, 3 << 61, 0, f), (10, 0, 0, os.open("/", os.O_RDONLY)), (10, 0, 0, 99):
	try:
		print(os.copy_file_range(f, d, n, a, b))
	except OSError as e:
		print(e.errno)'
	run python3 -c "$copy" "$BATS_TEST_TMPDIR/native"
	[ "$status" = 0 ] || skip "not here: $output"
	local native=$output
	run shim python3 -c "$copy" "$TARGET"
	assert_clean
	[ "$output" = "$native" ]
	cmp "$TARGET" "$BATS_TEST_TMPDIR/native"
	assert_same_contents
	fresh
	damage_shadow 5000
	run shim bash -c 'exec python3 -c "$0" "$1" >/dev/null' "$copy" "$TARGET"
	assert_mismatch read 9 5000
}

# ---- sharing of extents ----

shared() {
	fresh
	for side in from to; do
		case $side in
		from) set -- "$1" "$TARGET" "$SCRATCH" ;;
		to) set -- "$1" "$SCRATCH" "$TARGET" ;;
		esac
		# sharing what is equal already changes no target that it is done to
		[ "$1/$side" != FIDEDUPERANGE/to ] || continue
		run shim copier "$@" 4096 8192
		assert_silent 1
		[ "$output" = "ret=-1 EOPNOTSUPP" ]
		cmp "$TARGET" "$BATS_TEST_TMPDIR/native"
		cmp "$SCRATCH" "$SCRATCH.native"
		assert_same_contents
	done
}

@test "requests to share extents are answered as by a file system that cannot" { for_each "$SHARING" shared; }

# ---- into and out of pipes ----

@test "splice from a target gives way to a full pipe as the kernel does" {
	need_program python3
	fresh
	local fill='import os, sys
f = os.open(sys.argv[1], os.O_RDWR)
r, w = os.pipe()
got = 0
try:
	while True:
		n = os.splice(f, w, 4096, offset_src=got, flags=2)
		got += n
except OSError as e:
	print(e.errno)
data = b""
os.close(w)
while True:
	more = os.read(r, 65536)
	if not more:
		break
	data += more
print(data == open(sys.argv[1], "rb").read()[:got], got > 0)'
	run python3 -c 'import os; os.splice'
	[ "$status" = 0 ] || skip "python is too old"
	run python3 -c "$fill" "$BATS_TEST_TMPDIR/native"
	assert_status 0
	local native=$output
	run shim python3 -c "$fill" "$TARGET"
	assert_clean
	[ "$output" = "$native" ]
	damage_shadow 7000
	run shim python3 -c "$fill" "$TARGET"
	assert_mismatch read 13 7000
}

@test "sendfile to a pipe and to a socket is verified" {
	need_program python3
	fresh
	local send='import os, socket, sys
f = os.open(sys.argv[1], os.O_RDONLY)
for a, b in (os.pipe(), [s.detach() for s in socket.socketpair()]):
	n = os.sendfile(b, f, 100, 5000)
	print(n, sum(os.read(a, 9000)))
os.lseek(f, 300, 0)
print(os.sendfile(b, f, None, 700), os.lseek(f, 0, 1), sum(os.read(a, 9000)))'
	run python3 -c "$send" "$TARGET"
	assert_status 0
	local native=$output
	run shim python3 -c "$send" "$TARGET"
	assert_clean
	[ "$output" = "$native" ]
	damage_shadow 5099
	run shim bash -c 'exec python3 -c "$0" "$1" >/dev/null' "$send" "$TARGET"
	assert_mismatch read 9 5099
}

# ---- programs ----

copied() {
	fresh
	run shim cp "$1" "$TARGET" "$SCRATCH"
	assert_clean
	cmp "$SCRATCH" "$TARGET"
	head -c 64K /dev/urandom >"$SCRATCH"
	run shim cp "$1" "$SCRATCH" "$TARGET"
	assert_clean
	cmp "$SCRATCH" "$TARGET"
	assert_same_contents
	damage_shadow 33333
	run shim cp "$1" "$TARGET" "$SCRATCH"
	assert_mismatch read 65 33333
}

@test "cp copies from and to a target, whatever it is told to share" {
	for_each "--reflink=auto --reflink=never --sparse=always --sparse=never --sparse=auto" copied
}

@test "cat and python copy a target" {
	fresh
	run shim sh -c 'cat "$1" >"$2"' sh "$TARGET" "$SCRATCH"
	assert_clean
	cmp "$SCRATCH" "$TARGET"
	run shim python3 -c 'import shutil, sys; shutil.copyfile(sys.argv[1], sys.argv[2])' "$SCRATCH.native" "$TARGET"
	assert_clean
	cmp "$SCRATCH.native" "$TARGET"
	assert_same_contents
	damage_shadow 33333
	run shim sh -c 'exec cat "$1" >"$2"' sh "$TARGET" "$SCRATCH"
	assert_mismatch read 65 33333
	run shim python3 -c 'import shutil, sys; shutil.copyfile(sys.argv[1], sys.argv[2])' "$TARGET" "$SCRATCH"
	assert_mismatch read 65 33333
}
