#!/usr/bin/env bats
# What is of debian/ can be looked at without a package: its version, and its autopkgtests, on this build.

load functions
load qemu
load command

setup() {
	need_command
	DEBIAN="$BLK_SRCDIR/debian"
	mkdir "$TMPDIR/bin" "$TMPDIR/work"
	ln -s "$BLK_COMMAND" "$TMPDIR/bin/blkverify"
}

# autopkgtest NAME
autopkgtest() {
	PATH="$TMPDIR/bin:$PATH" EXAMPLES="$BLK_SRCDIR/examples" AUTOPKGTEST_TMP="$TMPDIR/work" run timeout 100 "$DEBIAN/tests/$1"
}

# broken: the command is one that passes over every mismatch
broken() {
	rm "$TMPDIR/bin/blkverify"
	printf '#!/bin/sh\nBLKVERIFY_ON_MISMATCH=log %q "$@"\nstatus=$?\n[ $status = 120 ] && exit 0\nexit $status\n' "$BLK_COMMAND" \
		>"$TMPDIR/bin/blkverify"
	chmod +x "$TMPDIR/bin/blkverify"
	rm -rf "$TMPDIR/work"
	mkdir "$TMPDIR/work"
}

@test "the version is configure's" {
	[ "blkverify $(sed -n '1s/^libblkverify (\([^)]*\)) .*/\1/p' "$DEBIAN/changelog")" = "$(blkverify --version)" ]
}

@test "every autopkgtest is one of these" {
	[ "$(sed -n 's/^Tests: //p' "$DEBIAN/tests/control" | sort | xargs)" = "format raw" ]
}

@test "autopkgtest raw" {
	autopkgtest raw
	assert_status 0
	broken
	autopkgtest raw
	assert_status 1
	[[ $output == *"FAILED: status 0, not 120"* ]]
}

@test "autopkgtest format" {
	need_fuse
	autopkgtest format
	assert_status 0
	broken
	autopkgtest format
	assert_status 1
}
