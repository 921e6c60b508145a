package trainingrun

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/tags"
)

// summarize turns what the phases found into the status.
func (c *Controller) summarize(s *scope) {
	if s.hasPlan {
		s.state = c.stateOf(s)
		c.fillTags(s)
		if !s.planned.HeldUntil.IsZero() {
			s.due(s.planned.HeldUntil.Sub(s.now))
		}
	}
	s.run.Status.ObservedGeneration = s.run.Generation
	s.run.Status.ObservedDeclarations = declarationsHash(s.run)
	setConditions(s.run, s.state)
}

// stateOf is the one place that says which of the things that keep a run from being as declared is told.
func (c *Controller) stateOf(s *scope) state {
	p := s.planned
	due := !p.Edit.Empty()
	if health := s.tracker.Health(); due && !s.usable() {
		return fromHealth(s.tracker.Key.Name, health)
	}
	if due && !s.canRetry() && len(s.memory.refused) == 0 {
		st := waitingFor(s.memory.failure.Reason, s.memory.failure.Message)
		st.stalled = s.memory.failure.NeedsPerson()
		return st
	}
	if due {
		return state{reason: v1alpha1.ReasonApplying, message: describe(p.Edit, s.input.Dialect), ready: metav1.ConditionUnknown}
	}
	for _, problem := range []func(*scope) (state, bool){unknownSources, invalidTags, conflicts, notAllowed, contested} {
		if st, ok := problem(s); ok {
			return st
		}
	}
	return state{reason: v1alpha1.ReasonSynced, message: synced(p), ready: metav1.ConditionTrue}
}

func unknownSources(s *scope) (state, bool) {
	if len(s.planned.Unknown) == 0 {
		return state{}, false
	}
	return stalled(v1alpha1.ReasonUnknownSource, fmt.Sprintf(
		"%s can't be read, so what it declared last stays declared: correct it", strings.Join(s.planned.Unknown, ", "))), true
}

func invalidTags(s *scope) (state, bool) {
	return rejected(s, tags.Invalid, v1alpha1.ReasonInvalidTags)
}

func conflicts(s *scope) (state, bool) {
	return rejected(s, tags.Conflict, v1alpha1.ReasonValueConflict)
}

func rejected(s *scope, reason tags.Reason, as string) (state, bool) {
	var messages []string
	for _, r := range s.planned.Rejected {
		if r.Reason == reason && (r.Source == tags.Spec || r.Source == tags.Label) {
			messages = append(messages, r.Message)
		}
	}
	if len(messages) == 0 {
		return state{}, false
	}
	return stalled(as, shorten(strings.Join(messages, "; "), 1000)), true
}

func notAllowed(s *scope) (state, bool) {
	held := s.planned.Pending.NotAllowed
	if len(held) == 0 {
		return state{}, false
	}
	return stalled(v1alpha1.ReasonNotAllowed, fmt.Sprintf(
		"%s declared and held back: the ceiling is %s (maxTagPolicy of TrackingProject %s, or the operator's --max-tag-policy); raise it, or undeclare %s",
		list(held), s.input.Ceiling, s.tracker.Key.Name, plural(len(held), "it", "them"))), true
}

func contested(s *scope) (state, bool) {
	if len(s.planned.Held) == 0 {
		return state{}, false
	}
	return waitingFor(v1alpha1.ReasonContested, fmt.Sprintf(
		"somebody changes %s back again and again (a training script that sends its whole list, most likely); next try at %s",
		list(s.planned.Held), s.planned.HeldUntil.UTC().Format("15:04:05Z"))), true
}

// synced says that all is well, and what a policy holds back by the object's own wish.
func synced(p tags.Plan) string {
	message := "the tags on the run are as declared"
	if adds, removes := len(p.Pending.Add), len(p.Pending.Remove); adds+removes > 0 {
		message = fmt.Sprintf("the policy holds back %d to add and %d to remove (status.pending)", adds, removes)
	}
	for _, r := range p.Rejected {
		if r.Reason == tags.Excluded {
			message += "; " + r.Message
		}
	}
	return shorten(message, 1000)
}

// setConditions writes the three conditions after kstatus: where Ready is not True, one of Reconciling and Stalled is;
// where it is, neither is there.
func setConditions(run *v1alpha1.TrainingRun, st state) {
	set := func(kind string, status metav1.ConditionStatus) {
		meta.SetStatusCondition(&run.Status.Conditions, metav1.Condition{
			Type: kind, Status: status, Reason: st.reason, Message: st.message, ObservedGeneration: run.Generation,
		})
	}
	set(v1alpha1.ConditionReady, st.ready)
	switch {
	case st.ready == metav1.ConditionTrue:
		meta.RemoveStatusCondition(&run.Status.Conditions, v1alpha1.ConditionReconciling)
		meta.RemoveStatusCondition(&run.Status.Conditions, v1alpha1.ConditionStalled)
	case st.stalled:
		set(v1alpha1.ConditionStalled, metav1.ConditionTrue)
		meta.RemoveStatusCondition(&run.Status.Conditions, v1alpha1.ConditionReconciling)
	default:
		set(v1alpha1.ConditionReconciling, metav1.ConditionTrue)
		meta.RemoveStatusCondition(&run.Status.Conditions, v1alpha1.ConditionStalled)
	}
}
