package mirror

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/runtag/runtag/internal/tags"
)

// MaxForeign is how many foreign tags of one run are mirrored.
const MaxForeign = 100

// Shown is a tag that may have a label of ours.
type Shown struct {
	Name   string
	Source tags.Source
	// Present says that it is on the run and stays there.
	Present bool
}

// Labels gives the labels of tags as they should be now: those that people made, as they are; those of what is on the
// run and stays there; and those that the stored status still records, which go only after it has forgotten them. The
// order of shown does not matter.
func Labels(in Input, r Reading, shown []Shown) map[string]string {
	want := wanted(in, r, shown)
	for _, e := range in.Entries {
		key, _, ok := keyOf(in.Dialect, e.Name)
		if !ok || !e.Mirrored {
			continue
		}
		switch current, there := in.Labels[key]; {
		case !there && e.Person:
			delete(want, key) // comes back as ours once status has forgotten the person
		case there && want[key] == "" && (in.Wrote[key] || !isPair(key)): // without our mark on it, it would pass for a person's then
			want[key] = current
		}
	}
	return want
}

// wanted gives the labels that should be there in the end.
func wanted(in Input, r Reading, shown []Shown) map[string]string {
	want := map[string]string{}
	for key := range r.theirs {
		want[key] = in.Labels[key]
	}
	foreign := 0
	for _, s := range in.byPreference(shown) {
		key, tag, ok := keyOf(in.Dialect, s.Name)
		if !ok || !s.Present || r.theirs[key] {
			continue
		}
		if s.Source == tags.Run {
			if foreign++; foreign > MaxForeign {
				continue
			}
		}
		want[key] = value(tag, s.Source)
	}
	return want
}

// byPreference puts first the tags that status records as mirrored, then those that have a label, so that the choice
// among too many foreign ones stands.
func (in Input) byPreference(shown []Shown) []Shown {
	mirrored := make(map[string]bool, len(in.Entries))
	for _, e := range in.Entries {
		mirrored[e.Name] = e.Mirrored
	}
	rank := func(s Shown) int {
		switch {
		case mirrored[s.Name]:
			return 0
		case IsShown(in.Dialect, s.Name, in.Labels):
			return 1
		}
		return 2
	}
	return slices.SortedFunc(slices.Values(shown), func(a, b Shown) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.Name, b.Name))
	})
}

// Record gives what status has to say of the tags' labels, ordered by name, once labels are on the object: what Labels
// gave, or what was there if that was not written. The tags that only a label declares and that are not among shown, as
// when they are excluded, are there too. What Labels will take off is forgotten.
func Record(in Input, r Reading, shown []Shown, labels map[string]string) []Entry {
	want := wanted(in, r, shown)
	entries := make(map[string]Entry, len(shown))
	for _, name := range r.Declared {
		entries[name] = Entry{Name: name, Source: tags.Label, Mirrored: true, Person: true}
	}
	for _, s := range shown {
		e := entries[s.Name]
		e.Name, e.Source = s.Name, s.Source
		if IsShown(in.Dialect, s.Name, want) {
			e.Mirrored = e.Person || IsShown(in.Dialect, s.Name, labels)
		}
		entries[s.Name] = e
	}
	return slices.SortedFunc(maps.Values(entries), func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
}

// AtRest says whether these labels are as they should be in the end, so that no further pass has to change them once what
// Record gave is stored.
func AtRest(in Input, r Reading, shown []Shown, labels map[string]string) bool {
	return len(Patch(wanted(in, r, shown), labels)) == 0
}

// Patch gives the labels that change: a nil value takes the label off. Labels that stand for no tag are only put on.
func Patch(want, now map[string]string) map[string]any {
	patch := map[string]any{}
	for key, text := range want {
		if current, there := now[key]; !there || current != text {
			patch[key] = text
		}
	}
	for key := range now {
		if _, wanted := want[key]; !wanted && IsMirror(key) {
			patch[key] = nil
		}
	}
	return patch
}

// Merge gives all labels of an object once the wanted ones of tags have taken the place of those there.
func Merge(now, want map[string]string) map[string]string {
	all := make(map[string]string, len(now)+len(want))
	for key, text := range now {
		if !IsMirror(key) {
			all[key] = text
		}
	}
	maps.Copy(all, want)
	return all
}
