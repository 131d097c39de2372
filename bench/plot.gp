# gnuplot -e "data='FILE'; parts='FILE'; directory='DIR'" plot.gp
# draws the medians that table.awk left in FILE (tabs: part, row, variant, median, least, greatest), under the titles of parts, with the spread as
# error bars: DIR/ratios.svg what QEMU and fio do, DIR/scaling.svg what depends on a number.
set datafile separator tab
set style data histogram
set style histogram errorbars gap 1 lw 1
set style fill solid 0.7 border -1
set ylabel 'ratio to native'
set key outside right top samplen 1
set grid y
set xtics rotate by -40 font ',9' nomirror
set bmargin 9
set rmargin 20

present(part) = int(system(sprintf("grep -c '^%s\t' '%s' || true", part, data)))
title_of(part) = system(sprintf("awk -F '\t' '$1 == \"%s\" { print $5 }' '%s'", part, parts))
of(part, variant) = sprintf("< awk -F '\t' '$1 == \"%s\" && $3 == \"%s\"' '%s'", part, variant, data)
has(part, variant) = int(system(sprintf("awk -F '\t' '$1 == \"%s\" && $3 == \"%s\"' '%s' | wc -l", part, variant, data)))
ways(part) = has(part, 'blkverify') ? 'sync pool blkverify' : 'sync pool'

set yrange [0:*]

if (present('qemu') || present('direct') || present('fio')) {
	set terminal svg size 1100,1350 noenhanced font 'sans,11' background 'white'
	set output directory.'/ratios.svg'
	set multiplot layout 3,1
	do for [part in 'qemu direct fio'] {
		if (present(part)) {
			set title title_of(part)
			plot for [w in ways(part)] of(part, w) using 4:5:6:xtic(2) title (w eq 'blkverify' ? 'QEMU blkverify' : w), 1 notitle with lines dashtype 2 lc 'black'
		}
	}
	unset multiplot
}

if (present('flight') || present('fds') || present('size') || present('unknown')) {
	set terminal svg size 1100,1500 noenhanced font 'sans,11' background 'white'
	set output directory.'/scaling.svg'
	set multiplot layout 4,1
	do for [part in 'flight fds size unknown'] {
		if (present(part)) {
			set title title_of(part)
			plot for [w in ways(part)] of(part, w) using 4:5:6:xtic(2) title w, 1 notitle with lines dashtype 2 lc 'black'
		}
	}
	unset multiplot
}
