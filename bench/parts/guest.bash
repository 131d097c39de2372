# a whole guest
title="a small Linux guest on QEMU (virtio-blk, cache=none, aio=threads) that makes, checks, changes and removes files on ext4"
unit=s
ways="sync pool blkverify"

begin_part() {
    have qemu-system-x86_64 || return 1
    "$here/../tests/guest/build" "$BLK_BUILDDIR/guest" || return 1
    mapfile -t guest < <("$here/../tests/guest/command" "$BLK_BUILDDIR/guest" blk.work=busy)
    truncate -s 64M "$dir/disk"
    mke2fs -q -F -t ext4 -E lazy_itable_init=0,lazy_journal_init=0 "$dir/disk"
}

rows() { echo "files on ext4"; }

# every guest has the same disk at first; the guest itself says how long its work took
cell() {
    local drive="if=virtio,cache=none,format=raw,file=$target"
    cp "$dir/disk" "$target"
    cp "$dir/disk" "$shadow"
    rm -f "$shadow.bvstate"
    if [ "$1" = blkverify ]; then
        drive="if=virtio,cache=none,driver=blkverify,raw.driver=raw,raw.file.driver=file,raw.file.filename=$shadow"
        drive+=",test.driver=raw,test.file.driver=file,test.file.filename=$target"
        set -- native
    fi
    way "$1" timeout 120 "${guest[@]}" -drive "$drive" </dev/null |
        sed -n 's/^guest: busy: from \([0-9.]*\) to \([0-9.]*\) s.*/\1 \2/p' | awk '{ printf "%.2f\n", $2 - $1 }'
}
