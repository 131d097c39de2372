# Helpers for the tests of the calls that look at images: `load command` comes before.

# no_shadow: neither a shadow nor half of one
no_shadow() { [ ! -e "$SHADOW" ] && [ ! -e "$SHADOW.partial" ] || fail_with "there is: $(ls "$SHADOW"*)"; }

# on_terminal CMD...: with a terminal of its own. INTERRUPT=SECONDS: so long after its first output, somebody presses
# Ctrl-C.
on_terminal() {
	need_program python3
	timeout 60 python3 "$BLK_SRCDIR/tests/terminal.py" ${INTERRUPT:+expect:. wait:"$INTERRUPT" key:C} -- "$@"
}

# a FAULT_DELAY with which each of the first eight transfers waits at least 0.28 seconds before it is made, and after it;
# one with 0.68
SLOW=798000
SLOWER=1596000

# slowly CMD...: each of its reads of TARGET takes up to half a second
slowly() {
	LD_PRELOAD="$BLK_SNIPPETS/delay.so" FAULT_FILE="$TARGET" FAULT_DELAY="${DELAY:-500000}" "$@"
}

# bar_moved: what stood on the terminal has a bar that is neither at its beginning nor without a rate
bar_moved() { tr '\r' '\n' <<<"$output" | grep -E -q '^ *[1-9][0-9]*% \[#+ *\] of .*/s, .* left'; }
has_bar() { tr '\r' '\n' <<<"$output" | grep -E -q '^ *[0-9]+% \[#* *\] of '; }
