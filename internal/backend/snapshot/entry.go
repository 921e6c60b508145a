package snapshot

import (
	"maps"
	"math"
	"time"

	"github.com/runtag/runtag/internal/backend"
)

// origin says what gave a run.
type origin int

const (
	look  origin = iota // a list or a read
	write               // the answer to a write
)

const (
	// calmLooks is how many looks in a row must see the same host before another one means a new attempt: the host of
	// a run that several machines write to (mode=shared) changes all the time.
	calmLooks = 10
	// missesOfKnown is how many reads by id must miss a run that was there.
	missesOfKnown = 2
)

// entry is what is known of one run.
type entry struct {
	run      backend.Run
	readAt   time.Time
	missedAt time.Time
	attempt  int
	listed   uint64 // the number of the last look that had it in its list
	presence Presence
	misses   uint8
	calm     uint8 // looks in a row that saw the same host, up to calmLooks
	known    bool
	wrote    bool // readAt is the time of a write
	active   bool // is in Snapshot.active
	ended    bool // the last state that says either was an ended one
}

func (e *entry) view() View {
	lookedAt := e.readAt
	if e.missedAt.After(lookedAt) {
		lookedAt = e.missedAt
	}
	return View{
		Run: e.run, Presence: e.presence, ReadAt: e.readAt, LookedAt: lookedAt, Known: e.known, Attempt: e.attempt, Misses: int(e.misses),
	}
}

// older says whether what began at this time is older than what is held. A look that began in the very moment of a
// write may have seen either side of it, so it does not count.
func (e *entry) older(at time.Time) bool {
	return at.Before(e.readAt) || e.wrote && at.Equal(e.readAt)
}

// see takes in the run and says whether something changed that matters.
func (e *entry) see(at time.Time, run *backend.Run, from origin) bool {
	if e.older(at) || e.misses > 0 && at.Before(e.missedAt) {
		return false
	}
	another := !e.known || e.run.UID != run.UID
	differs := another || !same(&e.run, run)
	changed := differs || e.presence != Present
	if another {
		e.attempt, e.calm = 1, calmLooks
		e.ended = false
	} else {
		e.countAttempt(run, from)
	}
	e.noteState(run.State)
	if differs {
		replace(&e.run, run)
	} else {
		// The old run stays: its strings and tags are the same, and those of the page can go.
		e.run.HeartbeatAt, e.run.Handle = run.HeartbeatAt, run.Handle
	}
	e.readAt, e.wrote = at, from == write
	e.presence, e.known, e.misses = Present, true, 0
	return changed
}

// countAttempt compares the run with what was seen before of the same one.
func (e *entry) countAttempt(run *backend.Run, from origin) {
	moved := run.Host != "" && e.run.Host != "" && run.Host != e.run.Host
	switch {
	case e.ended && run.State.Active(), moved && e.calm >= calmLooks:
		e.attempt++
		e.calm = calmLooks
	}
	switch {
	case moved:
		e.calm = 0
	case from == look && e.calm < calmLooks:
		e.calm++
	}
}

// noteState remembers whether the run has ended; a state that we do not know says nothing about it.
func (e *entry) noteState(state backend.State) {
	if state != backend.StateUnknown {
		e.ended = !state.Active()
	}
}

// miss takes in a read by id that did not find the run, and says whether the run became absent by it.
func (e *entry) miss(at time.Time) bool {
	// Twice the same moment is not two reads, and where one look saw the run and one did not, it is there.
	if !at.After(e.readAt) || !at.After(e.missedAt) {
		return false
	}
	e.missedAt = at
	if e.misses < math.MaxUint8 {
		e.misses++
	}
	if e.presence == Absent || e.known && e.misses < missesOfKnown {
		return false
	}
	e.presence = Absent
	return true
}

// replace puts what was read in the place of what is held. A read that asked for no metrics leaves those of the same
// run as they are.
func replace(held, read *backend.Run) {
	summary := held.Summary
	kept := read.Summary == nil && held.UID == read.UID
	*held = *read
	if kept {
		held.Summary = summary
	}
}

// same says whether what was read differs from what is held in nothing that anyone shows or acts on.
func same(held, read *backend.Run) bool {
	return held.UID == read.UID && held.Name == read.Name && held.State == read.State && held.Host == read.Host &&
		held.User == read.User && held.Group == read.Group && held.JobType == read.JobType && held.URL == read.URL &&
		held.PodUID == read.PodUID && held.PodName == read.PodName && held.Parent == read.Parent &&
		held.CreatedAt.Equal(read.CreatedAt) && held.FinishedAt.Equal(read.FinishedAt) &&
		sameSummary(held.Summary, read.Summary) && maps.Equal(held.Tags, read.Tags)
}

// sameSummary says whether the metrics are the same, NaN being the same as itself. Where none were asked for there is
// no news; that a run has none of those that were asked for is some, once.
func sameSummary(held, read map[string]float64) bool {
	if read == nil {
		return true
	}
	if held == nil || len(held) != len(read) {
		return false
	}
	for key, is := range read {
		was, there := held[key]
		if !there || was != is && !(math.IsNaN(was) && math.IsNaN(is)) {
			return false
		}
	}
	return true
}
