package connect_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/connect"
)

// walk is one project whose spec, Secret and tracker do as they like, and what may be expected of it from outside.
type walk struct {
	*world
	project *v1alpha1.TrackingProject
	// secrets is what Connection.Secrets is for the Secret as it is now; empty while there is none.
	secret string
	// readAt is when the Secret was read last; sooner allows to read it again within the minute.
	readAt time.Time
	sooner bool
	// given is the connection of the last Open, at givenAt; nil after a failure and a change of the spec.
	given   *connect.Connection
	givenAt time.Time
}

func (w *walk) rotate(*rapid.T) {
	w.secrets.put("wandb", map[string]string{"api-key": canary})
	w.secret = "wandb=uid-of-wandb/" + w.secrets.secrets["wandb"].ResourceVersion
}

func (w *walk) remove(*rapid.T) {
	w.secrets.remove("wandb")
	w.secret = ""
}

func (w *walk) advance(t *rapid.T) {
	steps := []time.Duration{time.Second, 3 * time.Second, 59 * time.Second, 14 * time.Minute, 15 * time.Minute}
	w.clock.Step(rapid.SampledFrom(steps).Draw(t, "step"))
}

func (w *walk) move(t *rapid.T) {
	url := rapid.SampledFrom([]string{"https://a.example", "https://b.example"}).Draw(t, "url")
	if url != w.project.Spec.Wandb.BaseURL {
		w.project.Spec.Wandb.BaseURL = url
		w.sooner, w.given = true, nil
	}
}

func (w *walk) reject(*rapid.T) {
	w.Rejected(w.project.UID)
	w.sooner = true
}

func (w *walk) opens(t *rapid.T) {
	before, now := w.secrets.count(), w.clock.Now()
	conn, err := w.Open(w.t.Context(), w.project)
	reads := w.secrets.count() - before
	forgotten := now.Sub(w.givenAt) >= 15*time.Minute
	if reads > 1 || (reads == 1 && !w.sooner && now.Sub(w.readAt) < time.Minute) {
		t.Fatalf("%d reads %s after the last, want at most one a minute", reads, now.Sub(w.readAt))
	}
	if reads == 1 {
		w.readAt, w.sooner = now, false
	}
	if err != nil {
		var failure *connect.SecretError
		if !errors.As(err, &failure) || (reads == 1 && w.secret != "") {
			t.Fatalf("Open: %v with the Secret %q", err, w.secret)
		}
		w.sooner, w.given = true, nil // a Secret that is wrong is read again sooner
		return
	}
	if conn.URL != w.project.Spec.Wandb.BaseURL {
		t.Fatalf("connected to %s, want %s", conn.URL, w.project.Spec.Wandb.BaseURL)
	}
	if conn.Secrets != w.secret && (reads == 1 || now.Sub(w.readAt) >= time.Minute) {
		t.Fatalf("connected with %s, want %q", conn.Secrets, w.secret)
	}
	if w.given != nil && !forgotten && w.given.Secrets == conn.Secrets && w.given != conn {
		t.Fatalf("another connection with %s, want the same", conn.Secrets)
	}
	w.given, w.givenAt = conn, now
}

func TestWalk(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &walk{world: newWorld(t), project: wandbProject("https://a.example"), secret: "wandb=uid-of-wandb/1", sooner: true}
		rt.Repeat(map[string]func(*rapid.T){
			"rotate": w.rotate, "remove": w.remove, "advance": w.advance, "move": w.move, "reject": w.reject,
			"open": w.opens, "open again": w.opens,
		})
	})
}
