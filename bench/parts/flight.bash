# how the number of requests in flight matters
title="fio, libaio, O_DIRECT, random 4 KiB reads, one thread: time a request"
unit=us
ways="sync pool"

begin_part() {
    have fio || return 1
    make_images 64M
}

rows() {
    printf '%s in flight\n' 1 4 16 64 256 1024
}

cell() {
    way "$1" fio --name=bench --filename="$target" --thread --rw=randread --bs=4k --direct=1 --ioengine=libaio --iodepth="$2" \
        --size=64M --time_based --runtime=500ms --minimal --norandommap --randrepeat=1 --invalidate=0 |
        awk -F ';' '$8 > 0 { printf "%.4f\n", 1e6 / $8 }'
}
