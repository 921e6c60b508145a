package report

import (
	"math"
	"strconv"
	"strings"
)

// quantity writes a value as people read it: three digits that count, and its unit.
func quantity(value float64, unit string) string {
	text := strconv.FormatFloat(value, 'f', -1, 64)
	if abs := math.Abs(value); abs != math.Trunc(abs) && !math.IsInf(abs, 0) && !math.IsNaN(abs) {
		digits := max(0, 2-int(math.Floor(math.Log10(abs))))
		text = strconv.FormatFloat(value, 'f', digits, 64)
		if digits > 0 {
			text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
		}
	}
	if unit == "" {
		return text
	}
	if unit == "×" {
		return text + unit
	}
	return text + " " + unit
}
