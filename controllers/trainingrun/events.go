package trainingrun

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/rules"
	"github.com/runtag/runtag/internal/tags"
)

// announce makes the events for a change that succeeded; the recorder folds repetitions into one.
func (c *Controller) announce(run *v1alpha1.TrainingRun, changes []v1alpha1.TagHistory) {
	var added, removed []string
	for _, change := range changes {
		if change.Change == v1alpha1.TagRemoved {
			removed = append(removed, change.Tag)
		} else {
			added = append(added, change.Tag)
		}
	}
	if len(added) > 0 {
		c.Recorder.Eventf(run, nil, corev1.EventTypeNormal, "TagsAdded", "Apply", "put %s on run %s", list(added), RunID(run))
	}
	if len(removed) > 0 {
		c.Recorder.Eventf(run, nil, corev1.EventTypeNormal, "TagsRemoved", "Apply", "took %s off run %s", list(removed), RunID(run))
	}
}

// announceGivenUp says that removed tags came back too often.
func (c *Controller) announceGivenUp(s *scope) {
	if len(s.planned.GivenUp) == 0 {
		return
	}
	c.Recorder.Eventf(s.run, nil, corev1.EventTypeWarning, "TagsCameBack", "Apply",
		"%s came back on run %s again and again and is left there now; put it into spec.excludeTags to keep it off", list(s.planned.GivenUp), s.id)
}

// announceRules says, once it is written down, which tags rules no longer set since a person took them off, and which of a
// rule's tags the tracker does not take.
func (c *Controller) announceRules(s *scope, before []v1alpha1.RuleTag) {
	for _, f := range s.facts.Facts {
		known := slices.ContainsFunc(before, func(b v1alpha1.RuleTag) bool {
			return b.Tag == f.Tag && b.State == v1alpha1.RuleTagState(f.State) && (b.Rule == f.Rule || f.State == rules.Overruled)
		})
		switch {
		case known:
		case f.State == rules.Overruled:
			c.Recorder.Eventf(s.run, nil, corev1.EventTypeNormal, "RuleOverruled", "Rules",
				"no rule sets tag %q on run %s any more, since it was taken off (%s did); declare it to end that", f.Tag, s.id, f.Rule)
		case f.State == rules.Held:
			for _, r := range s.planned.Rejected {
				if r.Name == f.Tag && r.Source == tags.Rule && r.Reason == tags.Invalid {
					c.Recorder.Eventf(s.run, nil, corev1.EventTypeWarning, "RuleTagInvalid", "Rules", "%s: %s", f.Rule, r.Message)
				}
			}
		}
	}
}
