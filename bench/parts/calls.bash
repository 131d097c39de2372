# what others pay
title="calls on files that are no targets"
unit=ns
ways="inert sync trapping"
extra=1

begin_part() { make_images 1M; echo x >"$dir/other"; }

rows() { "$clients/calls" list; }

cell() { way "$1" "$clients/calls" "$2" "$dir/other"; }
