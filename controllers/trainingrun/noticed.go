package trainingrun

import (
	"slices"
	"time"

	"github.com/runtag/runtag/controllers/trigger"
	"github.com/runtag/runtag/internal/evidence"
)

// gatherFor is how long the starts and ends of pods are gathered, so that those of one job make one pass.
const gatherFor = time.Second

// Noticed queues the TrainingRuns that a change of pods, of a node or of a Workload concerns: at once where it may be a
// disruption, and a moment later otherwise. It is called by whoever sees the change, and does not wait.
func (c *Controller) Noticed(change evidence.Change) {
	now, after := c.Clock.Now(), gatherFor
	if change.Urgent {
		after = 0
	}
	seen := slices.DeleteFunc(slices.Concat(change.Pods, change.Before), func(p *evidence.Pod) bool { return p == nil })
	for _, run := range c.Bound.RunsOf(seen...) {
		c.Happened(run.Object, now)
		c.Runs.EnqueueAfter(run.Object, trigger.Evidence, after)
	}
}
