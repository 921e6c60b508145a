package connect_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/connect"
)

func TestLastOutlivesProjectAndSecret(t *testing.T) {
	w := newWorld(t)
	p := wandbProject("https://wandb.example")
	conn := w.open(p)
	if _, found := w.Last(p.UID); found {
		t.Fatal("a connection that never worked is the last good one")
	}
	w.Good(p.UID, conn)
	w.secrets.remove("wandb")
	w.clock.Step(time.Minute)
	for range 3 {
		if _, err := w.Open(t.Context(), p); err == nil {
			t.Fatal("Open succeeded without a Secret")
		}
		w.clock.Step(5 * time.Second)
	}
	w.clock.Step(13*time.Minute + 44*time.Second)
	if last, found := w.Last(p.UID); !found || last != conn {
		t.Fatal("the last good connection is gone before 15 minutes")
	}
	w.clock.Step(time.Second)
	if _, found := w.Last(p.UID); found {
		t.Error("the last good connection is there after 15 minutes; neither Last nor a failed Open is a use")
	}
	w.clock.Step(time.Minute)
	if _, found := w.Last(p.UID); found || w.Kept() != 0 {
		t.Errorf("%d projects in memory a minute later, want none", w.Kept())
	}
}

func TestLastIsTheOneThatWorked(t *testing.T) {
	w := newWorld(t)
	p := wandbProject("https://wandb.example")
	old := w.open(p)
	w.Good(p.UID, old)
	w.secrets.put("wandb", map[string]string{"api-key": canary + "-2"})
	w.clock.Step(time.Minute)
	rotated := w.open(p)
	if last, _ := w.Last(p.UID); last != old {
		t.Error("a connection that has not worked yet replaced the one that did")
	}
	w.Good(p.UID, old) // a late answer over the old connection
	if last, _ := w.Last(p.UID); last != old {
		t.Error("the old connection is not the last good one")
	}
	w.Good(p.UID, rotated)
	if last, _ := w.Last(p.UID); last != rotated {
		t.Error("the new connection worked and is not the last good one")
	}
	w.Good(p.UID, old)
	if last, _ := w.Last(p.UID); last != rotated {
		t.Error("a replaced connection came back")
	}
}

func TestUseKeepsAConnection(t *testing.T) {
	w := newWorld(t)
	p, q := wandbProject("https://wandb.example"), wandbProject("https://wandb.example")
	q.UID = "project-3"
	conn := w.open(p)
	w.Good(p.UID, conn)
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
	if _, found := w.Last(p.UID); !found {
		t.Error("the connection in use is not the last good one any more")
	}
}

func TestLastCountsFromTheLastUse(t *testing.T) {
	for _, c := range []struct {
		reason string
		use    func(*world, *v1alpha1.TrackingProject, *connect.Connection)
	}{
		{"to be opened is a use, with or without a read", func(w *world, p *v1alpha1.TrackingProject, _ *connect.Connection) { w.open(p) }},
		{"to work is a use", func(w *world, p *v1alpha1.TrackingProject, conn *connect.Connection) { w.Good(p.UID, conn) }},
	} {
		t.Run(c.reason, func(t *testing.T) {
			w := newWorld(t)
			p := wandbProject("https://wandb.example")
			conn := w.open(p)
			w.Good(p.UID, conn)
			w.clock.Step(59 * time.Second)
			c.use(w, p, conn)
			w.clock.Step(15*time.Minute - time.Second)
			if _, found := w.Last(p.UID); !found {
				t.Error("gone before 15 minutes")
			}
			w.clock.Step(time.Second)
			if _, found := w.Last(p.UID); found {
				t.Error("there after 15 minutes")
			}
		})
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
