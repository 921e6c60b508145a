// Package importing decides which runs of a project get a TrainingRun of their own accord, and what it is called. It is
// pure.
package importing

import (
	"slices"
	"time"

	"github.com/runtag/runtag/internal/backend"
)

// Policy says which runs are imported.
type Policy string

// The policies.
const (
	// None imports nothing but runs with one of Rules.Tags.
	None Policy = "None"
	// Active imports runs that are active or were first seen since the previous look, and keeps them for a while.
	Active Policy = "Active"
	// All imports every run, the newest first.
	All Policy = "All"
)

// Rules are the import settings of a project. Tags are compared by name as the dialect formats them.
type Rules struct {
	Policy Policy
	// Tags: runs that carry one of these are imported too, whatever their state, and kept while they do.
	Tags []string
	// WithoutTags: runs that carry one of these never are.
	WithoutTags []string
	// TTL is how long a run is kept after its end, under Active.
	TTL time.Duration
}

// Off says that nothing is imported.
func (r Rules) Off() bool { return r.Policy != Active && r.Policy != All && len(r.Tags) == 0 }

// Wants says whether a run qualifies for a TrainingRun now, and keeps the one it has. names are the tags on the run by
// name. Under Active one that has ended qualifies for some time: it was active at a look, or is first seen now.
func (r Rules) Wants(run backend.Run, names []string, now time.Time) bool {
	if carries(names, r.WithoutTags) {
		return false
	}
	if carries(names, r.Tags) {
		return true
	}
	switch r.Policy {
	case All:
		return true
	case Active:
		return run.State.Active() || r.fresh(run, now)
	case None:
	}
	return false
}

// fresh says whether a run ended less than the TTL ago.
func (r Rules) fresh(run backend.Run, now time.Time) bool { return now.Sub(ended(run)) < r.TTL }

// Until is when a run stops to qualify by time alone; zero where it does not.
func (r Rules) Until(run backend.Run, names []string) time.Time {
	if r.Policy != Active || run.State.Active() || carries(names, r.Tags) || carries(names, r.WithoutTags) {
		return time.Time{}
	}
	return ended(run).Add(r.TTL)
}

// ended is when a run that is not active ended, or the last that is known of it.
func ended(run backend.Run) time.Time {
	for _, at := range []time.Time{run.FinishedAt, run.HeartbeatAt} {
		if !at.IsZero() {
			return at
		}
	}
	return run.CreatedAt
}

func carries(names, some []string) bool {
	return slices.ContainsFunc(some, func(name string) bool { return slices.Contains(names, name) })
}
