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
	// Linked imports runs that a pod belongs to, and keeps them for a while after their end.
	Linked Policy = "Linked"
	// Active imports runs that are active or were first seen since the previous look, and keeps them for a while.
	Active Policy = "Active"
	// All imports every run, the newest first.
	All Policy = "All"
)

// StaleAfter is how long a run may be said to be active by a tracker that knows no sign of life.
const StaleAfter = 7 * 24 * time.Hour

// Rules are the import settings of a project. Tags are compared by name as the dialect formats them.
type Rules struct {
	Policy Policy
	// Tags: runs that carry one of these are imported too, whatever their state, and kept while they do.
	Tags []string
	// WithoutTags: runs that carry one of these never are.
	WithoutTags []string
	// TTL is how long a run is kept after its end, under Linked and Active.
	TTL time.Duration
	// Linked says whether a pod belongs to a run; it is asked only under the policy Linked.
	Linked func(backend.Run) bool
}

// Off says that nothing is imported.
func (r Rules) Off() bool {
	return r.Policy != Linked && r.Policy != Active && r.Policy != All && len(r.Tags) == 0
}

// Wants says whether a run qualifies for a TrainingRun now. names are the tags on the run by name. Under Linked and Active
// one that has ended qualifies for some time: it was active at a look, or is first seen now.
func (r Rules) Wants(run backend.Run, names []string, now time.Time) bool {
	// One that is said to run for ever was killed; who has a live pod is another matter.
	lost := run.HeartbeatAt.IsZero() && now.Sub(run.CreatedAt) >= StaleAfter
	switch {
	case carries(names, r.WithoutTags):
		return false
	case carries(names, r.Tags) || r.Policy == All:
		return true
	case r.Policy == Active:
		return run.State.Active() && !lost || r.fresh(run, now)
	case r.Policy == Linked:
		return (run.State.Active() || r.fresh(run, now)) && r.Linked(run)
	}
	return false
}

// Keeps says whether the TrainingRun of a run stays that was imported; stale says that the run counts as ended whatever
// the tracker says.
func (r Rules) Keeps(run backend.Run, names []string, stale bool, now time.Time) bool {
	switch {
	case carries(names, r.WithoutTags):
		return false
	case carries(names, r.Tags) || r.Policy == All:
		return true
	case r.Policy == Active || r.Policy == Linked:
		return run.State.Active() && !stale || r.fresh(run, now)
	}
	return false
}

// fresh says whether a run ended less than the TTL ago.
func (r Rules) fresh(run backend.Run, now time.Time) bool { return now.Sub(Ended(run)) < r.TTL }

// Until is when a run stops to be kept by time alone; zero where it does not.
func (r Rules) Until(run backend.Run, names []string) time.Time {
	if r.Policy != Active && r.Policy != Linked || run.State.Active() || carries(names, r.Tags) || carries(names, r.WithoutTags) {
		return time.Time{}
	}
	return Ended(run).Add(r.TTL)
}

// Ended is when a run that is not active ended, or the last that is known of it.
func Ended(run backend.Run) time.Time {
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
