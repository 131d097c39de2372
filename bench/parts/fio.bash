# fio: a few engines, one and more threads
title="fio, random 4 KiB, each thread on its own part; libaio, io_uring: O_DIRECT, 8 in flight a thread: time a request"
unit=us
ways="sync pool"

begin_part() {
    have fio || return 1
    make_images 64M
}

rows() {
    local engine op threads
    for engine in psync libaio io_uring; do
        for op in read write; do
            for threads in 1 4 16; do
                # writes for one number of threads are enough
                [ "$op" = read ] || [ "$threads" = 4 ] || continue
                echo "$engine $op $threads threads"
            done
        done
    done
}

# fio says how many requests a second all threads did. What it writes is what the images hold: native, nothing is mirrored.
cell() {
    local variant=$1 engine=$2 op=$3 threads=$4 direct=1 depth=8
    [ "$engine" != psync ] || direct=0 depth=1
    way "$variant" fio --name=bench --filename="$target" --thread --numjobs="$threads" --rw="rand$op" --bs=4k --direct="$direct" \
        --ioengine="$engine" --iodepth="$depth" --size=$((64 / threads))M --offset_increment=$((64 / threads))M \
        --time_based --runtime=500ms --group_reporting --minimal --norandommap --randrepeat=1 --invalidate=0 \
        --buffer_pattern=0x5a |
        awk -F ';' -v field="$([ "$op" = read ] && echo 8 || echo 49)" '$field > 0 { printf "%.4f\n", 1e6 / $field }'
}
