package snapshot

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/runtag/runtag/internal/backend"
)

// nameEntry holds the runs of one display name by their ids.
type nameEntry struct {
	runs   map[string]*namedRun
	readAt time.Time
	known  bool // a read by name has told
}

type namedRun struct {
	run backend.Run
	at  time.Time
}

func (s *Snapshot) trackNames(names []string) {
	keep := make(map[string]*nameEntry, len(names))
	for _, name := range names {
		n := s.named[name]
		if n == nil {
			n = &nameEntry{runs: map[string]*namedRun{}}
		}
		keep[name] = n
	}
	s.named = keep
	maps.DeleteFunc(s.nameOf, func(_, name string) bool { return keep[name] == nil })
}

// TrackName keeps one more name, without forgetting any.
func (s *Snapshot) TrackName(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.named[name] == nil {
		s.named[name] = &nameEntry{runs: map[string]*namedRun{}}
	}
}

// Named gives the runs of a tracked name, by id. While known is false, no read by name has told yet, and there may be
// more of them.
func (s *Snapshot) Named(name string) (runs []backend.Run, known bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := s.named[name]
	if n == nil {
		return nil, false
	}
	for _, r := range n.runs {
		runs = append(runs, r.run)
	}
	slices.SortFunc(runs, func(a, b backend.Run) int { return strings.Compare(a.ID, b.ID) })
	return runs, n.known
}

// ReadByName takes in a read that asked for all runs of these names; began is when it was sent.
func (s *Snapshot) ReadByName(began time.Time, asked []string, found []backend.Run) Changes {
	s.mu.Lock()
	defer s.mu.Unlock()
	var c changes
	there := make(map[string]bool, len(found))
	for i := range found {
		there[found[i].ID] = true
		s.see(&c, began, &found[i], look)
	}
	for _, name := range asked {
		n := s.named[name]
		if n == nil || began.Before(n.readAt) {
			continue
		}
		n.readAt = began
		if !n.known {
			n.known = true
			c.name(name)
		}
		for id, r := range n.runs {
			if !there[id] && !began.Before(r.at) {
				s.dropNamed(&c, name, id)
			}
		}
	}
	return c.done()
}

// seeName keeps a run under its name, if that is tracked, and takes it from the name that it had.
func (s *Snapshot) seeName(c *changes, at time.Time, run *backend.Run) {
	if before, held := s.nameOf[run.ID]; held && before != run.Name {
		if at.Before(s.named[before].runs[run.ID].at) {
			return
		}
		s.dropNamed(c, before, run.ID)
	}
	n := s.named[run.Name]
	if n == nil {
		return
	}
	r := n.runs[run.ID]
	if r == nil {
		// What a newer read by name did not find was there before it, and is not any more.
		if at.Before(n.readAt) {
			return
		}
		n.runs[run.ID] = &namedRun{run: *run, at: at}
		s.nameOf[run.ID] = run.Name
		c.name(run.Name)
		return
	}
	if at.Before(r.at) {
		return
	}
	if !same(&r.run, run) {
		c.name(run.Name)
	}
	replace(&r.run, run)
	r.at = at
}

func (s *Snapshot) dropNamed(c *changes, name, id string) {
	delete(s.named[name].runs, id)
	delete(s.nameOf, id)
	c.name(name)
}
