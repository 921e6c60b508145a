package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/test/faults/facts"
	"github.com/runtag/runtag/test/stage"
)

// election has managers elect a leader, in a fifth of the usual times.
var election = []string{
	"--leader-elect", "--leader-elect-namespace=" + stage.SystemNamespace,
	"--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=400ms",
}

// pair is a leader and a manager that waits.
type pair struct {
	w              *world
	leader, waiter *stage.Manager

	mu    sync.Mutex
	known map[int]bool // by port: whether it is the leader's; sockets of managers stay what they are
}

func newPair(t *testing.T, w *world) *pair {
	t.Helper()
	p := &pair{w: w, known: map[int]bool{}}
	p.leader = startManager(t, election...)
	w.expectAll(t) // it leads
	p.waiter = startManager(t, election...)
	return p
}

// led says whether a request came from the leader, as long as its connection is open.
func (p *pair) led(t *testing.T, x exchanged) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	ours, known := p.known[x.port]
	if !known {
		var err error
		if ours, err = owns(p.leader.PID, x.port); err != nil {
			t.Error(err)
		}
		p.known[x.port] = ours
	}
	return ours
}

// counter counts what the leader writes from now on.
type counter struct {
	mu     sync.Mutex
	writes int
}

func (c *counter) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
}

func (c *counter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writes
}

// overtake waits until the other manager has taken over: it does what people want now.
func (p *pair) overtake(t *testing.T) {
	t.Helper()
	for i := range len(p.w.want) {
		p.w.label(t, runID(i), "meanwhile", true)
	}
	p.w.expectAll(t)
}

// goOn has the old leader go on, waits until it has ended, as it must, and gives how many writes it made.
func (p *pair) goOn(t *testing.T) int {
	t.Helper()
	late := &counter{}
	p.w.whenSeen(func(x exchanged) {
		if x.write && p.led(t, x) {
			late.add()
		}
	})
	must(t, p.leader.Resume())
	must(t, stage.Await(t.Context(), "the old leader ends", func(context.Context) error {
		if p.leader.Running() == nil {
			return errors.New("it still runs")
		}
		return nil
	}))
	p.w.whenSeen(nil)
	return late.count()
}

// next makes the manager that took over the leader, and starts another one.
func (p *pair) next(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	p.known = map[int]bool{}
	p.mu.Unlock()
	p.leader, p.waiter = p.waiter, startManager(t, election...)
}

// The leader is stopped when it has read a run and not yet asked whether it still leads, which is right before the write.
func TestLeaderStoppedBeforeItsCheck(t *testing.T) {
	w := newWorld(t, 3, func(p *v1alpha1.TrackingProject) { p.Spec.FullInterval.Duration = 10 * time.Minute })
	p := newPair(t, w)
	stops, late := facts.Pick(1, 3), 0
	for round := range stops {
		reached, free := make(chan struct{}), make(chan struct{})
		release, once := sync.OnceFunc(func() { close(free) }), sync.OnceFunc(func() { close(reached) })
		t.Cleanup(release)
		w.whenSeen(func(x exchanged) {
			if x.read && p.led(t, x) {
				once()
				<-free
			}
		})
		tag := fmt.Sprintf("round-%d", round)
		for i := range len(w.want) {
			w.label(t, runID(i), tag, true)
		}
		select {
		case <-reached:
		case <-t.Context().Done():
			t.Fatal("the leader never read a run before it wrote")
		}
		must(t, p.leader.Pause())
		w.whenSeen(nil)
		release() // the answer waits for it
		for i := range len(w.want) {
			w.label(t, runID(i), tag, false) // so that its write would show
		}
		p.overtake(t)
		writes := p.goOn(t)
		late += writes
		if writes > 0 {
			t.Errorf("a leader that was stopped before its check wrote %d times after its lease had run out", writes)
		}
		p.carryOn(t, w)
	}
	record(t, "leaders stopped right before the check of their lease", stops)
	record(t, "writes by them afterwards", late)
}

// The leader is stopped anywhere in the middle of its work.
func TestLeaderStoppedAnywhere(t *testing.T) {
	fullOnly(t)
	random := randomOf(t)
	w := newWorld(t, 8, func(p *v1alpha1.TrackingProject) { p.Spec.FullInterval.Duration = 3 * time.Second })
	p := newPair(t, w)
	const stops = 12
	most := 0
	for range stops {
		p.stopSomewhere(t, random)
		p.overtake(t)
		writes := p.goOn(t)
		if writes > 1 {
			t.Errorf("a leader that was stopped wrote %d times after its lease had run out, which is more than the one request already begun", writes)
		}
		most = max(most, writes)
		p.carryOn(t, w)
	}
	record(t, "leaders stopped at random points of their work", stops)
	record(t, "most writes by one of them afterwards, of which one may have begun", most)
}

// carryOn makes the pair ready for the next stop, and expects that all is as it should be after the last one.
func (p *pair) carryOn(t *testing.T, w *world) {
	t.Helper()
	p.next(t)
	w.expectAll(t)
	for i := range len(w.want) {
		w.label(t, runID(i), "meanwhile", false)
	}
	w.expectAll(t)
}

// stopSomewhere edits runs and stops the leader at one of its requests, or a moment after it.
func (p *pair) stopSomewhere(t *testing.T, random *rand.Rand) {
	t.Helper()
	at, after := 1+random.IntN(6), time.Duration(random.IntN(3000))*time.Microsecond
	stopped := make(chan error, 1)
	var mu sync.Mutex
	seen := 0
	p.w.whenSeen(func(x exchanged) {
		mu.Lock()
		defer mu.Unlock()
		if seen++; seen == at {
			go func() {
				<-time.After(after)
				stopped <- p.leader.Pause()
			}()
		}
	})
	for i := range len(p.w.want) {
		p.w.label(t, runID(i), "baseline", random.IntN(2) == 0)
		p.w.label(t, runID(i), "candidate", random.IntN(2) == 0)
	}
	select {
	case err := <-stopped:
		must(t, err)
	case <-t.Context().Done():
		t.Fatal("the leader sends nothing")
	}
	p.w.whenSeen(nil)
}
