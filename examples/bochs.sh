#!/usr/bin/env bash
# usage: bochs.sh IMAGE BOCHSRC [OPTION...]
# runs Bochs as BOCHSRC says, with its disk image IMAGE verified. OPTIONs are Bochs's. The shadow is IMAGE.shadow; where
# there is none, it is made of IMAGE, which must be good then. What changes IMAGE later must do it in this way too, or
# else remove IMAGE.shadow.
#
# Expect Bochs to run as always, and a line in the end that tells what was verified. Exit status: Bochs's; 121 when
# nothing was verified; 120 when IMAGE gave back other bytes than were written. Bochs is stopped then, and
#
#   blkverify: read sector_num=2929 nb_sectors=1 contents mismatch in sector 2929 at offset 1500000
#
# with lines that tell more, is in IMAGE.log, and shown in the end: Bochs may have the terminal to itself. Sectors are
# those of the file IMAGE; in the modes growing, vmware4, vbox and vpc that is not the guest's disk, but what it is
# packed in.
set -eu

[ $# -ge 2 ] || {
    echo "${0##*/}: usage: IMAGE BOCHSRC [OPTION...]" >&2
    exit 2
}
image=$1 status=0
shift

[ -e "$image.shadow" ] || blkverify prepare "$image" "$image.shadow"
: >"$image.log"
blkverify run -t "$image" -s "$image.shadow" --log="$image.log" -- bochs-bin -q -f "$@" || status=$?
cat "$image.log" >&2
# stopped, Bochs leaves a lock behind that it would trip over
[ "$status" != 120 ] || rm -f "$image.lock"
exit "$status"
