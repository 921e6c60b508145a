package cluster_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/test/faults/facts"
	"github.com/runtag/runtag/test/stage"
)

// load edits runs as people do, until it is stopped: labels are put on and taken off.
type load struct {
	stop  context.CancelFunc
	ended chan struct{}
	edits atomic.Int64
}

func (w *world) load(t *testing.T) *load {
	t.Helper()
	random := randomOf(t)
	ctx, stop := context.WithCancel(t.Context())
	l := &load{stop: stop, ended: make(chan struct{})}
	t.Cleanup(l.end)
	ids, choice := slices.Sorted(maps.Keys(w.want)), []string{"baseline", "candidate", "debug"}
	go func() {
		defer close(l.ended)
		ticker := time.NewTicker(20 * time.Millisecond) // nobody is faster
		defer ticker.Stop()
		for ; ctx.Err() == nil; l.edits.Add(1) {
			id, tag := ids[random.IntN(len(ids))], choice[random.IntN(len(choice))]
			w.label(t, id, tag, !slices.Contains(w.want[id], tag))
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
	}()
	return l
}

// end stops the load; it returns when the last edit was made.
func (l *load) end() {
	l.stop()
	<-l.ended
}

// goOn waits for some more edits.
func (l *load) goOn(t *testing.T, edits int64) {
	t.Helper()
	from := l.edits.Load()
	must(t, stage.Await(t.Context(), "edits", func(context.Context) error { return atLeast(l.edits.Load()-from, edits) }))
}

func atLeast(got, want int64) error {
	if got < want {
		return fmt.Errorf("%d so far, want %d", got, want)
	}
	return nil
}

// wipe has a script that knows nothing of our tags send its list for a run.
func (w *world) wipe(t *testing.T, id string) {
	t.Helper()
	must(t, w.SetTags(wandbtest.Run{Entity: entity, Project: projectName, ID: id}.Path(), foreign))
}

// expectLooks waits for so many requests at the tracker.
func (w *world) expectLooks(t *testing.T, n int64) {
	t.Helper()
	mark := w.mark()
	must(t, stage.Await(t.Context(), "looks", func(context.Context) error { return atLeast(int64(w.mark()-mark), n) }))
}

// While the API server is away, people wait, and scripts go on.
func TestAPIServerRestart(t *testing.T) {
	m := startManager(t)
	w := newWorld(t, 10)
	w.expectAll(t)
	restarts, edits := facts.Pick(1, 5), int64(0)
	for round := range restarts {
		l := w.load(t)
		l.goOn(t, 20)
		must(t, cluster.Plane.StopAPIServer(t.Context()))
		for i := round; i < len(w.want); i += restarts { // each once: somebody who wipes again and again is waited for
			w.wipe(t, runID(i))
		}
		w.expectLooks(t, 3)
		must(t, cluster.Plane.StartAPIServer(t.Context()))
		l.goOn(t, 20)
		l.end()
		edits += l.edits.Load()
		w.expectAll(t)
	}
	must(t, m.Running())
	record(t, "restarts of the API server under load", restarts)
	record(t, "edits by people around them", int(edits))
}
