package batch_test

import (
	"context"
	"errors"
	"math/bits"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/batch"
)

func failure(kind backend.Kind) error { return &backend.Error{Kind: kind, Message: "no"} }

// failing breaks each call that has one of these runs in it.
func failing(kind backend.Kind, bad ...string) func(context.Context, []string) error {
	return func(_ context.Context, ids []string) error {
		if slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(bad, id) }) {
			return failure(kind)
		}
		return nil
	}
}

// changeAll sends n changes and gives the results.
func changeAll(t *testing.T, f *fakeTracker, n int) collected {
	t.Helper()
	got := collected{}
	inBubble(t, f, batch.Options{WriteDeadline: time.Second}, func(b *batch.Batcher, start func(), _ func(...func())) {
		for _, id := range ids(n) {
			got.change(t, b, id, backend.PriorityEdit, backend.Run{ID: id})
		}
		start()
		settle()
	})
	if len(got) != n {
		t.Errorf("%d results for %d changes", len(got), n)
	}
	return got
}

func failed(results collected) []string {
	var out []string
	for id, r := range results {
		if r.Err != nil {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

func TestHowABatchFails(t *testing.T) {
	all := ids(100)
	for _, c := range []struct {
		reason string
		broken func(ctx context.Context, ids []string) error
		failed []string
		calls  int
	}{
		{"one bad run is found by halving", failing(backend.Conflict, "run-000"), all[:1], 13},
		{"at the end too", failing(backend.InvalidTag, "run-099"), all[99:], 15},
		{"one run that makes the server fail does not harm the rest", failing(backend.Unavailable, "run-000"), all[:1], 13},
		{"two of them neither", failing(backend.Unavailable, "run-000", "run-060"), []string{"run-000", "run-060"}, 25},
		{"a rate limit is not tried against", failing(backend.RateLimited, all...), all, 1},
		{"nor a wrong key", failing(backend.AccessDenied, all...), all, 1},
		{"nor our own rules", failing(backend.AddressRefused, all...), all, 1},
		{"a tracker that is down is not asked once for each run", failing(backend.Unavailable, all...), all, 8},
		{"nor one that does not answer in time", func(ctx context.Context, _ []string) error {
			<-ctx.Done()
			return &backend.Error{Kind: backend.Unavailable, Err: ctx.Err()}
		}, all, 2},
		{"a rate limit on the way fails what is left", func(_ context.Context, ids []string) error {
			if ids[0] == "run-000" {
				return failure(backend.Conflict)
			}
			return failure(backend.RateLimited)
		}, all, 8},
		{"a request cancelled by the client is not repeated", func(context.Context, []string) error { return context.Canceled }, all, 1},
	} {
		t.Run(c.reason, func(t *testing.T) {
			f := newFake()
			f.broken = c.broken
			got := changeAll(t, f, 100)
			if diff := cmp.Diff(c.failed, failed(got)); diff != "" {
				t.Errorf("failed runs (-want +got):\n%s", diff)
			}
			if len(f.changes) != c.calls {
				t.Errorf("%d calls, want %d", len(f.changes), c.calls)
			}
			for id, r := range got {
				if !r.Sent {
					t.Errorf("%s: its edit was decided, so it may have been written", id)
				}
			}
		})
	}
}

func TestOnlyBadRunsFailAndItCostsLittle(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(rt, "n")
		bad := rapid.SliceOfNDistinct(rapid.SampledFrom(ids(n)), 0, min(n, 8), rapid.ID[string]).Draw(rt, "bad")
		slices.Sort(bad)
		f := newFake()
		f.broken = failing(backend.Conflict, bad...)
		got := changeAll(t, f, n)
		if diff := cmp.Diff(slices.Clone(bad), failed(got)); diff != "" && len(bad) > 0 {
			rt.Fatalf("failed runs (-want +got):\n%s", diff)
		}
		batches := (n + 99) / 100
		if most := batches + 2*len(bad)*bits.Len(100); len(f.changes) > most {
			rt.Fatalf("%d calls for %d changes with %d bad ones, want at most %d", len(f.changes), n, len(bad), most)
		}
	})
}

func TestWhatIsReplacedBetweenTwoTriesIsNotTriedAgain(t *testing.T) {
	f := newFake()
	inBubble(t, f, batch.Options{}, func(b *batch.Batcher, start func(), _ func(...func())) {
		got := collected{}
		for _, id := range []string{"a", "b", "c", "d"} {
			got.change(t, b, id, backend.PriorityRule, backend.Run{ID: id})
		}
		var replaced []backend.Result
		f.broken = func(_ context.Context, ids []string) error {
			switch len(f.changes) {
			case 1: // while all four are under way
				b.Change("c", backend.PriorityRule, backend.Change{Run: backend.Run{ID: "c"}, Decide: nothing}, func(r backend.Result) { replaced = append(replaced, r) })
				return failure(backend.Conflict)
			case 2: // while "d" waits to be tried again
				b.Change("d", backend.PriorityRule, backend.Change{Run: backend.Run{ID: "d"}, Decide: nothing}, func(r backend.Result) { replaced = append(replaced, r) })
				got.change(t, b, "edit", backend.PriorityEdit, backend.Run{ID: "edit"})
			}
			return nil
		}
		start()
		settle()
		if diff := cmp.Diff([][]string{{"a", "b", "c", "d"}, {"a", "b"}, {"edit", "c", "d"}}, sortedTail(f.changes)); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
		}
		if len(replaced) != 2 || !replaced[0].Sent || !replaced[1].Sent || !replaced[0].Edit.Empty() {
			t.Errorf("the first try may have written: %+v", replaced)
		}
		if len(got) != 3 {
			t.Errorf("done of what was replaced is not called: %+v", got)
		}
	})
}

