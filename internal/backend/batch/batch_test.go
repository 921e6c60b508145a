package batch_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/batch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a batcher until the test ends. What was queued before it runs is gathered for sure.
func start(t *testing.T, b *batch.Batcher) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := b.Run(ctx); err != nil {
			t.Errorf("Run gave an error: %v", err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// queue queues one change for each id and gives a function that waits for all results, by id.
func queue(b *batch.Batcher, priority backend.Priority, state backend.State, ids ...string) func() map[string]backend.Result {
	type named struct {
		id     string
		result backend.Result
	}
	results := make(chan named, len(ids))
	for _, id := range ids {
		b.Change("key-"+id, priority, backend.Change{Run: backend.Run{ID: id, State: state}, Decide: addX}, func(r backend.Result) {
			results <- named{id, r}
		})
	}
	return func() map[string]backend.Result {
		all := map[string]backend.Result{}
		for range ids {
			r := <-results
			all[r.id] = r.result
		}
		return all
	}
}

func ids(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("run-%03d", i)
	}
	return out
}

var quick = batch.Options{Window: time.Millisecond}

func TestBatchesAreAsFewAsTheLimitsAllow(t *testing.T) {
	for _, c := range []struct {
		reason string
		n      int
		state  backend.State
		calls  int
	}{
		{"one run is one request", 1, backend.StateFinished, 1},
		{"what fits into one request is one", 100, backend.StateFinished, 1},
		{"one more is another", 101, backend.StateFinished, 2},
		{"400 ended runs are four requests", 400, backend.StateCrashed, 4},
		{"active runs go in small batches", 35, backend.StateRunning, 4},
	} {
		t.Run(c.reason, func(t *testing.T) {
			f := newFake()
			b := batch.New(f, quick)
			wait := queue(b, backend.PriorityEdit, c.state, ids(c.n)...)
			start(t, b)
			for id, r := range wait() {
				if r.Err != nil || !r.Sent {
					t.Errorf("%s: %+v", id, r)
				}
			}
			if len(f.changes) != c.calls {
				t.Errorf("%d calls, want %d", len(f.changes), c.calls)
			}
		})
	}
}
