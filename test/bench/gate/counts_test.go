package gate_test

import (
	"fmt"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/controllers/controllerstest"
)

const (
	// runs is more than one batch.
	runs = 150
	// perBatch is how many runs one request to W&B reads or writes.
	perBatch = 100
	// mostWrites to the API server for a TrainingRun that is new, and for one whose label was edited.
	mostWrites = 3
	// period and fullPeriod are the intervals of a project with their jitter.
	period, fullPeriod = 32 * time.Second, 11 * time.Minute
)

// TestCounts follows some hundred TrainingRuns: they are made, labelled, left alone, and their labels are taken off.
func TestCounts(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	h := controllerstest.Start(t, "../../../config").New(t.Context(), t, controllerstest.Options{Unchecked: true})
	t.Cleanup(h.Close)
	var all []client.Object
	for i := range runs {
		id := fmt.Sprintf("r%03d", i)
		h.AddRun(id, "nightly")
		all = append(all, h.NewRun(id))
	}
	h.ExpectApplied(h.NewProject())
	h.Settle()

	batches := (runs + perBatch - 1) / perBatch
	made := h.During(func() { h.ExpectApplied(all...); h.Settle() })
	expectAtMost(t, "requests to look for the runs of new TrainingRuns", requests(made), batches)
	expectWrites(t, "a new TrainingRun", made, mostWrites)

	label := func(value *string) controllerstest.Activity {
		return h.During(func() {
			for _, o := range all {
				h.Refresh(o)
				labels := o.GetLabels()
				if value == nil {
					delete(labels, "tag.runtag.dev/x")
				} else {
					labels["tag.runtag.dev/x"] = *value
				}
				o.SetLabels(labels)
			}
			h.ExpectApplied(all...)
			h.Settle()
		})
	}
	empty := ""
	on := label(&empty)
	expectAtMost(t, "requests for a label that is put on all", requests(on), 2*batches)
	expectWrites(t, "a label that is put on", on, mostWrites)
	off := label(nil)
	expectAtMost(t, "requests for a label that is taken off all", requests(off), 2*batches)
	expectWrites(t, "a label that is taken off", off, mostWrites)

	h.Step(3 * period) // until counts are written
	idle := h.During(func() { h.Step(period) })
	expectAtMost(t, "requests per interval where no run is active", requests(idle), 2)
	expectAtMost(t, "writes per interval where nothing happens", len(idle.Writes), 0)
	full := h.During(func() { h.Step(fullPeriod) })
	const intervals = int(fullPeriod/(30*time.Second)) + 1
	expectAtMost(t, "lists and reads in a full interval", full.Requests[controllerstest.OpList], intervals+2*(batches+1))
	expectAtMost(t, "checks of access in a full interval", full.Requests[controllerstest.OpCheck], 2)
	expectAtMost(t, "writes in a full interval where nothing happens", len(full.Writes), 0)
}

func requests(a controllerstest.Activity) (n int) {
	for _, count := range a.Requests {
		n += count
	}
	return n
}

// expectWrites counts the writes of each TrainingRun.
func expectWrites(t *testing.T, what string, a controllerstest.Activity, most int) {
	t.Helper()
	writes, worst := map[string]int{}, 0
	for _, w := range a.Writes {
		if w.Kind == "TrainingRun" {
			writes[w.Key.Name]++
			worst = max(worst, writes[w.Key.Name])
		}
	}
	if len(writes) != runs {
		t.Errorf("%s: %d TrainingRuns were written, want %d", what, len(writes), runs)
	}
	expectAtMost(t, "writes for "+what, worst, most)
}

func expectAtMost(t *testing.T, what string, got, most int) {
	t.Helper()
	t.Logf("%s: %d, at most %d", what, got, most)
	if got > most {
		t.Errorf("%s: %d, want at most %d", what, got, most)
	}
}
