package tags

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Make plans what to do about one run. It neither keeps nor changes its input.
//
// Sets of strings and key/value tags are planned by one model: a run has at most one value for a key, and a plain
// string tag is a key whose value is always empty.
func Make(in Input) Plan {
	p := newPlanner(in)
	effective := min(in.Policy, in.Ceiling)
	did := p.decide(effective)
	return Plan{
		Edit:      did.edit,
		Record:    p.record(did),
		Pending:   p.pending(did, effective),
		Rejected:  sortRejected(append(slices.Clone(p.rejected), did.rejected...)),
		Entries:   p.entries(),
		Unknown:   p.unknown,
		GivenUp:   sorted(did.givenUp),
		Entered:   sorted(did.entered),
		Held:      sorted(did.held),
		HeldUntil: did.heldUntil,
	}
}

// Release plans what goes when the object is deleted and its tags with it: what it owns and no other object declares; what
// is frozen stays. Replaced values come back; foreign tags stay whatever the policy; contested changes do not wait. Where policy or
// ceiling forbid removals, Pending says what stays.
func Release(in Input) Plan {
	in.Declared, in.Excluded, in.Requested, in.Forgotten, in.HeldUntil = nil, nil, nil, nil, nil
	in.Policy = min(in.Policy, Merge)
	return Make(in)
}

// planner is an Input, understood.
type planner struct {
	Input
	resolution
	observed  Set
	excluded  exclusion
	elsewhere map[string][]Tag
	requested []Tag
	// What the old record says of this incarnation of the run. Expired entries are in neither map.
	applied map[string]*string
	removed map[string]Removed
	// old is the old record in its one form, expired entries included and forgotten ones not.
	old Record
}

func newPlanner(in Input) *planner {
	p := &planner{Input: in, observed: Set{}, elsewhere: map[string][]Tag{}}
	for key, raw := range in.Observed {
		if !in.Dialect.hides(key) {
			p.observed[key] = raw
		}
	}
	p.excluded = newExclusion(in.Dialect, in.Excluded)
	p.resolution = resolve(in.Dialect, in.Declared, p.excluded)
	p.freeze(in.Dialect, in.Frozen, p.excluded)
	for _, name := range in.Elsewhere {
		tag := in.Dialect.split(name)
		p.elsewhere[tag.Key] = append(p.elsewhere[tag.Key], tag)
	}
	for _, name := range in.Requested {
		if tag := in.Dialect.split(name); !in.Dialect.hides(tag.Key) {
			p.requested = append(p.requested, tag)
		}
	}
	if in.Record.RunUID != in.RunUID {
		in.Record = Record{} // what we own is owned on one incarnation of the run
	}
	p.applied, p.removed = in.Record.maps()
	p.forget(in.Forgotten)
	p.old = newRecord(in.Record.RunUID, p.applied, p.removed)
	maps.DeleteFunc(p.removed, func(_ string, e Removed) bool { return e.expired(in.EndedAt, in.Now) })
	return p
}

// forget drops what is no longer ours though it stays on the run, unless somebody here declares it.
func (p *planner) forget(names []string) {
	for _, name := range names {
		name = p.Dialect.Format(p.Dialect.split(name))
		if _, declared := p.named[name]; !declared {
			delete(p.applied, name)
		}
	}
}

// record is the new record. Where it differs from the old one by nothing but expired entries, it is the old one.
func (p *planner) record(did *outcome) Record {
	p.bound(did.applied)
	next := newRecord(p.RunUID, did.applied, did.removed)
	if next.Equal(newRecord(p.old.RunUID, p.applied, p.removed)) {
		return p.old
	}
	return next
}

// bound drops applied tags over the limit. Where a policy keeps us from removing, they pile up though nobody declares
// them: those that are not on the run matter least.
func (p *planner) bound(applied map[string]*string) {
	surplus := len(applied) - MaxApplied
	if surplus <= 0 {
		return
	}
	worth := func(name string) int {
		key := p.Dialect.split(name).Key
		raw, there := p.observed[key]
		switch {
		case p.stays(name):
			return 2
		case there && p.Dialect.FormatRaw(key, raw) == name:
			return 1
		default:
			return 0
		}
	}
	names := slices.SortedFunc(maps.Keys(applied), func(a, b string) int { return cmp.Or(cmp.Compare(worth(a), worth(b)), strings.Compare(a, b)) })
	for _, name := range names[:surplus] {
		delete(applied, name)
	}
}

// pending compares what is done with what the object's own policy, or Merge if that is stronger, would do.
func (p *planner) pending(did *outcome, effective Policy) Pending {
	var pending Pending
	if wish := max(p.Policy, Merge); wish > effective {
		would := p.decide(wish)
		pending.Add = missing(would.adds, did.adds)
		pending.Remove = missing(would.removes, did.removes)
	}
	if p.Policy > effective {
		for _, name := range missing(p.decide(p.Policy).adds, did.adds) {
			if p.named[name].named() {
				pending.NotAllowed = append(pending.NotAllowed, name)
			}
		}
	}
	return pending
}

// entries lists what is declared and what is on the run.
func (p *planner) entries() []Entry {
	entries := map[string]Entry{}
	for key, raw := range p.observed {
		name := p.Dialect.FormatRaw(key, raw)
		entries[name] = Entry{Name: name, Source: Run, Present: true}
		if c, ok := p.named[name]; ok {
			entries[name] = Entry{Name: name, Source: c.source, Rule: c.rule, Present: true}
		}
	}
	for key, c := range p.want {
		raw, there := p.observed[key]
		entries[c.name] = Entry{Name: c.name, Source: c.source, Rule: c.rule, Present: there && p.Dialect.satisfies(c.tag, raw)}
	}
	return slices.SortedFunc(maps.Values(entries), func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
}

func sortRejected(rejected []Rejected) []Rejected {
	slices.SortFunc(rejected, func(a, b Rejected) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), compareStrength(claim{source: a.Source}, claim{source: b.Source}),
			strings.Compare(string(a.Reason), string(b.Reason)), strings.Compare(a.Message, b.Message))
	})
	return slices.Compact(rejected)
}

// missing lists in order what is in all and not in some.
func missing(all, some map[string]bool) []string {
	var names []string
	for _, name := range sorted(all) {
		if !some[name] {
			names = append(names, name)
		}
	}
	return names
}

func sorted(names map[string]bool) []string { return slices.Sorted(maps.Keys(names)) }
