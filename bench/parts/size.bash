# how the size of the image matters
title="pread of 4 KiB from a sparse image, by its size"
unit=ns
ways="sync pool"

rows() { printf '%s GiB\n' 1 32 1024; }

cell() {
    rm -f "$target" "$shadow"
    truncate -s "$2G" "$target" "$shadow"
    way "$1" "$clients/reads" "$target"
}
