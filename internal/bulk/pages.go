package bulk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// PageSize is the most bytes of a page. It leaves room in a ConfigMap, which may have 1 MiB.
const PageSize = 512 << 10

// Match is a run that a query found.
type Match struct {
	ID    string `json:"id"`
	Name  string `json:"name,omitempty"`
	State string `json:"state,omitempty"`
	// Tags by name. On a page they are in order, and those that are long are cut.
	Tags []string `json:"tags,omitempty"`
	// More is how many tags the run has beside these.
	More int `json:"more,omitempty"`
}

// What a page says of a match at most. A match of that size fits on a page, whatever is in it.
const (
	maxTags  = 256
	maxRunes = 256
)

// EntryPages writes entries as text of at most PageSize bytes a page: one in each line, as JSON. Where one alone is longer,
// it is continued in another one of the same run.
func EntryPages(entries []Entry) []string {
	var lines []string
	for _, e := range entries {
		lines = append(lines, e.lines()...)
	}
	return pack(lines)
}

// ParseEntries reads a page.
func ParseEntries(page string) ([]Entry, error) {
	return parsePage(page, func(e Entry) string { return e.ID })
}

// MatchPages writes matches as EntryPages does entries.
func MatchPages(matches []Match) []string {
	lines := make([]string, 0, len(matches))
	for _, m := range matches {
		lines = append(lines, line(m.cut()))
	}
	return pack(lines)
}

// ParseMatches reads a page.
func ParseMatches(page string) ([]Match, error) {
	return parsePage(page, func(m Match) string { return m.ID })
}

func (e Entry) lines() []string {
	whole, keys := line(e), e.keys()
	if len(whole) <= PageSize || len(keys) < 2 {
		return []string{whole}
	}
	part := func(keys []string) []string {
		out := Entry{ID: e.ID, Handle: e.Handle, UID: e.UID, Before: map[string]*string{}, After: map[string]*string{}}
		for _, key := range keys {
			out.Before[key], out.After[key] = e.Before[key], e.After[key]
		}
		return out.lines()
	}
	return append(part(keys[:len(keys)/2]), part(keys[len(keys)/2:])...)
}

// cut leaves out what would make a match too long.
func (m Match) cut() Match {
	m.Name = cut(m.Name)
	m.Tags = slices.Sorted(slices.Values(m.Tags))
	if surplus := len(m.Tags) - maxTags; surplus > 0 {
		m.Tags, m.More = m.Tags[:maxTags], m.More+surplus
	}
	for i, tag := range m.Tags {
		m.Tags[i] = cut(tag)
	}
	return m
}

func cut(s string) string {
	if utf8.RuneCountInString(s) <= maxRunes {
		return s
	}
	return string([]rune(s)[:maxRunes-1]) + "…"
}

func line(v any) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(fmt.Sprintf("texts and numbers can't be written as JSON: %v", err)) // they always can
	}
	return out.String()
}

func pack(lines []string) []string {
	var pages []string
	var page strings.Builder
	for _, l := range lines {
		if page.Len() > 0 && page.Len()+len(l) > PageSize {
			pages = append(pages, page.String())
			page.Reset()
		}
		page.WriteString(l)
	}
	if page.Len() > 0 {
		pages = append(pages, page.String())
	}
	return pages
}

func parsePage[T any](page string, id func(T) string) ([]T, error) {
	var out []T
	decoder := json.NewDecoder(strings.NewReader(page))
	decoder.DisallowUnknownFields() // What says more than we understand is not to be undone by half.
	for {
		var v T
		err := decoder.Decode(&v)
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("run %d of the page can't be read: %w", len(out)+1, err)
		case id(v) == "":
			return nil, fmt.Errorf("run %d of the page has no id", len(out)+1)
		}
		out = append(out, v)
	}
}
