package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/runtag/runtag/internal/tags"
)

// Change is one tag that is put on a run or taken off.
type Change struct {
	Tag string
	// Remove: it is taken off. Was is the tag that it takes the place of; empty for none.
	Remove bool
	Was    string
	// Source and Rule say who declares a tag that is put on.
	Source tags.Source
	Rule   string
	// Because says why, in words.
	Because string
}

// Changes are what the operator would do on the tracker now.
func (r Run) Changes() []Change {
	in := r.Input()
	return changes(r, in, tags.Make(in))
}

// Wishes are what it would do if nothing but the object's own policy held it back, or Merge if that is more.
func (r Run) Wishes() []Change {
	in := r.Input()
	in.Policy, in.Ceiling = max(in.Policy, tags.Merge), tags.Exclusive
	return changes(r, in, tags.Make(in))
}

func changes(r Run, in tags.Input, made tags.Plan) []Change {
	var out []Change
	for _, key := range slices.Sorted(maps.Keys(made.Edit.Set)) {
		c := Change{Tag: in.Dialect.FormatRaw(key, made.Edit.Set[key]), Because: "comes back"}
		if raw, there := in.Observed[key]; there {
			c.Was = in.Dialect.FormatRaw(key, raw)
		}
		for _, e := range made.Entries {
			if e.Name == c.Tag && e.Source != tags.Run {
				c.Source, c.Rule, c.Because = e.Source, e.Rule, r.declarer(e)
			}
		}
		if c.Was != "" {
			c.Because += ", in place of " + c.Was
		}
		out = append(out, c)
	}
	for _, key := range made.Edit.Remove {
		name := in.Dialect.FormatRaw(key, in.Observed[key])
		c := Change{Tag: name, Remove: true}
		c.Because, c.Rule = r.whyOff(in, name)
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Change) int {
		return cmp.Or(strings.Compare(a.Tag, b.Tag), strings.Compare(a.Because, b.Because))
	})
	return out
}

// declarer says who declares a tag.
func (r Run) declarer(e tags.Entry) string {
	switch e.Source {
	case tags.Rule:
		return e.Rule
	case tags.Label:
		if !slices.Contains(r.Labels().Declared, e.Name) {
			return "annotation"
		}
		return "label"
	}
	return "spec"
}

// whyOff says why a tag is taken off, and which rule had given it.
func (r Run) whyOff(in tags.Input, name string) (because, rule string) {
	if item := r.Excluded(name); item != "" {
		return "excludeTags", ""
	}
	for _, asked := range in.Requested {
		if r.Name(asked) == name {
			return "asked off", ""
		}
	}
	for _, a := range in.Record.Applied {
		if a.Name != name {
			continue
		}
		for _, t := range r.Object.Status.Tags {
			if t.Name == name && t.Rule != "" {
				return fmt.Sprintf("no longer by %s", t.Rule), t.Rule
			}
		}
		return "declared no more", ""
	}
	for _, e := range in.Record.Removed {
		if e.Name == name {
			return "was taken off, and is back", ""
		}
	}
	return "not declared (Exclusive)", ""
}

// Excluded gives the item of excludeTags that keeps a tag off the run; empty for none.
func (r Run) Excluded(name string) string {
	tag, err := r.Dialect.Parse(name)
	if err != nil {
		return ""
	}
	for _, item := range r.Object.Spec.ExcludeTags {
		x, err := r.Dialect.Parse(item)
		if err == nil && (x == tag || r.Dialect.Pairs && x.Value == "" && x.Key == tag.Key) {
			return item
		}
	}
	return ""
}
