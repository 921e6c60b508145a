package report

import (
	"math"
	"strconv"
	"strings"
)

// significant is how many digits of a measured value count.
const significant = 3

// quantity writes a value as people read it: the digits that count, and its unit.
func quantity(value float64, unit string) string { return withUnit(rounded(value, significant), unit) }

// got writes what was measured, with as many digits as it takes to tell a miss from its target.
func (c Check) got() string {
	target := rounded(c.Target, significant)
	text := rounded(c.Got, significant)
	for digits := significant + 1; !c.Hit() && text == target && digits < 17; digits++ {
		text = rounded(c.Got, digits)
	}
	return withUnit(text, c.Unit)
}

// rounded leaves whole numbers as they are.
func rounded(value float64, digits int) string {
	abs := math.Abs(value)
	if abs == math.Trunc(abs) || math.IsInf(abs, 0) || math.IsNaN(abs) {
		return strconv.FormatFloat(value, 'f', -1, 64)
	}
	decimals := max(0, digits-1-int(math.Floor(math.Log10(abs))))
	text := strconv.FormatFloat(value, 'f', decimals, 64)
	if decimals > 0 {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	return text
}

func withUnit(text, unit string) string {
	switch unit {
	case "":
		return text
	case "×":
		return text + unit
	}
	return text + " " + unit
}
