package tags

import (
	"maps"
	"slices"
)

// ByOthers lists in order the tags that are no work of rules: what spec and labels declare, and what is on the run without
// our having put it there. Rules read these, so that none sees what rules do, be it only for the moment until it goes.
func ByOthers(in Input) []string {
	p := newPlanner(in)
	names := map[string]bool{}
	for key, raw := range p.observed {
		name := p.Dialect.FormatRaw(key, raw)
		_, applied := p.applied[name]
		_, removed := p.removed[name]
		if !applied && !removed {
			names[name] = true
		}
	}
	for _, source := range in.Declared {
		for _, d := range source.Tags {
			if tag, err := in.Dialect.Parse(d.Tag); err == nil && (d.Source == Spec || d.Source == Label) && !p.excluded.covers(tag) {
				names[in.Dialect.Format(tag)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}
