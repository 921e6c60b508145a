package bulk

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

func ptr(s string) *string { return &s }

func TestEntryOf(t *testing.T) {
	run := backend.Run{ID: "r1", Handle: "UnVu", UID: "UnVu/2026", Name: "n", Tags: tags.Set{"a": "1", "b": "", "c": "x", "k": "v"}}
	got := EntryOf(run, tags.Edit{Set: tags.Set{"a": "2", "n": "", "k": "v"}, Remove: []string{"b", "gone"}})
	want := Entry{
		ID: "r1", Handle: "UnVu", UID: "UnVu/2026",
		Before: map[string]*string{"a": ptr("1"), "n": nil, "b": ptr("")},
		After:  map[string]*string{"a": ptr("2"), "n": ptr(""), "b": nil},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("only what changes is in it (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(tags.Edit{Set: tags.Set{"a": "2", "n": ""}, Remove: []string{"b"}}, got.Edit()); diff != "" {
		t.Errorf("edit (-want +got):\n%s", diff)
	}
}

func TestEntryOnARun(t *testing.T) {
	entry := Entry{ID: "r", Before: map[string]*string{"old": ptr("1"), "new": nil}, After: map[string]*string{"old": nil, "new": ptr("1")}}
	back := tags.Edit{Set: tags.Set{"old": "1"}, Remove: []string{"new"}}
	cases := []struct {
		reason             string
		on                 tags.Set
		applied, untouched bool
		undo               tags.Edit
		since              []string
	}{
		{"as the change left it, it is taken back", tags.Set{"new": "1"}, true, false, back, nil},
		{"other tags are nobody's business", tags.Set{"new": "1", "x": "y"}, true, false, back, nil},
		{"before the change, nothing is", tags.Set{"old": "1"}, false, true, tags.Edit{}, nil},
		{"a half is taken back as a half", tags.Set{"old": "1", "new": "1"}, false, false, tags.Edit{Remove: []string{"new"}}, nil},
		{"and the other half", tags.Set{}, false, false, tags.Edit{Set: tags.Set{"old": "1"}}, nil},
		{"a value that somebody gave it since stays", tags.Set{"new": "2"}, false, false, tags.Edit{Set: tags.Set{"old": "1"}}, []string{"new"}},
		{"on both", tags.Set{"new": "2", "old": "3"}, false, false, tags.Edit{}, []string{"new", "old"}},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			undo, since := entry.Undo(c.on)
			if diff := cmp.Diff(c.undo, undo) + cmp.Diff(c.since, since, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("undo (-want +got):\n%s", diff)
			}
			if entry.Applied(c.on) != c.applied || entry.Untouched(c.on) != c.untouched {
				t.Errorf("applied %v, want %v; untouched %v, want %v", entry.Applied(c.on), c.applied, entry.Untouched(c.on), c.untouched)
			}
			if r := entry.Reverse(); r.Applied(c.on) != c.untouched || r.Untouched(c.on) != c.applied {
				t.Error("the reverse says something else than the opposite")
			}
		})
	}
}

func TestUndoOfAValueThatIsGone(t *testing.T) {
	entry := Entry{ID: "r", Before: map[string]*string{"k": ptr("v")}, After: map[string]*string{"k": ptr("w")}}
	if undo, since := entry.Undo(nil); !undo.Empty() || cmp.Diff([]string{"k"}, since) != "" {
		t.Errorf("%+v, changed since %q: somebody took it off since, and it does not come back", undo, since)
	}
	if undo, since := entry.Undo(tags.Set{"k": "w"}); cmp.Diff(tags.Edit{Set: tags.Set{"k": "v"}}, undo) != "" || since != nil {
		t.Errorf("%+v, changed since %q: the value that was replaced comes back", undo, since)
	}
}
