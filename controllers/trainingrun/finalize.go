package trainingrun

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/runtag/runtag/api/v1alpha1"
)

// How long the removal of tags is tried before a deleted object is let go: nothing blocks for ever. It counts from the
// first pass that saw the object deleted, so that one which was deleted while no operator ran is not let go untried.
const (
	letGoAfter            = 5 * time.Minute
	letGoAfterTerminating = 30 * time.Second
)

// finalize keeps the finalizer as deletionPolicy wants it, and decides whether a deleted object has tags to take off.
func (c *Controller) finalize(ctx context.Context, s *scope) (bool, error) {
	wanted := s.run.Spec.DeletionPolicy == v1alpha1.DeletionPolicyRemoveTags
	has := controllerutil.ContainsFinalizer(s.run, v1alpha1.Finalizer)
	switch {
	case s.run.DeletionTimestamp.IsZero() && has == wanted:
		return false, nil
	case s.run.DeletionTimestamp.IsZero():
		return false, c.setFinalizer(ctx, s, wanted)
	case !has:
		s.released = true
		return true, nil
	case !wanted || len(s.run.Status.AppliedTags)+len(s.run.Status.RemovedTags) == 0:
		return true, c.release(ctx, s)
	}
	s.releasing = true
	if s.memory.releasingSince.IsZero() {
		s.memory.releasingSince = s.now
	}
	deadline, err := c.deadline(ctx, s)
	if err != nil {
		return false, err
	}
	if left := deadline.Sub(s.now); left > 0 {
		s.due(left)
		return false, nil
	}
	return true, c.letGo(ctx, s, "the tracker could not be reached in time")
}

// deadline is when the removal is given up.
func (c *Controller) deadline(ctx context.Context, s *scope) (time.Time, error) {
	var namespace corev1.Namespace
	if err := c.Live.Get(ctx, types.NamespacedName{Name: s.run.Namespace}, &namespace); err != nil && !apierrors.IsNotFound(err) {
		return time.Time{}, fmt.Errorf("get namespace %s: %w", s.run.Namespace, err)
	}
	if !namespace.DeletionTimestamp.IsZero() {
		return s.memory.releasingSince.Add(letGoAfterTerminating), nil
	}
	return s.memory.releasingSince.Add(letGoAfter), nil
}

// letGo releases an object whose tags could not be taken off, and says so.
func (c *Controller) letGo(ctx context.Context, s *scope, why string) error {
	left := len(s.run.Status.AppliedTags)
	for _, e := range s.run.Status.RemovedTags { // where the removal was tried
		if !e.Gone {
			left++
		}
	}
	note := fmt.Sprintf("deleted without taking %d tags off run %s: %s; take them off on the tracker if they should go", left, RunID(s.run), why)
	log.FromContext(ctx).Info(note)
	c.Recorder.Eventf(s.run, nil, corev1.EventTypeWarning, "TagsLeft", "Delete", "%s", note)
	return c.release(ctx, s)
}

// release takes the finalizer off, so that the object goes.
func (c *Controller) release(ctx context.Context, s *scope) error {
	s.released = true
	return c.setFinalizer(ctx, s, false)
}

// setFinalizer patches the finalizer alone, with resourceVersion, and keeps what the pass has put into the status.
func (c *Controller) setFinalizer(ctx context.Context, s *scope, wanted bool) error {
	before := s.run.DeepCopy()
	if wanted {
		controllerutil.AddFinalizer(s.run, v1alpha1.Finalizer)
	} else {
		controllerutil.RemoveFinalizer(s.run, v1alpha1.Finalizer)
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := c.Client.Patch(ctx, s.run, patch); err != nil {
		return fmt.Errorf("set finalizer of TrainingRun %s: %w", s.key(), err)
	}
	s.stored = s.run.DeepCopy()
	return nil
}
