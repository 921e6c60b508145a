package bulk

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func entries(n int) []Entry {
	out := make([]Entry, n)
	for i := range out {
		out[i] = Entry{
			ID: fmt.Sprintf("run%05d", i), Handle: "UnVuOnYxOnJ1bjAwMDAwOmNhcHN1bGVzOmFjbWU=", UID: "UnVuOnYxOnJ1bjAwMDAwOmNhcHN1bGVzOmFjbWU=/2026-07-15T12:00:00Z",
			Before: map[string]*string{"debug": ptr(""), "wip": nil}, After: map[string]*string{"debug": nil, "wip": ptr("")},
		}
	}
	return out
}

func TestPagesOfEntries(t *testing.T) {
	want := entries(5000)
	pages := EntryPages(want)
	var got []Entry
	for _, page := range pages {
		if len(page) > PageSize {
			t.Errorf("a page has %d bytes, more than %d", len(page), PageSize)
		}
		part, err := ParseEntries(page)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, part...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(pages) > 3 {
		t.Errorf("%d pages for a rename on 5,000 runs, want at most 3: they are not small", len(pages))
	}
	if pages := EntryPages(nil); len(pages) != 0 {
		t.Errorf("no entries give %q", pages)
	}
	if got := strings.Count(pages[0], "\n"); !strings.HasPrefix(pages[0], `{"id":"run00000",`) || got < 1000 {
		t.Errorf("people see one run in each line, not %d lines of %.100q", got, pages[0])
	}
}

func TestAnEntryLongerThanAPage(t *testing.T) {
	long := Entry{ID: "r", Handle: "h", UID: "u", Before: map[string]*string{}, After: map[string]*string{}}
	for i := range 64 {
		long.Before[fmt.Sprint("k", i)], long.After[fmt.Sprint("n", i)] = ptr(strings.Repeat("é", 8000)), ptr(strings.Repeat("\x01", 8000))
	}
	joined := Entry{ID: "r", Handle: "h", UID: "u", Before: map[string]*string{}, After: map[string]*string{}}
	for _, page := range EntryPages([]Entry{long}) {
		if len(page) > PageSize {
			t.Errorf("a page has %d bytes", len(page))
		}
		parts, err := ParseEntries(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			if part.ID != "r" || part.Handle != "h" || part.UID != "u" {
				t.Errorf("a part does not say of which run it is: %q, %q, %q", part.ID, part.Handle, part.UID)
			}
			for _, key := range part.keys() {
				if _, twice := joined.Before[key]; twice {
					t.Errorf("%s is in two parts", key)
				}
				joined.Before[key], joined.After[key] = part.Before[key], part.After[key]
			}
		}
	}
	if diff := cmp.Diff(long.Edit(), joined.Edit()) + cmp.Diff(long.Reverse().Edit(), joined.Reverse().Edit()); diff != "" {
		t.Error("the parts are not the whole")
	}
}

func TestPagesOfMatches(t *testing.T) {
	tags := make([]string, 300)
	for i := range tags {
		tags[i] = fmt.Sprintf("%03d%s", 299-i, strings.Repeat("\x01", 600))
	}
	odd := Match{ID: "a", Name: "<b> & \"é\u2028", State: "finished", Tags: []string{"z", "k=v", "a"}}
	long := Match{ID: "b", Name: strings.Repeat("é", 300), Tags: tags}
	first := tags[0]
	pages := MatchPages([]Match{odd, long, long})
	var got []Match
	for _, page := range pages {
		if len(page) > PageSize {
			t.Errorf("a page has %d bytes", len(page))
		}
		part, err := ParseMatches(page)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, part...)
	}
	if !strings.Contains(pages[0], `"<b> & \"é`) {
		t.Errorf("people can't read %.60q", pages[0])
	}
	odd.Tags = []string{"a", "k=v", "z"}
	if len(got) != 3 || cmp.Diff(odd, got[0]) != "" {
		t.Errorf("%+v, want first %+v", got, odd)
	}
	if m := got[2]; m.Name != strings.Repeat("é", 255)+"…" || len(m.Tags) != 256 || m.More != 44 || m.Tags[0] != "000"+strings.Repeat("\x01", 252)+"…" {
		t.Errorf("what is long is cut, and said to be: name %q, %d tags and %d more, the first %q", m.Name, len(m.Tags), m.More, m.Tags[0])
	}
	if tags[0] != first {
		t.Error("the match as it was given is changed")
	}
}

func TestParseRefuses(t *testing.T) {
	for page, want := range map[string]string{
		`{"id":"a"}` + "\n" + `{"id":`: "run 2 of the page can't be read",
		`{"id":"a"}` + "\n" + `x`:      "run 2 of the page can't be read",
		`{"id":"a"} {}`:                "run 2 of the page has no id",
		`null`:                         "run 1 of the page has no id",
		`[]`:                           "run 1 of the page can't be read",
		`{"id":"a","since":"2027"}`:    "unknown field",
		`{"id":"a","before":{"k":1}}`:  "run 1 of the page can't be read",
		`{"id":"a","before":{"k":"v"},"after":"no"}`: "run 1 of the page can't be read",
	} {
		if got, err := ParseEntries(page); err == nil || !strings.Contains(err.Error(), want) || got != nil {
			t.Errorf("%q: %v, %v; want %q", page, got, err, want)
		}
	}
	if _, err := ParseMatches(`{"id":"a","before":{}}`); err == nil {
		t.Error("an entry is no match")
	}
}

func TestPagesKeepEveryEntry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Ptr(rapid.StringN(0, 3, -1), true)
		values := rapid.MapOfN(rapid.String(), value, 0, 4)
		var want, got []Entry
		for range rapid.IntRange(0, 5).Draw(t, "entries") {
			e := Entry{ID: rapid.StringN(1, 5, -1).Draw(t, "id"), UID: rapid.String().Draw(t, "uid"), Before: values.Draw(t, "before"), After: values.Draw(t, "after")}
			want = append(want, e)
		}
		for _, page := range EntryPages(want) {
			part, err := ParseEntries(page)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, part...)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// FuzzParseEntries: whatever is in a ConfigMap, it is refused, or read as what is written again in the same way.
func FuzzParseEntries(f *testing.F) {
	f.Add(EntryPages(entries(2))[0])
	f.Add(`{"id":"a","before":{"k":null},"after":{"k":"v"}}`)
	f.Add(`{"id":"a","id":"b"} {"id":"\ud800"}`)
	f.Add("{}")
	f.Fuzz(func(t *testing.T, page string) {
		want, err := ParseEntries(page)
		if err != nil {
			return
		}
		var got []Entry
		for _, again := range EntryPages(want) {
			part, err := ParseEntries(again)
			if err != nil {
				t.Fatalf("%q was written as %q: %v", page, again, err)
			}
			got = append(got, part...)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", page, diff)
		}
		for _, e := range want {
			e.Applied(nil)
			e.Undo(nil)
		}
	})
}
