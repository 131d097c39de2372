#!/usr/bin/env bash
# usage: guest.sh IMAGE QEMU-OPTION...
# boots a guest with IMAGE as its disk, and QEMU's qcow2 driver under test: QEMU opens IMAGE as a raw file that
# qemu-storage-daemon makes of it, and whatever the guest reads is compared with IMAGE.shadow, a raw copy that is made
# when there is none. QEMU-OPTIONs are the rest of the machine (-m 1G -nographic ...). Another format: FORMAT=vmdk in the
# environment.
#
# Expect the guest to run as always, more slowly, and after it a line that tells what was verified; the exit status is
# QEMU's. Where the driver gives back other bytes than the guest wrote, QEMU is stopped before the guest sees them, and
# the exit status is 120; with BLKVERIFY_ON_MISMATCH=eio in the environment it is an I/O error in the guest instead.
#
# aio=threads, and no request of more than 512 KiB: QEMU 7.2's export mixes up the data of O_DIRECT writes that reach it
# at the same time, and the kernel sends it larger ones in pieces. (These mismatches are real, but not the driver's.) In
# the guest:
#
#   echo 512 >/sys/block/vda/queue/max_sectors_kb
set -eu

[ $# -ge 1 ] || {
    echo "${0##*/}: usage: IMAGE QEMU-OPTION..." >&2
    exit 2
}
image=$1 format=${FORMAT:-qcow2}
shift

[ -e "$image.shadow" ] || blkverify prepare --format "$format" "$image" "$image.shadow"
blkverify run --format "$format" -t "$image" -s "$image.shadow" -- qemu-system-x86_64 "$@" \
    -global virtio-blk-device.request-merging=off -drive file={},format=raw,if=virtio,cache=none,aio=threads,discard=unmap
