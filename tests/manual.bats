#!/usr/bin/env bats
# The manual pages: well-formed, and of the same options as --help.

load functions
load qemu
load command

setup() { need_command; }

# options_in PAGE: those that its section OPTIONS begins a paragraph with
options_in() {
	sed -n '/^\.SH OPTIONS/,/^\.SH /p' "$1" | grep -A 1 '^\.TP' | tr -d '\\' | grep -o -E -e '--[a-z][a-z-]*' | sort -u
}

@test "every call has a page of its options" {
	local call page
	for page in "$BLK_SRCDIR"/man/blkverify-*.1; do
		call=${page##*/blkverify-}
		call=${call%.1}
		[ "$(options_in "$page")" = "$(blkverify "$call" --help | grep -o -E -e '^  (-., )?--.*' | grep -o -E -e '--[a-z-]+' | sort -u)" ] ||
			fail_with "$page: $(options_in "$page" | xargs)" || return
		# and of each exit status
		[ "$(sed -n '/^\.SH EXIT STATUS/,/^\.SH ENV\|^\.SH FILES\|^\.SH NOTES/p' "$page" | grep -c '^\.B [0-9]')" -ge 3 ]
	done
}

@test "pages are well-formed" {
	need_program mandoc
	run mandoc -T lint -W warning "$BLK_SRCDIR"/man/*.1
	[ -z "$output" ] || fail_with "mandoc has something to say"
	printf '.TH A 1 "" b\n.SH NAME\na \\- b\n.B \\fQ\n.nonsense\n' >"$BATS_TEST_TMPDIR/bad.1"
	run mandoc -T lint -W warning "$BATS_TEST_TMPDIR/bad.1"
	[ -n "$output" ]
}
