package trainingrun

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trigger"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/binding"
	"github.com/runtag/runtag/internal/importing"
	"github.com/runtag/runtag/internal/ruleinput"
	"github.com/runtag/runtag/internal/tracking"
)

const (
	// maxPods is how many links a status keeps; those of pods that are only part of a gang go first.
	maxPods = 20
	// linkedWithin is how long an active run may be without a pod before that is said.
	linkedWithin = 2 * time.Minute
	// staleAfter is how long an MLflow run may be said to be running without a pod, and without a change, before it is
	// looked at as ended: its process was killed, and nobody told the server.
	staleAfter = 7 * 24 * time.Hour
	// podsEvery is how often links alone are written, so that the pods of a large job do not make a write each.
	podsEvery = 10 * time.Second
)

// findPods finds out which pods belong to the run.
func (c *Controller) findPods(_ context.Context, s *scope) (bool, error) {
	if s.releasing || !c.Synced() {
		return false, nil
	}
	run, err := s.bindable()
	if err != nil {
		return false, err
	}
	c.Bound.Set(run) // before pods are looked up, so that none slips through that is seen meanwhile
	found := binding.Links(run, c.Evidence, c.Bound.Others, s.now)
	run.Known = found.Links
	c.Bound.Set(run)
	s.linked, s.links = true, found.Links
	c.tellNeighbours(s)
	s.run.Status.Pods = podLinks(found.Links)
	s.sayLinked(found)
	s.noteStale()
	return false, nil
}

// tellNeighbours queues the other runs of pods that turn out to be this run's too: what happens to such a pod from now on
// may be no longer theirs.
func (c *Controller) tellNeighbours(s *scope) {
	for _, link := range s.links {
		if slices.ContainsFunc(s.stored.Status.Pods, func(p v1alpha1.PodLink) bool { return p.UID == string(link.Pod) }) || link.By == binding.ByGang {
			continue
		}
		if s.memory.links[link.Pod] {
			continue
		}
		if s.memory.links == nil {
			s.memory.links = map[types.UID]bool{}
		}
		s.memory.links[link.Pod] = true
		for _, other := range c.Bound.Others(link.Pod) {
			if other.Object != s.key() {
				c.Runs.Enqueue(other.Object, trigger.Periodic)
			}
		}
	}
}

// bindable is the run as linking sees it.
func (s *scope) bindable() (binding.Run, error) {
	r := s.view.Run
	run := Bindable(s.project, s.tracker, r)
	run.Object = s.key()
	if s.memory.attempt != 0 && s.memory.attempt != s.view.Attempt {
		s.memory.attemptAt = s.now
	}
	s.memory.attempt = s.view.Attempt
	run.AttemptAt = s.memory.attemptAt
	if s.run.Spec.PodSelector != nil {
		selector, err := metav1.LabelSelectorAsSelector(s.run.Spec.PodSelector)
		if err != nil {
			return run, fmt.Errorf("read spec.podSelector of TrainingRun %s: %w", s.key(), err)
		}
		run.Selector = selector
	}
	if known := s.stored.Status.Run; known != nil && known.UID == r.UID {
		run.Known = ruleinput.KnownLinks(s.stored.Status.Pods)
	}
	return run, nil
}

// Bindable is a run of a project as linking sees it, without what only its TrainingRun knows.
func Bindable(project *v1alpha1.TrackingProject, tracker *tracking.Project, run backend.Run) binding.Run {
	b := binding.Run{
		ID: run.ID, UID: run.UID, Parent: run.Parent, Host: run.Host, PodUID: types.UID(run.PodUID),
		CreatedAt: tracker.ToLocal(run.CreatedAt), HeartbeatAt: tracker.ToLocal(run.HeartbeatAt),
		Active: run.State.Active(), Done: run.State == backend.StateFinished || run.State == backend.StateFailed,
	}
	b.Object.Namespace = project.Namespace
	if b.Done {
		b.EndedAt = tracker.ToLocal(importing.Ended(run))
	}
	ruleinput.Locate(&b, project)
	return b
}

