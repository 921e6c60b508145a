package tagchange

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trainingrun"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/bulk"
	"github.com/runtag/runtag/internal/tracking"
)

const (
	// askAgain is how often a project is asked that can't be used at present, and a turn that is not ours.
	askAgain = 5 * time.Second
)

// resolveProject finds the TrackingProject and its tracker, and waits while that can't be used.
func (c *Controller) resolveProject(ctx context.Context, s *scope) (bool, error) {
	key := types.NamespacedName{Namespace: s.change.Namespace, Name: s.change.Spec.ProjectRef.Name}
	s.project = &v1alpha1.TrackingProject{}
	if err := c.Client.Get(ctx, key, s.project); err != nil {
		if !apierrors.IsNotFound(err) {
			return false, fmt.Errorf("get TrackingProject %s: %w", key, err)
		}
		s.wait(v1alpha1.ReasonProjectNotReady, fmt.Sprintf("there is no TrackingProject %s in namespace %s: create it, or delete this TagChange", key.Name, key.Namespace), askAgain)
		return true, nil
	}
	tracker, known := c.Registry.Find(key)
	if !known || tracker.UID != s.project.UID || tracker.Queue() == nil || !tracker.Primed() && tracker.Health().OK() {
		s.wait(v1alpha1.ReasonProjectNotReady, fmt.Sprintf("TrackingProject %s is not connected yet", key.Name), time.Second)
		return true, nil
	}
	s.tracker = tracker
	if health := tracker.Health(); !health.OK() {
		s.waitForTracker(health)
		return true, nil
	}
	return false, nil
}

// waitForTracker says what is wrong with the tracker, and asks again when that may be over.
func (s *scope) waitForTracker(health tracking.Health) {
	after := askAgain
	if until := health.Until.Sub(s.now); until > after {
		after = until
	}
	s.wait(health.Reason, "TrackingProject "+s.project.Name+": "+health.Message, after)
}

// refuse ends what can never be done: tags that the tracker does not take, or that only a declaration may put on a run.
func (c *Controller) refuse(_ context.Context, s *scope) (bool, error) {
	d := s.tracker.Backend().Dialect()
	if err := bulk.Check(d, s.wanted()); err != nil {
		s.refused(v1alpha1.ReasonInvalidTags, "%s", err)
		return true, nil
	}
	unique := trainingrun.Canonical(d, s.project.Spec.UniqueTags)
	added := slices.Clone(s.change.Spec.Add)
	for _, r := range s.change.Spec.Rename {
		added = append(added, r.To)
	}
	for _, name := range trainingrun.Canonical(d, added) {
		if slices.Contains(unique, name) {
			s.refused(v1alpha1.ReasonUniqueTag,
				"tag %q is in uniqueTags of TrackingProject %s: declare it on the one TrainingRun that should have it", name, s.project.Name)
			return true, nil
		}
	}
	return false, nil
}

// takeTurn lets the TagChanges of a project go one after the other, in the order in which they were made.
func (c *Controller) takeTurn(ctx context.Context, s *scope) (bool, error) {
	if !s.change.Spec.Apply || s.isQuery() {
		return false, nil
	}
	var list v1alpha1.TagChangeList
	if err := c.Client.List(ctx, &list, client.InNamespace(s.change.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return false, fmt.Errorf("list TagChanges of namespace %s: %w", s.change.Namespace, err)
	}
	for i := range list.Items {
		other := &list.Items[i]
		if other.UID != s.change.UID && other.Spec.ProjectRef == s.change.Spec.ProjectRef && other.Spec.Apply && other.Status.FinishedAt == nil &&
			other.DeletionTimestamp.IsZero() && precedes(other, s.change) {
			s.wait(v1alpha1.ReasonWaitingForTurn, fmt.Sprintf("TagChange %s of the same project goes first", other.Name), askAgain)
			return true, nil
		}
	}
	return false, nil
}

// precedes says which of two TagChanges goes first: one that has begun, then the older.
func precedes(a, b *v1alpha1.TagChange) bool {
	switch begunA, begunB := a.Status.StartedAt != nil, b.Status.StartedAt != nil; {
	case begunA != begunB:
		return begunA
	case !a.CreationTimestamp.Equal(&b.CreationTimestamp):
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.UID < b.UID
}

// list lists the runs that are selected, and takes up what an earlier operator left.
func (c *Controller) list(ctx context.Context, s *scope) (bool, error) {
	if s.memory.listed {
		return false, nil
	}
	if s.change.Spec.UndoOf != nil {
		if done, err := c.listUndo(ctx, s); done || err != nil {
			return done, err
		}
		return false, c.resume(ctx, s)
	}
	runs, matched, err := s.selected(ctx)
	if err != nil {
		s.waitForTracker(tracking.HealthOf(err))
		return true, nil
	}
	if s.change.Status.StartedAt == nil && matched > int(s.change.Spec.MaxRuns) {
		s.change.Status.Matched = count(matched)
		s.refused(v1alpha1.ReasonTooManyRuns, "%d runs match, and spec.maxRuns is %d: nothing was done; select fewer, or make a TagChange with a larger maxRuns",
			matched, s.change.Spec.MaxRuns)
		return true, nil
	}
	s.memory.todo, s.memory.matched, s.memory.listed = runs, matched, true
	return false, c.resume(ctx, s)
}

// selected lists the runs that match, as far as they are allowed, and counts them all.
func (s *scope) selected(ctx context.Context) (runs []item, matched int, err error) {
	seen, query := map[string]bool{}, s.query()
	for pages := (backend.Pages{}); ; {
		page, err := s.tracker.Backend().List(backend.WithPriority(ctx, backend.PriorityFullLook), query, pages.Cursor())
		if err != nil {
			return nil, 0, err
		}
		for _, run := range page.Runs {
			if seen[run.ID] {
				continue // a page may shift while others are read
			}
			seen[run.ID] = true
			if matched++; matched <= int(s.change.Spec.MaxRuns) || s.change.Status.StartedAt != nil {
				runs = append(runs, item{run: run})
			}
		}
		if more, err := pages.Turn(page.Next); !more {
			return runs, matched, err
		}
	}
}

// query asks for what is selected.
func (s *scope) query() backend.Query {
	in := s.change.Spec.Select
	selection := backend.Selection{Tags: in.Tags, WithoutTags: in.WithoutTags, IDs: in.RunIDs, Groups: in.Groups}
	for _, state := range in.States {
		selection.States = append(selection.States, backend.State(state))
	}
	if in.CreatedAfter != nil {
		selection.CreatedAfter = s.tracker.ToServer(in.CreatedAfter.Time)
	}
	if in.CreatedBefore != nil {
		selection.CreatedBefore = s.tracker.ToServer(in.CreatedBefore.Time)
	}
	return backend.Query{Select: &selection}
}
