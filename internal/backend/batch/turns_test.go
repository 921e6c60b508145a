package batch_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/batch"
)

// TestTurns has two batchers, the first of which is in the middle of a change of run a.
func TestTurns(t *testing.T) {
	for _, c := range []struct {
		reason     string
		place, run string
		waits      bool
	}{
		{"two changes of one run at once would lose one of them", "acme/p", "a", true},
		{"another run is not held up", "acme/p", "b", false},
		{"a run of another project may have the same id", "acme/q", "a", false},
	} {
		t.Run(c.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				turns := &batch.Turns{}
				first, second := newFake(), newFake()
				first.hold()
				ctx, cancel := context.WithCancel(t.Context())
				one, two := results(ctx, first, turns, "acme/p", "a"), results(ctx, second, turns, c.place, c.run)
				if waited := second.calls() == 0; waited != c.waits {
					t.Errorf("the other change waited: %v, want %v", waited, c.waits)
				}
				first.letGo()
				for _, result := range []<-chan backend.Result{one, two} {
					if r := <-result; r.Err != nil {
						t.Errorf("a change failed: %v", r.Err)
					}
				}
				cancel()
			})
		})
	}
}

func TestTurnThatNeverCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := &batch.Turns{}
		first, second := newFake(), newFake()
		first.hold()
		ctx, cancel := context.WithCancel(t.Context())
		results(t.Context(), first, turns, "acme/p", "a")
		waiting := results(ctx, second, turns, "acme/p", "a")
		cancel()
		if r := <-waiting; !backend.IsKind(r.Err, backend.Unavailable) || !errors.Is(r.Err, context.Canceled) || r.Sent {
			t.Errorf("a change whose batcher ended while it waited gave %+v, want that it was not sent", r)
		}
		first.letGo()
	})
}

// results runs a batcher with one change of the run. The first call of two takes its turn first.
func results(ctx context.Context, f *fakeTracker, turns *batch.Turns, place, run string) <-chan backend.Result {
	b := batch.New(f, batch.Options{Turns: turns, Place: place})
	result := make(chan backend.Result, 1)
	b.Change("key", backend.PriorityEdit, backend.Change{Run: backend.Run{ID: run}, Decide: addX}, func(r backend.Result) { result <- r })
	go func() { _ = b.Run(ctx) }()
	time.Sleep(batch.DefaultWindow) // of the bubble's time: the change goes
	synctest.Wait()
	return result
}
