package trainingrun

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trigger"
	"github.com/runtag/runtag/internal/backend/snapshot"
)

// resolveProject finds the TrackingProject and what is known of its tracker.
func (c *Controller) resolveProject(ctx context.Context, s *scope) (bool, error) {
	key := types.NamespacedName{Namespace: s.run.Namespace, Name: s.run.Spec.ProjectRef.Name}
	tracker, known := c.Registry.Find(key)
	project := &v1alpha1.TrackingProject{}
	switch err := c.Client.Get(ctx, key, project); {
	case err != nil && !apierrors.IsNotFound(err):
		return false, fmt.Errorf("get TrackingProject %s: %w", key, err)
	case err == nil:
		known = known && tracker.UID == project.UID
	case s.releasing && known && tracker.Queue() != nil: // deleted in the same sweep; its last good connection does it
	case s.releasing:
		return true, c.letGo(ctx, s, "its TrackingProject "+key.Name+" is gone")
	default:
		if done, err := c.orphaned(ctx, s, key); done || err != nil {
			return done, err
		}
		s.stop(waitingFor(v1alpha1.ReasonProjectNotReady, fmt.Sprintf(
			"there is no TrackingProject %s in namespace %s: create it, or make a TrainingRun with another spec.projectRef", key.Name, key.Namespace)))
		return true, nil
	}
	if !known { // the project's own controller has not seen it yet, and queues this object when it has
		s.waiting = true
		return true, nil
	}
	s.tracker, s.project = tracker, project
	return c.ready(s), nil
}

// ready says whether the pass ends here because the project's runs have not been looked for yet.
func (c *Controller) ready(s *scope) (done bool) {
	health := s.tracker.Health()
	switch {
	case s.tracker.Queue() != nil && (s.tracker.Primed() || s.releasing && s.usable()):
		return false
	case health.OK() || s.releasing: // the first look is under way
		s.waiting = true
	default:
		s.sitOut()
	}
	return true
}

// sitOut ends a pass that needs a tracker which can't be used. Only an object with work due says so.
func (s *scope) sitOut() {
	if s.idle() {
		s.waiting = true
		return
	}
	s.stop(fromHealth(s.tracker.Key.Name, s.tracker.Health()))
}

// idle says that nothing is due, as far as can be said without a look at the run: the status answers the spec.
func (s *scope) idle() bool {
	return s.run.Status.ObservedGeneration == s.run.Generation && s.run.Status.Run != nil
}

// findRun finds the run's id: in spec, in status where a runName was found before, or by that name now.
func (c *Controller) findRun(_ context.Context, s *scope) (bool, error) {
	if s.id = RunID(s.run); s.id != "" {
		return false, nil
	}
	name := s.run.Spec.RunName
	s.tracker.Snapshot.TrackName(name)
	runs, known := s.tracker.Snapshot.Named(name)
	if !known {
		c.readName(s, name)
		return true, nil
	}
	switch len(runs) {
	case 0:
		s.stop(waitingFor(v1alpha1.ReasonRunNotFound, fmt.Sprintf(
			"there is no run named %q in project %s yet; its tags land when it appears", name, s.tracker.Key.Name)))
		return true, nil
	case 1:
		s.id = runs[0].ID
		return false, nil
	}
	ids := make([]string, 0, len(runs))
	for _, r := range runs {
		ids = append(ids, r.ID)
	}
	s.stop(stalled(v1alpha1.ReasonAmbiguousRun, fmt.Sprintf(
		"%d runs of project %s are named %q (%s): make a TrainingRun with the spec.runID of the one you mean, or rename the others",
		len(runs), s.tracker.Key.Name, name, Shorten(strings.Join(ids, ", "), 200))))
	return true, nil
}

// RunID is the id of the run that a TrainingRun stands for; empty while its runName is not found.
func RunID(run *v1alpha1.TrainingRun) string {
	if run.Spec.RunID != "" {
		return run.Spec.RunID
	}
	if run.Status.Run != nil {
		return run.Status.Run.ID
	}
	return ""
}

// refuseDuplicate lets only one TrainingRun of a namespace stand for a run: one that a person made, then the older, then
// the one with the smaller UID. An imported one that nobody has touched gives way without a word.
func (c *Controller) refuseDuplicate(ctx context.Context, s *scope) (bool, error) {
	if s.releasing {
		return false, nil
	}
	same, err := OfRun(ctx, c.Client, s.run.Namespace, s.run.Spec.ProjectRef.Name, s.id)
	if err != nil {
		return false, err
	}
	for _, other := range same {
		if precedes(other, s.run) {
			if !Imported(other) && Untouched(s.run) { // the other one takes over what this one remembers, and then it goes
				s.waiting = true
				c.Runs.Enqueue(client.ObjectKeyFromObject(other), trigger.Periodic)
				return true, nil
			}
			s.stop(stalled(v1alpha1.ReasonDuplicateRun, fmt.Sprintf(
				"TrainingRun %s stands for run %s already: delete one of the two", other.Name, s.id)))
			if Imported(s.run) && s.run.Status.ObservedDeclarations != DeclarationsHash(s.run) {
				s.due(soon) // whether anybody touched it can be said when its status is written
			}
			return true, nil
		}
		if precedes(s.run, other) && !Imported(s.run) && Untouched(other) {
			s.giveWay = append(s.giveWay, other)
			continue
		}
		if ready := meta.FindStatusCondition(other.Status.Conditions, v1alpha1.ConditionReady); precedes(s.run, other) &&
			(ready == nil || ready.Reason != v1alpha1.ReasonDuplicateRun) { // it does not know yet: by name the run was found late
			s.displaced = append(s.displaced, client.ObjectKeyFromObject(other))
		}
	}
	return false, nil
}

// precedes says whether a stands for a run rather than b.
func precedes(a, b *v1alpha1.TrainingRun) bool {
	switch {
	case a.UID == b.UID || !a.DeletionTimestamp.IsZero():
		return false
	case Imported(a) != Imported(b):
		return Imported(b)
	case !a.CreationTimestamp.Equal(&b.CreationTimestamp):
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.UID < b.UID
}

// observe finds out what is on the run.
func (c *Controller) observe(ctx context.Context, s *scope) (bool, error) {
	s.tracker.Snapshot.TrackID(s.id)
	if known := KnownRun(s.run); known.UID != "" {
		s.tracker.Snapshot.Remember(known, int(attempts(s.run)))
	}
	s.view = s.tracker.Snapshot.Get(s.id)
	if c.needsRead(s) {
		c.readRun(s)
		return true, nil
	}
	switch {
	case s.view.Presence == snapshot.Present:
		s.begin()
		return false, nil
	case s.view.Presence == snapshot.Unknown && s.releasing: // and it can't be read now
		s.waiting = true
		return true, nil
	case s.view.Presence == snapshot.Unknown:
		s.sitOut()
		return true, nil
	}
	if !s.releasing && KnownRun(s.run).UID == "" {
		s.stop(waitingFor(v1alpha1.ReasonRunNotFound, fmt.Sprintf(
			"there is no run %s in project %s yet; its tags land when it appears", s.id, s.tracker.Key.Name)))
		return true, nil
	}
	return true, c.vanished(ctx, s)
}
