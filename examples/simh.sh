#!/usr/bin/env bash
# usage: examples/simh.sh SIMULATOR IMAGE [FILE [WORD...]]
# runs one of SIMH's simulators (pdp11, vax ...) under the shim, with the disk image IMAGE as the target. FILE has the
# simulator's commands, "attach rk0 IMAGE" among them; WORDs are %1, %2 ... in it. Exit status: the simulator's;
# 134 when it was stopped at a wrong read; 125 when nothing was verified. LIBBLKVERIFY in the environment says where the
# library is.
#
# The shadow is IMAGE.shadow. Where there is none, it is made by copying IMAGE, which must be good then; if there is no
# IMAGE yet, the simulator makes one, and the shadow begins empty. What changes IMAGE later must do it in this way too; or
# else remove IMAGE.shadow and IMAGE.shadow.bvstate.
#
# What was verified is in IMAGE.log, and shown at the end. If IMAGE gives back other bytes than were written, that is
#
#   blkverify: read sector_num=3000 nb_sectors=24 contents mismatch in sector 3000 at offset 1536017
#
# and lines that tell more. A sector has 512 bytes whatever the size of the simulated disk's blocks.
set -eu

say() {
    printf '%s\n' "${0##*/}: $*" >&2
}

[ $# -ge 2 ] || {
    say "usage: SIMULATOR IMAGE [FILE [WORD...]]"
    exit 2
}
simulator=$1 image=$2 status=0
shift 2

if [ ! -e "$image.shadow" ]; then
    if [ -e "$image" ]; then
        cp "$image" "$image.shadow.new"
    else
        : >"$image.shadow.new"
    fi
    mv "$image.shadow.new" "$image.shadow"
fi
rm -f "$image.log"

# a colon would begin another path
export BLKVERIFY_TARGET=${image//:/\\:} BLKVERIFY_SHADOW=${image//:/\\:}.shadow
export BLKVERIFY_LOG=$image.log BLKVERIFY_STATS=1
LD_PRELOAD=${LIBBLKVERIFY:-/usr/local/lib/blkverify/libblkverify.so} "$simulator" "$@" || status=$?

# stopped, a simulator leaves the terminal as it needed it
[ ! -t 0 ] || stty sane
[ -s "$image.log" ] || {
    say "$image: nothing was verified"
    exit 125
}
cat "$image.log" >&2
exit "$status"
