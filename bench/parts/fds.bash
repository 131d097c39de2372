# how the number of descriptors matters
title="pread of 4 KiB from the page cache, by the number of open descriptors of the target (and as many others)"
unit=ns
ways="sync pool"

begin_part() { make_images 64M; }

rows() { printf '%s descriptors\n' 1 16 256 4000; }

cell() { way "$1" "$clients/reads" "$target" fds "$2"; }
