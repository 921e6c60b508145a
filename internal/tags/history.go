package tags

import (
	"cmp"
	"slices"
	"strings"
)

// ChangeKind says how a tag on a run changed between two looks.
type ChangeKind string

// How a tag changed. Only tags with values are changed; a bare tag that is written differently is the same tag.
const (
	WasAdded   ChangeKind = "Added"
	WasRemoved ChangeKind = "Removed"
	WasChanged ChangeKind = "Changed"
)

// SeenChange is one difference between two looks at a run.
type SeenChange struct {
	// Name is the tag as it is after the change, or as it was if it is gone.
	Name string
	Kind ChangeKind
	// Before is the tag as it was, where its value changed.
	Before string
}

// Diff lists what changed on a run between two looks, ordered by name. Hidden keys are left out.
func Diff(before, after Set, d Dialect) []SeenChange {
	var changes []SeenChange
	for key, raw := range after {
		if d.hides(key) {
			continue
		}
		name := d.FormatRaw(key, raw)
		old, there := before[key]
		switch {
		case !there:
			changes = append(changes, SeenChange{Name: name, Kind: WasAdded})
		case d.FormatRaw(key, old) != name:
			changes = append(changes, SeenChange{Name: name, Kind: WasChanged, Before: d.FormatRaw(key, old)})
		}
	}
	for key, raw := range before {
		if _, there := after[key]; !there && !d.hides(key) {
			changes = append(changes, SeenChange{Name: d.FormatRaw(key, raw), Kind: WasRemoved})
		}
	}
	slices.SortFunc(changes, func(a, b SeenChange) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(string(a.Kind), string(b.Kind)))
	})
	return changes
}
