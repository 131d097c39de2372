#!/usr/bin/env bash
# usage: examples/qcow2-fuse.sh IMAGE.qcow2 FILE COMMAND [ARG...]
# serves IMAGE as the raw file FILE while COMMAND runs, then stops serving it. Whatever opens FILE under the shim puts
# QEMU's qcow2 driver under test. FILE is made when it does not exist, and then removed again. Exit status: COMMAND's.
# FORMAT in the environment names another format of QEMU's.
#
# QEMU 7.2's export loses or mixes up the data of O_DIRECT writes that reach it at the same time. The kernel sends one
# at a time for plain write calls of less than 1 MiB, but not for larger ones, libaio or io_uring: with those, the
# mismatches that the shim reports are real.
set -eu

say() {
    printf '%s\n' "${0##*/}: $*" >&2
}

# the daemon ends when it is told to, and also if this script dies before it can
start_daemon() {
    setpriv --pdeathsig TERM qemu-storage-daemon --pidfile "$ready" \
        --blockdev driver=file,node-name=file,filename="${image//,/,,}",discard=unmap \
        --blockdev driver="${FORMAT:-qcow2}",node-name=image,file=file,discard=unmap \
        --export type=fuse,id=export,node-name=image,mountpoint="${file//,/,,}",writable=on </dev/null &
    daemon=$!
}

# the daemon writes its pid file once the export can be opened
wait_until_served() {
    local tries=0
    until [ -s "$ready" ]; do
        kill -0 "$daemon" 2>/dev/null || return 1
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || return 1
        sleep 0.1
    done
}

stop() {
    if [ -n "$daemon" ]; then
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" || say "the storage daemon ended with an error"
    fi
    rm -rf "${ready%/*}"
    [ -z "$made" ] || rm -f "$file"
}

[ $# -ge 3 ] || {
    say "usage: IMAGE.qcow2 FILE COMMAND [ARG...]"
    exit 2
}
image=$1 file=$2 daemon='' made=''
shift 2
ready=$(mktemp -d)/pid
trap stop EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
if [ ! -e "$file" ]; then
    made=yes
    : >"$file"
fi
start_daemon
wait_until_served || {
    say "could not serve $image"
    exit 125
}
"$@" || exit $?
