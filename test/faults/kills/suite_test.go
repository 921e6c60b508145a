// Package kills_test lives the same story with the built manager many times, and kills the process at a call of its own
// that is drawn by chance: a request to the tracker, carried out or not, or a write to the API server. Another manager
// takes over, and the end has to be that of the story in which nobody is killed.
package kills_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/runtag/runtag/test/faults/facts"
	"github.com/runtag/runtag/test/stage"
)

const (
	fullLives  = 40
	shortLives = 2
	// A kill is at one of the first so many calls of its kind, which each life makes.
	mostAsked = 36
	mostWrote = 32
)

// TestKilled lives the story without a kill, and then with one each time.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane and the built manager")
	}
	seed := facts.Seed(t)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // chance that can be repeated, not a secret
	cluster := start(t)
	op := &operator{stage: cluster}
	if err := op.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := op.strike(); err != nil {
			t.Errorf("stop the manager: %v", err)
		}
	})
	whole := newLife(t, op)
	whole.live(t, nil)
	want := whole.rest(t)
	asked, wrote := whole.watch.counts()
	t.Logf("a life takes %d requests to the tracker and %d writes to the API server", asked, wrote)
	killed := map[when]int{}
	for n := range facts.Pick(shortLives, fullLives) {
		k := draw(random)
		t.Logf("life %d: killed %s", n, k)
		l := newLife(t, op)
		l.live(t, k)
		l.expect(t, want)
		if l.watch.killed() {
			killed[k.when]++
		}
	}
	for when, what := range map[when]string{
		beforeRequest: "kills of the manager's process before a request to the tracker was carried out",
		afterRequest:  "kills of the manager's process after a request to the tracker was carried out, before its answer",
		afterWrite:    "kills of the manager's process after a write to the API server",
	} {
		facts.Record(t, facts.Fact{Part: "kills", What: what, Value: float64(killed[when])})
	}
	if len(killed) == 0 {
		t.Error("no manager was killed")
	}
}

func start(t *testing.T) *stage.Stage {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cluster, err := stage.New(ctx, stage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := cluster.Close(closing); err != nil {
			t.Errorf("close the stage: %v", err)
		}
	})
	return cluster
}

// when says at which kind of call the manager is killed.
type when string

const (
	beforeRequest when = "before a request to the tracker"
	afterRequest  when = "after a request to the tracker"
	afterWrite    when = "after a write to the API server"
)

// kill is the n-th call of its kind in a life.
type kill struct {
	when when
	n    int
}

func (k *kill) String() string { return fmt.Sprintf("%s, the %d.", k.when, k.n) }

// draw draws a kill.
func draw(random *rand.Rand) *kill {
	k := &kill{when: []when{beforeRequest, afterRequest, afterWrite}[random.IntN(3)]}
	most := mostAsked
	if k.when == afterWrite {
		most = mostWrote
	}
	k.n = 1 + random.IntN(most)
	return k
}

// operator is the manager that runs at the time.
type operator struct {
	stage *stage.Stage

	mu      sync.Mutex
	manager *stage.Manager
}

// ensure starts a manager if none runs.
func (o *operator) ensure(ctx context.Context) error {
	o.mu.Lock()
	running := o.manager != nil && o.manager.Running() == nil
	o.mu.Unlock()
	if running {
		return nil
	}
	manager, err := o.stage.LaunchManager(ctx)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.manager = manager
	return nil
}

// strike kills the manager, and returns when its process is gone.
func (o *operator) strike() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.manager.Kill()
}
