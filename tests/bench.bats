#!/usr/bin/env bats
# The benchmark runs and adds up what it measured. How long anything takes is nobody's concern here.

load functions

setup() {
	bench="$BLK_SRCDIR/bench"
	export BENCH_TMPDIR="$BATS_TEST_TMPDIR"
	# of its own: nothing of a real run is touched
	mkdir -p "$BATS_TEST_TMPDIR/build"
}

bench_run() {
	said="$BATS_TEST_TMPDIR/said"
	run env BLK_BUILDDIR="$BATS_TEST_TMPDIR/build" bash -c '"$0" --rounds 1 "${@:2}" 2>"$1" 3>&-' "$bench/run" "$said" "$@"
}

# parts and cells as the driver leaves them
cells() {
	printf 'p\tus\t0\tone two\twork\n' >"$BATS_TEST_TMPDIR/parts"
	printf 'p\ta row\t%s\t%s\t%s\n' native 1 10 one 1 11 two 1 40 native 2 20 one 2 24 two 2 40 \
		native 3 30 one 3 90 >"$BATS_TEST_TMPDIR/cells"
	: >"$BATS_TEST_TMPDIR/facts"
	awk -F '\t' -v facts="$BATS_TEST_TMPDIR/facts" -v medians="$BATS_TEST_TMPDIR/medians" -f "$bench/table.awk" \
		"$BATS_TEST_TMPDIR/parts" "$BATS_TEST_TMPDIR/cells"
}

@test "a row has the median of ratios of the same round, and their spread" {
	cells | grep -Fx '| a row | 20.00 us | 1.20 (1.10 to 3.00) | 3.00 (2.00 to 4.00) |'
	grep -Px 'p\ta row\tone\t1.2\t1.1\t3' "$BATS_TEST_TMPDIR/medians"
}

@test "a part is measured in every way, and drawn" {
	bench_run fds
	[ "$status" -eq 0 ] || fail_with "$(cat "$said")"
	[[ $output != *failed* ]]
	for n in 1 16 256 4000; do
		grep -E "^\| $n descriptors \| [0-9.]+ ns \|( [0-9.]+ \([0-9.]+ to [0-9.]+\) \|)+$" <<<"$output"
	done
	for way in native sync; do [ "$(grep -c "	$way	" "$BATS_TEST_TMPDIR/build/bench/cells")" -eq 4 ]; done
	command -v gnuplot || skip "no gnuplot"
	grep -q '</svg>' "$BATS_TEST_TMPDIR/build/bench/scaling.svg"
	leftovers=("$BATS_TEST_TMPDIR"/blkverify-bench.*)
	[ ! -e "${leftovers[0]}" ]
}

@test "what fails is said, and not counted" {
	BLKVERIFY_THREADS=0 bench_run start
	[ "$status" -eq 1 ]
	grep -F "start: sync failed: blkverify: BLKVERIFY_THREADS=0" "$said"
	grep -E '^\| start \| .* \| failed \|' <<<"$output"
}

@test "wrong arguments" {
	bench_run nothing
	[ "$status" -eq 2 ]
	grep -Fx "bench: nothing: no such part" "$said"
	bench_run --fast
	[ "$status" -eq 2 ]
	grep -Fx "bench: --fast: unknown option" "$said"
}
