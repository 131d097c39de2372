#!/usr/bin/env bash
# usage: file-system.sh IMAGE [kernel|fuse2fs]
# puts a file system under test: the ext4 in the file IMAGE, mounted by the kernel (on a loop device; needs root) or by
# fuse2fs. fio works on a file in it; all that fio reads is compared with IMAGE.shadow, which is outside. Any other file
# system is tested in the same way: the target lies on it, the shadow does not.
#
# An IMAGE that is not there is made, with 32 MiB. Another call goes on where this one ends, with the same shadow: it
# begins by reading all that was written, from the disk.
#
# Expect "no mismatch" twice, then "no difference", and exit status 0. If anything below the file has lost or changed a
# byte, the exit status is 120, or 1 where only the comparison in the end came upon it.
set -eu

image=${1:-} driver=${2:-kernel} dir='' daemon=''
[ -n "$image" ] || {
    echo "${0##*/}: usage: IMAGE [kernel|fuse2fs]" >&2
    exit 2
}

unmount() {
    if mountpoint -q "$dir"; then
        umount "$dir"
        # fuse2fs writes the last of it after that
        [ -z "$daemon" ] || wait "$daemon"
    fi
    rmdir "$dir"
}

if [ ! -e "$image" ]; then
    truncate -s 32M "$image"
    PATH=$PATH:/sbin:/usr/sbin mke2fs -q -t ext4 "$image"
fi
dir=$(mktemp -d)
trap unmount EXIT
case $driver in
kernel) mount -o loop "$image" "$dir" ;;
fuse2fs)
    fuse2fs -f "$image" "$dir" >/dev/null &
    daemon=$!
    until mountpoint -q "$dir"; do
        kill -0 "$daemon"
        sleep 0.1
    done
    ;;
esac

target=$dir/disk
if [ ! -e "$image.shadow" ]; then
    head -c 16M /dev/urandom >"$target"
    sync -f "$target"
    blkverify prepare "$target" "$image.shadow"
fi
blkverify run -t "$target" -s "$image.shadow" -- dd if="$target" of=/dev/null bs=64k status=none
blkverify run -t "$target" -s "$image.shadow" -- \
    fio --name=work --filename="$target" --size=16M --rw=randrw --bsrange=512-64k --fsync=100 --minimal --output=/dev/null
blkverify compare "$target" "$image.shadow"
