package trainingrun

import (
	"testing"
	"time"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
)

func TestATrackerThatContradictsItselfIsNotAskedInALoop(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := &memory{}
	s := &scope{run: &v1alpha1.TrainingRun{}, memory: m}
	missed := outcome{sent: "1", at: now, result: backend.Result{Err: &backend.Error{Kind: backend.NotFound}}}
	read, changed := outcome{at: now}, outcome{sent: "1", at: now}
	for n, step := range []struct {
		reason string
		what   outcome
		wait   time.Duration
	}{
		{"a run that a change does not find is read at once", missed, 0},
		{"and may have been found", read, 0},
		{"the next change does not find it again", missed, firstRetry},
		{"a read finds it", read, 0},
		{"and so on", missed, 2 * firstRetry},
		{"until a change does find it", changed, 0},
		{"which ends it", missed, 0},
	} {
		s.take([]outcome{step.what})
		if wait := max(0, m.retryAt.Sub(now)); wait != step.wait {
			t.Errorf("step %d, %s: the next try is after %s, want %s", n, step.reason, wait, step.wait)
		}
	}
}
