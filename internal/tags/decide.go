package tags

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// outcome is what one policy makes of an input.
type outcome struct {
	policy  Policy
	edit    Edit
	applied map[string]*string
	removed map[string]Removed
	// off is what has to go, by key.
	off map[string]departure
	// adds and removes are the tags that the edit puts on and takes off, by name.
	adds, removes          map[string]bool
	givenUp, entered, held map[string]bool
	heldUntil              time.Time
	rejected               []Rejected
}

// departure is a tag on the run that has to go, and the value that comes back in its place.
type departure struct {
	name     string
	replaced *string
}

// decide plans under one policy. What has to go is known before anything is put on: a value that goes satisfies no
// declaration.
func (p *planner) decide(policy Policy) *outcome {
	o := &outcome{
		policy: policy, edit: Edit{Set: Set{}}, off: map[string]departure{},
		applied: maps.Clone(p.applied), removed: maps.Clone(p.removed),
		adds: map[string]bool{}, removes: map[string]bool{},
		givenUp: map[string]bool{}, entered: map[string]bool{}, held: map[string]bool{},
	}
	p.disown(o)
	p.chase(o)
	p.sweep(o)
	for key, c := range p.want {
		p.put(o, key, c)
	}
	for key, d := range o.off {
		if _, wanted := p.want[key]; !wanted {
			p.takeOff(o, key, d)
		}
	}
	slices.Sort(o.edit.Remove)
	if len(o.edit.Set) == 0 {
		o.edit.Set = nil
	}
	return o
}

// disown moves what is declared no more from the applied to the removed tags, and what is declared again back.
func (p *planner) disown(o *outcome) {
	for name, e := range o.removed {
		if !p.stays(name) {
			continue
		}
		delete(o.removed, name)
		if _, ok := o.applied[name]; !ok && !e.Gone {
			o.applied[name] = e.Replaced // declared again before it went: still ours
		}
	}
	if o.policy < Merge {
		return
	}
	for name, replaced := range o.applied {
		if p.stays(name) {
			continue
		}
		delete(o.applied, name)
		e := p.removal(o, name)
		if replaced != nil {
			e.Replaced = replaced
		}
		o.removed[name] = e
	}
	for _, tag := range p.requested {
		if name := p.Dialect.Format(tag); !p.stays(name) {
			o.removed[name] = p.removal(o, name)
		}
	}
}

// removal is the entry of a removed tag: a new one unless the tag is kept off already.
func (p *planner) removal(o *outcome, name string) Removed {
	if e, ok := o.removed[name]; ok {
		return e
	}
	return Removed{Name: name, At: wholeSeconds(p.Now)}
}

// anew says that somebody takes the tag off now, not only once before.
func (p *planner) anew(name string) bool {
	_, undeclared := p.applied[name]
	return undeclared || slices.ContainsFunc(p.requested, func(tag Tag) bool { return p.Dialect.Format(tag) == name })
}

// chase takes removed tags off as long as they come back, but not for ever. Only a tag that was seen gone has come back.
func (p *planner) chase(o *outcome) {
	for name, e := range o.removed {
		key := p.Dialect.split(name).Key
		raw, there := p.observed[key]
		switch {
		case !there || p.Dialect.FormatRaw(key, raw) != name:
			e = e.seenGone(p.Now, there)
		case o.policy < Merge:
			continue
		case e.exhausted() && !p.anew(name):
			delete(o.removed, name)
			if !p.unwelcome(o.policy, key, raw) {
				o.givenUp[name] = true
			}
			continue
		default:
			o.off[key] = departure{name: name, replaced: e.Replaced}
			switch {
			case e.exhausted():
				e = Removed{Name: name, At: wholeSeconds(p.Now), Replaced: e.Replaced}
			case e.Gone && !p.isHeld(key):
				e.Back, e.Gone = e.Back+1, false
			}
		}
		o.removed[name] = e
	}
}

// sweep finds what has to go whoever put it there.
func (p *planner) sweep(o *outcome) {
	for key, raw := range p.observed {
		if _, ok := o.off[key]; !ok && p.unwelcome(o.policy, key, raw) {
			o.off[key] = departure{name: p.Dialect.FormatRaw(key, raw)}
		}
	}
}

// unwelcome says that the policy takes a tag off that we need not have put there.
func (p *planner) unwelcome(policy Policy, key, raw string) bool {
	switch {
	case policy < Merge || p.isElsewhere(key, raw):
		return false
	case p.excluded.coversRaw(key, raw):
		return true
	}
	_, wanted := p.want[key]
	// While a source is unknown, what looks foreign may well be declared.
	return policy == Exclusive && len(p.unknown) == 0 && !wanted && !p.frozen[key]
}