// sortedTail orders all but the first of the last batch: what was replaced keeps its place among its equals.
func sortedTail(batches [][]string) [][]string {
	if last := batches[len(batches)-1]; len(last) > 1 {
		slices.Sort(last[1:])
	}
	return batches
}

func TestARetryGivesWayToAnEdit(t *testing.T) {
	f := newFake()
	inBubble(t, f, batch.Options{}, func(b *batch.Batcher, start func(), _ func(...func())) {
		got := collected{}
		for _, id := range []string{"a", "b"} {
			got.change(t, b, id, backend.PriorityRule, backend.Run{ID: id})
		}
		f.limits.Change = 2
		f.broken = func(_ context.Context, ids []string) error {
			if len(f.changes) > 1 {
				return nil
			}
			got.change(t, b, "e1", backend.PriorityEdit, backend.Run{ID: "e1"})
			got.change(t, b, "e2", backend.PriorityEdit, backend.Run{ID: "e2"})
			return failure(backend.Conflict)
		}
		start()
		settle()
		if diff := cmp.Diff([][]string{{"a", "b"}, {"e1", "e2"}, {"a"}, {"b"}}, f.changes); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
		}
	})
}

func TestPartsOfAFailedBatchEndWithTheBatcher(t *testing.T) {
	f := newFake()
	inBubble(t, f, batch.Options{}, func(b *batch.Batcher, start func(), stop func(...func())) {
		got := collected{}
		for _, id := range []string{"a", "b"} {
			got.change(t, b, id, backend.PriorityRule, backend.Run{ID: id})
		}
		f.hold()
		f.broken = failing(backend.Conflict, "a", "b")
		start()
		f.waitForCall()
		stop(f.letGo)
		for id, r := range got {
			if !errors.Is(r.Err, context.Canceled) || !r.Sent {
				t.Errorf("%s: %+v", id, r)
			}
		}
		if len(got) != 2 || len(f.changes) != 1 {
			t.Errorf("results %v, calls %v", got, f.changes)
		}
	})
}

func TestAWrongNumberOfResultsIsAnError(t *testing.T) {
	inBubble(t, &forgetful{newFake()}, batch.Options{}, func(b *batch.Batcher, start func(), _ func(...func())) {
		got := collected{}
		got.change(t, b, "a", backend.PriorityEdit, backend.Run{ID: "a"})
		start()
		settle()
		if !backend.IsKind(got["a"].Err, backend.Unsupported) {
			t.Errorf("got %+v", got)
		}
	})
}

// forgetful loses the results.
type forgetful struct{ *fakeTracker }

func (f *forgetful) Change(ctx context.Context, changes []backend.Change) ([]backend.Result, error) {
	_, err := f.fakeTracker.Change(ctx, changes)
	return nil, err
}
