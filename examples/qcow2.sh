#!/usr/bin/env bash
# usage: qcow2.sh IMAGE [QEMU-IO-COMMAND...]
# puts QEMU's qcow2 driver under test. qemu-io works on IMAGE as a raw disk, by these commands or some usual ones; a raw
# copy of what IMAGE held at first, IMAGE.shadow, goes along. In the end the two are compared whole. An IMAGE that is not
# there is made, with 64 MiB. Another format: FORMAT=vmdk in the environment, and commands without "discard" for one that
# cannot (QEMU 7.2 keeps the old bytes in a vmdk and a vdi, and is stopped for it).
#
# Expect "no mismatch", then "no difference", and exit status 0. Where the driver gives back other bytes than were
# written, qemu-io is stopped, the exit status is 120, and the first line says where:
#
#   blkverify: read sector_num=0 nb_sectors=2048 contents mismatch in sector 130 at offset 66560
set -eu

[ $# -ge 1 ] || {
    echo "${0##*/}: usage: IMAGE [QEMU-IO-COMMAND...]" >&2
    exit 2
}
image=$1 format=${FORMAT:-qcow2} words=()
shift
if [ $# = 0 ]; then
    set -- 'read 0 1M' 'write -P 0xa5 0 512k' 'write -P 0x5a 70k 3k' 'read -P 0x5a 70k 3k' 'write -z 256k 128k' \
        'read -P 0 256k 128k' 'discard 0 64k' 'read 0 1M' flush
fi
for command; do words+=(-c "$command"); done

[ -e "$image" ] || qemu-img create -q -f "$format" "$image" 64M
[ -e "$image.shadow" ] || blkverify prepare --format "$format" "$image" "$image.shadow"

# {} is the raw file that IMAGE is served as
blkverify run --format "$format" -t "$image" -s "$image.shadow" -- qemu-io -f raw -t none "${words[@]}" {}
blkverify compare --format "$format" "$image" "$image.shadow"
