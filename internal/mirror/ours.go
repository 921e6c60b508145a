package mirror

import "strings"

// MayBeOurs says whether a label is one that the operator may have written: for a bare tag by its value, for one with a
// value always.
func MayBeOurs(key, text string) bool {
	return strings.HasPrefix(key, PairPrefix) || strings.HasPrefix(key, TagPrefix) && isOperatorValue(text)
}
