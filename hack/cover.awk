# Reads a Go cover profile, in which a block appears once per test binary, and prints the statement coverage per package.
NR > 1 {
	statements[$1] = $2
	if ($3 > 0) covered[$1] = 1
}
END {
	for (block in statements) {
		package = block
		sub(/\/[^\/]*$/, "", package)
		total[package] += statements[block]
		if (block in covered) hit[package] += statements[block]
	}
	for (package in total) printf "%6.1f %%  %s\n", 100 * hit[package] / total[package], package
}
