package mirror

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/runtag/runtag/internal/tags"
)

// Entry is what status recorded of one tag.
type Entry struct {
	Name   string
	Source tags.Source
	// Mirrored says that its label was there.
	Mirrored bool
	// Person says that a label made by a person declared it, whatever else did.
	Person bool
}

// Input is one object as a pass finds it.
type Input struct {
	Dialect tags.Dialect
	Labels  map[string]string
	// Wrote are the labels that our field manager owns; see Written. Only they tell a label with a value that we wrote
	// from the same made by a person, in the moments when status does not record it.
	Wrote map[string]bool
	// Entries are those of the stored status.
	Entries []Entry
	// Observed are the tags on the run.
	Observed tags.Set
	// MayRemove says that the effective policy may take tags off.
	MayRemove bool
	// Seen says that the object had its identity labels once.
	Seen bool
}

// Reading is what people's labels mean. Its lists are in order.
type Reading struct {
	// Wiped says that all labels were replaced or restored by something that does not know them. Then nothing of the rest
	// is filled in, and Restored gives the labels that have to come back, with identity, before anything else is done.
	Wiped    bool
	Restored map[string]string
	// Declared are the tags that labels of people declare.
	Declared []string
	// Requested are mirrored tags whose label a person took off, to be taken off the run.
	Requested []string
	// Forgotten are tags that a person's label declared and declares no more while the policy removes nothing: they
	// stay on the run and are no longer ours.
	Forgotten []string
	// Returning are mirrored labels that a person took off and that come back, since the policy removes nothing or
	// something else declares the tag.
	Returning []string
	// Invalid says of labels that declare nothing why.
	Invalid []string
	// theirs are the keys of the labels that people made: never overwritten, never taken off.
	theirs map[string]bool
}

// Read finds out what people did to the labels since status was written.
func Read(in Input) Reading {
	if _, there := in.Labels[Project]; in.Seen && !there {
		return Reading{Wiped: true, Restored: in.restored()}
	}
	r := Reading{theirs: map[string]bool{}}
	for _, key := range slices.Sorted(maps.Keys(in.Labels)) {
		in.readLabel(&r, key, in.Labels[key])
	}
	slices.Sort(r.Declared)
	entries := slices.SortedFunc(slices.Values(in.Entries), func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	for _, e := range entries {
		in.readEntry(&r, e)
	}
	return r
}

// readLabel reads one label that is there.
func (in Input) readLabel(r *Reading, key, text string) {
	if !IsMirror(key) {
		return
	}
	tag, problem := in.understand(key, text)
	switch name := in.Dialect.Format(tag); {
	case problem != "":
		r.Invalid = append(r.Invalid, fmt.Sprintf("label %s=%s declares nothing: %s", key, text, problem))
	case in.isOurs(key, text, name):
		return
	default:
		r.Declared = append(r.Declared, name)
	}
	r.theirs[key] = true
}

// understand gives the tag that a label stands for, or says what to do about one that stands for none.
func (in Input) understand(key, text string) (tag tags.Tag, problem string) {
	if name, bare := strings.CutPrefix(key, TagPrefix); bare {
		switch {
		case isDeclaration(text) || isOperatorValue(text):
			return tags.Tag{Key: name}, ""
		case in.Dialect.Pairs:
			return tags.Tag{}, fmt.Sprintf("leave its value empty for the tag %q, or set label %s%s=%s for %q", name, PairPrefix, name, text, name+"="+text)
		}
		return tags.Tag{}, fmt.Sprintf("leave its value empty for the tag %q", name)
	}
	name := strings.TrimPrefix(key, PairPrefix)
	if !in.Dialect.Pairs {
		return tags.Tag{}, fmt.Sprintf("%s has no tags with values; set label %s%s with an empty value for the tag %q", in.Dialect.Tracker, TagPrefix, name, name)
	}
	tag, err := in.Dialect.Parse(name + "=" + text)
	if err != nil || tag.Value == "" || tag.Value != text { // the bare tag has a label of its own
		return tags.Tag{}, fmt.Sprintf("set label %s%s with an empty value for the tag %q", TagPrefix, name, name)
	}
	return tag, ""
}

// isOurs says whether we made a label that stands for a tag. The values of those of bare tags say so. One with a value
// is ours if status records it so, or we wrote it; or, where there is no status yet, as after a restore, if it says what is
// on the run.
func (in Input) isOurs(key, text, name string) bool {
	if !isPair(key) {
		return isOperatorValue(text)
	}
	for _, e := range in.Entries {
		if e.Name == name && e.Mirrored {
			return !e.Person
		}
	}
	if in.Wrote[key] {
		return true
	}
	raw, there := in.Observed[strings.TrimPrefix(key, PairPrefix)]
	return !in.Seen && there && raw == text
}

// readEntry reads what became of the label of a recorded tag.
func (in Input) readEntry(r *Reading, e Entry) {
	key, _, ok := keyOf(in.Dialect, e.Name)
	if !ok || !e.Mirrored {
		return
	}
	_, there := in.Labels[key]
	switch _, declared := slices.BinarySearch(r.Declared, e.Name); {
	case declared:
	case e.Person && !in.MayRemove: // taken off, or changed
		r.Forgotten = append(r.Forgotten, e.Name)
	case there: // changed: whoever did it says with the new value what it is now
	case in.MayRemove && (e.Person || e.Source == tags.Run || e.Source == tags.Rule):
		r.Requested = append(r.Requested, e.Name)
	default:
		r.Returning = append(r.Returning, e.Name)
	}
}

// restored gives the labels that status records, with what is there now. What is there and declares nothing does not take
// a declaration back: it may be as old as what replaced the labels.
func (in Input) restored() map[string]string {
	labels := maps.Clone(in.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	for _, e := range in.Entries {
		key, tag, ok := keyOf(in.Dialect, e.Name)
		if !ok || !e.Mirrored {
			continue
		}
		text, there := labels[key]
		switch {
		case e.Person && tag.Value == "" && !isDeclaration(text):
			labels[key] = ""
		case there:
		case e.Person:
			labels[key] = tag.Value
		default:
			labels[key] = value(tag, e.Source)
		}
	}
	return labels
}

// Written adds to labels the keys of those that a field manager owns, from the fieldsV1 of an entry in an object's
// metadata.managedFields. Give it the entries of our own manager that are about no subresource. The API server moves a
// label to whoever changes it last, in the same write, so this is never out of step with the labels.
func Written(fieldsV1 []byte, labels map[string]bool) error {
	var fields struct {
		Metadata struct {
			Labels map[string]json.RawMessage `json:"f:labels"`
		} `json:"f:metadata"`
	}
	if err := json.Unmarshal(fieldsV1, &fields); err != nil {
		return fmt.Errorf("read which labels runtag wrote from managedFields: %w", err)
	}
	for field := range fields.Metadata.Labels {
		if key, ok := strings.CutPrefix(field, "f:"); ok {
			labels[key] = true
		}
	}
	return nil
}
