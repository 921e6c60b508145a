// Package snapshot holds what was last seen of the tracked runs of one project. It is told what lists, reads and
// writes gave, and says which runs changed. It does no I/O and takes the time as a parameter.
//
// Three rules keep it true. What began earlier never overwrites what began later, so a list that was under way while
// we wrote does not bring the old tags back. Absence from a list proves nothing: only a read by id does, and for a run
// that was there once, two reads. A list counts only when all its pages came.
package snapshot

import (
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/intern"
	"github.com/runtag/runtag/internal/tags"
)

// Presence says whether a run is on the tracker.
type Presence int

// The presences.
const (
	// Unknown: no look has told yet, or the only ones that did are not to be trusted alone.
	Unknown Presence = iota
	Present
	// Absent: reads by id say so.
	Absent
)

// String gives the name.
func (p Presence) String() string {
	switch p {
	case Present:
		return "Present"
	case Absent:
		return "Absent"
	default:
		return "Unknown"
	}
}

// View is what is known of one run.
type View struct {
	// Run as last seen, also while the run is absent. Its tags are shared and must not be changed.
	Run      backend.Run
	Presence Presence
	// ReadAt is when the look that gave Run began, or when the write that gave it was confirmed; zero before any.
	ReadAt time.Time
	// LookedAt is when the last look began that told anything, be it that the run is not there; never before ReadAt.
	LookedAt time.Time
	// Known says that the run was present once.
	Known bool
	// Attempt counts the attempts of this UID, from 1; 0 for a run that was never seen. A run that ended and is active
	// again is in a new attempt, as is one whose host changed after no look of the last ten saw it change.
	Attempt int
	// Misses counts the reads by id in a row that did not find the run.
	Misses int
}

// Changes says what a look brought.
type Changes struct {
	// IDs of tracked runs of which something changed that is shown or acted on. A heartbeat alone is no change.
	IDs []string
	// Names, tracked, whose set of runs changed or became known.
	Names []string
	// Left are tracked ids that a complete list should have held and did not: read them by id.
	Left []string
}

// Snapshot is safe for concurrent use.
type Snapshot struct {
	mu      sync.RWMutex
	looks   uint64                // complete ones so far
	entries map[string]*entry     // all tracked ids
	active  map[string]*entry     // those last seen active
	named   map[string]*nameEntry // all tracked names
	nameOf  map[string]string     // id of a run held in named, to its name there
	shared  *intern.Interner      // what entries share: runs of one project often have equal tags
}

// New makes a snapshot that tracks nothing.
func New() *Snapshot {
	return &Snapshot{
		entries: map[string]*entry{}, active: map[string]*entry{}, named: map[string]*nameEntry{}, nameOf: map[string]string{},
		shared: intern.New(),
	}
}

// Track says which runs and names are kept. All else is forgotten, and dropped from what lists give.
func (s *Snapshot) Track(ids, names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keep := make(map[string]*entry, len(ids))
	for _, id := range ids {
		e := s.entries[id]
		if e == nil {
			e = &entry{}
		}
		keep[id] = e
	}
	s.entries = keep
	maps.DeleteFunc(s.active, func(id string, _ *entry) bool { return keep[id] == nil })
	s.trackNames(names)
}

// TrackID keeps one more run, without forgetting any.
func (s *Snapshot) TrackID(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[id] == nil {
		s.entries[id] = &entry{}
	}
}

// Remember gives back what was known of a tracked run before a restart, so that one read that misses it does not make
// it absent, and attempts are counted on. It changes nothing for a run that was seen since.
func (s *Snapshot) Remember(run backend.Run, attempt int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[run.ID]
	if e == nil || e.known {
		return
	}
	e.known, e.run, e.attempt = true, run, max(attempt, 1)
	s.share(&e.run)
	e.noteState(run.State)
	e.calm = calmLooks
	if e.presence == Absent && e.misses < missesOfKnown {
		e.presence = Unknown
	}
}

