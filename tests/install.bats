#!/usr/bin/env bats
# What is installed works where it is, and goes again.

load functions
load qemu
load command

PREFIX="$BATS_TEST_TMPDIR/root"

setup() {
	need_command
	need_program make
	make_pair 64K
}

# made TARGET: in the build tree, which is not to be built anew
made() { env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s -C "$BLK_BUILDDIR" "$1" DESTDIR="$PREFIX" >"$TMPDIR/make.log" 2>&1; }

# installed NAME: the one path that ends so
installed() { find "$PREFIX" -type f -path "*/$1"; }

@test "the command, the library and their documents are installed, work, and go again" {
	local name
	made install || fail_with "$(cat "$TMPDIR/make.log")"
	for name in bin/blkverify lib*/blkverify/libblkverify.so man1/blkverify.1 man1/blkverify-{prepare,compare,inspect,doctor}.1 \
		man7/libblkverify.7 bash-completion/completions/blkverify.bash zsh/site-functions/_blkverify LIMITATIONS.md; do
		[ "$(installed "$name" | wc -l)" = 1 ] || fail_with "not installed: $name" "$(find "$PREFIX" -type f)" || return
	done
	# nothing else than that
	[ -z "$(find "$PREFIX" -type f | grep -Ev '/share/(doc|man)/|/completions/|/site-functions/|/bin/blkverify$|/libblkverify\.so$')" ] ||
		fail_with "$(find "$PREFIX" -type f)"
	BLK_COMMAND=$(installed bin/blkverify)
	run watched -- sh -c 'echo "$LD_PRELOAD"; exec diskio open "$0" r read 0 512' "$TARGET"
	assert_status 0
	[ "${lines[0]}" = "$(installed libblkverify.so)" ]
	damage_shadow 1000
	run watched -- diskio open "$TARGET" r read 0 4096
	assert_mismatch read 1 1000 120
	run blkverify doctor diskio
	assert_status 0
	[[ $output == *"$(installed libblkverify.so): takes effect"* ]]
	made uninstall || fail_with "$(cat "$TMPDIR/make.log")"
	[ -z "$(find "$PREFIX" ! -type d)" ] || fail_with "left: $(find "$PREFIX" ! -type d)"
}
