# qemu-img bench through the page cache, beside QEMU's own driver
title="qemu-img bench, cache=writeback, aio=threads: time a request"
unit=us
ways="sync pool blkverify"
cache=writeback

begin_part() {
    have qemu-img || return 1
    make_images 64M
}

rows() {
    local op size depth
    for op in read write; do
        for size in 4K 64K 1M; do
            for depth in 1 32; do echo "$op $size depth $depth threads"; done
        done
    done
}

# requests SIZE DEPTH: as many as take a tenth of a second or so
requests() {
    case $cache-$1-$2 in
    writeback-4K-*) echo 8000 ;;
    writeback-64K-*) echo 3000 ;;
    none-4K-1 | none-64K-1) echo 1000 ;;
    none-4K-*) echo 6000 ;;
    none-64K-*) echo 2000 ;;
    *) echo 200 ;;
    esac
}

blkverify_image() {
    printf '%s' "driver=blkverify,raw.driver=raw,raw.file.driver=file,raw.file.filename=$shadow," \
        "test.driver=raw,test.file.driver=file,test.file.filename=$target"
}

cell() {
    local variant=$1 op=$2 size=$3 depth=$5 aio=$6 count line
    count=$(requests "$size" "$depth")
    set -- bench -t "$cache" -i "$aio" -d "$depth" -s "$size" -S "$size" -c "$count"
    [ "$op" = read ] || set -- "$@" -w --pattern=90
    case $variant in
    blkverify) line=$(qemu-img "$@" --image-opts "$(blkverify_image)") || return ;;
    *) line=$(way "$variant" qemu-img "$@" -f raw "$target") || return ;;
    esac
    sed -n 's/^Run completed in \([0-9.]*\) seconds.*/\1/p' <<<"$line" | awk -v n="$count" '{ printf "%.4f\n", $1 * 1e6 / n }'
}
