# What one operation costs, counted: time is for the bench, but these counts repeat.
load functions

setup() { make_pair 1M; }

# calls COUNT REPEAT...: system calls of a run of COUNT operations, one "NAME NUMBER" a line
calls() {
	local log="$BATS_TEST_TMPDIR/calls" count=$1
	shift
	run shim strace -f -o "$log" repeat "$TARGET" "$@" "$count"
	assert_clean
	awk 'match($2, /^[a-z0-9_]+\(/) { n[substr($2, 1, RLENGTH - 1)]++ } END { for (name in n) print name, n[name] }' "$log"
}

# calls_each REPEAT...: those of one operation, "NAME*NUMBER" in order of names
calls_each() {
	calls 100 "$@" >"$BATS_TEST_TMPDIR/few" || return
	calls 200 "$@" >"$BATS_TEST_TMPDIR/many" || return
	awk 'NR == FNR { few[$1] = $2; next } $2 != few[$1] { print $1 "*" ($2 - few[$1]) / 100 }' \
		"$BATS_TEST_TMPDIR/few" "$BATS_TEST_TMPDIR/many" | sort | xargs
}

# assert_calls WANTED REPEAT...
assert_calls() {
	local wanted=$1 found
	shift
	found=$(calls_each "$@") || return
	[ "$found" = "$wanted" ] || fail_with "$*: $found" "expected: $wanted"
}

# the target's and the shadow's; whether the program's memory is there, a page each, or three where they are written to
@test "system calls of a read" {
	need_program strace
	assert_calls "pread64*2 rt_sigprocmask*1" pread 512
	assert_calls "pread64*2 rt_sigprocmask*1" pread 4096
	assert_calls "getresuid*5 pread64*2 rt_sigprocmask*1" pread 65536
}

# and which file it is, before and after; whether the shadow is where it was
@test "system calls of a write" {
	need_program strace
	assert_calls "lseek*1 pwrite64*2 rt_sigprocmask*1 statx*2" pwrite 512
	assert_calls "lseek*1 pwrite64*2 rt_sigprocmask*1 statx*2" pwrite 4096
	assert_calls "lseek*1 pwrite64*2 rt_sigprocmask*16 statx*2" pwrite 65536
}

# instructions FILE REPEAT...: carried out in the shim itself, an operation
instructions() {
	local out="$BATS_TEST_TMPDIR/profile"
	rm -f "$out"
	run shim valgrind -q --tool=callgrind --toggle-collect='once*' --callgrind-out-file="$out" repeat "$@" 1000
	assert_clean || return
	# costs stand under the object (ob) last named, by its number alone after the first time, which may have been as that
	# of a callee (cob); the line behind a call is what the callee cost
	awk -v library="$BLK_LIB" '
		/^c?ob=/ {
			id = substr($1, index($1, "="))
			if (NF > 1)
				ours[id] = index($2, library) > 0
		}
		/^ob=/ { counts = ours[id] }
		/^calls=/ { skip = 1; next }
		/^[0-9+*-]/ { if (counts && !skip) sum += $2; skip = 0 }
		END { print int(sum / 1000) }' "$out"
}

# assert_instructions MOST FILE REPEAT...: at most so many. What gcc 12 makes of it on x86-64, and a quarter.
assert_instructions() {
	local most=$1 each
	shift
	each=$(instructions "$@") || return
	echo "# ${*:2}: $each instructions" >&3
	[ "$each" -gt 0 ] || fail_with "$*: counted nothing"
	[ "$each" -le "$most" ] || fail_with "$*: $each instructions, expected at most $most"
}

@test "instructions of a read and of a write" {
	need_program valgrind
	assert_instructions 1490 "$TARGET" pread 4096
	assert_instructions 1960 "$TARGET" pwrite 4096
}

@test "instructions of calls on another file" {
	need_program valgrind
	local other="$BATS_TEST_TMPDIR/other"
	head -c 64K /dev/zero >"$other"
	assert_instructions 35 "$other" pread 4096
	assert_instructions 35 "$other" pwrite 4096
	assert_instructions 135 "$other" dup 4096
	assert_instructions 220 "$other" open 4096
}
