// Package unique decides what happens to a tag that at most one run of a project may carry: who has it, who gets it, and
// whom it is taken off. It is pure. The order of what it asks for is what leaves a run with the tag at every moment: it is
// put on the new holder first, seen there, and only then taken off the others.
package unique

import (
	"slices"
	"time"
)

// Grace is how long a holder keeps a tag that nobody declares any more: a move is two edits, which come in any order.
const Grace = time.Minute

// Declarer is a TrainingRun that declares the tag by spec or label.
type Declarer struct {
	// Object tells it from others; Shown names it to people of the project's namespace.
	Object, Shown string
	// RunID is its run; empty while it has none.
	RunID string
	// Blocked says why its run can't carry the tag now; empty where it can.
	Blocked string
}

// Memory is what is remembered of a tag; it is stored with the project.
type Memory struct {
	// Holder is the run that a declaration gave the tag to; Wanted the one that should have it and does not yet.
	Holder, Wanted string
	// Since is when one of them changed last; UndeclaredSince since when nobody declares the tag, zero while somebody does.
	Since, UndeclaredSince time.Time
}

// Situation is what is so now.
type Situation struct {
	Memory    Memory
	Declarers []Declarer
	// Carriers are the runs that carry the tag, and Kept those among them from which a policy forbids to take it off, with
	// the reason. Listed says that they are known.
	Carriers []string
	Kept     map[string]string
	Listed   bool
	Now      time.Time
}

// Decision is what to do.
type Decision struct {
	Memory Memory
	// Go is the run that may carry the tag; empty for none.
	Go string
	// Conflict are the TrainingRuns that all declare it.
	Conflict []string
	// Remove are runs that it is taken off.
	Remove []string
	// Blocked says why it does not move.
	Blocked string
	// Due is when time alone changes something; zero for never.
	Due time.Time
}

// Decide decides. With carriers that are not Listed it removes nothing.
func Decide(s Situation) Decision {
	d := Decision{Memory: s.Memory}
	runs := map[string]bool{}
	for _, declarer := range s.Declarers {
		id := declarer.RunID
		if id == "" {
			id = "\x00" + declarer.Object // one that has no run yet is not the same as any other
		}
		runs[id] = true
	}
	switch len(runs) {
	case 0:
		d.undeclared(s)
	case 1:
		d.Memory.UndeclaredSince = time.Time{}
		d.move(s, s.Declarers[0])
	default:
		d.Memory.UndeclaredSince = time.Time{}
		for _, declarer := range s.Declarers {
			d.Conflict = append(d.Conflict, declarer.Object)
		}
		slices.Sort(d.Conflict)
		d.Blocked = "several TrainingRuns declare it"
		d.want("", s.Now)
	}
	return d
}

// undeclared lets the holder keep the tag for a while, and takes it off then. What nobody ever declared here stays.
func (d *Decision) undeclared(s Situation) {
	d.want("", s.Now)
	if s.Memory.Holder == "" {
		d.Memory = Memory{}
		return
	}
	if s.Memory.UndeclaredSince.IsZero() {
		d.Memory.UndeclaredSince = s.Now.UTC().Truncate(time.Second)
	}
	if due := d.Memory.UndeclaredSince.Add(Grace); s.Now.Before(due) {
		d.Due = due
		return
	}
	switch {
	case !s.Listed:
	case !slices.Contains(s.Carriers, s.Memory.Holder):
		d.Memory = Memory{}
	case s.Kept[s.Memory.Holder] != "":
		d.Blocked = s.Kept[s.Memory.Holder]
	default:
		d.Remove = []string{s.Memory.Holder}
	}
}

// move gives the tag to the run of its one declarer.
func (d *Decision) move(s Situation, to Declarer) {
	if to.RunID == "" {
		d.want(to.Shown, s.Now)
		d.Blocked = to.Shown + ": " + to.Blocked
		return
	}
	if s.Listed && slices.Contains(s.Carriers, to.RunID) {
		d.hold(to.RunID, s.Now)
		d.Go = to.RunID
		for _, id := range s.Carriers {
			switch {
			case id == to.RunID:
			case s.Kept[id] != "":
				d.Blocked = s.Kept[id]
			default:
				d.Remove = append(d.Remove, id)
			}
		}
		return
	}
	if s.Memory.Holder != to.RunID {
		d.want(to.RunID, s.Now)
	}
	if to.Blocked != "" {
		d.Blocked = to.Shown + ": " + to.Blocked
		d.Go = to.RunID // once it can
		return
	}
	if !s.Listed {
		if s.Memory.Holder == to.RunID {
			d.Go = to.RunID
		}
		return
	}
	for _, id := range s.Carriers {
		if s.Kept[id] != "" { // it would stay there, and two would have it
			d.Blocked = s.Kept[id]
			return
		}
	}
	d.Go = to.RunID
}

func (d *Decision) want(run string, now time.Time) {
	if d.Memory.Wanted != run {
		d.Memory.Wanted, d.Memory.Since = run, now.UTC().Truncate(time.Second)
	}
}

func (d *Decision) hold(run string, now time.Time) {
	if d.Memory.Holder != run || d.Memory.Wanted != "" {
		d.Memory.Holder, d.Memory.Wanted, d.Memory.Since = run, "", now.UTC().Truncate(time.Second)
	}
}
