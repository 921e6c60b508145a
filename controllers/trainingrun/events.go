package trainingrun

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/runtag/runtag/api/v1alpha1"
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
