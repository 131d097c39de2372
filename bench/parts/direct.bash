# the same on the file system itself, with every kind of I/O that QEMU has
. "$here/parts/qemu.bash"
title="qemu-img bench, cache=none (O_DIRECT): time a request"
cache=none

rows() {
    local aio op size depth
    for aio in threads native io_uring; do
        for op in read write; do
            for size in 4K 64K; do
                for depth in 1 32; do echo "$op $size depth $depth $aio"; done
            done
        done
    done
}
