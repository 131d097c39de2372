# small records through stdio
title="512 bytes through a stream: time a call"
unit=ns
ways="sync pool"

begin_part() { make_images 16M; }

rows() { printf '%s\n' read random write; }

cell() { way "$1" "$clients/streams" "$target" "$2"; }
