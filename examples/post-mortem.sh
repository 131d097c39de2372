#!/usr/bin/env bash
# usage: post-mortem.sh TARGET SHADOW PROGRAM [ARG...]
# runs PROGRAM until it reads a wrong byte, has it stand still right there, and shows what there is to see: the report,
# the call's backtrace by gdb (attached, so nothing needs a core file), and both sides of the sector. Then PROGRAM ends
# by SIGABRT. Backtraces name functions where PROGRAM has symbols (its -dbgsym package).
#
# Exit status: 120 after a mismatch; else as blkverify run has it. PROGRAM has no standard input.
set -eu

[ $# -ge 3 ] || {
    echo "${0##*/}: usage: TARGET SHADOW PROGRAM [ARG...]" >&2
    exit 2
}
target=$1 shadow=$2 status=0
shift 2
log=$(mktemp)
# sync: in pool mode the call may be over by then
blkverify run -t "$target" -s "$shadow" --mode=sync --on-mismatch=stop --log="$log" -- "$@" &
run=$!
trap 'kill "$run" 2>/dev/null || true; rm -f "$log"' EXIT

# the report has "process 4711, thread 4712, call pread64, fd 3 ..."
reported() { sed -n "s/^blkverify:  *process \([0-9]*\), thread \([0-9]*\),.*/\\$1/p" "$log" | head -n 1; }
stands_still() { [ -n "$(reported 1)" ] && grep -q '^State:.*stopped' "/proc/$(reported 1)/status"; }

until stands_still; do
    kill -0 "$run" 2>/dev/null || break
    sleep 0.1
done
if stands_still; then
    cat "$log"
    echo "---- where it was called"
    gdb -batch -p "$(reported 1)" -ex "set print elements 8" \
        -ex "python [t.switch() for t in gdb.selected_inferior().threads() if t.ptid[1] == $(reported 2)]" \
        -ex backtrace 2>/dev/null | grep '^#' || echo "gdb shows nothing"
    echo "---- the sector"
    sector=$(sed -n 's/^blkverify: .* contents mismatch in sector \([0-9]*\) .*/\1/p' "$log" | head -n 1)
    blkverify inspect --sector "$sector" "$target" "$shadow" || true
    # to the program, by way of blkverify
    kill -CONT "$run"
fi
wait "$run" || status=$?
exit "$status"
