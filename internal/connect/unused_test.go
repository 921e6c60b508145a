package connect_test

import (
	"context"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/runtag/runtag/api/v1alpha1"
)

func TestUnusedIsForgotten(t *testing.T) {
	for _, c := range []struct {
		reason string
		after  time.Duration
		same   bool
	}{
		{"a connection is kept for 15 minutes after its last use", 15*time.Minute - time.Second, true},
		{"then it is made anew", 15 * time.Minute, false},
	} {
		t.Run(c.reason, func(t *testing.T) {
			w := newWorld(t)
			p, q := wandbProject("https://wandb.example"), wandbProject("https://wandb.example")
			q.UID = "project-3"
			w.open(p)
			w.clock.Step(59 * time.Second)
			conn := w.open(p) // a use, though nothing is read
			w.clock.Step(c.after)
			w.open(q) // looks for what is unused
			if got := w.Kept(); got != 2 && c.same || got != 1 && !c.same {
				t.Errorf("%d projects in memory", got)
			}
			if (w.open(p) == conn) != c.same {
				t.Errorf("the same connection: %v, want %v", !c.same, c.same)
			}
		})
	}
}

func TestReleasedConnectionStillWorks(t *testing.T) {
	for _, c := range []struct {
		reason  string
		release func(*world, *v1alpha1.TrackingProject)
	}{
		{"its Secret is gone, and tags have to be taken off with what was in it", func(w *world, p *v1alpha1.TrackingProject) {
			w.secrets.remove("wandb")
			w.clock.Step(time.Minute)
			if _, err := w.Open(t.Context(), p); err == nil {
				t.Error("Open succeeded without a Secret")
			}
		}},
		{"nobody opened it for long, for its project is gone", func(w *world, _ *v1alpha1.TrackingProject) {
			w.clock.Step(15 * time.Minute)
			w.open(mlflowProject("https://mlflow.example", nil))
			if w.Kept() != 1 {
				t.Errorf("%d projects in memory, want the unused one to be gone", w.Kept())
			}
		}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			w, server := newWorld(t), newTracker(t, (*httptest.Server).Start)
			p := wandbProject(server.URL)
			conn := w.open(p)
			check(t, conn)
			c.release(w, p)
			<-server.closed // its idle socket; else this test hangs
			server.credentials()
			check(t, conn)
			if got := server.credentials(); len(got) != 1 || got[0] != "Basic api:"+canary+"-1" {
				t.Errorf("the tracker got %q, want another request with the same key", got)
			}
		})
	}
}

func TestUseKeepsAConnection(t *testing.T) {
	w := newWorld(t)
	p, q := wandbProject("https://wandb.example"), wandbProject("https://wandb.example")
	q.UID = "project-3"
	conn := w.open(p)
	w.open(q)
	for range 3 {
		w.clock.Step(14 * time.Minute)
		if w.open(p) != conn {
			t.Fatal("a connection in use was replaced")
		}
	}
	if w.Kept() != 1 {
		t.Errorf("%d projects in memory, want only the one in use", w.Kept())
	}
}

func TestStartForgetsInTime(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Start(ctx) }()
	w.open(wandbProject("https://wandb.example"))
	for !w.clock.HasWaiters() {
		runtime.Gosched()
	}
	w.clock.Step(15 * time.Minute)
	for w.Kept() != 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Start: %v", err)
	}
	if w.NeedLeaderElection() {
		t.Error("only the leader forgets, want every replica to")
	}
}
