#!/usr/bin/env bash
# usage: simh.sh SIMULATOR IMAGE [FILE [WORD...]]
# runs one of SIMH's simulators (pdp11, vax ...) with its disk image IMAGE verified. FILE has the simulator's commands,
# "attach rk0 IMAGE" among them; WORDs are %1, %2 ... in it. The shadow is IMAGE.shadow; where there is none, it is made
# of IMAGE, which must be good then; if there is no IMAGE yet either, the simulator makes one, and the shadow begins
# empty. What changes IMAGE later must do it in this way too, or else remove IMAGE.shadow.
#
# Expect the simulator to run as always, and a line in the end that tells what was verified. Exit status: the
# simulator's; 121 when nothing was verified; 120 when IMAGE gave back other bytes than were written. The simulator is
# stopped then, and
#
#   blkverify: read sector_num=3000 nb_sectors=24 contents mismatch in sector 3000 at offset 1536017
#
# with lines that tell more, is on standard error. A sector has 512 bytes whatever the size of the simulated disk's
# blocks.
set -eu

[ $# -ge 2 ] || {
    echo "${0##*/}: usage: SIMULATOR IMAGE [FILE [WORD...]]" >&2
    exit 2
}
simulator=$1 image=$2 status=0
shift 2

if [ ! -e "$image.shadow" ]; then
    if [ -e "$image" ]; then
        blkverify prepare "$image" "$image.shadow"
    else
        : >"$image.shadow"
    fi
fi
blkverify run -t "$image" -s "$image.shadow" -- "$simulator" "$@" || status=$?
# stopped, a simulator leaves the terminal as it needed it
[ "$status" != 120 ] || [ ! -t 0 ] || stty sane
exit "$status"
