package tags

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// claim is a declared tag that was understood.
type claim struct {
	tag    Tag
	name   string
	source Source
	rule   string
}

// named says that a person declared the tag, so that declaring is owning. A rule owns only what it adds.
func (c claim) named() bool { return c.source == Spec || c.source == Label }

// compareStrength orders claims so that the strongest comes first: Spec, Label, TagRule, ClusterTagRule, then by name.
func compareStrength(a, b claim) int {
	return cmp.Or(cmp.Compare(a.rank(), b.rank()), strings.Compare(a.rule, b.rule))
}

func (c claim) rank() int {
	switch {
	case c.source == Spec:
		return 0
	case c.source == Label:
		return 1
	case strings.HasPrefix(c.rule, "TagRule/"):
		return 2
	default:
		return 3
	}
}

// resolution is what the declarations come to: at most one tag for a key.
type resolution struct {
	want map[string]claim
	// frozen are keys that are declared in a way that cannot be followed. What is on the run stays as it is.
	frozen map[string]bool
	// named gives the strongest claim of each tag that is declared, followed or frozen.
	named    map[string]claim
	rejected []Rejected
	unknown  []string
}

// resolve decides between declarations. Order and duplicates do not matter.
func resolve(d Dialect, declared []Declarations, excluded exclusion) resolution {
	r := resolution{want: map[string]claim{}, frozen: map[string]bool{}, named: map[string]claim{}}
	byKey := map[string][]claim{}
	for _, source := range declared {
		if source.Unknown {
			r.unknown = append(r.unknown, source.Name)
		}
		for _, declaration := range source.Tags {
			if c, ok := r.read(d, declaration, excluded); ok {
				byKey[c.tag.Key] = append(byKey[c.tag.Key], c)
			}
		}
	}
	for key, claims := range byKey {
		r.settle(key, claims)
	}
	slices.Sort(r.unknown)
	r.unknown = slices.Compact(r.unknown)
	return r
}

// freeze keeps tags as they are whose key nobody declares.
func (r *resolution) freeze(d Dialect, frozen []Declaration, excluded exclusion) {
	for _, declaration := range frozen {
		tag, err := d.Parse(declaration.Tag)
		if err != nil || excluded.covers(tag) {
			continue
		}
		if _, wanted := r.want[tag.Key]; wanted {
			continue
		}
		r.frozen[tag.Key] = true
		c := claim{tag: tag, name: d.Format(tag), source: declaration.Source, rule: declaration.Rule}
		if other, ok := r.named[c.name]; !ok || compareStrength(c, other) < 0 {
			r.named[c.name] = c
		}
	}
}

// read understands one declaration, or rejects it.
func (r *resolution) read(d Dialect, declaration Declaration, excluded exclusion) (claim, bool) {
	tag, err := d.Parse(declaration.Tag)
	if err != nil {
		r.reject(claim{name: declaration.Tag, source: declaration.Source}, Invalid, err.Error())
		return claim{}, false
	}
	c := claim{tag: tag, name: d.Format(tag), source: declaration.Source, rule: declaration.Rule}
	if excluded.covers(tag) {
		r.reject(c, Excluded, fmt.Sprintf("tag %q is declared and in excludeTags: it is kept off the run; take it out of one of them", c.name))
		return claim{}, false
	}
	if err := d.Check(tag); err != nil {
		r.reject(c, Invalid, err.Error())
		r.frozen[tag.Key] = true
		return claim{}, false
	}
	return c, true
}

// settle picks the strongest of the claims on one key.
func (r *resolution) settle(key string, claims []claim) {
	slices.SortFunc(claims, func(a, b claim) int { return cmp.Or(compareStrength(a, b), strings.Compare(a.name, b.name)) })
	winner := claims[0]
	equals := map[string]bool{}
	for _, c := range claims {
		if compareStrength(c, winner) == 0 {
			equals[c.name] = true
		}
	}
	for _, c := range claims {
		switch {
		case len(equals) > 1 && equals[c.name] && compareStrength(c, winner) == 0:
			r.frozen[key] = true
			r.reject(c, Invalid, fmt.Sprintf("%s gives key %q several values, %s: none is written; keep one", c.origin(), key, quoted(equals)))
		case c.name != winner.name:
			r.reject(c, Conflict, fmt.Sprintf("tag %q is not written: %s declares %q for the same key and comes first; take one of them off", c.name, winner.origin(), winner.name))
			continue
		}
		if _, ok := r.named[c.name]; !ok {
			r.named[c.name] = c
		}
	}
	if !r.frozen[key] {
		r.want[key] = winner
	}
}

func (r *resolution) reject(c claim, reason Reason, message string) {
	r.rejected = append(r.rejected, Rejected{Name: c.name, Source: c.source, Reason: reason, Message: message})
}

// origin says in messages who declares the tag.
func (c claim) origin() string {
	if c.rule != "" {
		return c.rule
	}
	return string(c.source)
}

func quoted(names map[string]bool) string {
	list := slices.Sorted(maps.Keys(names))
	for i, name := range list {
		list[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(list, " and ")
}

// exclusion is excludeTags, understood.
type exclusion struct {
	dialect Dialect
	names   map[string]bool
	// keys are excluded with whatever value.
	keys map[string]bool
}

func newExclusion(d Dialect, excluded []string) exclusion {
	e := exclusion{dialect: d, names: map[string]bool{}, keys: map[string]bool{}}
	for _, s := range excluded {
		if d.Pairs && !strings.Contains(s, "=") {
			e.keys[s] = true
			continue
		}
		e.names[d.Format(d.split(s))] = true
	}
	return e
}

func (e exclusion) covers(tag Tag) bool { return e.keys[tag.Key] || e.names[e.dialect.Format(tag)] }

// coversRaw is covers for a tag as it is on the run.
func (e exclusion) coversRaw(key, raw string) bool {
	return e.keys[key] || e.names[e.dialect.FormatRaw(key, raw)]
}
