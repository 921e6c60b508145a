package transport

import (
	"regexp"
	"strings"
	"unicode"
)

// longest is how much of a server's words is shown, in characters.
const longest = 200

var markup = regexp.MustCompile(`<[/!?A-Za-z]`)

// Clean makes text from outside fit to show: one line of at most 200 characters, without control characters, cut at
// the first thing that looks like HTML. It may come out empty.
func Clean(s string) string {
	// Enough for 200 characters of any width and blanks between; a body of megabytes is not worth reading.
	if len(s) > 8*longest {
		s = s[:8*longest]
	}
	s = strings.ToValidUTF8(s, "")
	if at := markup.FindStringIndex(s); at != nil {
		s = s[:at[0]]
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > longest {
		s = strings.TrimSpace(string(runes[:longest-1])) + "…"
	}
	return s
}
