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
	changed := another || e.presence != Present || !same(&e.run, run)
	if another {
		e.attempt, e.calm = 1, calmLooks
		e.ended = false
	} else {
		e.countAttempt(run, from)
	}
	e.noteState(run.State)
	if another || !same(&e.run, run) {
		e.run = *run
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

// same says whether nothing differs that anyone shows or acts on.
func same(a, b *backend.Run) bool {
	return a.UID == b.UID && a.Name == b.Name && a.State == b.State && a.Host == b.Host && a.User == b.User &&
		a.Group == b.Group && a.JobType == b.JobType && a.URL == b.URL &&
		a.CreatedAt.Equal(b.CreatedAt) && a.FinishedAt.Equal(b.FinishedAt) && maps.Equal(a.Tags, b.Tags)
}
