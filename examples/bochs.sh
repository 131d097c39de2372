#!/usr/bin/env bash
# usage: examples/bochs.sh IMAGE BOCHSRC [OPTION...]
# runs Bochs as BOCHSRC says, under the shim, with the disk image IMAGE as the target. OPTIONs are Bochs's. Exit status:
# Bochs's; 134 when it was stopped at a wrong read; 125 when nothing was verified. LIBBLKVERIFY in the environment says
# where the library is.
#
# The shadow is IMAGE.shadow. Where there is none, it is made by copying IMAGE, which must be good then. What changes
# IMAGE later must do it in this way too; or else remove IMAGE.shadow and IMAGE.shadow.bvstate.
#
# What was verified is in IMAGE.log, and shown at the end. If IMAGE gives back other bytes than were written, that is
#
#   blkverify: read sector_num=2929 nb_sectors=1 contents mismatch in sector 2929 at offset 1500000
#
# and lines that tell more. Sectors are those of the file IMAGE; in the modes growing, vmware4, vbox and vpc that is not
# the guest's disk, but what it is packed in. Mode sparse wants to map its table into memory. A line says that this is
# refused; Bochs reads the table instead.
set -eu

say() {
    printf '%s\n' "${0##*/}: $*" >&2
}

[ $# -ge 2 ] || {
    say "usage: IMAGE BOCHSRC [OPTION...]"
    exit 2
}
image=$1 status=0
shift

if [ ! -e "$image.shadow" ]; then
    cp "$image" "$image.shadow.new"
    mv "$image.shadow.new" "$image.shadow"
fi
rm -f "$image.log"

# a colon would begin another path
export BLKVERIFY_TARGET=${image//:/\\:} BLKVERIFY_SHADOW=${image//:/\\:}.shadow
export BLKVERIFY_LOG=$image.log BLKVERIFY_STATS=1
LD_PRELOAD=${LIBBLKVERIFY:-/usr/local/lib/blkverify/libblkverify.so} bochs-bin -q -f "$@" || status=$?

[ -s "$image.log" ] || {
    say "$image: nothing was verified"
    exit 125
}
cat "$image.log" >&2
# stopped, Bochs leaves a lock behind that it would trip over
[ "$status" != 134 ] || rm -f "$image.lock"
exit "$status"
