package tracking_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/batch"
	"github.com/runtag/runtag/internal/connect"
	"github.com/runtag/runtag/internal/tags"
	"github.com/runtag/runtag/internal/tracking"
)

// tracker is a backend that has no runs.
type tracker struct{}

func (tracker) Dialect() tags.Dialect { return tags.Dialect{} }
func (tracker) Limits() backend.Limits {
	return backend.Limits{Read: 10, Change: 10, ChangeActive: 10, Page: 10}
}
func (tracker) List(context.Context, backend.Query, string) (backend.Page, error) {
	return backend.Page{}, nil
}
func (tracker) Change(_ context.Context, changes []backend.Change) ([]backend.Result, error) {
	return make([]backend.Result, len(changes)), nil
}
func (tracker) Check(context.Context) (backend.Info, error) { return backend.Info{}, nil }
func (tracker) Notices() []string                           { return nil }

func connection() *connect.Connection { return &connect.Connection{Backend: tracker{}} }

// started is a registry that runs, on a clock that stands still: nothing that its queues get is ever sent.
func started(t *testing.T) (*tracking.Registry, *testclock.FakeClock, func()) {
	t.Helper()
	clock := testclock.NewFakeClock(now)
	r := tracking.NewRegistry(clock, batch.Options{Clock: clock})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Start(ctx) }()
	stop := func() {
		cancel()
		if err, open := <-ended; open && err != nil {
			t.Errorf("Start: %v", err)
		}
	}
	t.Cleanup(cancel)
	return r, clock, stop
}

func connected(t *testing.T, r *tracking.Registry, uid types.UID) *tracking.Project {
	t.Helper()
	p := r.Ensure(key, uid)
	if err := r.Connect(t.Context(), p, connection()); err != nil {
		t.Fatalf("Connect: %v", err)
	}
	return p
}

// ask puts a read into the project's queue and gives where its error is going to be.
func ask(p *tracking.Project) <-chan error {
	result := make(chan error, 1)
	p.Queue().Read("a", backend.PriorityEdit, func(_ backend.Run, _ bool, _ time.Time, err error) { result <- err })
	return result
}

// ended waits for the error of what ask asked for.
func ended(t *testing.T, result <-chan error) error {
	t.Helper()
	select {
	case err := <-result:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("what waited in the queue got no answer, want an error")
		return nil
	}
}

func TestConnectWithAnotherConnectionStartsAnew(t *testing.T) {
	r, _, _ := started(t)
	p := r.Ensure(key, "one")
	if p.Queue() != nil || p.Backend() != nil || p.Connection() != nil {
		t.Fatal("a project that was never connected has a queue, a backend or a connection")
	}
	first := connection()
	if err := r.Connect(t.Context(), p, first); err != nil {
		t.Fatalf("Connect: %v", err)
	}
	p.SetPrimed()
	queue, waiting := p.Queue(), ask(p)

	if err := r.Connect(t.Context(), p, first); err != nil {
		t.Fatalf("Connect: %v", err)
	}
	if p.Queue() != queue || !p.Primed() {
		t.Error("the same connection made a new queue, or asks for a first look again")
	}

	if err := r.Connect(t.Context(), p, connection()); err != nil {
		t.Fatalf("Connect: %v", err)
	}
	if p.Queue() == queue || p.Connection() == first {
		t.Error("another connection kept the old queue or the old connection")
	}
	if p.Primed() {
		t.Error("another connection counts as looked at, want a first look")
	}
	if err := ended(t, waiting); !backend.IsKind(err, backend.Unavailable) {
		t.Errorf("what waited in the old queue ended with %v, want Unavailable", err)
	}
}

func TestConnectWaitsForTheStart(t *testing.T) {
	clock := testclock.NewFakeClock(now)
	r := tracking.NewRegistry(clock, batch.Options{Clock: clock})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Connect(ctx, r.Ensure(key, "one"), connection()); !errors.Is(err, context.Canceled) {
		t.Errorf("Connect before the start: %v, want it to wait for as long as the context lasts", err)
	}
}

func TestTheEndOfTheRegistryEndsItsQueues(t *testing.T) {
	r, _, stop := started(t)
	p := connected(t, r, "one")
	waiting := ask(p)
	stop()
	if err := ended(t, waiting); !backend.IsKind(err, backend.Unavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("what waited ended with %v, want Unavailable because of the end", err)
	}
	if err := r.Connect(t.Context(), p, connection()); !errors.Is(err, context.Canceled) {
		t.Errorf("Connect after the end: %v, want the context's error", err)
	}
}

func TestAProjectMadeAgainStartsAnew(t *testing.T) {
	r, _, _ := started(t)
	first := connected(t, r, "one")
	if r.Ensure(key, "one") != first {
		t.Error("the same project is another one")
	}
	waiting := ask(first)
	second := r.Ensure(key, "two")
	if second == first || second.Queue() != nil || second.Snapshot == first.Snapshot {
		t.Error("a project made again under its name has something of the one before")
	}
	if err := ended(t, waiting); err == nil {
		t.Error("what waited for the project before was answered, want an error")
	}
}

func TestADroppedProjectIsKeptForAWhile(t *testing.T) {
	const lastGood = 15 * time.Minute
	tests := []struct {
		reason string
		act    func(*tracking.Registry, *testclock.FakeClock)
		kept   bool
	}{
		{reason: "a project that is not dropped stays", kept: true, act: func(_ *tracking.Registry, c *testclock.FakeClock) { c.Step(24 * time.Hour) }},
		{reason: "a dropped one stays for those that are deleted in the same sweep", kept: true, act: func(r *tracking.Registry, c *testclock.FakeClock) {
			r.Drop(key)
			c.Step(lastGood)
		}},
		{reason: "and no longer", kept: false, act: func(r *tracking.Registry, c *testclock.FakeClock) {
			r.Drop(key)
			c.Step(lastGood + time.Second)
		}},
		{reason: "a second call does not prolong it", kept: false, act: func(r *tracking.Registry, c *testclock.FakeClock) {
			r.Drop(key)
			c.Step(lastGood - time.Minute)
			r.Drop(key)
			c.Step(2 * time.Minute)
		}},
		{reason: "dropping one that is not known says nothing about others", kept: true, act: func(r *tracking.Registry, c *testclock.FakeClock) {
			r.Drop(types.NamespacedName{Name: "unknown"})
			c.Step(24 * time.Hour)
		}},
	}
	for _, tc := range tests {
		t.Run(tc.reason, func(t *testing.T) {
			r, clock, _ := started(t)
			p := connected(t, r, "one")
			waiting := ask(p)
			tc.act(r, clock)
			found, ok := r.Find(key)
			if ok != tc.kept || ok && found != p {
				t.Fatalf("Find gives %t, want %t", ok, tc.kept)
			}
			if !tc.kept {
				if err := ended(t, waiting); err == nil { // its queue has ended, so that nothing is kept of the credential
					t.Error("what waited in the queue was answered, want an error")
				}
			}
		})
	}
}
