package batch_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/batch"
)

// TestAPanicOfTheBackend has a tracker answer what nobody has thought of, for one run of a hundred.
func TestAPanicOfTheBackend(t *testing.T) {
	f := newFake()
	f.broken = func(_ context.Context, ids []string) error {
		if slices.Contains(ids, "run-042") {
			panic("an answer that nobody has thought of")
		}
		return nil
	}
	turns := &batch.Turns{}
	inBubble(t, f, batch.Options{Turns: turns, Place: "acme/p"}, func(b *batch.Batcher, start func(), _ func(...func())) {
		got := collected{} // which takes no second result
		for _, id := range ids(100) {
			got.change(t, b, id, backend.PriorityRule, backend.Run{ID: id})
		}
		start()
		settle()
		if diff := cmp.Diff([]string{"run-042"}, failed(got)); diff != "" || len(got) != 100 {
			t.Errorf("%d results; failed runs (-want +got):\n%s", len(got), diff)
		}
		if bad := got["run-042"]; !backend.IsKind(bad.Err, backend.Unsupported) || !bad.Sent || !strings.Contains(bad.Err.Error(), "bug of runtag") {
			t.Errorf("the run itself got %+v, want that it may have been written, and whose fault it is", bad)
		}
		ctx, cancel := context.WithCancel(context.Background()) // that of the test is not of the bubble
		defer cancel()
		other := results(ctx, newFake(), turns, "acme/p", "run-042")
		select {
		case r := <-other:
			if r.Err != nil {
				t.Errorf("a change of the same run by another batcher: %v", r.Err)
			}
		case <-time.After(time.Minute): // in the bubble
			t.Fatal("the turn of the run that panicked has not ended")
		}
	})
}

func TestAPanicOfARead(t *testing.T) {
	f := newFake()
	calls := 0
	f.pages = func(_ context.Context, query backend.Query, _ string) (backend.Page, error) {
		if calls++; calls == 1 {
			panic("an answer that nobody has thought of")
		}
		return backend.Page{Runs: []backend.Run{{ID: query.IDs[0]}}}, nil
	}
	inBubble(t, f, batch.Options{}, func(b *batch.Batcher, start func(), _ func(...func())) {
		start()
		for _, want := range []backend.Kind{backend.Unsupported, ""} {
			answers := 0
			b.Read("a", backend.PriorityEdit, func(_ backend.Run, found bool, _ time.Time, err error) {
				answers++
				if backend.KindOf(err) != want || found != (want == "") {
					t.Errorf("read %d: found %v, %v", calls, found, err)
				}
			})
			settle()
			if answers != 1 {
				t.Errorf("read %d has %d answers", calls, answers)
			}
		}
	})
}