// put sees to it that a declared tag is on the run, and to who owns it.
func (p *planner) put(o *outcome, key string, c claim) {
	raw, there := p.observed[key]
	_, leaves := o.off[key]
	switch {
	case !there:
		p.add(o, key, c)
	case !leaves && p.Dialect.satisfies(c.tag, raw):
		if p.Dialect.FormatRaw(key, raw) != c.name {
			delete(o.applied, c.name) // a foreign value serves the bare tag: it is not ours to take off
		} else if c.named() {
			o.applied[c.name] = p.inherited(o, key, c)
		}
	default:
		p.replace(o, key, c, raw)
	}
}

// add puts a tag on a run that has no value for its key. Nothing is replaced, whatever was in former times.
func (p *planner) add(o *outcome, key string, c claim) {
	switch {
	case o.policy < Add:
	case p.isHeld(key):
		o.wait(c.name, p.HeldUntil[key])
	default:
		p.write(o, key, c, nil)
		return
	}
	if c.named() {
		o.applied[c.name] = nil
	}
}

// replace puts a tag on a run that has another value for its key. Ownership waits until the write is planned: what is
// remembered as replaced has to be what the write replaces.
func (p *planner) replace(o *outcome, key string, c claim, raw string) {
	name := p.Dialect.FormatRaw(key, raw)
	switch {
	case p.isElsewhere(key, raw):
		o.conflict(c, fmt.Sprintf("tag %q is not written: another TrainingRun declares %q on the same run; agree on one value", c.name, name))
	case o.policy < Add:
	case o.policy < Merge:
		o.conflict(c, fmt.Sprintf("tag %q is not written: the run has %q and policy %v replaces no values; take that off, or raise the policy to %v", c.name, name, o.policy, Merge))
	case p.isHeld(key):
		o.wait(c.name, p.HeldUntil[key])
	default:
		replaced := &raw
		if _, ours := o.removed[name]; ours {
			replaced = p.inherited(o, key, c) // what we put there ourselves never comes back
		} else if p.excluded.coversRaw(key, raw) {
			replaced = nil
		}
		p.write(o, key, c, replaced)
	}
}

// write plans a write and owns the tag from then on. What a rule enters may turn out to have been there already.
func (p *planner) write(o *outcome, key string, c claim, replaced *string) {
	o.edit.Set[key] = p.Dialect.raw(c.tag)
	o.adds[c.name] = true
	if _, ok := o.applied[c.name]; !ok && !c.named() {
		o.entered[c.name] = true
	}
	o.applied[c.name] = replaced
}

// inherited is the value that comes back once nobody declares the key: what the first of our writes to it replaced.
func (p *planner) inherited(o *outcome, key string, c claim) *string {
	if replaced, ok := o.applied[c.name]; ok {
		return replaced
	}
	var found *string
	consider := func(name string, replaced *string) {
		if p.Dialect.split(name).Key == key && compareValue(replaced, found) > 0 && p.Dialect.FormatRaw(key, *replaced) != c.name {
			found = replaced
		}
	}
	for name, replaced := range p.applied {
		consider(name, replaced)
	}
	for name, e := range o.removed {
		if !e.Gone {
			consider(name, e.Replaced)
		}
	}
	return found
}

// takeOff plans that a tag goes, or that the value comes back that it replaced.
func (p *planner) takeOff(o *outcome, key string, d departure) {
	if p.isHeld(key) {
		o.wait(d.name, p.HeldUntil[key])
		return
	}
	o.removes[d.name] = true
	if d.replaced != nil && p.mayReturn(o, key, *d.replaced) {
		o.edit.Set[key] = *d.replaced
		return
	}
	o.edit.Remove = append(o.edit.Remove, key)
}

// mayReturn says that a replaced value would not have to go again at once.
func (p *planner) mayReturn(o *outcome, key, raw string) bool {
	_, removed := o.removed[p.Dialect.FormatRaw(key, raw)]
	return !removed && !p.unwelcome(o.policy, key, raw)
}

// stays says that somebody declares the tag, here or elsewhere, be it in a way that cannot be followed.
func (p *planner) stays(name string) bool {
	tag := p.Dialect.split(name)
	c, wanted := p.want[tag.Key]
	return wanted && c.name == name || p.frozen[tag.Key] || p.isElsewhere(tag.Key, p.Dialect.raw(tag))
}

// isElsewhere says that another object declares what the run has for the key.
func (p *planner) isElsewhere(key, raw string) bool {
	return slices.ContainsFunc(p.elsewhere[key], func(tag Tag) bool { return p.Dialect.satisfies(tag, raw) })
}

func (p *planner) isHeld(key string) bool { return p.HeldUntil[key].After(p.Now) }

func (o *outcome) wait(name string, until time.Time) {
	o.held[name] = true
	if o.heldUntil.IsZero() || until.Before(o.heldUntil) {
		o.heldUntil = until
	}
}

func (o *outcome) conflict(c claim, message string) {
	o.rejected = append(o.rejected, Rejected{Name: c.name, Source: c.source, Reason: Conflict, Message: message})
}
