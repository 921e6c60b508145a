package batch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/batch"
	"github.com/runtag/runtag/internal/tags"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inBubble runs a test in virtual time. The batcher runs once start is called: what was queued before is gathered for
// sure. stop ends its context, does what is given, and waits for its end.
func inBubble(t *testing.T, f backend.Backend, o batch.Options, test func(b *batch.Batcher, start func(), stop func(meanwhile ...func()))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		b := batch.New(f, o)
		ended := make(chan error, 1)
		started := false
		start := func() {
			started = true
			go func() { ended <- b.Run(ctx) }()
			synctest.Wait()
		}
		stop := func(meanwhile ...func()) {
			cancel()
			for _, f := range meanwhile {
				f()
			}
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
			started = false
		}
		test(b, start, stop)
		if started {
			stop()
		}
	})
}

// collected is what became of changes, by key.
type collected map[string]backend.Result

// change queues a change that adds tag x, and collects its result. A second result for a key is a failure.
func (c collected) change(t *testing.T, b *batch.Batcher, key string, p backend.Priority, run backend.Run) {
	b.Change(key, p, backend.Change{Run: run, Decide: addX}, func(r backend.Result) {
		if _, twice := c[key]; twice {
			t.Errorf("done of %s was called twice", key)
		}
		c[key] = r
	})
}

func ids(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("run-%03d", i)
	}
	return out
}

// settle lets all that is queued be sent.
func settle() {
	time.Sleep(time.Minute) // in the bubble: nothing really sleeps
	synctest.Wait()
}

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
		{"a limit of nothing still lets one go", 3, "limitless", 3},
	} {
		t.Run(c.reason, func(t *testing.T) {
			f := newFake()
			if c.state == "limitless" {
				f.limits = backend.Limits{}
			}
			inBubble(t, f, batch.Options{}, func(b *batch.Batcher, start func(), _ func(...func())) {
				got := collected{}
				for _, id := range ids(c.n) {
					got.change(t, b, id, backend.PriorityRule, backend.Run{ID: id, State: c.state})
				}
				start()
				settle()
				for id, r := range got {
					if r.Err != nil || !r.Sent || r.After.ID != id {
						t.Errorf("%s: %+v", id, r)
					}
				}
				if len(got) != c.n || len(f.changes) != c.calls || f.prios[0] != backend.PriorityRule {
					t.Errorf("%d results of %d, %d calls, want %d, with priority %v", len(got), c.n, len(f.changes), c.calls, f.prios[0])
				}
			})
		})
	}
}

func TestActiveRunsAreNotMixedWithOthers(t *testing.T) {
	f := newFake()
	inBubble(t, f, batch.Options{}, func(b *batch.Batcher, start func(), _ func(...func())) {
		got := collected{}
		got.change(t, b, "1", backend.PriorityEdit, backend.Run{ID: "a", State: backend.StateRunning})
		got.change(t, b, "2", backend.PriorityEdit, backend.Run{ID: "b", State: backend.StateFinished})
		got.change(t, b, "3", backend.PriorityEdit, backend.Run{ID: "c", State: backend.StatePending})
		start()
		settle()
		if diff := cmp.Diff([][]string{{"a", "c"}, {"b"}}, f.changes); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
		}
	})
}

func TestOneRunIsNotTwiceInABatch(t *testing.T) {
	f := newFake()
	inBubble(t, f, batch.Options{}, func(b *batch.Batcher, start func(), _ func(...func())) {
		got := collected{}
		got.change(t, b, "ns1/x", backend.PriorityEdit, backend.Run{ID: "a"})
		got.change(t, b, "ns2/x", backend.PriorityEdit, backend.Run{ID: "a"})
		got.change(t, b, "ns2/y", backend.PriorityEdit, backend.Run{ID: "b"})
		start()
		settle()
		if diff := cmp.Diff([][]string{{"a", "b"}, {"a"}}, f.changes); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
		}
	})
}

