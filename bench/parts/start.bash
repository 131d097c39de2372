# starting a program that does nothing, the mean of 50
title="starting /bin/true"
unit=ms
ways="inert sync pool"
extra=1

begin_part() { make_images 1M; }

rows() { echo start; }

cell() {
    local begin=$EPOCHREALTIME n
    for ((n = 0; n < 50; n++)); do way "$1" /bin/true || return; done
    awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.4f\n", (b - a) * 1000 / 50 }'
}
