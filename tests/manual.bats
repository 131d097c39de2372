#!/usr/bin/env bats
# The manual pages: well-formed, and of the same options, variables and statuses as the command and the library.

load functions
load qemu
load command

MAN="$BLK_SRCDIR/man"

setup() { need_command; }

# options_in PAGE: those that its section OPTIONS begins a paragraph with
options_in() {
	sed -n '/^\.SH OPTIONS/,/^\.SH /p' "$1" | grep -A 1 '^\.TP' | tr -d '\\' | grep -o -E -e '--[a-z][a-z-]*' | sort -u
}

# tagged PAGE SECTION WORD: an item of that section begins with it
tagged() {
	sed -n "/^\.Sh $2\$/,/^\.Sh /p" "$1" | grep -q -E "^\.It ((Ev|Cm|Fl) )?$3( |\$)" || fail_with "$1: not in $2: $3"
}

@test "every call has a page of its options" {
	local call page
	for page in "$MAN"/blkverify-*.1; do
		call=${page##*/blkverify-}
		call=${call%.1}
		[ "$(options_in "$page")" = "$(helped "$call")" ] || fail_with "$page: $(options_in "$page" | xargs)" || return
		# and of each exit status
		[ "$(sed -n '/^\.SH EXIT STATUS/,/^\.SH ENV\|^\.SH FILES\|^\.SH NOTES/p' "$page" | grep -c '^\.B [0-9]')" -ge 3 ]
	done
	[ "$(calls | wc -l)" = 5 ]
	for call in $(calls); do
		[ "$call" = run ] || [ -e "$MAN/blkverify-$call.1" ] || fail_with "no page: $call" || return
		tagged "$MAN/blkverify.1" DESCRIPTION "$call"
	done
}

@test "blkverify(1) knows every option and status of run" {
	local word
	for word in $(helped run); do
		grep -q "Fl .*\\\\&${word#-}\\>" "$MAN/blkverify.1" || fail_with "not there: $word" || return
	done
	for word in 120 121 122 125 126 127; do tagged "$MAN/blkverify.1" "EXIT STATUS" "$word" || return; done
	run tagged "$MAN/blkverify.1" "EXIT STATUS" 123
	assert_status 1
}

@test "libblkverify(7) knows every variable" {
	local word words
	words=$(sed -n 's/^\tX(\([A-Z_]*\), .*/\1/p' "$BLK_SRCDIR/src/config.c")
	[ "$(wc -w <<<"$words")" -gt 10 ]
	for word in $words LOG; do tagged "$MAN/libblkverify.7" ENVIRONMENT "BLKVERIFY_$word" || return; done
	[ "$(grep -c '^\.It Ev BLKVERIFY_' "$MAN/libblkverify.7")" = "$(printf '%s\n' $words LOG | sort -u | wc -l)" ]
	for word in 1 125; do tagged "$MAN/libblkverify.7" "EXIT STATUS" "$word" || return; done
}

@test "both have the sections that people look for" {
	local page section
	for page in "$MAN"/{blkverify.1,libblkverify.7}; do
		for section in ENVIRONMENT "EXIT STATUS" EXAMPLES LIMITATIONS FILES "SEE ALSO"; do
			grep -qx "\.Sh $section" "$page" || fail_with "$page: no $section" || return
		done
	done
}

@test "pages refer to pages that there are" {
	local name section found=0
	while read -r name section; do
		[ -e "$MAN/$name.$section" ] || fail_with "no $name($section)" || return
		found=$((found + 1))
	done < <(sed -n -e 's/^\.Xr \([a-z-]*blkverify[a-z-]*\) \([0-9]\).*/\1 \2/p' \
		-e 's/^\.BR \([a-z-]*blkverify[a-z-]*\) *(\([0-9]\)).*/\1 \2/p' "$MAN"/* | sort -u)
	[ "$found" = 6 ] || fail_with "$found references"
}

# example PAGE TEXT: the commands below that text
example() { sed -n "/$2/,/^\.Ed/p" "$1" | sed -e '1d' -e '/^\.Bd/d' -e '/^\.Ed/d' -e 's/\\e$/\\/'; }

@test "an example works as it stands" {
	need_fuse
	cd "$TMPDIR"
	qemu-img create -q -f qcow2 disk.qcow2 8M
	PATH="${BLK_COMMAND%/*}:$PATH"
	example "$MAN/blkverify.1" "^QEMU's qcow2 driver" >commands
	[ "$(grep -c ^blkverify commands)" = 2 ]
	run bash -eu commands
	assert_status 0
	[[ $output == *", 1 write verified, no mismatch" ]] || fail_with "not verified"
	# and once more, with damage
	QCOW2=disk.qcow2 damage_qcow2 5000
	sed -i -e '/prepare/d' -e "s/-c 'write[^']*'//" commands
	run bash -eu commands
	assert_mismatch read 9 5000 120
}

@test "pages are well-formed" {
	need_program mandoc
	run mandoc -T lint -W warning "$MAN"/*.[17]
	[ -z "$output" ] || fail_with "mandoc has something to say"
	printf '.TH A 1 "" b\n.SH NAME\na \\- b\n.B \\fQ\n.nonsense\n' >"$BATS_TEST_TMPDIR/bad.1"
	run mandoc -T lint -W warning "$BATS_TEST_TMPDIR/bad.1"
	[ -n "$output" ]
}
