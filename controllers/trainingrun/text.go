package trainingrun

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/runtag/runtag/internal/tags"
)

// Shorten cuts a text to at most limit characters, the last of which is then an ellipsis.
func Shorten(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit-1]) + "…"
}

// cutList bounds a list of tag names as the CRD does.
func cutList(names []string) []string {
	names = slices.Clone(names[:min(len(names), maxPending)])
	for i := range names {
		names[i] = Shorten(names[i], maxText)
	}
	return names
}

// list writes tag names for a message.
func list(names []string) string {
	quoted := make([]string, 0, len(names))
	for _, name := range names {
		quoted = append(quoted, fmt.Sprintf("%q", name))
	}
	return Shorten(strings.Join(quoted, ", "), 300)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// describe says what an edit does.
func describe(e tags.Edit, d tags.Dialect) string {
	var parts []string
	if len(e.Set) > 0 {
		names := make([]string, 0, len(e.Set))
		for key, raw := range e.Set {
			names = append(names, d.FormatRaw(key, raw))
		}
		slices.Sort(names)
		parts = append(parts, "adding "+list(names))
	}
	if len(e.Remove) > 0 {
		parts = append(parts, "removing "+list(e.Remove))
	}
	if len(parts) == 0 {
		return "making sure that no earlier change lands on the run any more"
	}
	return strings.Join(parts, " and ")
}