// podLinks are the links as a status shows them, newest first.
func podLinks(links []binding.Link) []v1alpha1.PodLink {
	if len(links) > maxPods {
		direct := slices.DeleteFunc(slices.Clone(links), func(l binding.Link) bool { return l.By == binding.ByGang })
		gang := slices.DeleteFunc(slices.Clone(links), func(l binding.Link) bool { return l.By != binding.ByGang })
		links = append(direct, gang...)[:maxPods]
	}
	pods := make([]v1alpha1.PodLink, 0, len(links))
	for _, l := range links {
		p := v1alpha1.PodLink{Name: l.Name, UID: string(l.Pod), Node: l.Node, BoundBy: string(l.By), From: wholeSeconds(l.From)}
		if !l.Until.IsZero() {
			until := wholeSeconds(l.Until)
			p.Until = &until
		}
		pods = append(pods, p)
	}
	return pods
}

func wholeSeconds(t time.Time) metav1.Time { return metav1.NewTime(t.UTC().Truncate(time.Second)) }

// sayLinked says whether pods are known, and of an active run without one how to get one.
func (s *scope) sayLinked(found binding.Found) {
	condition := metav1.Condition{Type: v1alpha1.ConditionLinked, ObservedGeneration: s.run.Generation}
	active := backend.State(s.run.Status.Run.State).Active()
	switch {
	case s.hasLivePod() || len(found.Links) > 0 && !active:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionTrue, v1alpha1.ReasonPodsFound, "status.pods lists the pods of the run"
	case !active: // and none will come
		return
	case len(found.Ambiguous) > 0:
		condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonAmbiguousPods
		condition.Message = fmt.Sprintf("the run's host is the hostname of several pods (%s), so none of them is linked; name the run in the pod: %s",
			Shorten(strings.Join(found.Ambiguous, ", "), 200), waysToLink)
	default:
		if left := s.unlinkedSince().Add(linkedWithin).Sub(s.now); left > 0 {
			s.due(left)
			return
		}
		condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonNoPods
		condition.Message = "no pod of this namespace is known to belong to the run, so rules over pods and nodes say nothing of it. " +
			"If it runs in one: " + waysToLink
	}
	meta.SetStatusCondition(&s.run.Status.Conditions, condition)
}

const waysToLink = "set WANDB_HOST=$(POD_NAME) or WANDB_RUN_ID (W&B), or MLFLOW_RUN_CONTEXT (MLflow) in its container, " +
	"annotate the pod with tracking.runtag.dev/run: <this object's name>, or set spec.podSelector; docs/linking.md shows each"

func (s *scope) hasLivePod() bool {
	return slices.ContainsFunc(s.links, func(l binding.Link) bool { return l.Until.IsZero() })
}

// unlinkedSince is since when an active run has been without a pod, as far as we can know.
func (s *scope) unlinkedSince() time.Time {
	since := s.run.CreationTimestamp.Time
	if at := s.run.Status.Run.CreatedAt; at != nil && at.After(since) {
		since = at.Time
	}
	return s.afterLinks(since)
}

// afterLinks is the time, or when the last pod of the run ended if that was later.
func (s *scope) afterLinks(since time.Time) time.Time {
	for _, l := range s.links {
		if l.Until.After(since) {
			since = l.Until
		}
	}
	return since
}

// noteStale finds out whether the run is said to be running although nothing has been heard of it for long.
func (s *scope) noteStale() {
	run := s.run.Status.Run
	if s.project.Spec.MLflow == nil || !backend.State(run.State).Active() || s.hasLivePod() || run.CreatedAt == nil {
		return
	}
	since := s.unlinkedSinceCreated()
	if left := since.Add(staleAfter).Sub(s.now); left > 0 {
		s.due(left)
		return
	}
	run.Stale = true
}

// unlinkedSinceCreated is when the run was heard of last: it was made, a pod of it ended, or somebody changed its tags.
func (s *scope) unlinkedSinceCreated() time.Time {
	since := s.afterLinks(s.run.Status.Run.CreatedAt.Time)
	for _, h := range s.stored.Status.History {
		if h.Source == v1alpha1.TagSourceRun && h.Time.After(since) {
			since = h.Time.Time
		}
	}
	return since
}
