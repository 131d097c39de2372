# a shadow that is slow: nbdkit's delay filter under a FUSE mount, so that each request to it takes 2 ms more. The target
# is in the page cache. The time is the program's own, before it ends: what is in the queue then is compared afterwards.
title="qemu-img bench, cache=writeback, 400 requests of 4 KiB, with a shadow that takes 2 ms a request: time a request"
unit=us
ways="sync pool"
slow=
slow_fuse=

begin_part() {
    have qemu-img && have nbdkit && have nbdfuse || return 1
    make_images 64M
    slow=$dir/slow
    mkdir "$slow"
}

end_part() {
    [ -z "$slow_fuse" ] || hide_shadow
}

rows() {
    local op depth
    for depth in 1 16; do
        for op in read write; do echo "$op depth $depth"; done
    done
}

# serves the shadow, fresh, so that nothing of it is cached
serve_shadow() {
    : >"$slow/shadow"
    nbdkit --unix "$slow/socket" --pidfile "$slow/pid" --filter=delay file "$shadow" rdelay=2ms wdelay=2ms
    nbdfuse --connections 8 "$slow/shadow" "nbd+unix:///?socket=$slow/socket" &
    slow_fuse=$!
    for _ in {1..100}; do
        [ ! -s "$slow/shadow" ] || return 0
        sleep 0.1
    done
    echo "$slow/shadow: not served" >&2
    return 1
}

hide_shadow() {
    fusermount3 -u "$slow/shadow" || umount "$slow/shadow"
    wait "$slow_fuse" || :
    kill "$(cat "$slow/pid")"
    slow_fuse=
    rm -f "$slow"/*
}

# 69632 bytes lie between requests, so that none is read ahead, nor overlaps another
bench() {
    local variant=$1 shadow=$2 op=$3 depth=$4
    set -- -f raw -t writeback -s 4096 -S 69632 -c 400 -d "$depth"
    [ "$op" = read ] || set -- "$@" -w --pattern=90
    way "$variant" qemu-img bench "$@" "$target" |
        sed -n 's/^Run completed in \([0-9.]*\) .*/\1/p' | awk '{ printf "%.4f\n", $1 * 1e6 / 400 }'
}

cell() {
    local variant=$1 op=$2 depth=$4 status=0
    if [ "$variant" = native ]; then
        bench native "$shadow" "$op" "$depth"
        return
    fi
    serve_shadow || return
    bench "$variant" "$slow/shadow" "$op" "$depth" || status=$?
    hide_shadow
    return "$status"
}
