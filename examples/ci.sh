#!/usr/bin/env bash
# usage: ci.sh IMAGE COMMAND [ARG...]
# a step of a CI job: runs COMMAND, a test of yours that works on the disk image IMAGE, and fails when IMAGE gave back a
# wrong byte, whatever COMMAND makes of that. ci.yml has the job around it.
#
# Exit status: COMMAND's own; but 120 when there was a mismatch, also one that only the comparison in the end came upon;
# 121 when COMMAND never opened IMAGE: a job that verifies nothing must not look like one that does. What a person wants
# to see then is in the directory ci-report: log, compare.json, and sector.txt with both sides of the sector.
set -u

say() {
    echo "${0##*/}: $*" >&2
}

[ $# -ge 2 ] || {
    say "usage: IMAGE COMMAND [ARG...]"
    exit 2
}
image=$1 shadow=$1.shadow report=ci-report status=0 compared=0
shift

rm -rf "$report"
mkdir "$report" || exit 125
blkverify prepare --force "$image" "$shadow" || exit 125
: >"$report/log"
blkverify run -t "$image" -s "$shadow" --log="$report/log" -- "$@" || status=$?
cat "$report/log" >&2

# the whole image, past the page cache: also what COMMAND has not read again
blkverify compare --json "$image" "$shadow" >"$report/compare.json" || compared=$?
case $compared in
0) ;;
1) status=120 ;;
*) [ "$status" != 0 ] || status=125 ;;
esac
sector=$(sed -n 's/^blkverify: .* contents mismatch in sector \([0-9]*\) .*/\1/p' "$report/log" | head -n 1)
[ -n "$sector" ] || sector=$(jq '.runs[0].sector // empty' "$report/compare.json")
if [ -n "$sector" ]; then
    say "$image: sector $sector is wrong, see $report"
    blkverify inspect --sector "$sector" "$image" "$shadow" >"$report/sector.txt"
fi
exit "$status"
