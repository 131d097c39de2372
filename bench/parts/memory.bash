# what a process has more of
title="memory of a process that reads and writes 1 MiB blocks (0 threads: only opens the target)"
unit=KiB
ways="sync pool"
extra=1

begin_part() { make_images 64M; }

rows() { printf '%s threads\n' 0 1 16; }

cell() { way "$1" "$BLK_SNIPPETS/footprint" "$target" "$2"; }
