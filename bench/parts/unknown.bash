# how many ranges are unknown: made so by writes that fail with EIO
title="pread of 4 KiB from the page cache, by the number of unknown ranges elsewhere"
unit=ns
ways="sync pool"

begin_part() { make_images 64M; }

rows() { printf '%s ranges\n' 0 16 256 4000; }

cell() {
    rm -f "$shadow.bvstate"
    FLAWS=$BLK_SNIPPETS/fail.so FAULT_FILE=$target FAULT_OP=write FAULT_COUNT=$2 BLKVERIFY_ON_ERROR=pass BLKVERIFY_LOG=/dev/null \
        way "$1" "$clients/reads" "$target" after-writes "$2"
}
