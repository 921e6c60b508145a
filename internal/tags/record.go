package tags

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// RemovedFor is how long a removed tag is remembered after the later of its removal and the end of the run. The SDK
	// of an active run may send its list, with the tag in it, at any time.
	RemovedFor = 10 * time.Minute
	// MaxBack is how often a removed tag that came back is removed again before it is left as foreign.
	MaxBack = 3
	// MaxApplied is how many applied tags are remembered. Those that nobody declares and that are not on the run are
	// dropped first.
	MaxApplied = 512
	// MaxRemoved is how many removed tags are remembered. Those that were seen gone are dropped first, oldest first.
	MaxRemoved = 512
)

// Authorizes says whether the record, as it is written down, covers a plan that was made again with the run as read
// right before the write. Where it does not, write nothing: plan and write the record again.
func (r Record) Authorizes(planned Record) bool {
	if r.RunUID != planned.RunUID {
		return false
	}
	applied, removed := r.maps()
	for _, a := range planned.Applied {
		if replaced, ok := applied[a.Name]; !ok || !equalValue(replaced, a.Replaced) {
			return false
		}
	}
	for _, p := range planned.Removed {
		if e, ok := removed[p.Name]; !ok || !p.Gone && !equalValue(e.Replaced, p.Replaced) {
			return false
		}
	}
	return true
}

// Equal says whether two records say the same, whatever the order of their entries.
func (r Record) Equal(other Record) bool {
	applied, removed := r.maps()
	otherApplied, otherRemoved := other.maps()
	return r.RunUID == other.RunUID &&
		maps.EqualFunc(applied, otherApplied, equalValue) &&
		maps.EqualFunc(removed, otherRemoved, func(a, b Removed) bool { return compareRemoved(a, b) == 0 })
}

// RecordChanged says whether the record must be written down: whether the plan's differs from the old one. Entries that
// have merely expired are still in the plan's record while nothing else in it changes, so they cause no write.
func (p Plan) RecordChanged(old Record) bool { return !p.Record.Equal(old) }

// Settled gives the record after the first attempt to write the plan, where before is the run as read right before it:
// a tag that only rules declare and that was there already is not ours. After an attempt whose outcome is unknown, or a
// restart, keep the plan's Record instead.
func (p Plan) Settled(before Set, d Dialect) Record {
	return p.withoutEntered(func(name string) bool { return d.Has(before, name) })
}

// Unsent gives the record after it was written down and nothing was sent, as when it does not authorize what the read
// right before the write calls for: what only rules declare was not added by us. The next plan starts from it.
func (p Plan) Unsent() Record { return p.withoutEntered(func(string) bool { return true }) }

func (p Plan) withoutEntered(drop func(name string) bool) Record {
	record := p.Record
	record.Applied = slices.DeleteFunc(slices.Clone(record.Applied), func(a Applied) bool {
		return slices.Contains(p.Entered, a.Name) && drop(a.Name)
	})
	return record
}

// maps gives the entries by name. Entries of one name, which a careful writer does not make, count as one.
func (r Record) maps() (applied map[string]*string, removed map[string]Removed) {
	applied, removed = make(map[string]*string, len(r.Applied)), make(map[string]Removed, len(r.Removed))
	for _, a := range r.Applied {
		if other, ok := applied[a.Name]; !ok || compareValue(a.Replaced, other) > 0 {
			applied[a.Name] = a.Replaced
		}
	}
	for _, e := range r.Removed {
		if other, ok := removed[e.Name]; !ok || compareRemoved(e, other) > 0 {
			removed[e.Name] = e
		}
	}
	return applied, removed
}

// newRecord gives the record in its one form: sorted, and with times as the API server keeps them, in whole seconds.
func newRecord(uid string, applied map[string]*string, removed map[string]Removed) Record {
	r := Record{RunUID: uid}
	for _, name := range slices.Sorted(maps.Keys(applied)) {
		r.Applied = append(r.Applied, Applied{Name: name, Replaced: applied[name]})
	}
	for _, e := range removed {
		e.At = wholeSeconds(e.At)
		r.Removed = append(r.Removed, e)
	}
	if surplus := len(r.Removed) - MaxRemoved; surplus > 0 {
		slices.SortFunc(r.Removed, compareWorth)
		r.Removed = r.Removed[surplus:]
	}
	slices.SortFunc(r.Removed, compareRemoved)
	return r
}

// compareWorth puts first what can be forgotten first: a tag that was not yet seen gone is still to be removed.
func compareWorth(a, b Removed) int {
	if a.Gone != b.Gone {
		return compareBool(b.Gone, a.Gone)
	}
	return cmp.Or(a.At.Compare(b.At), strings.Compare(a.Name, b.Name))
}

func compareRemoved(a, b Removed) int {
	return cmp.Or(
		strings.Compare(a.Name, b.Name),
		wholeSeconds(a.At).Compare(wholeSeconds(b.At)),
		cmp.Compare(a.Back, b.Back),
		compareBool(a.Gone, b.Gone),
		compareValue(a.Replaced, b.Replaced),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// compareValue orders values; none comes before any.
func compareValue(a, b *string) int {
	if a == nil || b == nil {
		return compareBool(a != nil, b != nil)
	}
	return strings.Compare(*a, *b)
}

func equalValue(a, b *string) bool { return compareValue(a, b) == 0 }

func wholeSeconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// expired says that a removed tag is no longer kept off. One that was never seen gone is still to be removed, however
// long the tracker was away.
func (e Removed) expired(endedAt, now time.Time) bool {
	if !e.Gone || endedAt.IsZero() {
		return false
	}
	since := e.At
	if endedAt.After(since) {
		since = endedAt
	}
	return !now.Before(since.Add(RemovedFor))
}

// seenGone notes that the tag is not on the run. It counts as removed from now on, even if that took long. Where the
// key is gone with it, nothing comes back in its place any more.
func (e Removed) seenGone(now time.Time, keyThere bool) Removed {
	if e.Gone {
		return e
	}
	e.Gone, e.At = true, wholeSeconds(now)
	if !keyThere {
		e.Replaced = nil
	}
	return e
}

// exhausted says that the tag is left alone when it comes back once more.
func (e Removed) exhausted() bool { return e.Gone && e.Back >= MaxBack }
