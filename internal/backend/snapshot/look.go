package snapshot

import (
	"slices"
	"time"

	"github.com/runtag/runtag/internal/backend"
)

// Scope says what a complete list holds.
type Scope int

// The scopes of lists.
const (
	// Recent lists hold what is active or was active or created since some time before the look (backend.Query.Since).
	Recent Scope = iota
	// Everything lists hold all runs of the project (backend.Query.All).
	Everything
)

// Look is one list under way: it takes pages one by one, keeps what is tracked of them, and changes nothing before
// End. A look with a page that failed is simply dropped. It is for one goroutine.
type Look struct {
	snapshot *Snapshot
	began    time.Time
	scope    Scope
	runs     []backend.Run
}

// Begin starts a list; began is the time before its first page was asked for.
func (s *Snapshot) Begin(began time.Time, scope Scope) *Look {
	s.mu.RLock()
	defer s.mu.RUnlock()
	expected := len(s.active)
	if scope == Everything {
		expected = len(s.entries)
	}
	return &Look{snapshot: s, began: began, scope: scope, runs: make([]backend.Run, 0, expected)}
}

// Add takes in one page.
func (l *Look) Add(runs []backend.Run) {
	l.snapshot.mu.RLock()
	defer l.snapshot.mu.RUnlock()
	for i := range runs {
		if l.snapshot.wants(&runs[i]) {
			l.runs = append(l.runs, runs[i])
		}
	}
}

func (s *Snapshot) wants(run *backend.Run) bool {
	if s.entries[run.ID] != nil {
		return true
	}
	return len(s.named) > 0 && (s.named[run.Name] != nil || s.nameOf[run.ID] != "")
}

// End takes in the whole list, now that it is complete, and says what changed and what was missing in it: of a Recent
// list the tracked runs that were active, of an Everything list all that were present.
func (l *Look) End() Changes {
	s := l.snapshot
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	var c changes
	for i := range l.runs {
		if e := s.see(&c, l.began, &l.runs[i], look); e != nil {
			e.listed = s.looks
		}
	}
	expected := s.active
	if l.scope == Everything {
		expected = s.entries
	}
	out := c.done()
	for id, e := range expected {
		if e.listed != s.looks && e.presence == Present && !e.older(l.began) {
			out.Left = append(out.Left, id)
		}
	}
	slices.Sort(out.Left)
	return out
}

// Listed takes in a complete list at once.
func (s *Snapshot) Listed(began time.Time, scope Scope, runs []backend.Run) Changes {
	l := s.Begin(began, scope)
	l.Add(runs)
	return l.End()
}
