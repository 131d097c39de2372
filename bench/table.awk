# Reads "ROW VARIANT ROUND VALUE" lines; prints a row for each ROW: the median of VARIANT "native" in the unit given by
# -v unit=, then for each other variant (-v variants="shim blkverify") the median of the ratios to the native run of the
# same round, with the least and the greatest of them. With -v extra=1 differences instead of ratios, and the best of all
# rounds instead of the median: for costs so small that everything else is noise.

function median(list, n,    i, j, t) {
	for (i = 2; i <= n; i++) {
		t = list[i]
		for (j = i - 1; j > 0 && list[j] > t; j--)
			list[j + 1] = list[j]
		list[j + 1] = t
	}
	return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}

{
	if (!($1 in seen)) {
		seen[$1] = 1
		rows[++row_count] = $1
	}
	value[$1, $2, $3] = $4
	if ($3 > rounds)
		rounds = $3
}

END {
	count = split(variants, variant, " ")
	printf "%-18s %12s", "", "native"
	for (v = 1; v <= count; v++)
		printf "   %-22s", variant[v]
	printf "\n"
	for (r = 1; r <= row_count; r++) {
		row = rows[r]
		gsub(/_/, " ", row)
		n = 0
		for (i = 1; i <= rounds; i++)
			if ((rows[r], "native", i) in value)
				natives[++n] = value[rows[r], "native", i]
		printf "%-18s %12s", row, n ? sprintf("%.2f %s", median(natives, n), unit) : "-"
		for (v = 1; v <= count; v++) {
			n = 0
			least = best = best_base = 1e30
			most = -1e30
			for (i = 1; i <= rounds; i++) {
				if (!((rows[r], variant[v], i) in value) || !((rows[r], "native", i) in value))
					continue
				base = value[rows[r], "native", i]
				t = value[rows[r], variant[v], i]
				best = t < best ? t : best
				best_base = base < best_base ? base : best_base
				t = extra ? t - base : t / base
				list[++n] = t
				if (t < least)
					least = t
				if (t > most)
					most = t
			}
			printf "   %-22s", n ? sprintf(extra ? (unit == "ns" ? "%+.1f (%+.1f to %+.1f)" : "%+.2f (%+.2f to %+.2f)") : "%.2f (%.2f to %.2f)", extra ? best - best_base : median(list, n), least, most) : "failed"
		}
		printf "\n"
	}
}
