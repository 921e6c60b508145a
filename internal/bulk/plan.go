package bulk

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/runtag/runtag/internal/tags"
)

// Outcome is what a change does to one run.
type Outcome struct {
	Edit tags.Edit
	// Skipped is what it would do and must not, in order and each once.
	Skipped []Skip
}

// Plan says what a change that passed Check does to a run with these tags. It does not depend on the order within the
// change.
//
// Planned anew on the run as it is afterwards, a change does nothing more, unless it puts on what it also takes off, as a
// chain of renames does: that would go on. So write an Entry down first, and ask it, not Plan, whether a run is done.
func Plan(d tags.Dialect, on tags.Set, c Change, g Guard) Outcome {
	p := planner{dialect: d, judge: g.judge(d), before: on, after: maps.Clone(on), skipped: map[Skip]bool{}}
	if p.after == nil {
		p.after = tags.Set{}
	}
	arrivals := p.leave(c)
	for _, a := range arrivals {
		if _, there := p.after[a.key]; !there {
			p.after[a.key] = a.raw
		}
	}
	p.add(c.Add)
	skipped := slices.SortedFunc(maps.Keys(p.skipped), func(a, b Skip) int {
		return cmp.Or(strings.Compare(string(a.Reason), string(b.Reason)), strings.Compare(a.Tag, b.Tag))
	})
	return Outcome{Edit: diff(on, p.after), Skipped: skipped}
}

type planner struct {
	dialect tags.Dialect
	judge   judge
	before  tags.Set
	after   tags.Set
	skipped map[Skip]bool
}

// arrival is what becomes of a renamed tag.
type arrival struct{ from, key, raw string }

func (p *planner) skip(reason Reason, tag tags.Tag) {
	p.skipped[Skip{Reason: reason, Tag: p.dialect.Format(tag)}] = true
}

// leave takes off what is removed or renamed, and gives what arrives in its place, in an order of its own.
func (p *planner) leave(c Change) []arrival {
	removes, renames := map[tags.Tag]bool{}, map[tags.Tag]tags.Tag{}
	for _, name := range c.Remove {
		removes[read(p.dialect, name)] = true
	}
	for _, r := range c.Rename {
		if to := read(p.dialect, r.To); to.Key != "" {
			renames[read(p.dialect, r.From)] = to
		}
	}
	delete(removes, tags.Tag{}) // what is no tag
	delete(renames, tags.Tag{})
	var arrivals []arrival
	for key, value := range p.before {
		if tag, ok := named(p.dialect, removes, key, value); ok {
			p.remove(tag, key, value)
		} else if from, ok := named(p.dialect, renames, key, value); ok {
			arrivals = append(arrivals, p.rename(from, renames[from], key, value)...)
		}
	}
	slices.SortFunc(arrivals, func(a, b arrival) int { return strings.Compare(a.from, b.from) })
	return arrivals
}

// named finds the tag by which something is asked of what is on the run: by key and value, or else by the key alone.
func named[T any](d tags.Dialect, asked map[tags.Tag]T, key, value string) (tag tags.Tag, ok bool) {
	if tag = (tags.Tag{Key: key, Value: value}); d.Pairs {
		if _, ok = asked[tag]; ok {
			return tag, true
		}
		tag.Value = ""
	}
	_, ok = asked[tag]
	return tag, ok
}

func (p *planner) remove(tag tags.Tag, key, value string) {
	if reason := p.judge.take(key, value); reason != "" {
		p.skip(reason, tag)
		return
	}
	delete(p.after, key)
}

func (p *planner) rename(from, to tags.Tag, key, value string) []arrival {
	next := raw(p.dialect, to)
	if from.Value == "" && to.Value == "" {
		next = value
	}
	if to.Key == key && next == value {
		return nil
	}
	if reason := p.judge.take(key, value); reason != "" {
		p.skip(reason, from)
		return nil
	}
	if reason := p.judge.put(to.Key, next); reason != "" {
		p.skip(reason, to)
		return nil
	}
	delete(p.after, key)
	return []arrival{{from: key, key: to.Key, raw: next}}
}

// add puts tags on that are not there after all else. Pairs come first: they serve bare tags of their key.
func (p *planner) add(names []string) {
	wanted := make([]tags.Tag, len(names))
	for i, name := range names {
		wanted[i] = read(p.dialect, name)
	}
	slices.SortFunc(wanted, func(a, b tags.Tag) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(b.Value, a.Value))
	})
	for _, tag := range wanted {
		now, there := p.after[tag.Key]
		if tag.Key == "" || there && carried(p.dialect, tag, now) {
			continue
		}
		var reason Reason
		if old, was := p.before[tag.Key]; there && was && old == now {
			reason = p.judge.take(tag.Key, now)
		}
		if reason == "" {
			reason = p.judge.put(tag.Key, raw(p.dialect, tag))
		}
		if reason != "" {
			p.skip(reason, tag)
			continue
		}
		p.after[tag.Key] = raw(p.dialect, tag)
	}
}

// diff is the edit that makes one set of tags another.
func diff(before, after tags.Set) tags.Edit {
	var edit tags.Edit
	for key, value := range after {
		if old, there := before[key]; !there || old != value {
			if edit.Set == nil {
				edit.Set = tags.Set{}
			}
			edit.Set[key] = value
		}
	}
	for key := range before {
		if _, there := after[key]; !there {
			edit.Remove = append(edit.Remove, key)
		}
	}
	slices.Sort(edit.Remove)
	return edit
}