func TestTheWindow(t *testing.T) {
	o := batch.Options{Window: 20 * time.Millisecond, MaxWait: 95 * time.Millisecond}
	for _, c := range []struct {
		reason string
		gap    time.Duration
		n      int
		sizes  []int
	}{
		{"what keeps coming is waited for", 10 * time.Millisecond, 5, []int{5}},
		{"a gap ends the window", 30 * time.Millisecond, 3, []int{1, 1, 1}},
		// After 95 ms the ten of 0 to 90 ms go; the rest is a window of its own.
		{"but not for ever", 10 * time.Millisecond, 15, []int{10, 5}},
		{"what is full goes at once", 0, 250, []int{100, 100, 50}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			f := newFake()
			inBubble(t, f, o, func(b *batch.Batcher, start func(), _ func(...func())) {
				start()
				got := collected{}
				for i, id := range ids(c.n) {
					if i > 0 && c.gap > 0 {
						time.Sleep(c.gap) // in the bubble
					}
					got.change(t, b, id, backend.PriorityEdit, backend.Run{ID: id})
					synctest.Wait()
				}
				if full := f.calls(); c.gap == 0 && full != 2 {
					t.Errorf("%d full batches went before the window ended", full)
				}
				settle()
				var sizes []int
				for _, batch := range f.changes {
					sizes = append(sizes, len(batch))
				}
				if diff := cmp.Diff(c.sizes, sizes); diff != "" {
					t.Errorf("batches (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Somebody edits 300 objects, one every 30 ms, and a request takes 100 ms.
func TestAFloodOfEditsGoesInFewRequests(t *testing.T) {
	const gap, takes = 30 * time.Millisecond, 100 * time.Millisecond
	f := newFake()
	f.broken = func(context.Context, []string) error {
		time.Sleep(takes) // in the bubble
		return nil
	}
	inBubble(t, f, batch.Options{}, func(b *batch.Batcher, start func(), _ func(...func())) {
		start()
		got := collected{}
		change := func(id string) { got.change(t, b, id, backend.PriorityEdit, backend.Run{ID: id}) }
		for _, id := range ids(300) {
			change(id)
			time.Sleep(gap)
		}
		settle()
		// They come for 9 seconds, and none waits for more than one.
		if calls := f.calls(); calls > 12 || len(got) != 300 {
			t.Errorf("%d changes in %d requests", len(got), calls)
		}
		alone := func(id string) {
			before, began := f.calls(), time.Now()
			change(id)
			for f.calls() == before {
				time.Sleep(time.Millisecond)
			}
			if waited := time.Since(began); waited > batch.DefaultWindow+time.Millisecond {
				t.Errorf("%s waited %s", id, waited)
			}
		}
		alone("what comes long after the flood")
		change("what comes meanwhile")
		time.Sleep(batch.DefaultMaxWait / 2)
		alone("what comes shortly after a flood of two")
	})
}

func TestAWaitingChangeIsReplaced(t *testing.T) {
	f := newFake()
	f.limits.Change = 1
	inBubble(t, f, batch.Options{}, func(b *batch.Batcher, start func(), _ func(...func())) {
		got := collected{}
		got.change(t, b, "first", backend.PriorityEdit, backend.Run{ID: "old"})
		got.change(t, b, "second", backend.PriorityEdit, backend.Run{ID: "other"})
		got.change(t, b, "first", backend.PriorityFullLook, backend.Run{ID: "new"})
		start()
		settle()
		if diff := cmp.Diff([][]string{{"new"}, {"other"}}, f.changes); diff != "" {
			t.Errorf("the new one has the place of the old (-want +got):\n%s", diff)
		}
		if len(got) != 2 || got["first"].After.ID != "new" {
			t.Errorf("results %+v", got)
		}
	})
}

func TestAChangeUnderWayIsNotReplaced(t *testing.T) {
	f := newFake()
	inBubble(t, f, batch.Options{}, func(b *batch.Batcher, start func(), _ func(...func())) {
		f.hold()
		start()
		var order []string
		add := func(name string) {
			b.Change("key", backend.PriorityEdit, backend.Change{Run: backend.Run{ID: "a"}, Decide: addX}, func(backend.Result) { order = append(order, name) })
		}
		add("first")
		f.waitForCall()
		add("replaced")
		add("last")
		if b.Cancel("other") {
			t.Error("there is no such change")
		}
		f.letGo()
		settle()
		if diff := cmp.Diff([]string{"first", "last"}, order); diff != "" {
			t.Errorf("calls of done (-want +got):\n%s", diff)
		}
	})
}

func TestACancelledChangeIsNotSent(t *testing.T) {
	f := newFake()
	inBubble(t, f, batch.Options{}, func(b *batch.Batcher, start func(), _ func(...func())) {
		got := collected{}
		got.change(t, b, "a", backend.PriorityEdit, backend.Run{ID: "a"})
		got.change(t, b, "b", backend.PriorityEdit, backend.Run{ID: "b"})
		if !b.Cancel("a") || b.Cancel("a") {
			t.Error("it waits once")
		}
		start()
		settle()
		if diff := cmp.Diff([][]string{{"b"}}, f.changes); diff != "" || len(got) != 1 {
			t.Errorf("batches (-want +got):\n%s\nresults %+v", diff, got)
		}
	})
}

func TestEditsOvertake(t *testing.T) {
	f := newFake()
	f.limits.Change = 2
	inBubble(t, f, batch.Options{}, func(b *batch.Batcher, start func(), _ func(...func())) {
		f.hold()
		got := collected{}
		for _, id := range []string{"r1", "r2", "r3", "r4", "r5"} {
			got.change(t, b, id, backend.PriorityRule, backend.Run{ID: id})
		}
		start()
		f.waitForCall()
		got.change(t, b, "edit", backend.PriorityEdit, backend.Run{ID: "edit"})
		b.Read("look", backend.PriorityFullLook, func(backend.Run, bool, time.Time, error) {})
		f.letGo()
		settle()
		if diff := cmp.Diff([][]string{{"r1", "r2"}, {"edit", "r3"}, {"r4", "r5"}}, f.changes); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
		}
		want := []backend.Priority{backend.PriorityRule, backend.PriorityEdit, backend.PriorityRule, backend.PriorityFullLook}
		if diff := cmp.Diff(want, f.prios); diff != "" {
			t.Errorf("priorities (-want +got):\n%s", diff)
		}
	})
}

func TestWhenItStopsTheWriteInHandIsFinished(t *testing.T) {
	f := newFake()
	f.limits.Change = 1
	inBubble(t, f, batch.Options{}, func(b *batch.Batcher, start func(), stop func(...func())) {
		f.hold()
		got := collected{}
		got.change(t, b, "in hand", backend.PriorityEdit, backend.Run{ID: "a"})
		got.change(t, b, "waiting", backend.PriorityEdit, backend.Run{ID: "b"})
		got.change(t, b, "cancelled", backend.PriorityEdit, backend.Run{ID: "c"})
		var readErr error
		b.Read("x", backend.PriorityFullLook, func(_ backend.Run, _ bool, _ time.Time, err error) { readErr = err })
		start()
		f.waitForCall()
		b.Cancel("cancelled")
		f.broken = func(ctx context.Context, _ []string) error { return ctx.Err() }
		stop(f.letGo)
		if r := got["in hand"]; r.Err != nil || !r.Sent {
			t.Errorf("the write in hand: %+v", r)
		}
		if r := got["waiting"]; !errors.Is(r.Err, context.Canceled) || !backend.IsKind(r.Err, backend.Unavailable) || r.Sent {
			t.Errorf("the one that waited: %+v", r)
		}
		if !errors.Is(readErr, context.Canceled) || len(got) != 2 || len(f.changes) != 1 {
			t.Errorf("read: %v, results %v, calls %v", readErr, got, f.changes)
		}

		late := make(chan error, 2)
		b.Change("late", backend.PriorityEdit, backend.Change{Run: backend.Run{ID: "a"}, Decide: addX}, func(r backend.Result) { late <- r.Err })
		b.Read("late", backend.PriorityEdit, func(_ backend.Run, _ bool, _ time.Time, err error) { late <- err })
		for range 2 {
			if err := <-late; !errors.Is(err, context.Canceled) {
				t.Errorf("after the end: %v", err)
			}
		}
	})
}

func TestAPanicOfOnePlanIsTheErrorOfOneRun(t *testing.T) {
	f := newFake()
	inBubble(t, f, batch.Options{}, func(b *batch.Batcher, start func(), _ func(...func())) {
		got := collected{}
		got.change(t, b, "good", backend.PriorityEdit, backend.Run{ID: "good"})
		b.Change("bad", backend.PriorityEdit, backend.Change{
			Run: backend.Run{ID: "bad"}, Decide: func(backend.Run) (tags.Edit, error) { panic("oops") },
		}, func(r backend.Result) { got["bad"] = r })
		start()
		settle()
		if got["good"].Err != nil || got["bad"].Err == nil || !strings.Contains(got["bad"].Err.Error(), "run bad panicked (oops)") || got["bad"].Sent {
			t.Errorf("results %+v", got)
		}
	})
}
