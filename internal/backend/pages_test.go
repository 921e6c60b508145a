package backend

import (
	"strings"
	"testing"
)

func TestPages(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, cursors string // the cursors that pages name as the next
		turned          int
		circle          bool
	}{
		"one":          {"the first page is the last", "", 0, false},
		"three":        {"the last page names no other", "a b", 2, false},
		"itself":       {"a page that names itself is a circle", "a a", 1, true},
		"two":          {"so are two that name each other", "a b a", 2, true},
		"back further": {"and more of them", "a b c d b", 4, true},
	} {
		t.Run(name, func(t *testing.T) {
			var p Pages
			turned := 0
			for _, next := range append(strings.Fields(tc.cursors), "") {
				more, err := p.Turn(next)
				if err != nil {
					if !tc.circle || !IsKind(err, Unavailable) {
						t.Errorf("%v; %s", err, tc.reason)
					}
					break
				}
				if more != (next != "") || more && p.Cursor() != next {
					t.Fatalf("after %q: more is %v at %q", next, more, p.Cursor())
				}
				if !more {
					break
				}
				turned++
			}
			if turned != tc.turned {
				t.Errorf("%d pages turned, want %d; %s", turned, tc.turned, tc.reason)
			}
		})
	}
}
