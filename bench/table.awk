# table.awk PARTS CELLS: prints a Markdown table for each part, with what -v facts=FILE holds at the head; writes the
# medians to -v medians=FILE, for plot.gp. Tabs between fields.
# PARTS: name, unit, 1 for differences or 0 for ratios, variants, title. CELLS: part, row, variant, round, value.
# A row has the median of "native", and for each variant the median of its ratios to (or differences from) native in the
# same round, with the least and the greatest of them.

function sort(list, n,    i, j, t) {
	for (i = 2; i <= n; i++) {
		t = list[i]
		for (j = i - 1; j > 0 && list[j] > t; j--)
			list[j + 1] = list[j]
		list[j + 1] = t
	}
}

# of a sorted list
function median(list, n) {
	return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}

function number(x, digits, sign) {
	return sprintf("%" sign "." digits "f", x)
}

# the cell of one variant, and its line in the medians
function compared(part, row, name,    i, n, list, base, digits, sign) {
	for (i = 1; i <= rounds; i++) {
		if (!((part, row, name, i) in value) || !((part, row, "native", i) in value))
			continue
		base = value[part, row, "native", i]
		list[++n] = extra[part] ? value[part, row, name, i] - base : value[part, row, name, i] / base
	}
	if (n == 0)
		return "failed"
	sort(list, n)
	digits = !extra[part] || unit[part] == "ms" ? 2 : unit[part] == "KiB" ? 0 : 1
	sign = extra[part] ? "+" : ""
	printf "%s\t%s\t%s\t%s\t%s\t%s\n", part, row, name, median(list, n), list[1], list[n] >medians
	return number(median(list, n), digits, sign) " (" number(list[1], digits, sign) " to " number(list[n], digits, sign) ")"
}

function native(part, row,    i, n, list) {
	for (i = 1; i <= rounds; i++)
		if ((part, row, "native", i) in value)
			list[++n] = value[part, row, "native", i]
	if (n == 0)
		return "failed"
	sort(list, n)
	return number(median(list, n), median(list, n) < 100 ? 2 : 0, "") " " unit[part]
}

function print_part(part,    count, variant, v, r) {
	count = split(ways[part], variant, " ")
	printf "\n### %s\n\n%s; %s native: median of all rounds, and (least to greatest).\n\n", part, title[part], \
		extra[part] ? "difference from" : "ratio to"
	printf "| | native |"
	for (v = 1; v <= count; v++)
		printf " %s |", variant[v]
	printf "\n| --- | ---: |"
	for (v = 1; v <= count; v++)
		printf " ---: |"
	printf "\n"
	for (r = 1; r <= row_count[part]; r++) {
		printf "| %s | %s |", rows[part, r], native(part, rows[part, r])
		for (v = 1; v <= count; v++)
			printf " %s |", compared(part, rows[part, r], variant[v])
		printf "\n"
	}
}

FNR == NR {
	parts[++part_count] = $1
	unit[$1] = $2
	extra[$1] = $3
	ways[$1] = $4
	title[$1] = $5
	next
}

{
	if (!(($1, $2) in seen)) {
		seen[$1, $2] = 1
		rows[$1, ++row_count[$1]] = $2
	}
	value[$1, $2, $3, $4] = $5
	if ($4 > rounds)
		rounds = $4
}

END {
	while ((getline line <facts) > 0)
		print line
	for (p = 1; p <= part_count; p++)
		print_part(parts[p])
}
