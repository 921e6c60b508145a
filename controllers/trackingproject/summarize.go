package trackingproject

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trainingrun"
	"github.com/runtag/runtag/internal/backend/snapshot"
	"github.com/runtag/runtag/internal/kstatus"
)

const (
	// countEvery bounds how often counts alone are written.
	countEvery = time.Minute
	maxTags    = 100
	// lastRetry is the longest wait between two tries of a tracker that can't be used.
	lastRetry = time.Minute
)

// summarize turns what the pass found into the status.
func (c *Controller) summarize(s *scope) {
	st := &s.project.Status
	st.ObservedGeneration = s.project.Generation
	st.Backend, st.Project = describe(s.project)
	if s.tracker.Primed() && s.health.OK() && s.now.Sub(s.memory.countedAt) >= countEvery {
		s.count()
	}
	before := meta.FindStatusCondition(s.stored.Status.Conditions, v1alpha1.ConditionReady)
	now := s.state()
	kstatus.Set(&st.Conditions, s.project.Generation, now)
	if (now.Ready != metav1.ConditionTrue || now.Reason == v1alpha1.ReasonImportLimited) && (before == nil || before.Reason != now.Reason) {
		c.Recorder.Eventf(s.project, nil, corev1.EventTypeWarning, now.Reason, "Look", "%s", now.Message)
	}
}

// state is the one place that says which of the things that are wrong with a tracker is told.
func (s *scope) state() kstatus.State {
	switch {
	case !s.health.OK():
		return kstatus.State{
			Ready: metav1.ConditionFalse, Reason: s.health.Reason, Message: s.health.Message, Stalled: s.health.NeedsPerson(),
		}
	case s.missing > 0:
		message := fmt.Sprintf("%d of %d known runs are not found: many at once, or after a change of address or credential, so none "+
			"is called deleted. If they are really gone: kubectl annotate tproj %s -n %s --overwrite %s=%s",
			s.missing, len(s.runs), s.project.Name, s.project.Namespace, v1alpha1.AnnotationAcceptMissing, acceptToken(s.project))
		return kstatus.State{Ready: metav1.ConditionFalse, Reason: v1alpha1.ReasonRunsMissing, Message: message, Stalled: true}
	}
	reason, message := v1alpha1.ReasonLooking, "the tracker answers"
	if s.memory.slow > 0 {
		reason = v1alpha1.ReasonPollingSlow
		interval := s.project.Spec.Interval.Duration
		message = fmt.Sprintf("a look takes %s, longer than the interval of %s, so there is one every %s; raise spec.interval",
			s.memory.slow.Round(time.Second), interval, (s.memory.slow + interval).Round(time.Second))
	}
	if s.memory.limited != "" {
		reason, message = v1alpha1.ReasonImportLimited, s.memory.limited
	}
	for _, u := range s.project.Status.UniqueTags {
		if u.Blocked != "" {
			reason, message = v1alpha1.ReasonTagMoving, fmt.Sprintf("unique tag %q does not move: %s", u.Name, u.Blocked)
			break
		}
	}
	if notices := s.tracker.Backend().Notices(); len(notices) > 0 {
		message += "; " + strings.Join(notices, "; ")
	}
	return kstatus.State{Ready: metav1.ConditionTrue, Reason: reason, Message: message}
}

func describe(p *v1alpha1.TrackingProject) (kind, project string) {
	if w := p.Spec.Wandb; w != nil {
		return "wandb", w.Entity + "/" + w.Project
	}
	return "mlflow", trainingrun.Shorten(strings.Join(p.Spec.MLflow.Experiments, ","), 512)
}

// count writes the counts; they change all the time, so not more often than countEvery.
func (s *scope) count() {
	s.memory.countedAt = s.now
	st := &s.project.Status
	st.Runs, st.TrackedRuns, st.Pending, st.Tags = nil, int32(len(s.runs)), nil, nil //nolint:gosec // a list in memory
	if s.memory.runs >= 0 {
		runs := int32(s.memory.runs) //nolint:gosec // a tracker's own count
		st.Runs = &runs
	}
	var pending v1alpha1.PendingCounts
	counts := map[string]int32{}
	for i := range s.runs {
		if p := s.runs[i].Status.Pending; p != nil {
			pending.Runs++
			pending.Adds += int32(len(p.Add))       //nolint:gosec // bounded by the CRD
			pending.Removes += int32(len(p.Remove)) //nolint:gosec // bounded by the CRD
		}
	}
	for _, view := range s.tracker.Snapshot.All() {
		if view.Presence == snapshot.Present {
			for key, raw := range view.Run.Tags {
				counts[s.tracker.Backend().Dialect().FormatRaw(key, raw)]++
			}
		}
	}
	if pending.Runs > 0 {
		st.Pending = &pending
	}
	for name, count := range counts {
		if len([]rune(name)) <= 250 {
			st.Tags = append(st.Tags, v1alpha1.TagCount{Name: name, Count: count})
		}
	}
	slices.SortFunc(st.Tags, func(a, b v1alpha1.TagCount) int {
		return cmp.Or(-cmp.Compare(a.Count, b.Count), strings.Compare(a.Name, b.Name))
	})
	st.Tags = st.Tags[:min(len(st.Tags), maxTags)]
}

// next is the time from now, when the pass has ended, until the project has to be looked at again.
func (c *Controller) next(s *scope, now time.Time) time.Duration {
	if s.health.Reason == v1alpha1.ReasonSuspended {
		return 0
	}
	if !s.health.OK() {
		wait := time.Second
		for range s.memory.failures - 1 {
			wait = min(2*wait, lastRetry)
		}
		if until := s.health.Until.Sub(now); until > wait {
			wait = until
		}
		return c.Jitter(wait)
	}
	due := s.memory.activeAt
	if s.memory.fullAt.Before(due) {
		due = s.memory.fullAt
	}
	if !s.importDue.IsZero() && s.importDue.Before(due) {
		due = s.importDue
	}
	if !s.uniqueDue.IsZero() && s.uniqueDue.Before(due) {
		due = s.uniqueDue
	}
	if len(s.memory.waiting) > 0 {
		due = now
	}
	return max(due.Sub(now), time.Millisecond)
}
