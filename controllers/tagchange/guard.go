package tagchange

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trainingrun"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/bulk"
	"github.com/runtag/runtag/internal/tags"
)

// planOne says what is changed of one run, and counts what is left alone, and why.
func (c *Controller) planOne(ctx context.Context, s *scope, run backend.Run) (tags.Edit, error) {
	guard, err := c.guard(ctx, s, run)
	if err != nil {
		return tags.Edit{}, err
	}
	outcome := bulk.Plan(s.tracker.Backend().Dialect(), run.Tags, s.wanted(), guard)
	told := map[bulk.Reason]bool{}
	for _, skip := range outcome.Skipped {
		if !told[skip.Reason] {
			told[skip.Reason] = true
			s.skip(string(skip.Reason), skip.Reason.Sentence(), run.ID)
		}
	}
	return outcome.Edit, nil
}

// guard gathers what the TrainingRuns of a run, in whatever namespace, forbid.
func (c *Controller) guard(ctx context.Context, s *scope, run backend.Run) (bulk.Guard, error) {
	d := s.tracker.Backend().Dialect()
	g := bulk.Guard{Declared: map[string]bool{}, Policy: min(s.tracker.Ceiling(), c.Ceiling)}
	for _, name := range trainingrun.Canonical(d, s.project.Spec.UniqueTags) { // only the project itself moves these
		g.Declared[name] = true
		g.Excluded = append(g.Excluded, name)
	}
	objects, err := c.trainingRuns(ctx, s, run)
	if err != nil {
		return g, err
	}
	for _, object := range objects {
		g.Tracked = true
		policy := min(trainingrun.Policy(object.Spec.TagPolicy), s.tracker.Ceiling(), c.Ceiling)
		g.Policy = min(g.Policy, policy)
		g.Exclusive = g.Exclusive || policy == tags.Exclusive
		g.Excluded = append(g.Excluded, object.Spec.ExcludeTags...)
		for _, name := range trainingrun.Canonical(d, object.Spec.Tags) {
			g.Declared[name] = true
		}
		for _, t := range object.Status.Tags {
			if t.Source != v1alpha1.TagSourceRun {
				g.Declared[t.Name] = true
			}
		}
	}
	return g, nil
}

// trainingRuns are those of a run: in this namespace, and those in others that know its incarnation. They are shared with
// the cache.
func (c *Controller) trainingRuns(ctx context.Context, s *scope, run backend.Run) ([]*v1alpha1.TrainingRun, error) {
	found, err := trainingrun.OfRunAnywhere(ctx, c.Client, s.change.Namespace, s.project.Name, run.ID, run)
	return slices.DeleteFunc(found, func(o *v1alpha1.TrainingRun) bool { return !o.DeletionTimestamp.IsZero() }), err
}

// noteRemovals writes into the TrainingRuns of a run what is taken off it, so that an SDK that sends its old list does not
// bring it back, and takes out what is put on.
func (c *Controller) noteRemovals(ctx context.Context, s *scope, run backend.Run, entry bulk.Entry) ([]types.NamespacedName, error) {
	objects, err := c.trainingRuns(ctx, s, run)
	if err != nil {
		return nil, err
	}
	d, on := s.tracker.Backend().Dialect(), tags.Set{}
	for key, value := range entry.Before {
		if value != nil {
			on[key] = *value
		}
	}
	var keys []types.NamespacedName
	for _, object := range objects {
		keys = append(keys, client.ObjectKeyFromObject(object))
		if object.Status.Run == nil || object.Status.Run.UID != run.UID {
			continue
		}
		before := object.DeepCopy()
		changed := before.DeepCopy()
		if !trainingrun.NoteRemovals(&changed.Status, d, on, entry.Edit(), s.now) {
			continue
		}
		patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
		if err := c.Client.Status().Patch(ctx, changed, patch); err != nil {
			return nil, fmt.Errorf("note in TrainingRun %s what TagChange %s takes off: %w", client.ObjectKeyFromObject(object), s.key(), err)
		}
	}
	return keys, nil
}
