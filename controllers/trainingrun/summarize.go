package trainingrun

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/kstatus"
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
	s.run.Status.ObservedDeclarations = DeclarationsHash(s.run)
	kstatus.Set(&s.run.Status.Conditions, s.run.Generation, s.state)
	if linked := meta.FindStatusCondition(s.run.Status.Conditions, v1alpha1.ConditionLinked); linked != nil {
		linked.ObservedGeneration = s.run.Generation // no part of spec but podSelector bears on it, and that was heeded
	}
}

// stateOf is the one place that says which of the things that keep a run from being as declared is told.
func (c *Controller) stateOf(s *scope) kstatus.State {
	p := s.planned
	due := s.hasWork()
	if health := s.tracker.Health(); due && !s.usable() {
		return fromHealth(s.tracker.Key.Name, health)
	}
	// Till a try succeeds, the condition stays that of the last one: each try would cost two writes else.
	if due && s.memory.failures > 0 && len(s.memory.refused) == 0 {
		st := waitingFor(s.memory.failure.Reason, s.memory.failure.Message)
		st.Stalled = s.memory.failure.NeedsPerson()
		return st
	}
	if due {
		return kstatus.State{Reason: v1alpha1.ReasonApplying, Message: describe(p.Edit, s.input.Dialect), Ready: metav1.ConditionUnknown}
	}
	for _, problem := range []func(*scope) (kstatus.State, bool){uniqueTrouble, unknownSources, invalidTags, conflicts, notAllowed, contested} {
		if st, ok := problem(s); ok {
			return st
		}
	}
	return kstatus.State{Reason: v1alpha1.ReasonSynced, Message: synced(p), Ready: metav1.ConditionTrue}
}

func unknownSources(s *scope) (kstatus.State, bool) {
	unknown := s.planned.Unknown
	if min(s.input.Policy, s.input.Ceiling) < tags.Exclusive { // a rule that does not compile says so itself, and changes nothing here
		unknown = slices.DeleteFunc(slices.Clone(unknown), func(name string) bool { return slices.Contains(s.facts.Unknown, name) })
	}
	if len(unknown) == 0 {
		return kstatus.State{}, false
	}
	return stalled(v1alpha1.ReasonUnknownSource, fmt.Sprintf(
		"%s can't be read, so what it declared last stays declared: correct it", strings.Join(unknown, ", "))), true
}

func invalidTags(s *scope) (kstatus.State, bool) {
	st, ok := rejected(s, tags.Invalid, v1alpha1.ReasonInvalidTags)
	if len(s.reading.Invalid) > 0 {
		messages := s.reading.Invalid
		if ok {
			messages = append([]string{st.Message}, messages...)
		}
		return stalled(v1alpha1.ReasonInvalidTags, Shorten(strings.Join(messages, "; "), 1000)), true
	}
	return st, ok
}

func conflicts(s *scope) (kstatus.State, bool) {
	return rejected(s, tags.Conflict, v1alpha1.ReasonValueConflict)
}

func rejected(s *scope, reason tags.Reason, as string) (kstatus.State, bool) {
	var messages []string
	for _, r := range s.planned.Rejected {
		if r.Reason == reason && (r.Source == tags.Spec || r.Source == tags.Label) {
			messages = append(messages, r.Message)
		}
	}
	if len(messages) == 0 {
		return kstatus.State{}, false
	}
	return stalled(as, Shorten(strings.Join(messages, "; "), 1000)), true
}

func notAllowed(s *scope) (kstatus.State, bool) {
	held := s.planned.Pending.NotAllowed
	if len(held) == 0 {
		return kstatus.State{}, false
	}
	return stalled(v1alpha1.ReasonNotAllowed, fmt.Sprintf(
		"%s declared and held back: the ceiling is %s (maxTagPolicy of TrackingProject %s, or the operator's --max-tag-policy); raise it, or undeclare %s",
		list(held), s.input.Ceiling, s.tracker.Key.Name, plural(len(held), "it", "them"))), true
}

func contested(s *scope) (kstatus.State, bool) {
	held := slices.DeleteFunc(slices.Clone(s.planned.Held), func(name string) bool {
		return slices.ContainsFunc(s.planned.Entries, func(e tags.Entry) bool { return e.Name == name && e.Source == tags.Rule })
	})
	if len(held) == 0 {
		return kstatus.State{}, false
	}
	return waitingFor(v1alpha1.ReasonContested, fmt.Sprintf(
		"somebody changes %s back again and again (a training script that sends its whole list, most likely); next try at %s",
		list(held), s.planned.HeldUntil.UTC().Format("15:04:05Z"))), true
}

// synced says that all is well, and what a policy holds back by the object's own wish.
func synced(p tags.Plan) string {
	message := "the tags on the run are as declared"
	if adds, removes := len(p.Pending.Add), len(p.Pending.Remove); adds+removes > 0 {
		message = fmt.Sprintf("the policy holds back %d to add and %d to remove (status.pending)", adds, removes)
	}
	for _, r := range p.Rejected {
		if r.Reason == tags.Excluded && r.Source != tags.Rule {
			message += "; " + r.Message
		}
	}
	return Shorten(message, 1000)
}