// Get gives what is known of a run; the zero View for one that is not tracked or was never looked at.
func (s *Snapshot) Get(id string) View {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if e := s.entries[id]; e != nil {
		return e.view()
	}
	return View{}
}

// All gives every tracked run, in no order. The snapshot is not locked in between.
func (s *Snapshot) All() iter.Seq2[string, View] {
	return func(yield func(string, View) bool) {
		s.mu.RLock()
		ids := slices.Collect(maps.Keys(s.entries))
		s.mu.RUnlock()
		for _, id := range ids {
			if !yield(id, s.Get(id)) {
				return
			}
		}
	}
}

// Unseen gives the tracked ids that only a read by id can tell more about: never seen, absent, or missed by the last
// read. It is sorted.
func (s *Snapshot) Unseen() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var ids []string
	for id, e := range s.entries {
		if e.presence != Present || e.misses > 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// ReadByID takes in a read that asked for these ids and found these runs; began is when it was sent. A run that was
// asked for and not found is missed.
func (s *Snapshot) ReadByID(began time.Time, asked []string, found []backend.Run) Changes {
	s.mu.Lock()
	defer s.mu.Unlock()
	var c changes
	there := make(map[string]bool, len(found))
	for i := range found {
		there[found[i].ID] = true
		s.see(&c, began, &found[i], look)
	}
	for _, id := range asked {
		e := s.entries[id]
		if e == nil || there[id] {
			continue
		}
		if e.miss(began) {
			c.id(id)
			s.sort(id, e)
		}
	}
	return c.done()
}

// Wrote takes in a run as a write left it; at is backend.Result's ReadAt. Nothing is said to have changed: whoever wrote
// knows.
func (s *Snapshot) Wrote(at time.Time, run backend.Run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var c changes
	s.see(&c, at, &run, write)
}

// see takes in one run, wherever it comes from, and gives its entry, if it is tracked.
func (s *Snapshot) see(c *changes, at time.Time, run *backend.Run, from origin) *entry {
	e := s.entries[run.ID]
	if e != nil {
		if e.see(at, run, from) {
			c.id(run.ID)
			s.share(&e.run)
		}
		s.sort(run.ID, e)
	}
	if len(s.named) > 0 {
		s.seeName(c, at, run)
	}
	return e
}

// share has a run share its tags, and what few differ in, with others. Tags are a map, and half of what a run takes.
func (s *Snapshot) share(run *backend.Run) {
	run.Host, run.User, run.Group, run.JobType = s.shared.Text(run.Host), s.shared.Text(run.User), s.shared.Text(run.Group), s.shared.Text(run.JobType)
	if len(run.Tags) == 0 {
		return
	}
	sum := uint64(len(run.Tags))
	for key, value := range run.Tags { // in whatever order
		sum += s.shared.Sum(key, value)
	}
	if same, ok := s.shared.Find(sum).(tags.Set); ok && maps.Equal(same, run.Tags) {
		run.Tags = same
	} else {
		s.shared.Keep(sum, run.Tags)
	}
}

// sort puts an entry among the active ones, or takes it from there.
func (s *Snapshot) sort(id string, e *entry) {
	active := e.presence == Present && e.run.State.Active()
	switch {
	case active == e.active:
		return
	case active:
		s.active[id] = e
	default:
		delete(s.active, id)
	}
	e.active = active
}

// changes gathers Changes without doubles.
type changes struct{ ids, names map[string]bool }

func (c *changes) id(id string) {
	if c.ids == nil {
		c.ids = map[string]bool{}
	}
	c.ids[id] = true
}

func (c *changes) name(name string) {
	if c.names == nil {
		c.names = map[string]bool{}
	}
	c.names[name] = true
}

func (c *changes) done() Changes {
	return Changes{IDs: sorted(c.ids), Names: sorted(c.names)}
}

func sorted(set map[string]bool) []string {
	if len(set) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(set))
}
