package backend

import (
	"slices"
	"time"

	"github.com/runtag/runtag/internal/tags"
)

// Selection says which runs are meant. All that it says must be true of a run; what is empty says nothing, so that the
// zero Selection means every run.
type Selection struct {
	// Tags are all on the run, and none of WithoutTags is; see Carries.
	Tags, WithoutTags []string
	// States are those of which the run has one.
	States []State
	// IDs are those of which the run has one. There may be more of them than Limits.Read.
	IDs []string
	// Groups are those of which the run is in one. Where a tracker has no groups, as MLflow, no run is in any.
	Groups []string
	// The run was made after CreatedAfter and before CreatedBefore, at neither of them. A run of which the tracker does
	// not tell when it was made is neither after nor before.
	CreatedAfter, CreatedBefore time.Time
}

// Matches says whether a run is meant. It is what a list comes down to, however much of it the tracker filters itself.
func (s Selection) Matches(d tags.Dialect, run Run) bool {
	lacks := func(name string) bool { return !Carries(d, run.Tags, name) }
	switch {
	case slices.ContainsFunc(s.Tags, lacks), Carries(d, run.Tags, s.WithoutTags...):
		return false
	case len(s.States) > 0 && !slices.Contains(s.States, run.State):
		return false
	case len(s.IDs) > 0 && !slices.Contains(s.IDs, run.ID):
		return false
	case len(s.Groups) > 0 && (run.Group == "" || !slices.Contains(s.Groups, run.Group)):
		return false
	case !s.CreatedAfter.IsZero() && !run.CreatedAt.After(s.CreatedAfter):
		return false
	}
	return s.CreatedBefore.IsZero() || !run.CreatedAt.IsZero() && run.CreatedAt.Before(s.CreatedBefore)
}
