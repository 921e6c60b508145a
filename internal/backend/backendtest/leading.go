package backendtest

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

// testNotLeading has the process lose the right to write after a change was read and decided, which is the last moment.
func testNotLeading(t *testing.T, h Harness) {
	var left atomic.Int64
	f := open(t, h, Options{WriteTime: func() time.Duration { return time.Duration(left.Load()) }})
	runs := []backend.Run{f.create(NewRun{}), f.create(NewRun{Tags: f.bare("foreign")})}
	change := func(leftThen time.Duration) []backend.Change {
		var changes []backend.Change
		for _, run := range runs {
			changes = append(changes, backend.Change{Run: run, Decide: func(backend.Run) (tags.Edit, error) {
				left.Store(int64(leftThen))
				return tags.Edit{Set: f.bare("ours", "ours-too"), Remove: []string{"foreign"}}, nil
			}})
		}
		return changes
	}

	left.Store(int64(time.Minute))
	results, err := f.client.Change(t.Context(), change(0))
	if err == nil { // of a batch that is not said to fail as a whole, each result says it
		for _, r := range results {
			f.wantKind(r.Err, "nothing is written by a process that may not", backend.NotLeading)
			if r.Sent {
				t.Error("what was not sent is not called sent")
			}
		}
	} else {
		f.wantKind(err, "nothing is written by a process that may not", backend.NotLeading)
	}
	if writes := f.proxy.Requests(f.traits.Write); len(writes) > 0 {
		t.Errorf("%d writes were sent by a process that may not write", len(writes))
	}
	f.want(runs[1].ID, f.bare("foreign"), "nothing changes")
	f.list(backend.Query{IDs: []string{runs[0].ID}})

	for _, r := range f.change(change(time.Minute)...) {
		if r.Err != nil {
			t.Errorf("it is done once the process may write: %v", r.Err)
		}
	}
	for _, run := range runs {
		f.want(run.ID, f.bare("ours", "ours-too"), "it is done once the process may write")
	}
}
