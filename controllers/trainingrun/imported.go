package trainingrun

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/tags"
)

// Imported says that the operator made a TrainingRun of its own accord.
func Imported(run *v1alpha1.TrainingRun) bool { return run.Labels[mirror.Imported] == "true" }

// Untouched says that nobody has changed an imported TrainingRun since it was made: its spec, annotations and
// finalizers, or its labels, those for tags included. One with an edit that no pass has read yet is touched.
func Untouched(run *v1alpha1.TrainingRun) bool {
	if !Imported(run) || run.Generation != 1 || len(run.Annotations)+len(run.Finalizers)+len(run.OwnerReferences) > 0 ||
		!run.DeletionTimestamp.IsZero() || run.Status.ObservedDeclarations != DeclarationsHash(run) {
		return false
	}
	for _, t := range run.Status.Tags {
		if t.ByLabel {
			return false
		}
	}
	for key, value := range run.Labels {
		if key != mirror.Imported && !slices.Contains(identityKeys, key) && !mirror.MayBeOurs(key, value) {
			return false
		}
	}
	return true
}

// TakeAway deletes just the imported TrainingRun that was looked at: one that a person edits at this moment stays, which is
// a conflict.
func TakeAway(ctx context.Context, writer client.Writer, run *v1alpha1.TrainingRun) error {
	uid, version := run.UID, run.ResourceVersion
	err := writer.Delete(ctx, run.DeepCopy(), client.Preconditions{UID: &uid, ResourceVersion: &version})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("take away imported TrainingRun %s: %w", client.ObjectKeyFromObject(run), err)
	}
	return nil
}

// orphaned takes an untouched imported object away whose project is gone, also where that went while no operator ran.
func (c *Controller) orphaned(ctx context.Context, s *scope, project types.NamespacedName) (bool, error) {
	if !Untouched(s.run) {
		return false, nil
	}
	// A cache that does not know the project yet must not cost the objects.
	switch err := c.Live.Get(ctx, project, &v1alpha1.TrackingProject{}); {
	case err == nil:
		s.waiting = true
		return true, nil
	case !apierrors.IsNotFound(err):
		return false, fmt.Errorf("get TrackingProject %s: %w", project, err)
	}
	s.released = true
	return true, TakeAway(ctx, c.Client, s.run)
}

// inherit adds what the imported objects that give way to this one remember of the run: what they own, and what they
// took off lately.
func (s *scope) inherit(own tags.Record, runUID string) tags.Record {
	for _, other := range s.giveWay {
		theirs := record(&other.Status)
		if theirs.RunUID != runUID {
			continue
		}
		if own.RunUID != runUID {
			own = tags.Record{RunUID: runUID}
		}
		for _, a := range theirs.Applied {
			if !slices.ContainsFunc(own.Applied, func(o tags.Applied) bool { return o.Name == a.Name }) {
				own.Applied = append(own.Applied, a)
			}
		}
		for _, e := range theirs.Removed {
			if !slices.ContainsFunc(own.Removed, func(o tags.Removed) bool { return o.Name == e.Name }) {
				own.Removed = append(own.Removed, e)
			}
		}
	}
	return own
}

// replaceImported takes away the imported objects whose memory is in the stored status of this one now.
func (c *Controller) replaceImported(ctx context.Context, s *scope) error {
	if !s.hasPlan {
		return nil
	}
	for _, other := range s.giveWay {
		if err := TakeAway(ctx, c.Client, other); err != nil {
			return err
		}
	}
	return nil
}
