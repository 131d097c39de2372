# Helpers for the tests of the calls that look at images: `load command` comes before.

# no_shadow: neither a shadow nor half of one
no_shadow() { [ ! -e "$SHADOW" ] && [ ! -e "$SHADOW.partial" ] || fail_with "there is: $(ls "$SHADOW"*)"; }

# on_terminal CMD...: with a terminal of its own for its output. INTERRUPT=SECONDS: so long after its first output,
# somebody presses Ctrl-C.
on_terminal() {
	timeout 60 python3 - "${INTERRUPT:-}" "$@" <<'END'
import os, pty, select, sys, time

wait, command = sys.argv[1], sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
at = None
while True:
    ready, _, _ = select.select([fd], [], [], 0.02)
    try:
        data = os.read(fd, 65536) if ready else None
    except OSError:
        break
    if data == b"":
        break
    if data:
        if wait and at is None:
            at = time.monotonic() + float(wait)
        os.write(1, data)
    if at is not None and time.monotonic() > at:
        os.write(fd, b"\x03")
        at, wait = None, ""
_, status = os.waitpid(pid, 0)
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
END
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
