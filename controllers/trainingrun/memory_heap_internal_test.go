package trainingrun

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/tagrule"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/rules"
	"github.com/runtag/runtag/internal/tags"
)

// mostRemembered is in bytes. With what test/bench/gate allows for the rest, a TrainingRun takes 6 KiB at most.
const mostRemembered = 1 << 10

// TestWhatIsRememberedIsSmall keeps what passes leave of an idle TrainingRun, whose three tags were written, and which three
// rules do not match.
func TestWhatIsRememberedIsSmall(t *testing.T) {
	const n = 2_000
	c, now := New(Options{}), time.Unix(1_800_000_000, 0)
	three := []*tagrule.Rule{{UID: "a"}, {UID: "b"}, {UID: "c"}}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range n {
		name := fmt.Sprintf("run-%06d", i)
		m, _ := c.recall(types.NamespacedName{Namespace: "team", Name: name}, types.UID(name))
		s := &scope{run: &v1alpha1.TrainingRun{Status: v1alpha1.TrainingRunStatus{Run: &v1alpha1.RunStatus{Attempts: 1}}}, memory: m}
		edit := tags.Edit{Set: tags.Set{"baseline": "", "sweep.7": "", "v2.1": ""}}
		m.sent, m.unsettled, m.edit = "1", true, edit
		s.take([]outcome{{sent: "1", at: now, result: backend.Result{Edit: edit, Sent: true}}})
		for _, rule := range three {
			m.verdicts.of = append(m.verdicts.of, verdict{rule, plain(&rules.Verdict{Outcome: rules.NoInput, Why: fmt.Sprintf("rule %s was shown no pods", rule.UID)})})
		}
		m.attempt, m.podsAt = 1, now
	}
	each := (float64(heap()) - float64(before)) / n
	runtime.KeepAlive(c)
	t.Logf("%.0f bytes for each", each)
	if each > mostRemembered {
		t.Errorf("what is remembered of a TrainingRun takes %.0f bytes, want at most %d", each, mostRemembered)
	}
}
